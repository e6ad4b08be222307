/** One statistic over all threads: who holds cells for it, what ended threads left, what a reset took away. */
import { UNUSED } from './arena.ts';
import {
  type Bucket,
  bucketBounds,
  DECADE_CELLS,
  DECADES,
  difference,
  HEAD_CELLS,
  HEAD_COUNT,
  HEAD_SUM,
  HEAD_ZERO,
} from './buckets.ts';
import type { StatFamily, StatKind } from './contract.ts';

interface Source {
  readonly cells: Float64Array;
  readonly base: number;
}

/**
 * A run of cells under one prefix, summed over the threads. A single name is a run of one with an empty suffix.
 */
export class MergedRun {
  readonly prefix: string;
  readonly family: StatFamily;
  readonly sources = new Map<number, Source>();
  private retired: Float64Array | undefined = undefined;
  private baseline: Float64Array | undefined = undefined;

  constructor(prefix: string, family: StatFamily) {
    this.prefix = prefix;
    this.family = family;
  }

  /** The sum over the threads; `UNUSED` (-0) when nobody has ever written it. */
  value(index: number): number {
    let sum = this.retired === undefined ? UNUSED : (this.retired[index] as number);
    for (const { cells, base } of this.sources.values()) sum += cells[base + index] as number;
    if (Object.is(sum, UNUSED)) return UNUSED;
    if (this.baseline !== undefined) sum -= this.baseline[index] as number;
    // A gauge's shares are read one after the other while requests move between them.
    return Math.max(sum, 0);
  }

  /** The thread ended: its counters stay in the sum, its gauges do not. */
  retire(worker: number): void {
    const source = this.sources.get(worker);
    if (source === undefined) return;
    this.sources.delete(worker);
    const { kinds } = this.family;
    if (this.retired === undefined) this.retired = new Float64Array(kinds.length).fill(UNUSED);
    for (let i = 0; i < kinds.length; i++) {
      if (kinds[i] !== 'counter') continue;
      (this.retired[i] as number) += source.cells[source.base + i] as number;
    }
  }

  /** Counters count from zero again; the cells are the threads' own, so what they hold is subtracted from now on. */
  reset(): void {
    const { kinds } = this.family;
    this.baseline ??= new Float64Array(kinds.length);
    for (let i = 0; i < kinds.length; i++) {
      if (kinds[i] === 'counter') (this.baseline[i] as number) += this.value(i);
    }
  }
}

/** Suffix and kind of a single name's run. */
export const SINGLE: { readonly [kind in StatKind]: StatFamily } = {
  counter: { names: [''], kinds: ['counter'] },
  gauge: { names: [''], kinds: ['gauge'] },
};

interface HistogramCells {
  head: Source | undefined;
  readonly decades: (Source | undefined)[];
}

const scratch = new Float64Array(DECADES * DECADE_CELLS);

export class MergedHistogram {
  readonly name: string;
  readonly sources = new Map<number, HistogramCells>();
  /** Values since the last interval ended; `undefined` before the first interval's end. */
  interval: readonly Bucket[] | undefined = undefined;
  private retired: HistogramCells | undefined = undefined;
  private mark: readonly Bucket[] = [];
  private marked = 0;

  constructor(name: string) {
    this.name = name;
  }

  source(worker: number): HistogramCells {
    let cells = this.sources.get(worker);
    if (cells === undefined) {
      cells = { head: undefined, decades: [] };
      this.sources.set(worker, cells);
    }
    return cells;
  }

  count(): number {
    return this.total(HEAD_COUNT);
  }

  sum(): number {
    return this.total(HEAD_SUM);
  }

  /** Buckets that hold something, in rising order; the zero bucket has width 0. */
  buckets(): Bucket[] {
    scratch.fill(0);
    let used = 0;
    for (const { decades } of this.all()) {
      for (let decade = 0; decade < decades.length; decade++) {
        const cells = decades[decade];
        if (cells === undefined) continue;
        used |= 1 << decade;
        for (let i = 0; i < DECADE_CELLS; i++) {
          (scratch[decade * DECADE_CELLS + i] as number) += (cells.cells[cells.base + i] as number) + 0;
        }
      }
    }
    const out: Bucket[] = [];
    const zero = this.total(HEAD_ZERO);
    if (zero > 0) out.push({ lower: 0, width: 0, count: zero });
    for (let decade = 0; decade < DECADES; decade++) {
      if ((used & (1 << decade)) === 0) continue;
      for (let i = 0; i < DECADE_CELLS; i++) {
        const count = scratch[decade * DECADE_CELLS + i] as number;
        if (count > 0) out.push({ ...bucketBounds(decade, i), count });
      }
    }
    return out;
  }

  /** Ends the interval that `interval` then tells of. */
  endInterval(): void {
    const count = this.count();
    if (count === this.marked) {
      this.interval = [];
      return;
    }
    const now = this.buckets();
    this.interval = difference(now, this.mark);
    this.mark = now;
    this.marked = count;
  }

  retire(worker: number): void {
    const source = this.sources.get(worker);
    if (source === undefined) return;
    this.sources.delete(worker);
    this.retired ??= { head: undefined, decades: [] };
    this.retired.head = fold(this.retired.head, source.head, HEAD_CELLS);
    for (let decade = 0; decade < source.decades.length; decade++) {
      this.retired.decades[decade] = fold(this.retired.decades[decade], source.decades[decade], DECADE_CELLS);
    }
  }

  private total(cell: number): number {
    let sum = 0;
    for (const { head } of this.all()) if (head !== undefined) sum += head.cells[head.base + cell] as number;
    return sum;
  }

  private *all(): Generator<HistogramCells> {
    if (this.retired !== undefined) yield this.retired;
    yield* this.sources.values();
  }
}

/** Adds `more` to a run of the main thread's own memory. */
function fold(into: Source | undefined, more: Source | undefined, length: number): Source | undefined {
  if (more === undefined) return into;
  const run = into ?? { cells: new Float64Array(length), base: 0 };
  for (let i = 0; i < length; i++) (run.cells[run.base + i] as number) += more.cells[more.base + i] as number;
  return run;
}
