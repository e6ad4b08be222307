/**
 * HPACK's Huffman code (RFC 7541 §5.2 and appendix B). The code is canonical, so the lengths say all of it. Decoding walks a
 * table four bits at a time: no code is shorter than five bits, so that a step ends at most one symbol.
 */
import type { Buffer } from 'node:buffer';

/** The length in bits of each symbol's code, in base 36: 256 octets, then EOS. */
const LENGTHS =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca' +
  'd67777777777777777777777878djde6f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq' +
  'u';
const EOS = 256;
const SYMBOL = 1 << 16;
const FAIL = 1 << 17;

const lengths = new Uint8Array(257);
const codes = new Uint32Array(257);
for (let symbol = 0; symbol < 257; symbol++) lengths[symbol] = Number.parseInt(LENGTHS.charAt(symbol), 36);

type Node = [zero: number, one: number];

/** The code as a tree: a child above 0 is another node, one below 0 the leaf of symbol `-1 - child`. */
function buildTree(): Node[] {
  const order = Array.from(lengths.keys()).sort((a, b) => (lengths[a] as number) - (lengths[b] as number) || a - b);
  const nodes: Node[] = [[0, 0]];
  let code = 0;
  let length = 0;
  for (const symbol of order) {
    const own = lengths[symbol] as number;
    code <<= own - length;
    length = own;
    codes[symbol] = code;
    let node = 0;
    for (let bit = own - 1; bit > 0; bit--) {
      const pair = nodes[node] as Node;
      const side = (code >>> bit) & 1;
      if (pair[side] === 0) pair[side] = nodes.push([0, 0]) - 1;
      node = pair[side] as number;
    }
    (nodes[node] as Node)[code & 1] = -1 - symbol;
    code++;
  }
  return nodes;
}

const tree = buildTree();

/** Of a state and four bits: the next state, with `SYMBOL` and the octet (from bit 18 on) where a code ends, or `FAIL`. */
const steps = new Int32Array(tree.length * 16);
for (let state = 0; state < tree.length; state++) {
  for (let bits = 0; bits < 16; bits++) {
    let node = state;
    let made = 0;
    for (let bit = 3; bit >= 0; bit--) {
      const child = (tree[node] as Node)[(bits >>> bit) & 1] as number;
      node = Math.max(child, 0);
      if (child < 0) made |= child === -1 - EOS ? FAIL : SYMBOL | ((-1 - child) << 18);
    }
    steps[state * 16 + bits] = made | node;
  }
}

/** 1 for states in which a string may end: at most seven bits since the last code, all of them ones, as EOS begins. */
const mayEnd = new Uint8Array(tree.length);
for (let node = 0, bits = 0; bits <= 7; bits++) {
  mayEnd[node] = 1;
  node = (tree[node] as Node)[1];
}

/**
 * Decodes `from` between `start` and `end` into `to`, which has room for 8/5 of it. Returns the bytes written, or -1 where
 * the bits hold EOS or end in anything but a padding of fewer than eight ones.
 */
export function huffmanDecode(from: Buffer, start: number, end: number, to: Uint8Array): number {
  let state = 0;
  let written = 0;
  for (let i = start; i < end; i++) {
    const byte = from[i] as number;
    let step = steps[(state << 4) | (byte >>> 4)] as number;
    if ((step & SYMBOL) !== 0) to[written++] = step >>> 18;
    if ((step & FAIL) !== 0) return -1;
    step = steps[((step & 0xffff) << 4) | (byte & 15)] as number;
    if ((step & SYMBOL) !== 0) to[written++] = step >>> 18;
    if ((step & FAIL) !== 0) return -1;
    state = step & 0xffff;
  }
  return mayEnd[state] === 1 ? written : -1;
}

/** The length in bytes of `text` (latin1) in the code. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += lengths[text.charCodeAt(i) & 255] as number;
  return (bits + 7) >>> 3;
}

/** Writes `text` (latin1) in the code at `at` and returns the offset after it. */
export function huffmanEncode(text: string, to: Uint8Array, at: number): number {
  let bits = 0;
  let held = 0;
  let next = at;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i) & 255;
    const length = lengths[symbol] as number;
    // At most 7 + 30 bits: more than an int32 has, so the long codes go in two parts.
    const code = codes[symbol] as number;
    const high = length > 16 ? length - 16 : 0;
    if (high > 0) {
      held = (held << high) | (code >>> 16);
      bits += high;
      while (bits >= 8) {
        bits -= 8;
        to[next++] = held >>> bits;
      }
    }
    const low = length - high;
    held = ((held & 0xff) << low) | (code & ((1 << low) - 1));
    bits += low;
    while (bits >= 8) {
      bits -= 8;
      to[next++] = held >>> bits;
    }
  }
  if (bits > 0) to[next++] = (held << (8 - bits)) | (0xff >>> bits);
  return next;
}
