/** A worker's route tables by name. Text until the first request asks: a table that nobody uses costs its JSON alone. */
import type { RouteConfiguration } from '../xds-client/model/route.ts';
import type { Shares } from './route/match.ts';
import { compileRoutes, type RouteTable } from './route/table.ts';

export class RouteDirectory {
  private readonly tables = new Map<string, string | RouteTable>();
  private readonly shares: Shares;

  /** `shares`: what the runtime says of the shares of requests. */
  constructor(shares: Shares) {
    this.shares = shares;
  }

  set(name: string, json: string): void {
    this.tables.set(name, json);
  }

  remove(name: string): void {
    this.tables.delete(name);
  }

  get(name: string): RouteTable | undefined {
    const found = this.tables.get(name);
    if (typeof found !== 'string') return found;
    const table = compileRoutes(JSON.parse(found) as RouteConfiguration, this.shares);
    this.tables.set(name, table);
    return table;
  }
}
