/**
 * Fields to header blocks (RFC 7541). A field gets into the table when it is sent a second time: what is unique to a
 * request (an id, a trace) costs its bytes once and pushes nothing out. Strings go as they are: the Huffman code costs more
 * time than it saves on the links of a mesh.
 */
import type { Buffer } from 'node:buffer';
import { type FieldName, fieldName } from './names.ts';
import { ENTRY_OVERHEAD, STATIC_SIZE, STATIC_TABLE } from './static-table.ts';

/** Names that a connection keeps account of; others are sent as they are. */
const MAX_NAMES = 256;
/** Up to this length a loop over the characters is faster than a call out of JavaScript. */
const SHORT = 20;
const NONE = -1;
/** Values of one name that are looked for in the table. A list of so few is searched faster than a string is hashed. */
const MAX_VALUES = 8;

/** What was sent of one name. Positions count insertions from the connection's beginning. */
class NameState {
  readonly name: FieldName;
  /** Of the static table; 0: it is not there. */
  readonly index: number;
  /** Values that the static table has, the first of them at `fixedIndex`, the others behind it. */
  readonly fixed: readonly string[];
  readonly fixedIndex: number;
  /** The newest entry of that name in the table. */
  position = NONE;
  /** Values in the table, the newest last, and their positions. */
  readonly values: string[] = [];
  readonly positions: number[] = [];
  /** The two values sent last that did not get into the table. */
  last: string | undefined = undefined;
  before: string | undefined = undefined;

  constructor(name: string) {
    this.name = fieldName(name);
    this.index = STATIC_NAMES.get(name) ?? 0;
    this.fixed = STATIC_VALUES.get(name)?.values ?? NO_VALUES;
    this.fixedIndex = STATIC_VALUES.get(name)?.index ?? 0;
  }

  add(value: string, position: number): void {
    if (this.values.length === MAX_VALUES) {
      this.values.shift();
      this.positions.shift();
    }
    this.values.push(value);
    this.positions.push(position);
    this.position = position;
  }

  /** The entry at `position` is gone: always the oldest that there is. */
  forget(position: number): void {
    if (this.positions[0] === position) {
      this.values.shift();
      this.positions.shift();
    }
    if (this.position === position) this.position = NONE;
  }
}

interface Entry {
  readonly name: NameState;
  readonly size: number;
}

const STATIC_NAMES = new Map<string, number>();
const NO_VALUES: readonly string[] = [];
interface FixedValues {
  readonly index: number;
  readonly values: string[];
}
const STATIC_VALUES = new Map<string, FixedValues>();
for (let i = STATIC_SIZE; i > 0; i--) {
  const field = STATIC_TABLE[i];
  if (field === undefined) continue;
  STATIC_NAMES.set(field.name.text, i);
  // A name's values stand one behind the other in the table.
  if (field.value === '') continue;
  const later = STATIC_VALUES.get(field.name.text)?.values ?? [];
  STATIC_VALUES.set(field.name.text, { index: i, values: [field.value, ...later] });
}

export class HpackEncoder {
  /** What we use at most, whatever the peer allows. */
  private readonly most: number;
  private limit: number;
  /** The smallest limit since the last block, to be announced first; -1: the limit has not changed. */
  private smallest = NONE;
  private readonly names = new Map<string, NameState>();
  /** Oldest first; `first` is the position of `table[0]`. */
  private table: Entry[] = [];
  private first = 0;
  /** Entries at the beginning of `table` that are gone. */
  private gone = 0;
  private size = 0;

  constructor(tableSize: number) {
    this.most = tableSize;
    this.limit = Math.min(tableSize, 4096);
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  resize(allowed: number): void {
    const limit = Math.min(allowed, this.most);
    if (limit === this.limit && this.smallest === NONE) return;
    this.smallest = this.smallest === NONE ? limit : Math.min(this.smallest, limit);
    this.limit = limit;
    this.evict(0);
  }

  /** Bytes that `name` and `value` take at most. */
  static bound(name: string, value: string): number {
    return name.length + value.length + 12;
  }

  /** Room that `begin` needs. */
  static readonly beginBound = 12;

  /** Begins a block at `to[at]`; returns the offset after what it wrote. */
  begin(to: Buffer, at: number): number {
    if (this.smallest === NONE) return at;
    let next = at;
    if (this.smallest < this.limit) next = putInteger(to, next, 32, 31, this.smallest);
    next = putInteger(to, next, 32, 31, this.limit);
    this.smallest = NONE;
    return next;
  }

  /** Writes one field; returns the offset after it. */
  encode(to: Buffer, at: number, name: string, value: string): number {
    let state = this.names.get(name);
    if (state === undefined) {
      state = new NameState(name);
      if (this.names.size < MAX_NAMES) this.names.set(name, state);
    }
    const { fixed, values } = state;
    for (let i = 0; i < fixed.length; i++) {
      if (fixed[i] !== value) continue;
      to[at] = 128 | (state.fixedIndex + i);
      return at + 1;
    }
    for (let i = values.length - 1; i >= 0; i--) {
      if (values[i] === value) return putInteger(to, at, 128, 127, this.indexOf(state.positions[i] as number));
    }
    if (state.name.sensitive || (name === 'cookie' && value.length < 20))
      return this.literal(to, at, 16, 15, state, value);
    if (state.last !== value && state.before !== value) {
      state.before = state.last;
      state.last = value;
      return this.literal(to, at, 0, 15, state, value);
    }
    const size = name.length + value.length + ENTRY_OVERHEAD;
    if (size > this.limit >>> 1) return this.literal(to, at, 0, 15, state, value);
    const next = this.literal(to, at, 64, 63, state, value);
    this.insert(state, value, size);
    return next;
  }

  private literal(to: Buffer, at: number, bits: number, mask: number, state: NameState, value: string): number {
    let next: number;
    if (state.index > 0) next = putInteger(to, at, bits, mask, state.index);
    else if (state.position !== NONE) next = putInteger(to, at, bits, mask, this.indexOf(state.position));
    else {
      to[at] = bits;
      next = putString(to, at + 1, state.name.text);
    }
    return putString(to, next, value);
  }

  private indexOf(position: number): number {
    return STATIC_SIZE + this.first + this.table.length - position;
  }

  private insert(state: NameState, value: string, size: number): void {
    this.evict(size);
    const position = this.first + this.table.length;
    this.table.push({ name: state, size });
    this.size += size;
    state.add(value, position);
  }

  private evict(wanted: number): void {
    while (this.size + wanted > this.limit && this.gone < this.table.length) {
      const entry = this.table[this.gone] as Entry;
      entry.name.forget(this.first + this.gone);
      this.size -= entry.size;
      this.gone++;
    }
    // Not at every eviction: moving the rest down costs as much as they are many.
    if (this.gone >= 64 || this.gone === this.table.length) {
      this.table = this.table.slice(this.gone);
      this.first += this.gone;
      this.gone = 0;
    }
  }
}

function putInteger(to: Buffer, at: number, bits: number, mask: number, value: number): number {
  if (value < mask) {
    to[at] = bits | value;
    return at + 1;
  }
  to[at] = bits | mask;
  let rest = value - mask;
  let next = at + 1;
  while (rest >= 128) {
    to[next++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  to[next++] = rest;
  return next;
}

function putString(to: Buffer, at: number, text: string): number {
  const { length } = text;
  const next = putInteger(to, at, 0, 127, length);
  if (length > SHORT) return next + to.write(text, next, length, 'latin1');
  for (let i = 0; i < length; i++) to[next + i] = text.charCodeAt(i);
  return next + length;
}
