/**
 * Statistics as the data path sees them. Every worker owns plain float64 cells in shared memory (an increment is an
 * array store, 2 ns); the main thread sums the workers' cells when somebody scrapes. Names are Envoy's.
 *
 * Fixed families (a cluster's hundred counters, a listener's, a connection manager's) are blocks: one contiguous run of
 * cells for one prefix, addressed by constants, so that a cluster costs one object and not a hundred.
 */
export type StatKind = 'counter' | 'gauge';

/** A family's shape: names below the prefix, in the order of their cells. Made once, at module load. */
export interface StatFamily {
  readonly names: readonly string[];
  readonly kinds: readonly StatKind[];
}

/** A block of cells under one prefix: `block.inc(UPSTREAM_RQ_TOTAL)`. Indices are positions in `family.names`. */
export interface StatBlock {
  inc(index: number): void;
  add(index: number, amount: number): void;
  /** Gauges: sets this worker's share. */
  set(index: number, value: number): void;
  /** This worker's share. For tests and for policy that needs only a local view. */
  get(index: number): number;
  /** Forgets the cells; the names vanish from the scrape (a removed cluster or listener). */
  release(): void;
}

/** A single named cell, for names that appear at run time (`upstream_rq_503`, a per-status counter). Keep it; do not look it up per request. */
export interface Stat {
  inc(): void;
  add(amount: number): void;
  set(value: number): void;
  get(): number;
}

/** Log-linear histogram. `record` takes milliseconds or bytes, whatever the name says; allocates on first use. */
export interface Histogram {
  record(value: number): void;
}

export interface StatsStore {
  /** `prefix` ends with a dot: `cluster.payment.`. The same prefix and family give the same block, counted by reference. */
  block(prefix: string, family: StatFamily): StatBlock;
  /** Full name. */
  counter(name: string): Stat;
  gauge(name: string): Stat;
  /** Full name. Cheap to hold for names never recorded. */
  histogram(name: string): Histogram;
}
