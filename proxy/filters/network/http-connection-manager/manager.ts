/** What all connections and requests of one HTTP connection manager share, built once a configuration and worker. */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { HeaderMatch, Json } from '../../../../xds-client/model/common.ts';
import type { HttpConnectionManager, HttpFilterConfig } from '../../../../xds-client/model/http-connection-manager.ts';
import { ProxyError } from '../../../errors.ts';
import type { ConnectionInfo } from '../../../http/connection-info.ts';
import type { RequestHead } from '../../../http/headers.ts';
import { HTTP2_STATS } from '../../../http2/stats.ts';
import type { AccessLogger } from '../../../observe/access-log/contract.ts';
import type { Histogram, Stat, StatBlock } from '../../../observe/stats/contract.ts';
import type { Tracer } from '../../../observe/tracing/contract.ts';
import { TRACING_STATS, TracingStat } from '../../../observe/tracing/stats.ts';
import { HeaderTest } from '../../../route/header-match.ts';
import { compileRoutes, type RouteTable } from '../../../route/table.ts';
import type { ChainFilter, MakeTerminal } from '../../http/chain.ts';
import { ROUTER_TYPE_URL, Router, type RouterConfig } from '../../http/router/router.ts';
import type { ResponseSink } from '../../http/stream-ends.ts';
import type { ListenerContext, NetworkConnection, NetworkFilterInstance, TerminalFilterFactory } from '../contract.ts';
import { InternalAddresses } from './client-address.ts';
import { HttpConnection } from './connection.ts';
import { DateHeader } from './date-header.ts';
import type { ManagerDependencies } from './dependencies.ts';
import { LocalReplies } from './local-reply.ts';
import type { RequestRules } from './request-headers.ts';
import { LISTENER_HTTP_STATS, MANAGER_STATS } from './stats.ts';

/** Where a listener says nothing of its buffer. */
const DEFAULT_BUFFER_BYTES = 1024 * 1024;

export class HttpManager implements NetworkFilterInstance, RequestRules {
  readonly config: HttpConnectionManager;
  readonly dependencies: ManagerDependencies;
  readonly context: ListenerContext;
  readonly stats: StatBlock;
  readonly listenerStats: StatBlock;
  readonly requestTime: Histogram;
  readonly connectionTime: Histogram;
  readonly router: Router;
  readonly filters: readonly ChainFilter[];
  readonly accessLogs: readonly AccessLogger[];
  readonly tracer: Tracer | undefined;
  readonly internalAddresses: InternalAddresses;
  readonly localReplies: LocalReplies;
  readonly date = new DateHeader();
  readonly serverName: string;
  readonly nodeAddress: string;
  readonly bufferLimitBytes: number;
  readonly makeTerminal: MakeTerminal;
  /** By protocol in lower case, where an upgrade has a chain of its own. */
  private readonly upgradeFilters = new Map<string, readonly ChainFilter[]>();
  private tracingStats: StatBlock | undefined = undefined;
  /** Of names that filters learn from requests. */
  private readonly counters = new Map<string, Stat>();
  private http2Block: StatBlock | undefined = undefined;
  private readonly inlineRoutes: RouteTable | undefined;
  private readonly routesName: string;
  /** Of RDS, as the last request met it. */
  private newestTable: RouteTable | undefined = undefined;

  constructor(config: HttpConnectionManager, context: ListenerContext, dependencies: ManagerDependencies) {
    const { stats } = context;
    this.config = config;
    this.context = context;
    this.dependencies = dependencies;
    const prefix = `http.${config.statPrefix}.`;
    this.stats = stats.block(prefix, MANAGER_STATS);
    this.listenerStats = stats.block(`${context.statPrefix}${prefix}`, LISTENER_HTTP_STATS);
    this.requestTime = stats.histogram(`${prefix}downstream_rq_time`);
    this.connectionTime = stats.histogram(`${prefix}downstream_cx_length_ms`);
    if (config.tracing !== undefined) this.tracingStats = stats.block(`${prefix}tracing.`, TRACING_STATS);
    const { listener } = context;
    const operation = listener.trafficDirection === 'outbound' ? 'egress' : 'ingress';
    this.tracer =
      config.tracing === undefined || this.tracingStats === undefined
        ? undefined
        : dependencies.tracers?.create(config.tracing, operation, this.tracingStats);
    this.accessLogs = dependencies.accessLogs.create(config.accessLogs);
    this.internalAddresses = new InternalAddresses(config.internalAddressRanges);
    this.localReplies = new LocalReplies(config.localReply, {
      headerMatcher,
      random: () => context.random(),
    });
    this.serverName = config.serverName ?? 'tollway';
    this.nodeAddress = dependencies.nodeAddress;
    this.bufferLimitBytes = listener.perConnectionBufferLimitBytes || DEFAULT_BUFFER_BYTES;
    this.inlineRoutes =
      config.routes.kind === 'inline'
        ? compileRoutes(config.routes.config, (key) => dependencies.runtime.share(key))
        : undefined;
    this.routesName = config.routes.kind === 'inline' ? config.routes.config.name : config.routes.name;
    const enabled = config.httpFilters.filter((filter) => !filter.disabled);
    this.filters = this.buildFilters(config.httpFilters, prefix);
    for (const { type, filters } of config.upgrades)
      if (filters.length > 0) this.upgradeFilters.set(type, this.buildFilters(filters, prefix));
    this.router = new Router(
      {
        clusters: dependencies.clusters,
        stats,
        timers: dependencies.timers,
        tracer: this.tracer,
        now: () => context.now(),
        wallClock: () => dependencies.wallClock(),
        random: () => context.random(),
      },
      routerConfig(enabled),
      config,
      this.bufferLimitBytes,
    );
    if (config.routes.kind === 'inline') this.router.follow(config.routes.config);
    this.makeTerminal = (downstream: ResponseSink) => this.router.create(downstream);
  }

  accept(socket: Socket | TLSSocket, info: ConnectionInfo): NetworkConnection {
    return new HttpConnection(this, socket, info);
  }

  close(): void {
    this.stats.release();
    this.listenerStats.release();
    this.router.follow(undefined);
    this.router.stats.release();
    this.tracingStats?.release();
    this.http2Block?.release();
    for (const chain of [this.filters, ...this.upgradeFilters.values()])
      for (const { instance } of chain) instance.close?.();
  }

  /** The route table of this moment; `undefined` until RDS has given one. */
  routeTable(): RouteTable | undefined {
    if (this.inlineRoutes !== undefined) return this.inlineRoutes;
    const table = this.dependencies.routeTables.get(this.routesName);
    if (table !== this.newestTable) {
      this.newestTable = table;
      this.router.follow(table?.config);
    }
    return table;
  }

  /** As in Envoy, one block for all connection managers, there from the first HTTP/2 connection on. */
  http2Stats(): StatBlock {
    this.http2Block ??= this.context.stats.block('http2.', HTTP2_STATS);
    return this.http2Block;
  }

  /** A request that was found to be a health check has ended. Counted with tracing and without. */
  countHealthCheck(): void {
    this.tracingStats ??= this.context.stats.block(`http.${this.config.statPrefix}.tracing.`, TRACING_STATS);
    this.tracingStats.inc(TracingStat.HEALTH_CHECK);
  }

  requestId(): string {
    return this.dependencies.requestId();
  }

  private counter(name: string): Stat {
    let counter = this.counters.get(name);
    if (counter === undefined) {
      counter = this.context.stats.counter(name);
      this.counters.set(name, counter);
    }
    return counter;
  }

  /** The filters of requests that become `protocol`. */
  filtersOfUpgrade(protocol: string): readonly ChainFilter[] {
    return this.upgradeFilters.get(protocol.toLowerCase()) ?? this.filters;
  }

  private buildFilters(filters: readonly HttpFilterConfig[], statPrefix: string): readonly ChainFilter[] {
    return filters
      .filter((filter) => filter.extension.typeUrl !== ROUTER_TYPE_URL)
      .map((filter) => this.buildFilter(filter, statPrefix));
  }

  private buildFilter(filter: HttpFilterConfig, statPrefix: string): ChainFilter {
    const { context } = this;
    const factory = this.dependencies.httpFilters.get(filter.extension.typeUrl);
    if (factory === undefined) {
      // The decoder refuses unknown filters: this is a wiring error, and a filter must never be left out in silence.
      throw new ProxyError(
        'http-filter-unknown',
        `listener "${context.listener.name}": http filter "${filter.name}" (${filter.extension.typeUrl}) is not registered`,
      );
    }
    const instance = factory.build(filter.extension.config, {
      statPrefix,
      stats: context.stats,
      counter: (name) => this.counter(name),
      clusters: this.dependencies.clusters,
      timers: this.dependencies.timers,
      runtime: this.dependencies.runtime,
      server: this.dependencies.server,
      now: () => context.now(),
      random: () => context.random(),
    });
    return { name: filter.name, instance, disabled: filter.disabled, routeTypeUrl: factory.routeTypeUrl };
  }
}

function headerMatcher(match: HeaderMatch): (head: RequestHead) => boolean {
  const test = new HeaderTest(match);
  return (head) => test.matchesRequest(head);
}

/** The router's own configuration, as its decoder gives it. */
function routerConfig(filters: readonly HttpFilterConfig[]): RouterConfig {
  const router = filters.find((filter) => filter.extension.typeUrl === ROUTER_TYPE_URL);
  const config = router?.extension.config;
  const given: { readonly [name: string]: Json } =
    config === null || typeof config !== 'object' || isList(config) ? {} : config;
  const strict = given.strictCheckHeaders;
  return {
    suppressEnvoyHeaders: given.suppressEnvoyHeaders === true,
    respectExpectedRqTimeout: given.respectExpectedRqTimeout === true,
    strictCheckHeaders: strict !== undefined && isList(strict) ? strict.map(String) : [],
  };
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** Builds connection managers for listeners: one factory a worker. */
export class HttpConnectionManagerFactory implements TerminalFilterFactory<HttpConnectionManager> {
  private readonly dependencies: ManagerDependencies;

  constructor(dependencies: ManagerDependencies) {
    this.dependencies = dependencies;
  }

  build(config: HttpConnectionManager, context: ListenerContext): NetworkFilterInstance {
    return new HttpManager(config, context, this.dependencies);
  }
}
