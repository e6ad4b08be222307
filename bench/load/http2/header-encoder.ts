/** Header blocks as gRPC clients write them (RFC 7541): every field goes to the dynamic table, unique values Huffman-coded. */

const TABLE_BYTES = 4096;
const ENTRY_BYTES = 32;
const FIRST_INDEX = 62;
const HEX = '0123456789abcdef';
/** RFC 7541 appendix B: code and length of each hexadecimal digit, and of `-`. */
const CODES = [0, 1, 2, 25, 26, 27, 28, 29, 30, 31, 3, 35, 4, 36, 5, 37] as const;
const LENGTHS = [5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 5, 6, 5, 6, 5, 6] as const;
const DASH = 16;
const DASH_CODE = 22;
const DASH_LENGTH = 6;

/** A field whose value never changes. */
interface Fixed {
  readonly literal: Buffer;
  readonly bytes: number;
  /** How many entries were in before it; below those dropped: it is no longer in the table. */
  at: number;
}

/** A field with a value of its own each time: hexadecimal digits (`x`) and dashes as `shape` says. */
interface Unique {
  readonly literalName: Buffer;
  readonly shape: readonly number[];
  readonly bytes: number;
  at: number;
}

export class HeaderEncoder {
  private readonly fixed: readonly Fixed[];
  private readonly unique: readonly Unique[];
  /** Static references that open the block. */
  private readonly opening: readonly number[];
  private readonly sizes: number[] = [];
  private inserted = 0;
  private dropped = 0;
  private used = 0;
  private random: number;

  constructor(
    opening: readonly number[],
    fixed: Readonly<Record<string, string>>,
    unique: Readonly<Record<string, string>>,
    seed: number,
  ) {
    this.opening = opening;
    this.random = seed;
    this.fixed = Object.entries(fixed).map(([name, value]) => ({
      literal: Buffer.concat([Buffer.of(0x40), text(name), text(value)]),
      bytes: name.length + value.length + ENTRY_BYTES,
      at: -1,
    }));
    this.unique = Object.entries(unique).map(([name, shape]) => ({
      literalName: text(name),
      shape: [...shape].map((letter) => (letter === 'x' ? -1 : letter === '-' ? DASH : HEX.indexOf(letter))),
      bytes: name.length + shape.length + ENTRY_BYTES,
      at: -1,
    }));
  }

  /** Writes a request's block to the start of `out`; returns its length. */
  write(out: Buffer): number {
    let at = 0;
    for (const index of this.opening) out[at++] = 0x80 | index;
    for (const field of this.fixed) {
      if (field.at >= this.dropped) {
        at = integer(out, at, 0x80, 7, this.index(field.at));
      } else {
        at += field.literal.copy(out, at);
        field.at = this.insert(field.bytes);
      }
    }
    for (const field of this.unique) {
      if (field.at >= this.dropped) {
        at = integer(out, at, 0x40, 6, this.index(field.at));
      } else {
        out[at++] = 0x40;
        at += field.literalName.copy(out, at);
      }
      at = this.value(out, at, field.shape);
      field.at = this.insert(field.bytes);
    }
    return at;
  }

  private index(at: number): number {
    return FIRST_INDEX + this.inserted - 1 - at;
  }

  private insert(bytes: number): number {
    this.used += bytes;
    while (this.used > TABLE_BYTES) this.used -= this.sizes[this.dropped++ % TABLE_BYTES] as number;
    this.sizes[this.inserted % TABLE_BYTES] = bytes;
    return this.inserted++;
  }

  /** The value's Huffman code; it is shorter than 127 bytes, so that its length takes one. */
  private value(out: Buffer, start: number, shape: readonly number[]): number {
    let at = start + 1;
    let bits = 0;
    let count = 0;
    let digits = 0;
    let random = 0;
    for (const letter of shape) {
      if (letter === DASH) {
        bits = (bits << DASH_LENGTH) | DASH_CODE;
        count += DASH_LENGTH;
      } else {
        let digit = letter;
        if (digit < 0) {
          if (digits === 0) {
            random = this.draw();
            digits = 8;
          }
          digit = random & 15;
          random >>>= 4;
          digits--;
        }
        const length = LENGTHS[digit] as number;
        bits = (bits << length) | (CODES[digit] as number);
        count += length;
      }
      if (count >= 8) {
        count -= 8;
        out[at++] = bits >> count;
        bits &= (1 << count) - 1;
      }
    }
    if (count > 0) out[at++] = (bits << (8 - count)) | (0xff >> count);
    out[start] = 0x80 | (at - start - 1);
    return at;
  }

  /** Xorshift: unlike enough, and the same in every run. */
  private draw(): number {
    this.random ^= this.random << 13;
    this.random ^= this.random >>> 17;
    this.random ^= this.random << 5;
    return this.random >>> 0;
  }
}

function text(value: string): Buffer {
  return Buffer.concat([Buffer.of(value.length), Buffer.from(value, 'latin1')]);
}

/** RFC 7541 §5.1. */
function integer(out: Buffer, start: number, pattern: number, prefix: number, value: number): number {
  const most = (1 << prefix) - 1;
  let at = start;
  if (value < most) {
    out[at++] = pattern | value;
    return at;
  }
  out[at++] = pattern | most;
  let rest = value - most;
  while (rest >= 128) {
    out[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}
