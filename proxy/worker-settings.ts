/** What a worker is told once, when it starts. */
import type { LogLevel } from './log.ts';

export interface WorkerSettings {
  readonly index: number;
  /** How many workers listen on the same ports. */
  readonly workers: number;
  readonly logLevel: LogLevel;
  readonly componentLogLevels: { readonly [component: string]: LogLevel };
  readonly serviceNode: string;
  readonly serviceCluster: string;
  readonly serviceZone: string;
  readonly drainTimeMs: number;
  /** Open downstream connections of this worker at most. */
  readonly maxConnections: number;
  /** Of `SharedNumberTable`: the same for all workers. */
  readonly sharedNumbers: SharedArrayBuffer;
}
