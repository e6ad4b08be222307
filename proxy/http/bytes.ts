/**
 * The rule for received bytes (see ./stream.ts): valid until the callback returns. Readers that share a buffer take it
 * from here, so that this is the one place that knows which bytes must be copied to be kept.
 */
import { Buffer } from 'node:buffer';

const shared = new Set<ArrayBufferLike>();

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
