/** The statistics of one thread: see contract.ts for what they are and arena.ts for where they live. */
import type { Announce, StatOp } from './announcement.ts';
import { Arena, CHUNK_CELLS } from './arena.ts';
import { bucketOf, DECADE_CELLS, DECADES, decadeOf, HEAD_CELLS, HEAD_COUNT, HEAD_SUM, HEAD_ZERO } from './buckets.ts';
import type { Histogram, Stat, StatBlock, StatFamily, StatsStore } from './contract.ts';

/** Longest time a new name stays unknown to the main thread. */
export const ANNOUNCE_INTERVAL_MS = 100;

/** Where writes to released statistics go: holders may outlive what they count. */
const graveyard = new Float64Array(CHUNK_CELLS);

class Block implements StatBlock {
  cells: Float64Array;
  base: number;
  references = 1;
  private readonly onRelease: (block: Block) => void;

  constructor(cells: Float64Array, base: number, onRelease: (block: Block) => void) {
    this.cells = cells;
    this.base = base;
    this.onRelease = onRelease;
  }

  inc(index: number): void {
    (this.cells[this.base + index] as number)++;
  }

  add(index: number, amount: number): void {
    (this.cells[this.base + index] as number) += amount;
  }

  set(index: number, value: number): void {
    this.cells[this.base + index] = value;
  }

  get(index: number): number {
    return (this.cells[this.base + index] as number) + 0;
  }

  release(): void {
    if (this.references > 0 && --this.references === 0) this.onRelease(this);
  }
}

class Single implements Stat {
  cells: Float64Array;
  index: number;

  constructor(cells: Float64Array, index: number) {
    this.cells = cells;
    this.index = index;
  }

  inc(): void {
    (this.cells[this.index] as number)++;
  }

  add(amount: number): void {
    (this.cells[this.index] as number) += amount;
  }

  set(value: number): void {
    this.cells[this.index] = value;
  }

  get(): number {
    return (this.cells[this.index] as number) + 0;
  }
}

/** Cells of a histogram; `undefined` until a value needs them. */
class SharedHistogram implements Histogram {
  readonly name: string;
  head: Float64Array | undefined = undefined;
  headBase = 0;
  readonly decades: (Float64Array | undefined)[] = [];
  readonly bases: number[] = [];
  released = false;
  private readonly store: HistogramHome;

  constructor(name: string, store: HistogramHome) {
    this.name = name;
    this.store = store;
  }

  record(value: number): void {
    if (this.released || !(value >= 0)) return;
    const head = this.head ?? this.store.openHead(this);
    (head[this.headBase + HEAD_COUNT] as number)++;
    (head[this.headBase + HEAD_SUM] as number) += value;
    const decade = decadeOf(value);
    if (decade < 0) {
      (head[this.headBase + HEAD_ZERO] as number)++;
      return;
    }
    const cells = this.decades[decade] ?? this.store.openDecade(this, decade);
    (cells[(this.bases[decade] as number) + bucketOf(value, decade)] as number)++;
  }
}

/** Gives a histogram its cells when it first needs them. */
interface HistogramHome {
  openHead(histogram: SharedHistogram): Float64Array;
  openDecade(histogram: SharedHistogram, decade: number): Float64Array;
}

/** Statistics that go when the last block of their prefix goes. */
interface Owned {
  blocks: number;
  readonly names: Set<string>;
}

export interface WorkerStatsOptions {
  /** Runs `body` once after `ms`; a timer that keeps no process alive by default. */
  readonly schedule?: (body: () => void, ms: number) => void;
}

/**
 * A store whose cells are shared with the main thread. A counter, gauge or histogram whose name begins with the prefix
 * of a block lives as long as blocks of that prefix do, so that names made at run time (`upstream_rq_503`) go with
 * their cluster; ask for it again rather than keep it past the block.
 */
export class WorkerStats implements StatsStore, HistogramHome {
  private readonly arena: Arena;
  private readonly families = new Map<StatFamily, { readonly id: number; readonly blocks: Map<string, Block> }>();
  private readonly singles = new Map<string, Single>();
  private readonly histograms = new Map<string, SharedHistogram>();
  private readonly owners = new Map<string, Owned>();
  private ops: StatOp[] = [];
  private buffers: SharedArrayBuffer[] = [];
  private scheduled = false;
  private readonly announce: Announce;
  private readonly schedule: (body: () => void, ms: number) => void;

  constructor(announce: Announce, options: WorkerStatsOptions = {}) {
    this.announce = announce;
    this.schedule = options.schedule ?? ((body, ms) => void setTimeout(body, ms).unref());
    this.arena = new Arena((buffer) => this.buffers.push(buffer));
  }

  block(prefix: string, family: StatFamily): StatBlock {
    let known = this.families.get(family);
    if (known === undefined) {
      known = { id: this.families.size, blocks: new Map() };
      this.families.set(family, known);
      this.note(['family', family.names, family.kinds]);
    }
    const { id, blocks } = known;
    const existing = blocks.get(prefix);
    if (existing !== undefined) {
      existing.references++;
      return existing;
    }
    const offset = this.arena.allocate(family.names.length);
    const block = new Block(this.arena.chunkOf(offset), offset % CHUNK_CELLS, (gone) => {
      blocks.delete(prefix);
      gone.cells = graveyard;
      gone.base = 0;
      this.arena.release(offset, family.names.length);
      this.note(['drop-block', prefix, id]);
      this.disown(prefix);
    });
    blocks.set(prefix, block);
    const owner = this.owners.get(prefix);
    if (owner === undefined) this.owners.set(prefix, { blocks: 1, names: new Set() });
    else owner.blocks++;
    this.note(['block', prefix, id, offset]);
    return block;
  }

  counter(name: string): Stat {
    return this.single(name, 'counter');
  }

  gauge(name: string): Stat {
    return this.single(name, 'gauge');
  }

  histogram(name: string): Histogram {
    const existing = this.histograms.get(name);
    if (existing !== undefined) return existing;
    const made = new SharedHistogram(name, this);
    this.histograms.set(name, made);
    this.own(name);
    this.note(['histogram', name]);
    return made;
  }

  /** Announces what is new now rather than within `ANNOUNCE_INTERVAL_MS`. */
  flush(): void {
    if (this.ops.length === 0 && this.buffers.length === 0) return;
    const { ops, buffers } = this;
    this.ops = [];
    this.buffers = [];
    this.announce(JSON.stringify(ops), buffers);
    this.arena.settle();
  }

  openHead(histogram: SharedHistogram): Float64Array {
    const offset = this.arena.allocate(HEAD_CELLS);
    const cells = this.arena.chunkOf(offset);
    histogram.head = cells;
    histogram.headBase = offset % CHUNK_CELLS;
    this.note(['head', histogram.name, offset]);
    return cells;
  }

  openDecade(histogram: SharedHistogram, decade: number): Float64Array {
    const offset = this.arena.allocate(DECADE_CELLS);
    const cells = this.arena.chunkOf(offset);
    histogram.decades[decade] = cells;
    histogram.bases[decade] = offset % CHUNK_CELLS;
    this.note(['decade', histogram.name, decade, offset]);
    return cells;
  }

  private single(name: string, kind: 'counter' | 'gauge'): Stat {
    const existing = this.singles.get(name);
    if (existing !== undefined) return existing;
    const offset = this.arena.allocate(1);
    const made = new Single(this.arena.chunkOf(offset), offset % CHUNK_CELLS);
    this.singles.set(name, made);
    this.own(name);
    this.note([kind, name, offset]);
    return made;
  }

  /** Ties a name to the longest block prefix that it begins with. */
  private own(name: string): void {
    for (let dot = name.lastIndexOf('.'); dot > 0; dot = name.lastIndexOf('.', dot - 1)) {
      const owner = this.owners.get(name.slice(0, dot + 1));
      if (owner !== undefined) {
        owner.names.add(name);
        return;
      }
    }
  }

  private disown(prefix: string): void {
    const owner = this.owners.get(prefix);
    if (owner === undefined || --owner.blocks > 0) return;
    this.owners.delete(prefix);
    for (const name of owner.names) {
      const single = this.singles.get(name);
      if (single !== undefined) {
        this.singles.delete(name);
        this.arena.release(this.offsetOf(single.cells, single.index), 1);
        single.cells = graveyard;
        single.index = 0;
      }
      const histogram = this.histograms.get(name);
      if (histogram !== undefined) {
        this.histograms.delete(name);
        this.bury(histogram);
      }
      this.note(['drop', name]);
    }
  }

  private bury(histogram: SharedHistogram): void {
    histogram.released = true;
    if (histogram.head !== undefined) {
      this.arena.release(this.offsetOf(histogram.head, histogram.headBase), HEAD_CELLS);
    }
    for (let decade = 0; decade < DECADES; decade++) {
      const cells = histogram.decades[decade];
      if (cells === undefined) continue;
      this.arena.release(this.offsetOf(cells, histogram.bases[decade] as number), DECADE_CELLS);
    }
  }

  private offsetOf(cells: Float64Array, index: number): number {
    return this.arena.chunks.indexOf(cells) * CHUNK_CELLS + index;
  }

  private note(op: StatOp): void {
    this.ops.push(op);
    if (this.scheduled) return;
    this.scheduled = true;
    this.schedule(() => {
      this.scheduled = false;
      this.flush();
    }, ANNOUNCE_INTERVAL_MS);
  }
}
