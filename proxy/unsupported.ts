/** Fields that accepted configuration carries and Tollway does not act on: logged once, counted, shown at `/unsupported`. */
import type { UnsupportedField } from '../xds-client/decode/context.ts';
import type { ComponentLog } from './log.ts';

export interface UnsupportedEntry {
  readonly field: string;
  readonly reason: string;
  readonly count: number;
  /** Some of the places. */
  readonly where: readonly string[];
}

interface Known {
  readonly field: string;
  readonly reason: string;
  /** Source to the paths in it. */
  readonly places: Map<string, string[]>;
}

/** Places shown per field; more would fill a page without saying more. */
const PLACES = 10;
/** Distinct fields kept: a hostile control plane cannot grow this without bound. */
const FIELDS = 2_000;

export class Unsupported {
  private readonly known = new Map<string, Known>();
  private readonly log: ComponentLog;

  constructor(log: ComponentLog) {
    this.log = log;
  }

  /** All of `source`'s fields, replacing what it had before. `source` is `bootstrap`, `cluster payments`, ... */
  replace(source: string, fields: readonly UnsupportedField[]): void {
    for (const { places } of this.known.values()) places.delete(source);
    for (const { field, path, reason } of fields) {
      let entry = this.known.get(field);
      if (entry === undefined) {
        if (this.known.size >= FIELDS) continue;
        entry = { field, reason, places: new Map() };
        this.known.set(field, entry);
        this.log.warning({ field, where: `${source}: ${path}` }, `field is accepted and not acted on: ${reason}`);
      }
      const paths = entry.places.get(source);
      if (paths === undefined) entry.places.set(source, [path]);
      else paths.push(path);
    }
  }

  list(): readonly UnsupportedEntry[] {
    const found: UnsupportedEntry[] = [];
    for (const { field, reason, places } of this.known.values()) {
      const where = [...places].flatMap(([source, paths]) => paths.map((path) => `${source}: ${path}`));
      if (where.length > 0) found.push({ field, reason, count: where.length, where: where.slice(0, PLACES) });
    }
    return found.sort((a, b) => (a.field < b.field ? -1 : 1));
  }
}
