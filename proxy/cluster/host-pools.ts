/** Finds or makes the pool for an endpoint, a priority and the way its connections are wrapped. */
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { UpstreamTls } from '../../xds-client/model/tls.ts';
import type { RequestHead } from '../http/headers.ts';
import type { Histogram, StatBlock } from '../observe/stats/contract.ts';
import type { UpstreamTlsContext } from '../tls/contract.ts';
import type { WantedHttpVersion } from '../upstream/codec.ts';
import type { Priority } from '../upstream/contract.ts';
import { HttpPool } from '../upstream/http-pool.ts';
import {
  http2Stats,
  type PoolContext,
  type PoolTls,
  type SslStats,
  sslFactoryStats,
  sslStats,
} from '../upstream/pool-context.ts';
import { TcpPool } from '../upstream/tcp-pool.ts';
import type { ClusterEnvironment } from './environment.ts';
import type { WorkerHost } from './host.ts';
import type { ClusterLimits } from './limits.ts';
import { statPrefix } from './stats.ts';
import { serverNames, transportSocketOf } from './wrapping.ts';

/** Key of the only pool that most endpoints have: the cluster's own transport socket, nothing taken from the request. */
const PLAIN = '';

export class HostPoolFactory {
  private readonly config: Cluster;
  private readonly limits: ClusterLimits;
  private readonly stats: StatBlock;
  private readonly env: ClusterEnvironment;
  private readonly connectMs: Histogram;
  private readonly lengthMs: Histogram;
  private readonly requestsPerConnection: Histogram;
  /** One context a transport socket, so that endpoints and pools share its secrets and sessions. */
  private readonly contexts = new Map<UpstreamTls, UpstreamTlsContext>();
  /** There when connections may be wrapped in TLS. */
  private readonly sslStats: SslStats | undefined;
  private readonly sslFactoryStats: StatBlock | undefined;
  /** Pools differ by nothing but the protocol. */
  private readonly uniform: boolean;
  private readonly version: WantedHttpVersion | undefined;
  private http2Block: StatBlock | undefined = undefined;
  private readonly http2Stats: (() => StatBlock) | undefined;

  constructor(config: Cluster, limits: ClusterLimits, stats: StatBlock, env: ClusterEnvironment) {
    this.config = config;
    this.limits = limits;
    this.stats = stats;
    this.env = env;
    const prefix = statPrefix(config);
    this.connectMs = env.stats.histogram(`${prefix}upstream_cx_connect_ms`);
    this.lengthMs = env.stats.histogram(`${prefix}upstream_cx_length_ms`);
    this.requestsPerConnection = env.stats.histogram(`${prefix}upstream_rq_per_cx`);
    const secured = mayUseTls(config);
    this.sslStats = secured ? sslStats(prefix, env.stats) : undefined;
    this.sslFactoryStats = secured ? sslFactoryStats(prefix, env.stats) : undefined;
    this.uniform = config.transportSocketMatches.length === 0 && config.transportSocket.kind === 'raw';
    this.version = fixedVersion(config);
    this.http2Stats =
      config.protocol.kind === 'http1'
        ? undefined
        : () => {
            this.http2Block ??= http2Stats(prefix, env.stats);
            return this.http2Block;
          };
  }

  http(host: WorkerHost, priority: Priority, downstreamVersion: 10 | 11 | 20, head: RequestHead | undefined): HttpPool {
    const wanted = this.version ?? (downstreamVersion === 20 ? 20 : 11);
    const pools = host.pools[priority].http;
    if (this.uniform && this.version !== undefined) {
      return pools.get(PLAIN) ?? this.addHttp(pools, PLAIN, host, priority, undefined, wanted === 'auto' ? 11 : wanted);
    }
    const wrap = this.wrapping(host, head);
    const version = wanted === 'auto' && wrap.tls === undefined ? 11 : wanted;
    const key = `${version} ${wrap.key}`;
    return pools.get(key) ?? this.addHttp(pools, key, host, priority, this.tls(wrap, version), version);
  }

  tcp(host: WorkerHost, priority: Priority, head: RequestHead | undefined): TcpPool {
    const pools = host.pools[priority].tcp;
    const wrap = this.wrapping(host, head);
    const found = pools.get(wrap.key);
    if (found !== undefined) return found;
    const pool: TcpPool = new TcpPool(
      this.context(host, priority, this.tls(wrap, undefined), () => host.removePool(pools, wrap.key, pool)),
    );
    return host.addPool(pools, wrap.key, pool);
  }

  /** No new pools are made, and what those that were made count is of no interest any more. */
  release(): void {
    this.sslStats?.release();
    this.sslFactoryStats?.release();
    this.http2Block?.release();
  }

  private addHttp(
    pools: Map<string, HttpPool>,
    key: string,
    host: WorkerHost,
    priority: Priority,
    tls: PoolTls | undefined,
    version: WantedHttpVersion,
  ): HttpPool {
    const context = this.context(host, priority, tls, () => host.removePool(pools, key, pool));
    const pool: HttpPool = new HttpPool(context, version);
    return host.addPool(pools, key, pool);
  }

  private wrapping(host: WorkerHost, head: RequestHead | undefined): Wrapping {
    const socket = transportSocketOf(this.config, host.endpoint);
    if (socket.kind === 'raw') return PLAINTEXT;
    const { sni, expectedSan } = serverNames(this.config, socket.tls, host.endpoint, head);
    const index = this.config.transportSocketMatches.findIndex((match) => match.transportSocket === socket);
    return { key: `${index} ${sni ?? ''} ${expectedSan ?? ''}`, tls: socket.tls, sni, expectedSan };
  }

  /** `version` of HTTP, where HTTP is spoken: its name is offered where the configuration names no protocol. */
  private tls({ tls, sni, expectedSan }: Wrapping, version: WantedHttpVersion | undefined): PoolTls | undefined {
    if (tls === undefined) return undefined;
    let context = this.contexts.get(tls);
    if (context === undefined) {
      context = this.env.tls.upstream(tls);
      this.contexts.set(tls, context);
    }
    return { context, sni, expectedSan, alpn: offeredAlpn(tls.common.alpnProtocols, version) };
  }

  private context(host: WorkerHost, priority: Priority, tls: PoolTls | undefined, onEmpty: () => void): PoolContext {
    return {
      config: this.config,
      host,
      priority,
      tls,
      limits: this.limits,
      stats: this.stats,
      sslStats: tls === undefined ? undefined : this.sslStats,
      sslFactoryStats: tls === undefined ? undefined : this.sslFactoryStats,
      http2Stats: this.http2Stats,
      connectMs: this.connectMs,
      lengthMs: this.lengthMs,
      requestsPerConnection: this.requestsPerConnection,
      now: this.env.now,
      onEmpty,
    };
  }
}

const ALPN: { readonly [version in WantedHttpVersion]: readonly string[] } = {
  11: ['http/1.1'],
  20: ['h2'],
  auto: ['h2', 'http/1.1'],
};

/** What is offered in place of the configuration's own list; `undefined`: that list. */
function offeredAlpn(
  configured: readonly string[],
  version: WantedHttpVersion | undefined,
): readonly string[] | undefined {
  if (version === undefined) return undefined;
  if (configured.length === 0) return ALPN[version];
  // An endpoint that picked HTTP/2 would be answered in HTTP/1.1.
  return version === 11 && configured.includes('h2') ? configured.filter((protocol) => protocol !== 'h2') : undefined;
}

function mayUseTls({ transportSocket, transportSocketMatches }: Cluster): boolean {
  return transportSocket.kind === 'tls' || transportSocketMatches.some((match) => match.transportSocket.kind === 'tls');
}

interface Wrapping {
  readonly key: string;
  readonly tls: UpstreamTls | undefined;
  readonly sni: string | undefined;
  readonly expectedSan: string | undefined;
}

const PLAINTEXT: Wrapping = { key: 'raw', tls: undefined, sni: undefined, expectedSan: undefined };

/** `undefined`: it depends on the downstream connection. Without TLS there is no ALPN to ask by. */
function fixedVersion(config: Cluster): WantedHttpVersion | undefined {
  switch (config.protocol.kind) {
    case 'http1':
      return 11;
    case 'auto':
      return 'auto';
    case 'http2':
      return 20;
    case 'downstream':
      return undefined;
  }
}
