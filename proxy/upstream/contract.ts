/**
 * What the router and the TCP proxy ask of the clusters and their pools. Implemented in proxy/cluster/ (choice,
 * thresholds) and proxy/upstream/ (pools, connections); one `ClusterTable` a worker.
 */
import type { Socket } from 'node:net';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Address, Json } from '../../xds-client/model/common.ts';
import type { Endpoint } from '../../xds-client/model/endpoint.ts';
import type { ConnectionInfo, TlsInfo } from '../http/connection-info.ts';
import type { RequestHead, ResponseHead } from '../http/headers.ts';
import type { ClientStream, ClientStreamHandler, ResetReason } from '../http/stream.ts';
import type { StatBlock } from '../observe/stats/contract.ts';

/** An endpoint as a worker holds it: the model's endpoint with its live numbers. Identity is stable across updates that keep the address. */
export interface Host {
  readonly endpoint: Endpoint;
  readonly cluster: string;
  /** `ip:port` or the pipe's path, made once. */
  readonly addressText: string;
  /** Requests under way over all workers. */
  activeRequests(): number;
  readonly healthy: boolean;
}

/** What a choice of endpoint may depend on. */
export interface LoadBalancerContext {
  readonly downstream: ConnectionInfo | undefined;
  /** From the route's hash policies; `undefined` when there are none. */
  readonly hash: bigint | undefined;
  /** `metadata_match` for subsets. */
  readonly metadataMatch: { readonly [key: string]: Json } | undefined;
  /** Endpoints tried before, when `previous_hosts` asks to avoid them; a choice among them is retried `hostSelectionMaxAttempts` times. */
  readonly avoid: readonly Host[] | undefined;
  readonly hostSelectionMaxAttempts: number;
  readonly head: RequestHead | undefined;
}

export type Priority = 'default' | 'high';

/** Told once, for every attempt, what became of the wish for a stream. Callbacks may come before `newStream` returns. */
export interface PoolCallbacks {
  /**
   * A connection is ready and the stream is open on it. `handler` is attached already. Write the head now.
   * `protocol` is `HTTP/1.1` or `HTTP/2`.
   */
  onReady(stream: ClientStream, host: Host, connection: UpstreamConnectionInfo): void;
  /**
   * No stream: `overflow` (a threshold), `connection-failure`, `connection-timeout`, `local-refused`. Nothing was sent:
   * the attempt is `not-sent`. `details` is for UPSTREAM_TRANSPORT_FAILURE_REASON and the log.
   */
  onFailure(reason: ResetReason, host: Host | undefined, details: string | undefined): void;
}

export interface UpstreamConnectionInfo {
  /** `undefined`: raw bytes. */
  readonly protocol: 'HTTP/1.1' | 'HTTP/2' | undefined;
  readonly localAddress: string | undefined;
  readonly tls: TlsInfo | undefined;
  /** Streams this connection has carried, this one included: 1 means new. */
  readonly streamsStarted: number;
}

/** Withdraws the wish; no callback comes after it. Harmless once one has come. */
export interface PoolHandle {
  cancel(): void;
}

export interface TcpPoolCallbacks {
  onReady(connection: UpstreamTcpConnection, host: Host): void;
  onFailure(reason: ResetReason, host: Host | undefined, details: string | undefined): void;
}

/** A raw upstream connection for L4. The owner takes over its socket events, but for `data`. */
export interface UpstreamTcpConnection {
  readonly socket: Socket;
  /**
   * Who is given what comes, by the rule of ../http/bytes.ts; set in `onReady` before it returns. What it throws ends this
   * connection alone.
   */
  onBytes: (bytes: Buffer) => void;
  readonly localAddress: string | undefined;
  readonly tls: TlsInfo | undefined;
  /** Why we cut it off under its owner; there before the socket's `close`. */
  readonly cutDetails: string | undefined;
}

/** A cluster as a worker sees it. Keep the reference for one request at most: updates replace it. */
export interface ClusterHandle {
  readonly config: Cluster;
  readonly name: string;
  /** `cluster.<name>.`; the family is CLUSTER_STATS in proxy/observe/stats/families.ts. */
  readonly stats: StatBlock;
  /** Chooses an endpoint. `undefined`: none can be had (UH); `refusal` says why for the log. */
  choose(context: LoadBalancerContext, priority: Priority): Host | undefined;
  /** How many endpoints there are, and how many of them may serve: healthy or degraded. Made on demand. */
  membership(): { readonly total: number; readonly available: number };
  /** Why `choose` gave nothing: `no endpoint is healthy (3 unhealthy)`. Made on demand. */
  refusal(): string;
  /**
   * Asks for a stream to `host`. Thresholds for connections, pending and active requests are checked here; the active
   * request is counted until the stream ends. `downstreamVersion` serves `use_downstream_protocol_config`.
   */
  newStream(
    host: Host,
    priority: Priority,
    downstreamVersion: 10 | 11 | 20,
    handler: ClientStreamHandler,
    callbacks: PoolCallbacks,
    context: LoadBalancerContext,
  ): PoolHandle;
  newTcpConnection(
    host: Host,
    priority: Priority,
    callbacks: TcpPoolCallbacks,
    context: LoadBalancerContext,
  ): PoolHandle;
  /** Takes one of `max_retries` (or of the budget), exact across workers. False: none is left. */
  tryAcquireRetry(priority: Priority): boolean;
  releaseRetry(priority: Priority): void;
  /** For passive health: every response's head, 504 for one that did not come in time, and every local-origin failure. */
  report(host: Host, result: ReportedAnswer | { readonly failure: ResetReason }): void;
}

/** A response, or what stands for one. */
export type ReportedAnswer = Pick<ResponseHead, 'status'> & Partial<Pick<ResponseHead, 'headers'>>;

export interface ClusterTable {
  get(name: string): ClusterHandle | undefined;
}

/** Text of an address: `10.1.2.3:8080`, `[::1]:8080`, or the pipe's path. */
export function addressText(address: Address): string {
  if (address.kind === 'pipe') return address.path;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
