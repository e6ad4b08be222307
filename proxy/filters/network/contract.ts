/**
 * The network filter contract: what a listener hands an accepted connection to. A chain is any number of connection
 * filters (they look at the connection once and let it pass or close it) and one terminal filter, its last, which owns
 * the socket from then on (http-connection-manager, tcp-proxy).
 *
 * Adding one: a folder here with an exported factory, one line in proxy/registry.ts, one decoder line in
 * xds-client/decode/extensions.ts, one test. What a filter needs beyond `ListenerContext` (clusters, routes, tracer,
 * access log) is given to its factory when the worker is wired.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Json } from '../../../xds-client/model/common.ts';
import type { HttpConnectionManager } from '../../../xds-client/model/http-connection-manager.ts';
import type { Listener } from '../../../xds-client/model/listener.ts';
import type { TcpProxy } from '../../../xds-client/model/tcp-proxy.ts';
import type { ConnectionInfo } from '../../http/connection-info.ts';
import type { StatsStore } from '../../observe/stats/contract.ts';
import type { SharedNumber } from '../../policy/shared-number.ts';
import type { TimerWheel } from '../../timers.ts';
import type { Runtime } from '../http/contract.ts';

export type { SharedNumbers } from '../../policy/shared-number.ts';

/** A connection as its terminal filter holds it. The listener calls these; it counts and times the connection itself. */
export interface NetworkConnection {
  /**
   * The connection should end soon: no new keep-alive, `connection: close` or GOAWAY, idle ones close at once. Called
   * when its chain or listener is removed and when the process drains at once. May be called more than once.
   */
  drain(): void;
  /** It has places where it can end without harm: after a response. L4 has none. */
  readonly retires: boolean;
  /**
   * The time of its certificates runs out, or its peer is not trusted any more: it ends like one that is too old, and what
   * is on its way is still served. Where nothing `retires` it goes on until `cut`. May be called more than once.
   */
  retire(): void;
  /** `destroy`, whose cause is known: RESPONSE_CODE_DETAILS or CONNECTION_TERMINATION_DETAILS of what is under way. */
  cut(details: string): void;
  /** Ends it now, whatever is under way. The drain time is over. Harmless after the end. */
  destroy(): void;
  /** Requests under way; for L4 1 while open. */
  readonly activeStreams: number;
}

/** A terminal filter, built once a filter chain, configuration and worker, shared by the chain's connections. */
export interface NetworkFilterInstance {
  /**
   * Takes the socket over: TLS is done and verified, nothing has been read but what the inspectors gave back. The filter
   * attaches its listeners (`error` among them) before it returns: data may wait in the socket's buffer already. The
   * socket has `allowHalfOpen: true`: the filter answers the peer's `end` itself. It may have been destroyed meanwhile.
   */
  accept(socket: Socket | TLSSocket, info: ConnectionInfo): NetworkConnection;
  /**
   * In the place of `accept`, of filters that need no word of the caller: it has said nothing yet, and its chain is only
   * supposed. The upstream is connected, and what it says is passed on. Nothing is read from the socket before `take`.
   */
  greet?(socket: Socket, info: ConnectionInfo, events: GreetingEvents): Greeting;
  /** A filter before this one closed the connection: for the access log. `why` as in `ConnectionFilterCallbacks.close`. */
  refused?(info: ConnectionInfo, why: Refusal): void;
  /** The chain is gone and so is its last connection. */
  close?(): void;
}

/** At most one of the two is called, once, and never before `greet` has returned. */
export interface GreetingEvents {
  /** The upstream speaks first: from now on the connection is the filter's, though still unread. */
  onSpoken(): void;
  /** It failed or ended, or spoke what waits for its client: nothing was passed on, and `withdraw` was done. */
  onNothing(): void;
}

/** A connection whose caller is silent. */
export interface Greeting extends NetworkConnection {
  /** The supposition was right, or may not be found out any more: both directions flow. */
  take(): void;
  /** It was wrong: closes the upstream side alone, without a trace in the log. Harmless after `take`. */
  withdraw(): void;
}

/** A filter before the terminal one. `continue` and `close` at once, or `wait` and `callbacks.continue()` later. */
export interface ConnectionFilterInstance {
  onNewConnection(info: ConnectionInfo, callbacks: ConnectionFilterCallbacks): 'continue' | 'close' | 'wait';
  /** The connection is gone: once for each that was new, whatever was decided. */
  onClose?(info: ConnectionInfo): void;
  close?(): void;
}

export interface Refusal {
  /** Envoy's CONNECTION_TERMINATION_DETAILS (`rbac_access_denied_matched_policy[p]`). */
  readonly details?: string;
  /** Bits of `ResponseFlag`. */
  readonly flags?: number;
}

export interface ConnectionFilterCallbacks {
  /** After `wait` only; once. */
  continue(): void;
  /** Closes the connection, inside `onNewConnection` (which then says `close`) or later. */
  close(why: Refusal): void;
}

export interface TerminalFilterFactory<Config> {
  build(config: Config, context: ListenerContext): NetworkFilterInstance;
}

/** A filter that is known by its type URL. */
export interface ExtensionFilterFactory {
  /** As in Envoy, `envoy.filters.network.rbac`. */
  readonly name: string;
  /** Without `type.googleapis.com/`. */
  readonly typeUrl: string;
  /** Exactly one of the two. `config` is what the extension's decoder made. */
  buildTerminal?(config: Json, context: ListenerContext): NetworkFilterInstance;
  buildConnectionFilter?(config: Json, context: ListenerContext): ConnectionFilterInstance;
}

/** The network filters of a worker, injected into its listeners. */
export interface NetworkFilterFactories {
  readonly httpConnectionManager: TerminalFilterFactory<HttpConnectionManager>;
  readonly tcpProxy: TerminalFilterFactory<TcpProxy>;
  /** By type URL, without `type.googleapis.com/`. */
  readonly extensions: { get(typeUrl: string): ExtensionFilterFactory | undefined };
}

/** Asked where a connection could end without harm: after a response, before a new stream. */
export interface DrainDecision {
  /**
   * True: end this connection now. While a gradual drain goes on the probability grows linearly from 0 to 1 over the
   * drain time, as Envoy's does; an immediate one is always true. False when nothing drains: cheap, call it per request.
   */
  shouldDrain(): boolean;
}

/** What a network filter may use beyond its connections. */
export interface ListenerContext {
  readonly listener: Listener;
  /** `listener.127.0.0.1_10000.`: for `listener.<address>.http.<prefix>.downstream_rq_*` and the like. */
  readonly statPrefix: string;
  readonly stats: StatsStore;
  readonly drain: DrainDecision;
  readonly runtime: Runtime;
  readonly timers: TimerWheel;
  /** What no other filter has: the same in every worker for the same filter of the same chain. */
  scope(): string;
  /** A number that all workers have in common under that key; `initial` is for whoever comes first. Released with the filter. */
  shared(key: string, initial: bigint): SharedNumber;
  /** Milliseconds, monotonic (`performance.now()`). */
  now(): number;
  /** Nanoseconds, monotonic, one clock for all workers. */
  sharedNow(): bigint;
  random(): number;
}
