/**
 * The rule for received bytes (see ./stream.ts): valid until the callback returns. Readers that use a buffer again and
 * again take it from here, so that this is the one place that knows which bytes must be copied to be kept.
 *
 * A reader of many bytes reads into a slab that is its alone: what it read may be lent to a transport, which writes it
 * without a copy.
 */
import { Buffer } from 'node:buffer';
import { type Slab, SlabPool } from './slab.ts';

const READ_SLAB_BYTES = 256 * 1024;
/** Slabs kept for the next reader. */
const MAX_IDLE = 64;
/** Slabs in use (64 MiB), beyond which nobody gets another of his own, and relays copy. */
const MAX_OUT = 256;

const shared = new Set<ArrayBufferLike>();
const slabs = new Map<ArrayBufferLike, Slab>();

/** What a reader of many bytes reads into, alone. */
export const readSlabs = new SlabPool(
  READ_SLAB_BYTES,
  MAX_IDLE,
  (slab) => {
    shared.add(slab.buffer.buffer);
    slabs.set(slab.buffer.buffer, slab);
  },
  (slab) => {
    shared.delete(slab.buffer.buffer);
    slabs.delete(slab.buffer.buffer);
  },
);

/** So many slabs are in use that no more should be. */
export function slabsAreScarce(): boolean {
  return readSlabs.out >= MAX_OUT;
}

/** A buffer of `size` bytes that is read into again and again. */
export function sharedReads(size: number): Buffer {
  const buffer = Buffer.allocUnsafeSlow(size);
  shared.add(buffer.buffer);
  return buffer;
}

/** `chunk`, or a copy where its bytes lie in a buffer that is read into again. */
export function keepBytes(chunk: Buffer): Buffer {
  return shared.has(chunk.buffer) ? Buffer.from(chunk) : chunk;
}

/** The slab that `chunk` was read into; `undefined`: another buffer, which must be copied or is nobody else's. */
export function slabOf(chunk: Buffer): Slab | undefined {
  return slabs.get(chunk.buffer);
}
