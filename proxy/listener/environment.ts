/** What a worker gives its listeners. */
import type { Socket } from 'node:net';
import type { NetworkFilterFactories } from '../filters/network/contract.ts';
import type { StatsStore } from '../observe/stats/contract.ts';
import type { TimerWheel } from '../timers.ts';
import type { TlsProvider } from '../tls/contract.ts';

export interface OriginalDestination {
  readonly address: string;
  readonly port: number;
}

export interface ListenerEnvironment {
  readonly filters: NetworkFilterFactories;
  readonly tls: TlsProvider;
  readonly stats: StatsStore;
  readonly timers: TimerWheel;
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
  /** Where a redirected connection was meant to go; `undefined` when it was not redirected. */
  readonly originalDestination?: (socket: Socket) => OriginalDestination | undefined;
  readonly log: (level: 'debug' | 'warning' | 'error', message: string) => void;
}

/** How many connections a worker has open, over all listeners. */
export interface OpenConnections {
  count: number;
}
