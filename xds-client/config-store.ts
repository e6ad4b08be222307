/**
 * The configuration: what came from the bootstrap and from the control plane goes in, what serves comes out, as changes
 * in an order that never tears. Pure: no sockets, no clock; time is milliseconds handed in.
 *
 * It starts as Envoy does: clusters first, then listeners are asked for, then the process is LIVE.
 */
import { type ConfigChange, inServingOrder } from './changes.ts';
import { ClusterTable } from './cluster-table.ts';
import { ListenerTable } from './listener-table.ts';
import type { Cluster } from './model/cluster.ts';
import type { ConfigSource } from './model/common.ts';
import type { Assignment } from './model/endpoint.ts';
import type { Listener } from './model/listener.ts';
import type { Secret } from './model/tls.ts';
import { RemovalGrace } from './removal-grace.ts';
import type { NamedResource, ResourceKind, ResourceName, SecretUser } from './resource-types.ts';
import { SecretTable, STATIC_SOURCE } from './secret-table.ts';
import { Startup } from './startup.ts';
import { DEFAULT_FETCH_TIMEOUT_MS, type Want, wantsOf } from './wants.ts';

export interface ConfigStoreOptions {
  /** Of the bootstrap. */
  readonly listeners: readonly Listener[];
  readonly clusters: readonly Cluster[];
  readonly secrets: readonly Secret[];
  readonly lds: ConfigSource | undefined;
  readonly cds: ConfigSource | undefined;
  /** Keys of all TLS material that the listener or cluster needs before it serves; `secretReady` announces them. */
  readonly secretsOf: (resource: SecretUser) => readonly string[];
  /**
   * How long a removed cluster goes on serving while routes still send to it, because control planes take the cluster
   * away before the route. Default 1 000; 0 removes at once, as Envoy does.
   */
  readonly removalGraceMs?: number;
}

/** What a source of resources reports, in one piece. */
export interface ConfigUpdate {
  readonly changed: readonly NamedResource[];
  readonly removed: readonly ResourceName[];
  /** Asked for and not sent in time. */
  readonly absent: readonly ResourceName[];
  /** Kinds that were answered, well or badly: the wait for a first answer is over. */
  readonly answered: readonly ResourceKind[];
  /** wants.ts `sourceKey`. Default `ads`. */
  readonly source?: string;
}

export interface ResourceCounts {
  readonly active: number;
  readonly warming: number;
}

export class ConfigStore {
  private readonly options: ConfigStoreOptions;
  private readonly clusters = new ClusterTable();
  private readonly listeners = new ListenerTable();
  private readonly secrets: SecretTable;
  private readonly leaving: RemovalGrace;
  private readonly startup: Startup;
  private wants: readonly Want[] | undefined;

  constructor(options: ConfigStoreOptions) {
    this.options = options;
    this.secrets = new SecretTable(options.secretsOf);
    this.leaving = new RemovalGrace(options.removalGraceMs ?? 1_000);
    this.startup = new Startup(timeoutOf(options.cds), timeoutOf(options.lds));
  }

  /** The bootstrap's own resources. Once, first. */
  start(now: number): readonly ConfigChange[] {
    const changes: ConfigChange[] = [];
    this.startup.begin(now);
    for (const secret of this.options.secrets) this.secrets.put(STATIC_SOURCE, secret.name, secret, changes);
    for (const cluster of this.options.clusters) this.clusters.put(cluster.name, cluster, true, changes);
    for (const listener of this.options.listeners) this.listeners.put(listener.name, listener, true);
    this.wants = undefined;
    return this.settle(changes, now);
  }

  apply(update: ConfigUpdate, now: number): readonly ConfigChange[] {
    const changes: ConfigChange[] = [];
    // Clusters before their endpoints: an assignment that no cluster asks for is not kept.
    const { source = 'ads' } = update;
    for (const resource of update.changed) if (resource.kind === 'cluster') this.put(resource, source, changes);
    for (const resource of update.changed) if (resource.kind !== 'cluster') this.put(resource, source, changes);
    for (const { kind, name } of update.removed) this.remove(kind, name, changes, now);
    for (const { kind, name } of update.absent) this.giveUp(kind, name, source);
    for (const kind of update.answered) this.startup.answered(kind, now);
    return this.settle(changes, now);
  }

  /** `cluster`: the object that the `resolve` change carried. A failed first resolution is an assignment without endpoints. */
  dnsResolved(cluster: Cluster, assignment: Assignment, now: number): readonly ConfigChange[] {
    const changes: ConfigChange[] = [];
    this.clusters.resolved(cluster, assignment, changes);
    return this.settle(changes, now);
  }

  /** `cluster`: the object that the `check` change carried; each of its endpoints was checked once. */
  healthChecked(cluster: Cluster, now: number): readonly ConfigChange[] {
    this.clusters.checked(cluster);
    return this.settle([], now);
  }

  /** The material behind a key of `secretsOf` is loaded. Said again after a rotation, it changes nothing here. */
  secretReady(key: string, now: number): readonly ConfigChange[] {
    this.secrets.ready(key);
    return this.settle([], now);
  }

  /** All that needs TLS material: what serves, and what waits to. */
  secretUsers(): readonly SecretUser[] {
    return [
      ...this.clusters.all().map((value) => ({ kind: 'cluster', value }) as const),
      ...this.listeners.all().map((value) => ({ kind: 'listener', value }) as const),
    ];
  }

  /** Resources have gone, and the material behind these keys with them. */
  secretsReleased(keys: readonly string[]): void {
    this.secrets.released(keys);
    this.secrets.retain(this.secretUsers());
  }

  /** What time alone brings: ends of waits. Call it at `nextDeadline`. */
  tick(now: number): readonly ConfigChange[] {
    return this.settle([], now);
  }

  nextDeadline(): number | undefined {
    const deadlines = [this.startup.deadline(), this.leaving.deadline()].filter((at) => at !== undefined);
    return deadlines.length === 0 ? undefined : Math.min(...deadlines);
  }

  /** What to ask for now, of whom. The same array while nothing changed. */
  wanted(): readonly Want[] {
    this.wants ??= wantsOf({
      cds: this.options.cds,
      lds: this.startup.wantsListeners() ? this.options.lds : undefined,
      endpoints: this.clusters.assignmentReferences(),
      routes: this.listeners.routeReferences(),
      secrets: [...this.clusters.secretReferences(), ...this.listeners.secretReferences()].filter(
        (reference) => !this.secrets.isStatic(reference),
      ),
    });
    return this.wants;
  }

  initialized(): boolean {
    return this.startup.isLive();
  }

  /** Serving or warming. */
  knowsCluster(name: string): boolean {
    return this.clusters.has(name);
  }

  clusterCounts(): ResourceCounts {
    return this.clusters.counts();
  }

  listenerCounts(): ResourceCounts {
    return this.listeners.counts();
  }

  /** What serves under the name, and what waits to: `/config_dump` shows both. */
  clusterState(name: string): { readonly serving: Cluster | undefined; readonly warming: Cluster | undefined } {
    return this.clusters.state(name);
  }

  listenerState(name: string): { readonly serving: Listener | undefined; readonly warming: Listener | undefined } {
    return this.listeners.state(name);
  }

  clusterNames(): readonly string[] {
    return this.clusters.names();
  }

  listenerNames(): readonly string[] {
    return this.listeners.names();
  }

  /** Clusters that ask for the assignment of this service name. */
  clustersOfService(service: string): readonly string[] {
    return this.clusters.usersOf(service);
  }

  /** `stat_prefix` of the connection managers that ask for the routes. */
  statPrefixesOfRoutes(routes: string): readonly string[] {
    return this.listeners.statPrefixes(routes);
  }

  private put(resource: NamedResource, source: string, changes: ConfigChange[]): void {
    const { kind, name } = resource;
    switch (kind) {
      case 'secret':
        this.secrets.put(source, name, resource.value, changes);
        break;
      case 'cluster':
        this.leaving.cancel(name);
        if (this.clusters.put(name, resource.value, false, changes)) this.wants = undefined;
        break;
      case 'endpoints':
        this.clusters.assign(name, resource.value, changes);
        break;
      case 'routes':
        this.listeners.putRoutes(name, resource.value, changes);
        break;
      case 'listener':
        if (this.listeners.put(name, resource.value, false)) this.wants = undefined;
        break;
    }
  }

  private remove(kind: ResourceKind, name: string, changes: ConfigChange[], now: number): void {
    switch (kind) {
      case 'cluster':
        if (!this.clusters.isRemovable(name)) break;
        // What never served has nothing to finish: its grace is over at once.
        this.leaving.start(name, this.clusters.state(name).serving === undefined ? Number.NEGATIVE_INFINITY : now);
        break;
      case 'endpoints':
        this.clusters.unassign(name, changes);
        break;
      case 'routes':
        this.listeners.removeRoutes(name, changes);
        break;
      case 'listener':
        if (this.listeners.remove(name, changes)) this.wants = undefined;
        break;
      case 'secret':
        // As Envoy: a secret in use is never taken away.
        break;
    }
  }

  private giveUp(kind: ResourceKind, name: string, source: string): void {
    if (kind === 'endpoints') this.clusters.giveUp(name);
    if (kind === 'routes') this.listeners.giveUp(name);
    if (kind === 'secret') this.secrets.giveUp(source, name);
  }

  private settle(changes: ConfigChange[], now: number): readonly ConfigChange[] {
    // A cluster that goes may have been what the start waited for.
    do this.advance(changes, now);
    while (this.removeUnused(changes, now));
    // What replaced something ends the need for what only the old one asked for.
    if (changes.some(({ type }) => type === 'cluster' || type === 'listener')) this.wants = undefined;
    return inServingOrder(changes);
  }

  /** Lets everything serve that may, and the start go on when it can. */
  private advance(changes: ConfigChange[], now: number): void {
    this.clusters.settle((value) => this.secrets.facts({ kind: 'cluster', value }), changes);
    const wantedListeners = this.startup.wantsListeners();
    this.startup.clustersSettled(this.clusters.counts().warming === 0, this.clusters.isPatient(), now);
    if (!this.startup.wantsListeners()) return;
    if (!wantedListeners) this.wants = undefined;
    this.listeners.settle((value) => this.secrets.facts({ kind: 'listener', value }), changes);
    if (this.startup.listenersSettled(this.listeners.counts().warming === 0, this.listeners.isPatient(), now))
      changes.push({ type: 'initialized' });
  }

  /** True: a cluster went. */
  private removeUnused(changes: ConfigChange[], now: number): boolean {
    if (changes.some(({ type }) => type === 'listener' || type === 'listener-removed')) {
      this.listeners.dropUnusedRoutes(changes);
    }
    if (this.leaving.isEmpty()) return false;
    const due = this.leaving.due(this.listeners.clustersInUse(), now);
    for (const name of due) {
      if (this.clusters.remove(name, changes)) changes.push({ type: 'cluster-removed', name });
      this.wants = undefined;
    }
    return due.length > 0;
  }
}

function timeoutOf(source: ConfigSource | undefined): number | undefined {
  return source === undefined ? undefined : (source.initialFetchTimeoutMs ?? DEFAULT_FETCH_TIMEOUT_MS);
}
