/**
 * The numbers that all workers have in common, by key, in one piece of shared memory: each entry is the key's digest, how
 * many hold it, and the value. Claims and releases are rare (a listener comes or goes) and take turns; values are changed
 * without waiting.
 */
import { createHash } from 'node:crypto';
import { ProxyError } from './errors.ts';
import type { SharedNumber, SharedNumbers } from './policy/shared-number.ts';

/** Entries at most, over all listeners. */
const MAX_ENTRIES = 4096;
/** Of an entry: digest, holders, value. */
const CELLS = 3;
const HOLDERS = 1;
const VALUE = 2;
/** The first cell is the lock. */
const FIRST = 1;

export function sharedNumbersBuffer(): SharedArrayBuffer {
  return new SharedArrayBuffer((FIRST + MAX_ENTRIES * CELLS) * BigInt64Array.BYTES_PER_ELEMENT);
}

export class SharedNumberTable implements SharedNumbers {
  readonly #cells: BigInt64Array;
  readonly #lock: Int32Array;

  /** `buffer` is of `sharedNumbersBuffer`, the same for all. */
  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new BigInt64Array(buffer);
    this.#lock = new Int32Array(buffer, 0, 1);
  }

  claim(key: string, initial: bigint): SharedNumber {
    const digest = createHash('sha256').update(key).digest().readBigInt64LE();
    const base = this.#locked(() => this.#enter(digest, initial));
    if (base === undefined) {
      throw new ProxyError('shared-numbers-full', `more than ${MAX_ENTRIES} limits over all workers`);
    }
    return this.#number(base);
  }

  #number(base: number): SharedNumber {
    const cells = this.#cells;
    let held = true;
    return {
      get: () => Atomics.load(cells, base + VALUE),
      exchange: (expected, next) => Atomics.compareExchange(cells, base + VALUE, expected, next) === expected,
      release: () => {
        if (!held) return;
        held = false;
        this.#locked(() => Atomics.sub(cells, base + HOLDERS, 1n));
      },
    };
  }

  /** An entry that nobody holds is free, whatever is in it. */
  #enter(digest: bigint, initial: bigint): number | undefined {
    const cells = this.#cells;
    let free: number | undefined;
    for (let base = FIRST; base < cells.length; base += CELLS) {
      if (cells[base + HOLDERS] === 0n) free ??= base;
      else if (cells[base] === digest) {
        Atomics.add(cells, base + HOLDERS, 1n);
        return base;
      }
    }
    if (free === undefined) return undefined;
    cells[free] = digest;
    Atomics.store(cells, free + VALUE, initial);
    Atomics.store(cells, free + HOLDERS, 1n);
    return free;
  }

  #locked<Result>(body: () => Result): Result {
    while (Atomics.compareExchange(this.#lock, 0, 0, 1) !== 0) Atomics.wait(this.#lock, 0, 1, 1);
    try {
      return body();
    } finally {
      Atomics.store(this.#lock, 0, 0);
      Atomics.notify(this.#lock, 0, 1);
    }
  }
}
