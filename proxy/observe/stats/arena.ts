/**
 * Float64 cells in shared memory, handed out in runs. Chunks are never given back: a freed run waits until `settle`
 * (the main thread has been told who left) and then serves the next wish of its size.
 *
 * A fresh cell holds -0. Any arithmetic and any `set` makes it +0 or another number, so -0 means "never written" and
 * Envoy's `usedonly` costs nothing on the hot path.
 */

/** Cells a chunk: 64 KiB. A run lies within one chunk, so this is also the largest family. */
export const CHUNK_CELLS = 8192;

/** What a cell holds that nobody has written. */
export const UNUSED = -0;

export class Arena {
  readonly chunks: Float64Array[] = [];
  private nextFree = CHUNK_CELLS;
  private readonly free = new Map<number, number[]>();
  private leaving: { readonly length: number; readonly offset: number }[] = [];
  private readonly onChunk: (buffer: SharedArrayBuffer) => void;

  constructor(onChunk: (buffer: SharedArrayBuffer) => void) {
    this.onChunk = onChunk;
  }

  /** Gives the global offset of a run of unused cells. Throws a `RangeError` above `CHUNK_CELLS`. */
  allocate(length: number): number {
    if (length > CHUNK_CELLS) throw new RangeError(`a run of ${length} cells is longer than ${CHUNK_CELLS}`);
    const reused = this.free.get(length)?.pop();
    if (reused !== undefined) {
      const at = reused % CHUNK_CELLS;
      this.chunkOf(reused).fill(UNUSED, at, at + length);
      return reused;
    }
    if (this.nextFree + length > CHUNK_CELLS) {
      const buffer = new SharedArrayBuffer(CHUNK_CELLS * Float64Array.BYTES_PER_ELEMENT);
      this.chunks.push(new Float64Array(buffer).fill(UNUSED));
      this.nextFree = 0;
      this.onChunk(buffer);
    }
    const offset = (this.chunks.length - 1) * CHUNK_CELLS + this.nextFree;
    this.nextFree += length;
    return offset;
  }

  chunkOf(offset: number): Float64Array {
    return this.chunks[Math.floor(offset / CHUNK_CELLS)] as Float64Array;
  }

  /** The run may be reused after the next `settle`. */
  release(offset: number, length: number): void {
    this.leaving.push({ offset, length });
  }

  /** The main thread has been told of every release so far. */
  settle(): void {
    for (const { offset, length } of this.leaving) {
      const list = this.free.get(length);
      if (list === undefined) this.free.set(length, [offset]);
      else list.push(offset);
    }
    this.leaving = [];
  }
}
