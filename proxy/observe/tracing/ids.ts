/** Trace and span ids as lower-case hex, from random bytes fetched by the page. */
import { randomFillSync } from 'node:crypto';

const pool = Buffer.allocUnsafeSlow(4096);
let at = pool.length;

function hex(bytes: number): string {
  if (at + bytes > pool.length) {
    randomFillSync(pool);
    at = 0;
  }
  at += bytes;
  return pool.toString('hex', at - bytes, at);
}

/** 16 bytes. */
export function newTraceId(): string {
  return hex(16);
}

/** 8 bytes. */
export function newSpanId(): string {
  return hex(8);
}
