/** What a worker's clusters are given. */
import type { StatsStore } from '../observe/stats/contract.ts';
import type { TlsProvider } from '../tls/contract.ts';

export interface ClusterEnvironment {
  readonly stats: StatsStore;
  readonly tls: TlsProvider;
  /** An endpoint of a checked cluster answered that it is not to be used any more. */
  readonly onImmediateFailure?: (cluster: string, address: string) => void;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}
