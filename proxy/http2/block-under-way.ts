/** A header block that comes in several frames (RFC 9113 §6.10), put together within a bound. */
import { Buffer } from 'node:buffer';
import { EMPTY } from './byte-queue.ts';
import { FRAME_SIZE } from './frames.ts';

/** Frames beyond those that a block of the largest size needs. */
const SPARE_FRAMES = 8;
const FIRST_BYTES = 4096;

export class BlockUnderWay {
  /** The stream that it is of; 0: there is none. */
  stream = 0;
  /** The stream ends with it. */
  ends = false;
  bytes: Buffer = EMPTY;
  length = 0;
  private readonly limit: number;
  private continuations = 0;

  /** `limit`: bytes of a block, before they are decoded. */
  constructor(limit: number) {
    this.limit = limit;
  }

  begin(stream: number, ends: boolean, from: Buffer, start: number, end: number): void {
    this.stream = stream;
    this.ends = ends;
    this.continuations = 0;
    this.length = 0;
    this.append(from, start, end);
  }

  /** False: it is more than is taken, in bytes or in frames. */
  add(from: Buffer, start: number, end: number): boolean {
    if (++this.continuations > SPARE_FRAMES + this.limit / FRAME_SIZE) return false;
    if (this.length + end - start > this.limit) return false;
    this.append(from, start, end);
    return true;
  }

  /** It is complete, and is the caller's. */
  take(): Buffer {
    const { bytes } = this;
    this.stream = 0;
    this.bytes = EMPTY;
    return bytes;
  }

  private append(from: Buffer, start: number, end: number): void {
    const length = this.length + end - start;
    if (length > this.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(FIRST_BYTES, length * 2));
      this.bytes.copy(larger, 0, 0, this.length);
      this.bytes = larger;
    }
    from.copy(this.bytes, this.length, start, end);
    this.length = length;
  }
}
