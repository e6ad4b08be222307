/**
 * The router: what every request of one connection manager shares. The work on one request is in ./router-stream.ts.
 */
import type { HttpConnectionManager } from '../../../../xds-client/model/http-connection-manager.ts';
import type { RouteConfiguration, VirtualHost } from '../../../../xds-client/model/route.ts';
import { statPrefix } from '../../../cluster/stats.ts';
import type { StatBlock, StatsStore } from '../../../observe/stats/contract.ts';
import type { Tracer } from '../../../observe/tracing/contract.ts';
import { OTHER_VIRTUAL_CLUSTER } from '../../../route/table.ts';
import type { TimerWheel } from '../../../timers.ts';
import type { ClusterHandle, ClusterTable } from '../../../upstream/contract.ts';
import type { RequestSink, ResponseSink } from '../stream-ends.ts';
import { ClusterResponses, NamedResponses } from './response-stats.ts';
import { RoutePlans } from './route-plan.ts';
import { RouterStream } from './router-stream.ts';
import { ROUTER_STATS } from './stats.ts';

/** `envoy.filters.http.router`. */
export const ROUTER_TYPE_URL = 'envoy.extensions.filters.http.router.v3.Router';

/** The router's own configuration, as its decoder gives it. */
export interface RouterConfig {
  /** No `x-envoy-*` on the response but what the upstream sent, none but the attempt count on the request. */
  readonly suppressEnvoyHeaders: boolean;
  /** The time that the sidecar before us tells is the route's. */
  readonly respectExpectedRqTimeout: boolean;
  /** Headers of Envoy's that have to parse. */
  readonly strictCheckHeaders: readonly string[];
}

export interface RouterDependencies {
  readonly clusters: ClusterTable;
  readonly stats: StatsStore;
  readonly timers: TimerWheel;
  readonly tracer: Tracer | undefined;
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since the epoch. */
  wallClock(): number;
  random(): number;
}

interface CountedCluster {
  readonly block: StatBlock;
  readonly responses: ClusterResponses;
}

export class Router {
  readonly dependencies: RouterDependencies;
  readonly config: RouterConfig;
  readonly plans = new RoutePlans();
  /** `http.<prefix>.`: no_route and its like. */
  readonly stats: StatBlock;
  /** Replay limit where neither route nor virtual host sets one. */
  readonly bufferLimitBytes: number;
  private readonly clusters = new Map<string, CountedCluster>();
  private followed: RouteConfiguration | undefined = undefined;
  private readonly virtualClusters = new WeakMap<VirtualHost, Map<string, NamedResponses>>();
  private readonly routeScopes = new WeakMap<VirtualHost, Map<string, NamedResponses>>();

  constructor(
    dependencies: RouterDependencies,
    config: RouterConfig,
    manager: Pick<HttpConnectionManager, 'statPrefix'>,
    bufferLimitBytes: number,
  ) {
    this.dependencies = dependencies;
    this.config = config;
    this.stats = dependencies.stats.block(`http.${manager.statPrefix}.`, ROUTER_STATS);
    this.bufferLimitBytes = bufferLimitBytes;
  }

  /** One request's stream. */
  create(downstream: ResponseSink): RequestSink {
    return new RouterStream(this, downstream);
  }

  /** Where a cluster's responses are counted. A cluster that was replaced is counted afresh under the same names. */
  responsesOf(cluster: ClusterHandle): ClusterResponses {
    const known = this.clusters.get(cluster.name);
    if (known !== undefined && known.block === cluster.stats) return known.responses;
    const responses = new ClusterResponses(this.dependencies.stats, statPrefix(cluster.config));
    this.clusters.set(cluster.name, { block: cluster.stats, responses });
    return responses;
  }

  /** The table in use from now on; `undefined`: none. What only the one before counted under goes. */
  follow(table: RouteConfiguration | undefined): void {
    const before = this.followed;
    this.followed = table;
    // What both have goes on counting.
    if (table !== undefined) this.nameScopes(table);
    for (const virtualHost of before?.virtualHosts ?? []) {
      for (const scopes of [this.virtualClusters, this.routeScopes]) {
        for (const scope of scopes.get(virtualHost)?.values() ?? []) scope.release();
      }
    }
  }

  /** Names what the virtual clusters and named routes of a table are counted under, so that it shows before the first request. */
  private nameScopes(table: RouteConfiguration): void {
    for (const virtualHost of table.virtualHosts) {
      const { virtualClusters } = virtualHost;
      for (const { name } of virtualClusters) this.virtualClusterOf(virtualHost, name);
      if (virtualClusters.length > 0) this.virtualClusterOf(virtualHost, OTHER_VIRTUAL_CLUSTER);
      for (const { statPrefix } of virtualHost.routes)
        if (statPrefix !== undefined) this.routeScopeOf(virtualHost, statPrefix);
    }
  }

  virtualClusterOf(virtualHost: VirtualHost, name: string): NamedResponses {
    return this.named(this.virtualClusters, virtualHost, 'vcluster', name);
  }

  routeScopeOf(virtualHost: VirtualHost, statPrefix: string): NamedResponses {
    return this.named(this.routeScopes, virtualHost, 'route', statPrefix);
  }

  private named(
    scopes: WeakMap<VirtualHost, Map<string, NamedResponses>>,
    virtualHost: VirtualHost,
    kind: 'vcluster' | 'route',
    name: string,
  ): NamedResponses {
    let known = scopes.get(virtualHost);
    if (known === undefined) {
      known = new Map();
      scopes.set(virtualHost, known);
    }
    let scope = known.get(name);
    if (scope === undefined) {
      scope = new NamedResponses(this.dependencies.stats, `vhost.${virtualHost.name}.${kind}.${name}.`);
      known.set(name, scope);
    }
    return scope;
  }
}
