/** A filter chain in service: its TLS, its filters and its connections. Kept as long as its content does not change. */
import type { FilterChain, Listener, NetworkFilter } from '../../xds-client/model/listener.ts';
import { ProxyError } from '../errors.ts';
import type { ConnectionFilterInstance, ListenerContext, NetworkFilterInstance } from '../filters/network/contract.ts';
import type { StatBlock } from '../observe/stats/contract.ts';
import type { DownstreamTlsContext } from '../tls/contract.ts';
import { SslStats } from '../tls/stats.ts';
import type { Connection } from './connection.ts';
import { DrainState } from './drain.ts';
import type { ListenerEnvironment } from './environment.ts';
import { SSL_FACTORY_STATS } from './stats.ts';

export interface ChainTls {
  readonly context: DownstreamTlsContext;
  readonly stats: SslStats;
  readonly factoryStats: StatBlock;
}

export class Chain {
  readonly config: FilterChain;
  readonly tls: ChainTls | undefined;
  readonly connectionFilters: readonly ConnectionFilterInstance[];
  readonly terminal: NetworkFilterInstance;
  readonly connections = new Set<Connection>();
  readonly drain: DrainState;
  #retired = false;

  /** Throws a `ProxyError` when a filter is unknown, or stands where it cannot. */
  constructor(
    config: FilterChain,
    listener: Listener,
    statPrefix: string,
    parent: DrainState,
    environment: ListenerEnvironment,
  ) {
    this.config = config;
    this.drain = new DrainState(environment.now, environment.random, parent);
    const key = JSON.stringify(config);
    const contextOf = (index: number): ListenerContext => ({
      listener,
      statPrefix,
      stats: environment.stats,
      drain: this.drain,
      runtime: environment.runtime,
      timers: environment.timers,
      scope: () => `${listener.name} ${index} ${key}`,
      shared: (name, initial) => environment.shared.claim(name, initial),
      now: environment.now,
      sharedNow: process.hrtime.bigint,
      random: environment.random,
    });
    const [terminal, ...before] = [...config.filters].reverse();
    if (terminal === undefined) {
      throw new ProxyError('filter-chain-empty', `filter chain "${config.name}" has no network filter`);
    }
    this.connectionFilters = before
      .reverse()
      .map((filter, index) => buildConnectionFilter(filter, contextOf(index), environment));
    this.terminal = buildTerminal(terminal, contextOf(before.length), environment);
    const transport = config.transportSocket;
    this.tls =
      transport.kind === 'raw'
        ? undefined
        : {
            context: environment.tls.downstream(transport.tls),
            stats: new SslStats(`${statPrefix}ssl.`, environment.stats),
            factoryStats: environment.stats.block(`${statPrefix}server_ssl_socket_factory.`, SSL_FACTORY_STATS),
          };
  }

  /** Its upstream may speak to a caller that has said nothing. */
  get greets(): boolean {
    return this.tls === undefined && this.terminal.greet !== undefined;
  }

  /** No new connection will come; closes its filters with the last one. */
  retire(): void {
    this.#retired = true;
    this.#closeWhenEmpty();
  }

  forget(connection: Connection): void {
    this.connections.delete(connection);
    if (this.#retired) this.#closeWhenEmpty();
  }

  #closeWhenEmpty(): void {
    if (this.connections.size > 0) return;
    for (const filter of this.connectionFilters) filter.close?.();
    this.terminal.close?.();
    this.tls?.stats.release();
    this.tls?.factoryStats.release();
  }
}

function buildTerminal(
  filter: NetworkFilter,
  context: ListenerContext,
  environment: ListenerEnvironment,
): NetworkFilterInstance {
  switch (filter.kind) {
    case 'http-connection-manager':
      return environment.filters.httpConnectionManager.build(filter.config, context);
    case 'tcp-proxy':
      return environment.filters.tcpProxy.build(filter.config, context);
    case 'extension': {
      const factory = environment.filters.extensions.get(filter.extension.typeUrl);
      const built = factory?.buildTerminal?.(filter.extension.config, context);
      if (built !== undefined) return built;
      throw new ProxyError('filter-not-terminal', `network filter "${filter.name}" cannot be the last of its chain`);
    }
  }
}

function buildConnectionFilter(
  filter: NetworkFilter,
  context: ListenerContext,
  environment: ListenerEnvironment,
): ConnectionFilterInstance {
  if (filter.kind === 'extension') {
    const factory = environment.filters.extensions.get(filter.extension.typeUrl);
    const built = factory?.buildConnectionFilter?.(filter.extension.config, context);
    if (built !== undefined) return built;
  }
  throw new ProxyError('filter-terminal', `network filter "${filter.name}" must be the last of its chain`);
}
