/** What heads are made of nearly everywhere: printable ASCII, passed over eight bytes at a time. */

/**
 * The offset of the first byte that is not printable ASCII, or `stop`. Eight bytes a turn: the sign bit of the `or` says
 * that one of them is outside of 32..126. Half the time of a comparison a byte.
 */
export function skipPrintable(bytes: Uint8Array, from: number, stop: number): number {
  let i = from;
  for (; i + 8 <= stop; i += 8) {
    const a = bytes[i] as number;
    const b = bytes[i + 1] as number;
    const c = bytes[i + 2] as number;
    const d = bytes[i + 3] as number;
    const e = bytes[i + 4] as number;
    const f = bytes[i + 5] as number;
    const g = bytes[i + 6] as number;
    const h = bytes[i + 7] as number;
    const low = (a - 32) | (b - 32) | (c - 32) | (d - 32) | (e - 32) | (f - 32) | (g - 32) | (h - 32);
    const high = (126 - a) | (126 - b) | (126 - c) | (126 - d) | (126 - e) | (126 - f) | (126 - g) | (126 - h);
    if ((low | high) < 0) break;
  }
  while (i < stop) {
    const byte = bytes[i] as number;
    if (byte < 32 || byte > 126) break;
    i++;
  }
  return i;
}
