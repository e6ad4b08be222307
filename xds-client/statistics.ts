/** The configuration's events under Envoy's statistic names. */
import type { ConfigChange } from './changes.ts';
import type { ResourceCounts } from './config-store.ts';
import type { XdsEvent } from './events.ts';
import type { ResourceKind } from './resource-types.ts';
import { xxHash64 } from './xx-hash64.ts';

/** Where the numbers go. Full names. */
export interface StatSink {
  inc(name: string): void;
  set(name: string, value: number): void;
  text(name: string, value: string): void;
}

/** What the store knows of who asks for a resource. */
export interface StatScopes {
  clustersOfService(service: string): readonly string[];
  statPrefixesOfRoutes(routes: string): readonly string[];
  clusterCounts(): ResourceCounts;
  listenerCounts(): ResourceCounts;
}

export class XdsStatistics {
  private readonly sink: StatSink;
  private readonly scopes: StatScopes;
  /** Served at least once: what comes again is `modified`. */
  private readonly clusters = new Set<string>();
  private readonly listeners = new Set<string>();

  constructor(sink: StatSink, scopes: StatScopes) {
    this.sink = sink;
    this.scopes = scopes;
    sink.set('control_plane.connected_state', 0);
    sink.set('control_plane.pending_requests', 0);
  }

  event(event: XdsEvent): void {
    switch (event.type) {
      case 'connected':
      case 'disconnected':
        if (event.source === 'ads') this.sink.set('control_plane.connected_state', event.type === 'connected' ? 1 : 0);
        return;
      case 'server':
        if (event.source === 'ads') this.sink.text('control_plane.identifier', event.identifier);
        return;
      case 'attempt':
        this.count(event.kind, event.name, 'update_attempt');
        return;
      case 'rejected':
        this.count(event.kind, event.name, 'update_rejected');
        return;
      case 'failure':
        this.count(event.kind, event.name, 'update_failure');
        return;
      case 'timeout':
        this.count(event.kind, event.name, 'init_fetch_timeout');
        return;
      case 'success':
        for (const prefix of this.prefixes(event.kind, event.name)) {
          this.sink.inc(`${prefix}update_success`);
          this.sink.set(`${prefix}update_time`, event.at);
          this.sink.set(`${prefix}version`, Number(xxHash64(event.version)));
          this.sink.text(`${prefix}version_text`, event.version);
          if (!event.changed || (event.kind !== 'cluster' && event.kind !== 'routes')) continue;
          this.sink.inc(`${prefix}config_reload`);
          this.sink.set(`${prefix}config_reload_time_ms`, event.at);
        }
        return;
      default:
        return;
    }
  }

  /** Before or after the changes are applied, once each. */
  changes(changes: readonly ConfigChange[]): void {
    for (const change of changes) {
      if (change.type === 'cluster') {
        this.sink.inc(
          this.clusters.has(change.name) ? 'cluster_manager.cluster_modified' : 'cluster_manager.cluster_added',
        );
        this.clusters.add(change.name);
      } else if (change.type === 'cluster-removed') {
        this.sink.inc('cluster_manager.cluster_removed');
        this.clusters.delete(change.name);
      } else if (change.type === 'listener') {
        const known = this.listeners.has(change.name);
        this.sink.inc(known ? 'listener_manager.listener_modified' : 'listener_manager.listener_added');
        this.listeners.add(change.name);
      } else if (change.type === 'listener-removed') {
        this.sink.inc('listener_manager.listener_removed');
        this.listeners.delete(change.name);
      }
    }
    const clusters = this.scopes.clusterCounts();
    const listeners = this.scopes.listenerCounts();
    this.sink.set('cluster_manager.active_clusters', clusters.active);
    this.sink.set('cluster_manager.warming_clusters', clusters.warming);
    this.sink.set('listener_manager.total_listeners_active', listeners.active);
    this.sink.set('listener_manager.total_listeners_warming', listeners.warming);
  }

  private count(kind: ResourceKind, name: string | undefined, stat: string): void {
    for (const prefix of this.prefixes(kind, name)) this.sink.inc(prefix + stat);
  }

  private prefixes(kind: ResourceKind, name: string | undefined): readonly string[] {
    switch (kind) {
      case 'cluster':
        return ['cluster_manager.cds.'];
      case 'listener':
        return ['listener_manager.lds.'];
      case 'endpoints':
        return name === undefined ? [] : this.scopes.clustersOfService(name).map((cluster) => `cluster.${cluster}.`);
      case 'routes':
        if (name === undefined) return [];
        return this.scopes.statPrefixesOfRoutes(name).map((prefix) => `http.${prefix}.rds.${name}.`);
      case 'secret':
        return name === undefined ? [] : [`sds.${name}.`];
    }
  }
}
