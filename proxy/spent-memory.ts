/**
 * Gives back what taking in a configuration used up. V8 collects when it needs room; a proxy that was given 2,000
 * clusters and then idles would keep several times their size for good. A collection stops its thread for 10 to 100 ms:
 * the main thread's carries no traffic, and workers collect while no request is under way.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Configuration comes in bursts: one collection after the last of them. */
const QUIET_MS = 1_000;
/** Less than this is not worth a collection. */
const WORTHWHILE_BYTES = 8 * 1024 * 1024;

export interface SpentMemoryOptions {
  readonly heapUsed: () => number;
  readonly collect: () => void;
  readonly after: (ms: number, callback: () => void) => () => void;
}

export class SpentMemory {
  private readonly options: SpentMemoryOptions;
  private cancel: (() => void) | undefined = undefined;
  /** Used after the last collection. */
  private usedBefore = 0;

  constructor(options: SpentMemoryOptions) {
    this.options = options;
  }

  /** A configuration was taken in. */
  configured(): void {
    this.cancel?.();
    this.cancel = this.options.after(QUIET_MS, () => this.quiet());
  }

  private quiet(): void {
    const { heapUsed, collect } = this.options;
    this.cancel = undefined;
    if (heapUsed() - this.usedBefore < WORTHWHILE_BYTES) return;
    collect();
    this.usedBefore = heapUsed();
  }
}

/** For the main thread. `collected`: the workers may follow. */
export function spentMemory(collected: () => void): SpentMemory {
  const collect = collector();
  return new SpentMemory({
    heapUsed: () => getHeapStatistics().used_heap_size,
    collect: () => {
      collect();
      collected();
    },
    after: (ms, callback) => {
      const timer = setTimeout(callback, ms).unref();
      return () => clearTimeout(timer);
    },
  });
}

/** V8's collector, shrinking the heap to what is alive, without a flag on the command line; made on first use. */
export function collector(): () => void {
  let collect: (() => void) | undefined;
  return () => {
    if (collect === undefined) {
      setFlagsFromString('--expose-gc');
      collect = runInNewContext("() => gc({ type: 'major', flavor: 'last-resort' })") as () => void;
      setFlagsFromString('--no-expose-gc');
    }
    collect();
  };
}
