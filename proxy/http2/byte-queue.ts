/** Received bytes that a paused reader has not taken. Small pieces are gathered, so that many of them cost no more than few. */
import { Buffer } from 'node:buffer';
import { keepBytes } from '../http/bytes.ts';

const SMALL = 2048;
const BLOCK = 16 * 1024;

export class ByteQueue {
  private readonly chunks: Buffer[] = [];
  private first = 0;
  /** The last chunk is a block of ours with room, of which this much is filled. */
  private filled = 0;
  private block: Buffer | undefined = undefined;

  get empty(): boolean {
    return this.first === this.chunks.length;
  }

  push(chunk: Buffer): void {
    if (chunk.length >= SMALL) {
      this.block = undefined;
      this.chunks.push(holdBytes(chunk));
      return;
    }
    let { block } = this;
    if (block === undefined || block.length - this.filled < chunk.length) {
      block = Buffer.allocUnsafe(BLOCK);
      this.block = block;
      this.filled = 0;
      this.chunks.push(block.subarray(0, 0));
    }
    block.set(chunk, this.filled);
    const last = this.chunks[this.chunks.length - 1] as Buffer;
    const start = this.filled - last.length;
    this.filled += chunk.length;
    this.chunks[this.chunks.length - 1] = block.subarray(start, this.filled);
  }

  /** The oldest bytes; `undefined` when there are none. */
  shift(): Buffer | undefined {
    const chunk = this.chunks[this.first];
    if (chunk === undefined) return undefined;
    this.chunks[this.first] = EMPTY;
    if (++this.first === this.chunks.length) {
      this.chunks.length = 0;
      this.first = 0;
      this.block = undefined;
    } else if (this.first >= 64) {
      this.chunks.splice(0, this.first);
      this.first = 0;
    }
    return chunk;
  }
}

/** `chunk` for as long as it is wanted: a copy where it would be overwritten, or would keep much more memory than it has bytes. */
export function holdBytes(chunk: Buffer): Buffer {
  return chunk.buffer.byteLength > 4 * chunk.length ? Buffer.from(chunk) : keepBytes(chunk);
}

export const EMPTY: Buffer = Buffer.alloc(0);
