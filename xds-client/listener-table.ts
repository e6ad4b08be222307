/** The listeners and their route configurations: which serve, which wait for what. Pure. */

import type { ConfigChange } from './changes.ts';
import { equal } from './model/equal.ts';
import type { Listener } from './model/listener.ts';
import type { RouteConfiguration } from './model/route.ts';
import {
  addClustersOfListener,
  addClustersOfRoutes,
  isPatient,
  type Reference,
  routesOfListener,
  secretsOfListener,
  statPrefixesOfRoutes,
} from './references.ts';
import { listenerIsReady, type SecretFacts } from './warming.ts';

interface Entry {
  /** Of the bootstrap: the control plane can neither change nor remove it. */
  readonly isStatic: boolean;
  serving: Listener | undefined;
  warming: Listener | undefined;
}

export class ListenerTable {
  private readonly entries = new Map<string, Entry>();
  private readonly warming = new Set<string>();
  private readonly routes = new Map<string, RouteConfiguration>();
  private readonly absentRoutes = new Set<string>();

  /** Takes a new or changed listener. False: nothing changes (it is as it was, or it is the bootstrap's). */
  put(name: string, listener: Listener, isStatic: boolean): boolean {
    const entry = this.entries.get(name);
    if (entry === undefined) {
      this.entries.set(name, { isStatic, serving: undefined, warming: listener });
      this.warming.add(name);
      return true;
    }
    if (entry.isStatic || equal(listener, entry.warming ?? entry.serving)) return false;
    const changedBack = equal(listener, entry.serving);
    entry.warming = changedBack ? undefined : listener;
    if (changedBack) this.warming.delete(name);
    else this.warming.add(name);
    return true;
  }

  /** True: the listener was known, and was not the bootstrap's. */
  remove(name: string, changes: ConfigChange[]): boolean {
    const entry = this.entries.get(name);
    if (entry === undefined || entry.isStatic) return false;
    this.entries.delete(name);
    this.warming.delete(name);
    if (entry.serving !== undefined) changes.push({ type: 'listener-removed', name });
    return true;
  }

  putRoutes(name: string, routes: RouteConfiguration, changes: ConfigChange[]): boolean {
    this.absentRoutes.delete(name);
    if (equal(this.routes.get(name), routes)) return false;
    this.routes.set(name, routes);
    changes.push({ type: 'routes', name, routes });
    return true;
  }

  removeRoutes(name: string, changes: ConfigChange[]): boolean {
    if (!this.routes.delete(name)) return false;
    changes.push({ type: 'routes-removed', name });
    return true;
  }

  /** The routes were asked for and did not come in time. */
  giveUp(name: string): void {
    this.absentRoutes.add(name);
  }

  /** Lets everything serve that may. */
  settle(secretsOf: (listener: Listener) => SecretFacts, changes: ConfigChange[]): boolean {
    const routes = {
      has: (name: string) => this.routes.has(name),
      isAbsent: (name: string) => this.absentRoutes.has(name),
    };
    let changed = false;
    for (const name of this.warming) {
      const entry = this.entries.get(name);
      const listener = entry?.warming;
      if (entry === undefined || listener === undefined) continue;
      if (!listenerIsReady(listener, routes, secretsOf(listener))) continue;
      entry.serving = listener;
      entry.warming = undefined;
      this.warming.delete(name);
      changes.push({ type: 'listener', name, listener });
      changed = true;
    }
    return changed;
  }

  /** Drops the routes that no listener asks for any more. */
  dropUnusedRoutes(changes: ConfigChange[]): void {
    const used = new Set(this.routeReferences().map(({ name }) => name));
    for (const name of this.routes.keys()) if (!used.has(name)) this.removeRoutes(name, changes);
    for (const name of this.absentRoutes) if (!used.has(name)) this.absentRoutes.delete(name);
  }

  routeReferences(): Reference[] {
    return this.all().flatMap(routesOfListener);
  }

  secretReferences(): Reference[] {
    return this.all().flatMap(secretsOfListener);
  }

  /** Clusters that what serves now may send to. */
  clustersInUse(): Set<string> {
    const used = new Set<string>();
    for (const { serving } of this.entries.values()) if (serving !== undefined) addClustersOfListener(serving, used);
    for (const routes of this.routes.values()) addClustersOfRoutes(routes, used);
    return used;
  }

  /** `stat_prefix` of the connection managers that ask for the routes. */
  statPrefixes(routes: string): readonly string[] {
    return [...new Set(this.all().flatMap((listener) => statPrefixesOfRoutes(listener, routes)))];
  }

  state(name: string): { readonly serving: Listener | undefined; readonly warming: Listener | undefined } {
    const entry = this.entries.get(name);
    return { serving: entry?.serving, warming: entry?.warming };
  }

  names(): readonly string[] {
    return [...this.entries.keys()];
  }

  counts(): { readonly active: number; readonly warming: number } {
    let active = 0;
    for (const entry of this.entries.values()) if (entry.serving !== undefined) active++;
    return { active, warming: this.warming.size };
  }

  /** A warming listener waits without limit for what it asks for. */
  isPatient(): boolean {
    return [...this.warming].some((name) => {
      const listener = this.entries.get(name)?.warming;
      return listener !== undefined && [...routesOfListener(listener), ...secretsOfListener(listener)].some(isPatient);
    });
  }

  /** Serving and warming. */
  all(): Listener[] {
    return [...this.entries.values()].flatMap(({ serving, warming }) => [
      ...(serving === undefined ? [] : [serving]),
      ...(warming === undefined ? [] : [warming]),
    ]);
  }
}
