/**
 * The rule for received bytes (see ./stream.ts): valid until the callback returns. Today's sockets hand out a fresh
 * buffer a read, so keeping one is free; when a reader shares its buffer, this is the one place that copies.
 */
export function keepBytes(chunk: Buffer): Buffer {
  return chunk;
}
