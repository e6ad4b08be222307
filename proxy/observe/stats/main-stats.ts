/**
 * The main thread's side of the statistics: a store of its own, and the sum over every thread's cells. Reading is
 * live: a scrape sums shared memory, nothing is collected in between.
 */
import type { StatOp } from './announcement.ts';
import { CHUNK_CELLS } from './arena.ts';
import type { Histogram, Stat, StatBlock, StatFamily, StatsStore } from './contract.ts';
import { MergedHistogram, MergedRun, SINGLE } from './merged.ts';
import { WorkerStats } from './worker-stats.ts';

/** The main thread's number among the sources. Workers have 0 and up. */
const MAIN = -1;

/** Statistics of one prefix, in the order of a scrape. */
export interface StatGroup {
  readonly prefix: string;
  readonly runs: readonly MergedRun[];
}

interface Sender {
  readonly chunks: Float64Array[];
  readonly families: StatFamily[];
}

export class MainStats implements StatsStore {
  private readonly own: WorkerStats;
  private readonly senders = new Map<number, Sender>();
  private readonly families = new Map<string, StatFamily>();
  private readonly blocks = new Map<StatFamily, Map<string, MergedRun>>();
  private readonly singles = new Map<string, MergedRun>();
  private readonly histogramsByName = new Map<string, MergedHistogram>();
  private readonly texts = new Map<string, string>();
  private readonly hooks: (() => void)[] = [];
  private layout: readonly StatGroup[] | undefined = undefined;

  constructor() {
    this.own = new WorkerStats((json, buffers) => this.accept(MAIN, json, buffers));
  }

  block(prefix: string, family: StatFamily): StatBlock {
    return this.own.block(prefix, family);
  }

  counter(name: string): Stat {
    return this.own.counter(name);
  }

  gauge(name: string): Stat {
    return this.own.gauge(name);
  }

  histogram(name: string): Histogram {
    return this.own.histogram(name);
  }

  /** A statistic that is a text, such as `control_plane.identifier`. `undefined` takes it away. */
  text(name: string, value: string | undefined): void {
    if (value === undefined) this.texts.delete(name);
    else this.texts.set(name, value);
  }

  /** `hook` runs before every scrape, to set gauges that nobody keeps up to date (uptime, memory). */
  beforeScrape(hook: () => void): void {
    this.hooks.push(hook);
  }

  /** A worker's `stats` message. */
  accept(worker: number, json: string, buffers: readonly SharedArrayBuffer[]): void {
    let sender = this.senders.get(worker);
    if (sender === undefined) {
      sender = { chunks: [], families: [] };
      this.senders.set(worker, sender);
    }
    for (const buffer of buffers) sender.chunks.push(new Float64Array(buffer));
    for (const op of JSON.parse(json) as readonly StatOp[]) this.apply(worker, sender, op);
    this.layout = undefined;
  }

  /** The worker is gone: what it counted stays, its gauges go. A worker that takes its number starts afresh. */
  workerEnded(worker: number): void {
    if (!this.senders.delete(worker)) return;
    for (const blocks of this.blocks.values()) for (const run of blocks.values()) run.retire(worker);
    for (const run of this.singles.values()) run.retire(worker);
    for (const histogram of this.histogramsByName.values()) histogram.retire(worker);
  }

  /** `/reset_counters`. */
  resetCounters(): void {
    for (const { runs } of this.groups()) for (const run of runs) run.reset();
  }

  /** Ends the interval of the histograms' interval quantiles. Call every `stats_flush_interval`. */
  endInterval(): void {
    this.own.flush();
    for (const histogram of this.histogramsByName.values()) histogram.endInterval();
  }

  /** Current sum of a counter or gauge; `undefined` when there is no such name. Searches: not for the hot path. */
  get(name: string): number | undefined {
    this.own.flush();
    const single = this.singles.get(name);
    if (single !== undefined) return single.value(0) + 0;
    for (const [family, blocks] of this.blocks) {
      for (const [prefix, run] of blocks) {
        if (!name.startsWith(prefix)) continue;
        const index = family.names.indexOf(name.slice(prefix.length));
        if (index >= 0) return run.value(index) + 0;
      }
    }
    return undefined;
  }

  /** One statistic summed over all the prefixes that its family stands under. */
  total(family: StatFamily, index: number): number {
    this.own.flush();
    let sum = 0;
    for (const run of this.blocks.get(this.intern(family.names, family.kinds))?.values() ?? []) sum += run.value(index);
    return sum;
  }

  /** Everything but histograms and texts, grouped by prefix and sorted by it, after the hooks have run. */
  groups(): readonly StatGroup[] {
    for (const hook of this.hooks) hook();
    this.own.flush();
    this.layout ??= this.arrange();
    return this.layout;
  }

  /** Sorted by name. */
  histograms(): MergedHistogram[] {
    this.own.flush();
    return [...this.histogramsByName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Sorted by name. */
  textReadouts(): [string, string][] {
    return [...this.texts].sort((a, b) => (a[0] < b[0] ? -1 : 1));
  }

  private apply(worker: number, sender: Sender, op: StatOp): void {
    switch (op[0]) {
      case 'family':
        sender.families.push(this.intern(op[1], op[2]));
        return;
      case 'block': {
        const family = sender.families[op[2]] as StatFamily;
        const blocks = this.blocks.get(family) as Map<string, MergedRun>;
        put(blocks, op[1], op[1], family).sources.set(worker, sourceAt(sender, op[3]));
        return;
      }
      case 'drop-block':
        drop(this.blocks.get(sender.families[op[2]] as StatFamily), op[1], worker);
        return;
      case 'counter':
      case 'gauge':
        put(this.singles, op[1], op[1], SINGLE[op[0]]).sources.set(worker, sourceAt(sender, op[2]));
        return;
      case 'histogram':
        this.histogramOf(op[1]).source(worker);
        return;
      case 'head':
        this.histogramOf(op[1]).source(worker).head = sourceAt(sender, op[2]);
        return;
      case 'decade':
        this.histogramOf(op[1]).source(worker).decades[op[2]] = sourceAt(sender, op[3]);
        return;
      case 'drop':
        drop(this.singles, op[1], worker);
        drop(this.histogramsByName, op[1], worker);
        return;
    }
  }

  /** The same family comes from every worker as another object. */
  private intern(names: StatFamily['names'], kinds: StatFamily['kinds']): StatFamily {
    const key = JSON.stringify([names, kinds]);
    let family = this.families.get(key);
    if (family === undefined) {
      family = { names, kinds };
      this.families.set(key, family);
      this.blocks.set(family, new Map());
    }
    return family;
  }

  private histogramOf(name: string): MergedHistogram {
    let histogram = this.histogramsByName.get(name);
    if (histogram === undefined) {
      histogram = new MergedHistogram(name);
      this.histogramsByName.set(name, histogram);
    }
    return histogram;
  }

  private arrange(): StatGroup[] {
    const groups = new Map<string, MergedRun[]>();
    for (const blocks of this.blocks.values()) {
      for (const run of blocks.values()) {
        const group = groups.get(run.prefix);
        if (group === undefined) groups.set(run.prefix, [run]);
        else group.push(run);
      }
    }
    const loose: MergedRun[] = [];
    for (const [name, run] of this.singles) (groups.get(owningPrefix(name, groups)) ?? loose).push(run);
    const sorted: StatGroup[] = [...groups].map(([prefix, runs]) => ({ prefix, runs }));
    for (const run of loose) sorted.push({ prefix: run.prefix, runs: [run] });
    return sorted.sort((a, b) => (a.prefix < b.prefix ? -1 : 1));
  }
}

function sourceAt(sender: Sender, offset: number): { cells: Float64Array; base: number } {
  return {
    cells: sender.chunks[Math.floor(offset / CHUNK_CELLS)] as Float64Array,
    base: offset % CHUNK_CELLS,
  };
}

function put(runs: Map<string, MergedRun>, key: string, prefix: string, family: StatFamily): MergedRun {
  let run = runs.get(key);
  if (run === undefined) {
    run = new MergedRun(prefix, family);
    runs.set(key, run);
  }
  return run;
}

/** Takes a thread's cells away; the statistic goes with the last of them. */
function drop(
  entries: Map<string, { readonly sources: Map<number, unknown> }> | undefined,
  key: string,
  worker: number,
): void {
  const entry = entries?.get(key);
  if (entry === undefined) return;
  entry.sources.delete(worker);
  if (entry.sources.size === 0) entries?.delete(key);
}

function owningPrefix(name: string, groups: ReadonlyMap<string, unknown>): string {
  for (let dot = name.lastIndexOf('.'); dot > 0; dot = name.lastIndexOf('.', dot - 1)) {
    const prefix = name.slice(0, dot + 1);
    if (groups.has(prefix)) return prefix;
  }
  return '';
}
