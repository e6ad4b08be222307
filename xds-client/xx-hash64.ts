/** xxHash64 with seed 0, as Envoy's `version` gauges show a version's text. For a text now and then, not for requests. */

const MASK = 0xffffffffffffffffn;
const P1 = 0x9e3779b185ebca87n;
const P2 = 0xc2b2ae3d27d4eb4fn;
const P3 = 0x165667b19e3779f9n;
const P4 = 0x85ebca77c2b2ae63n;
const P5 = 0x27d4eb2f165667c5n;

const times = (a: bigint, b: bigint): bigint => (a * b) & MASK;
const plus = (a: bigint, b: bigint): bigint => (a + b) & MASK;
const rotate = (a: bigint, by: bigint): bigint => ((a << by) | (a >> (64n - by))) & MASK;
const round = (lane: bigint, input: bigint): bigint => times(rotate(plus(lane, times(input, P2)), 31n), P1);

export function xxHash64(text: string): bigint {
  const bytes = Buffer.from(text);
  const length = bytes.length;
  let at = 0;
  let hash: bigint;
  if (length >= 32) {
    const lanes: [bigint, bigint, bigint, bigint] = [plus(P1, P2), P2, 0n, (MASK + 1n - P1) & MASK];
    for (; at + 32 <= length; at += 32) {
      lanes[0] = round(lanes[0], bytes.readBigUInt64LE(at));
      lanes[1] = round(lanes[1], bytes.readBigUInt64LE(at + 8));
      lanes[2] = round(lanes[2], bytes.readBigUInt64LE(at + 16));
      lanes[3] = round(lanes[3], bytes.readBigUInt64LE(at + 24));
    }
    hash = plus(plus(rotate(lanes[0], 1n), rotate(lanes[1], 7n)), plus(rotate(lanes[2], 12n), rotate(lanes[3], 18n)));
    for (const lane of lanes) hash = plus(times(hash ^ round(0n, lane), P1), P4);
  } else {
    hash = P5;
  }
  hash = plus(hash, BigInt(length));
  for (; at + 8 <= length; at += 8) {
    hash = plus(times(rotate(hash ^ round(0n, bytes.readBigUInt64LE(at)), 27n), P1), P4);
  }
  if (at + 4 <= length) {
    hash = plus(times(rotate(hash ^ times(BigInt(bytes.readUInt32LE(at)), P1), 23n), P2), P3);
    at += 4;
  }
  for (; at < length; at++) hash = times(rotate(hash ^ times(BigInt(bytes.readUInt8(at)), P5), 11n), P1);
  hash = times(hash ^ (hash >> 33n), P2);
  hash = times(hash ^ (hash >> 29n), P3);
  return hash ^ (hash >> 32n);
}
