/** Request ids: UUIDs of version 4 (RFC 9562 §5.4) from a buffer of random bytes that is filled 4 KiB at a time. */
import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 4096;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export function createRequestIds(): () => string {
  const pool = Buffer.alloc(POOL_BYTES);
  let at = POOL_BYTES;
  const hex = (index: number): string => HEX[pool[at + index] as number] as string;
  return () => {
    if (at + 16 > POOL_BYTES) {
      randomFillSync(pool);
      at = 0;
    }
    pool[at + 6] = ((pool[at + 6] as number) & 0x0f) | 0x40;
    pool[at + 8] = ((pool[at + 8] as number) & 0x3f) | 0x80;
    const id = `${hex(0)}${hex(1)}${hex(2)}${hex(3)}-${hex(4)}${hex(5)}-${hex(6)}${hex(7)}-${hex(8)}${hex(9)}-${hex(10)}${hex(11)}${hex(12)}${hex(13)}${hex(14)}${hex(15)}`;
    at += 16;
    return id;
  };
}
