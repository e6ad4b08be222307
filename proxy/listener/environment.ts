/** What a worker gives its listeners. */
import type { Socket } from 'node:net';
import type { Runtime } from '../filters/http/contract.ts';
import type { NetworkFilterFactories, SharedNumbers } from '../filters/network/contract.ts';
import type { StatsStore } from '../observe/stats/contract.ts';
import type { TimerWheel } from '../timers.ts';
import type { TlsProvider } from '../tls/contract.ts';

export interface OriginalDestination {
  readonly address: string;
  readonly port: number;
}

/** Where a redirected connection was meant to go; `undefined` when it was not redirected. */
export type OriginalDestinationOf = (socket: Socket) => OriginalDestination | undefined;

export interface ListenerEnvironment {
  readonly filters: NetworkFilterFactories;
  readonly tls: TlsProvider;
  readonly stats: StatsStore;
  readonly timers: TimerWheel;
  readonly runtime: Runtime;
  readonly shared: SharedNumbers;
  /** From 0: for `worker_0.` statistics. Pipes are bound by worker 0 alone, since a path has one owner. */
  readonly workerIndex: number;
  /** Several workers: they share the port. */
  readonly reusePort: boolean;
  /** Open connections of the worker at most; more are closed at once. */
  readonly maxConnections: number;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** [0, 1). */
  readonly random: () => number;
  /** Unique in the process. */
  readonly nextConnectionId: () => number;
  /**
   * Asked for by the first listener that has to know. Throws a `ProxyError` where the kernel cannot be asked; missing: nothing
   * is redirected.
   */
  readonly originalDestinations?: () => OriginalDestinationOf;
  readonly log: (level: 'debug' | 'warning' | 'error', message: string) => void;
}

/** How many connections a worker has open, over all listeners. */
export interface OpenConnections {
  count: number;
}
