/**
 * Header blocks to fields (RFC 7541). A field that stands in a table costs a lookup and no string. Past the limits of a
 * message the rest of its block is still read, for the table's sake, and not kept.
 */
import { Buffer } from 'node:buffer';
import { skipPrintable } from '../http/printable.ts';
import { huffmanDecode } from './huffman.ts';
import { type FieldName, fieldName } from './names.ts';
import { ENTRY_OVERHEAD, Field, STATIC_SIZE, STATIC_TABLE } from './static-table.ts';

/** The table's size before SETTINGS say otherwise (RFC 9113 §6.5.2). */
const DEFAULT_TABLE = 4096;

/** Where the next byte is read; one for the thread, for decoding never yields. */
let at = 0;
let failed = false;
let scratch = Buffer.allocUnsafeSlow(16 * 1024);
/** Of the last value read. */
let valueIsValid = true;

export class HpackDecoder {
  /** Of the last block: the first `count` are its fields. */
  readonly fields: Field[] = [];
  count = 0;
  /** Names and values of the last block, without the table's overhead. */
  bytes = 0;
  /** The last block held more than its limits allow; `fields` ends where they were reached. */
  overflowed = false;
  /** What our SETTINGS allow the table, once the peer has them; 4096 until then. */
  private allowed: number;
  private readonly wanted: number;
  private limit: number;
  /** The table: a ring, newest at `head - 1`. */
  private ring: (Field | undefined)[] = new Array<Field | undefined>(64).fill(undefined);
  private head = 0;
  private entries = 0;
  private size = 0;

  constructor(tableSize: number) {
    this.wanted = tableSize;
    this.allowed = Math.max(tableSize, DEFAULT_TABLE);
    this.limit = DEFAULT_TABLE;
  }

  /** The peer has our SETTINGS (RFC 7541 §4.2). */
  acknowledged(): void {
    this.allowed = this.wanted;
    this.limit = Math.min(this.limit, this.wanted);
    this.evict(0);
  }

  /** Bytes that the table holds, as RFC 7541 §4.1 counts them. */
  get tableSize(): number {
    return this.size;
  }

  /** Decodes a whole block. False: the tables of the two sides no longer agree, and the connection must end. */
  decode(block: Buffer, start: number, end: number, maxBytes: number, maxFields: number): boolean {
    this.count = 0;
    this.bytes = 0;
    this.overflowed = false;
    at = start;
    failed = false;
    let updates = true;
    while (at < end) {
      const byte = block[at] as number;
      if (byte >= 128) {
        const field = this.lookUp(readInteger(block, end, 127));
        if (failed || field === undefined) return false;
        this.keep(field, maxBytes, maxFields);
      } else if (byte >= 32 && byte < 64) {
        // A size update stands before the first field or nowhere (RFC 7541 §4.2).
        const size = readInteger(block, end, 31);
        if (failed || !updates || size > this.allowed) return false;
        this.limit = size;
        this.evict(0);
        continue;
      } else {
        const inserts = byte >= 64;
        const index = readInteger(block, end, inserts ? 63 : 15);
        if (failed) return false;
        const name = index === 0 ? readName(block, end) : this.lookUp(index)?.name;
        if (name === undefined) return false;
        const value = readValue(block, end);
        if (failed) return false;
        const field = new Field(name, value, valueIsValid);
        if (inserts) this.insert(field);
        else if (byte >= 16) name.sensitive = true;
        this.keep(field, maxBytes, maxFields);
      }
      updates = false;
    }
    return true;
  }

  private keep(field: Field, maxBytes: number, maxFields: number): void {
    this.bytes += field.name.text.length + field.value.length;
    if (this.bytes > maxBytes || this.count >= maxFields) this.overflowed = true;
    else this.fields[this.count++] = field;
  }

  private lookUp(index: number): Field | undefined {
    if (index <= STATIC_SIZE) return index === 0 ? undefined : STATIC_TABLE[index];
    const age = index - STATIC_SIZE - 1;
    if (age >= this.entries) return undefined;
    return this.ring[(this.head - 1 - age) & (this.ring.length - 1)];
  }

  private insert(field: Field): void {
    const size = field.name.text.length + field.value.length + ENTRY_OVERHEAD;
    this.evict(size);
    // An entry larger than the table empties it (RFC 7541 §4.4).
    if (size > this.limit) return;
    if (this.entries === this.ring.length) this.grow();
    this.ring[this.head] = field;
    this.head = (this.head + 1) & (this.ring.length - 1);
    this.entries++;
    this.size += size;
  }

  /** Makes room for `wanted` more. */
  private evict(wanted: number): void {
    while (this.entries > 0 && this.size + wanted > this.limit) {
      const oldest = (this.head - this.entries) & (this.ring.length - 1);
      const field = this.ring[oldest] as Field;
      this.ring[oldest] = undefined;
      this.size -= field.name.text.length + field.value.length + ENTRY_OVERHEAD;
      this.entries--;
    }
  }

  private grow(): void {
    const { ring, head } = this;
    const larger = new Array<Field | undefined>(ring.length * 2).fill(undefined);
    for (let i = 0; i < ring.length; i++) larger[i] = ring[(head + i) & (ring.length - 1)];
    this.ring = larger;
    this.head = ring.length;
  }
}

/** An integer whose first byte's low bits, `mask`, begin it (RFC 7541 §5.1). At most five bytes follow. */
function readInteger(block: Buffer, end: number, mask: number): number {
  let value = (block[at++] as number) & mask;
  if (value < mask) return value;
  for (let shift = 0; shift <= 28; shift += 7) {
    if (at >= end) break;
    const byte = block[at++] as number;
    value += (byte & 127) * 2 ** shift;
    if (byte < 128) return value;
  }
  failed = true;
  return 0;
}

/** The length of the string at `at`, which moves to its first byte; -1 where it does not fit. */
function readLength(block: Buffer, end: number): number {
  if (at >= end) {
    failed = true;
    return -1;
  }
  const length = readInteger(block, end, 127);
  if (failed || length > end - at) {
    failed = true;
    return -1;
  }
  return length;
}

/** Decodes the next `length` bytes into `scratch`; the bytes there, or -1. */
function expand(block: Buffer, length: number): number {
  if (length * 2 > scratch.length) scratch = Buffer.allocUnsafeSlow(length * 2);
  const count = huffmanDecode(block, at, at + length, scratch);
  at += length;
  if (count < 0) failed = true;
  return count;
}

function readName(block: Buffer, end: number): FieldName | undefined {
  if (at >= end) return undefined;
  const coded = (block[at] as number) >= 128;
  const length = readLength(block, end);
  if (length < 0) return undefined;
  if (coded) {
    const count = expand(block, length);
    return count < 0 ? undefined : fieldName(scratch.toString('latin1', 0, count));
  }
  const start = at;
  at += length;
  return fieldName(block.toString('latin1', start, at));
}

function readValue(block: Buffer, end: number): string {
  valueIsValid = true;
  if (at >= end) {
    failed = true;
    return '';
  }
  const coded = (block[at] as number) >= 128;
  const length = readLength(block, end);
  if (length <= 0) return '';
  if (coded) {
    const count = expand(block, length);
    if (count < 0) return '';
    valueIsValid = isValue(scratch, 0, count);
    return scratch.toString('latin1', 0, count);
  }
  const start = at;
  at += length;
  valueIsValid = isValue(block, start, at);
  return block.toString('latin1', start, at);
}

/** No control character but tabs, and no blank at either end (RFC 9113 §8.2.1). */
function isValue(bytes: Buffer, start: number, end: number): boolean {
  if (start === end) return true;
  if (isBlank(bytes[start] as number) || isBlank(bytes[end - 1] as number)) return false;
  for (let i = skipPrintable(bytes, start, end); i < end; i = skipPrintable(bytes, i + 1, end)) {
    const byte = bytes[i] as number;
    if (byte < 128 && byte !== 9) return false;
  }
  return true;
}

function isBlank(byte: number): boolean {
  return byte === 32 || byte === 9;
}
