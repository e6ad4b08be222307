/** What pools and connections are given by the cluster that they belong to. */
import type { Cluster } from '../../xds-client/model/cluster.ts';
import { HTTP2_STATS } from '../http2/stats.ts';
import type { Histogram, StatBlock, StatsStore } from '../observe/stats/contract.ts';
import type { UpstreamTlsContext } from '../tls/contract.ts';
import { SSL_FACTORY_STATS, SslStats } from '../tls/stats.ts';
import type { Host, Priority } from './contract.ts';

/** The circuit breaker: takes and gives back units, counted over all workers. */
export interface PoolLimits {
  tryAcquire(resource: 'connections' | 'pending' | 'requests', priority: Priority): boolean;
  /** Whatever the threshold says. */
  acquire(resource: 'connections' | 'pending' | 'requests', priority: Priority): void;
  release(resource: 'connections' | 'pending' | 'requests', priority: Priority): void;
}

/** The endpoint, told what happens on its connections: for its statistics, and so that it outlives what is under way. */
export interface PoolHost extends Host {
  connectionOpened(): void;
  connectionClosed(): void;
  connectFailed(): void;
  requestStarted(): void;
  requestEnded(): void;
  pendingAdded(): void;
  pendingRemoved(): void;
}

/** How connections of one pool are wrapped. */
export interface PoolTls {
  readonly context: UpstreamTlsContext;
  /** From auto_sni or auto_host_sni; `undefined`: what the configuration says. */
  readonly sni: string | undefined;
  /** `undefined`: what the configuration says. */
  readonly alpn: readonly string[] | undefined;
  /** From auto_san_validation: the name that the certificate must carry. */
  readonly expectedSan: string | undefined;
}

export type { SslStats };

/** `prefix` is the cluster's, with its dot. */
export function sslStats(prefix: string, stats: StatsStore): SslStats {
  return new SslStats(`${prefix}ssl.`, stats);
}

/** `<prefix>http2.` */
export function http2Stats(prefix: string, stats: StatsStore): StatBlock {
  return stats.block(`${prefix}http2.`, HTTP2_STATS);
}

/** `<prefix>client_ssl_socket_factory.` */
export function sslFactoryStats(prefix: string, stats: StatsStore): StatBlock {
  return stats.block(`${prefix}client_ssl_socket_factory.`, SSL_FACTORY_STATS);
}

export interface PoolContext {
  /** As it was when the pool was made; a cluster whose connections would differ gets new pools. */
  readonly config: Cluster;
  readonly host: PoolHost;
  readonly priority: Priority;
  /** `undefined`: plaintext. */
  readonly tls: PoolTls | undefined;
  readonly limits: PoolLimits;
  readonly stats: StatBlock;
  /** `cluster.<name>.ssl.`; there when `tls` is. */
  readonly sslStats: SslStats | undefined;
  readonly sslFactoryStats: StatBlock | undefined;
  /** `cluster.<name>.http2.`, made when first asked for; there where HTTP/2 may be spoken. */
  readonly http2Stats?: (() => StatBlock) | undefined;
  readonly connectMs: Histogram;
  readonly lengthMs: Histogram;
  readonly requestsPerConnection: Histogram;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** The pool has no connection and no wish left. */
  readonly onEmpty: () => void;
}
