/**
 * What goes out on one connection, gathered so that what one event-loop turn makes for it is one write. All connections
 * of a thread append to one slab, each to a region of its own, and the regions are written at the end of the turn: an
 * idle connection holds no memory, and the writes of a turn follow each other, so that whoever reads them at the other
 * end is woken once and not for each.
 *
 * A transport that took the bytes at once (`writableLength === 0` after `write`) has no more need of them. One that did
 * not (TLS never does) borrows the slab until it has; while it still has a loan, it is given copies of the exact size, so
 * that slow readers do not hold a slab each turn.
 */
import { Buffer } from 'node:buffer';
import { keepBytes, slabOf } from './bytes.ts';
import { skipPrintable } from './printable.ts';
import { type Slab, SlabPool } from './slab.ts';
import type { Transport } from './stream.ts';

const CAPACITY = 64 * 1024;
/** A chunk of at least this many bytes is written on its own rather than copied into the slab. */
const DIRECT = 32 * 1024;
/** Slabs on loan, beyond which transports are given copies. */
const MAX_OUT = 32;

const slabs = new SlabPool(CAPACITY, 8);
let current: Slab = slabs.take();
let shared: Buffer = current.buffer;
let used = 0;
/** The connections that have a region in the current slab, or had one. */
let waiting: Output[] = [];
let spareList: Output[] = [];
/** Those whose transport has a loan. */
const borrowers: Output[] = [];

/** Writes what every connection of this thread has gathered, in the order in which they began to. */
export function flushOutputs(): void {
  const outputs = waiting;
  if (outputs.length === 0) return;
  if (borrowers.length > 0) settle();
  const slab = current;
  waiting = spareList;
  spareList = [];
  current = slabs.take();
  shared = current.buffer;
  used = 0;
  for (let i = 0; i < outputs.length; i++) {
    const output = outputs[i] as Output;
    output.queued = false;
    output.writeRegion();
  }
  outputs.length = 0;
  spareList = outputs;
  slab.leave();
}

/** Takes back what transports have written. */
function settle(): void {
  let kept = 0;
  for (let i = 0; i < borrowers.length; i++) {
    const output = borrowers[i] as Output;
    if (!output.returnsLoans()) borrowers[kept++] = output;
  }
  borrowers.length = kept;
}

export class Output {
  private readonly transport: Transport;
  /** Slabs of which the transport has bytes that it has not written; there from the first on. */
  private borrowed: Slab[] | undefined = undefined;
  /** The slab of this connection's region, and its buffer; it has none where start and end are equal. */
  private slab: Slab = current;
  buffer: Buffer = shared;
  private start = 0;
  private end = 0;
  /** It is in the list of those that wait for the end of the turn. */
  queued = false;
  /** The last write passed the transport's high-water mark, and it has not drained. */
  blocked = false;
  /** The last write was not taken at once. */
  private kept = false;
  /** Bytes ever given to the transport. */
  written = 0;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Appends latin1 text. */
  text(text: string): void {
    const length = text.length;
    if (length > CAPACITY) {
      this.bytes(Buffer.from(text, 'latin1'));
      return;
    }
    this.reserve(length);
    this.end = used += shared.write(text, used, length, 'latin1');
  }

  /** Appends bytes, or writes them at once where they are many. They are free again when this returns. */
  bytes(chunk: Buffer): void {
    const { length } = chunk;
    if (length >= DIRECT) {
      this.flush();
      this.giveAlone(chunk);
      return;
    }
    this.reserve(length);
    shared.set(chunk, used);
    this.end = used += length;
  }

  /** Makes room for `count` bytes, 64 KiB at most: they go to `buffer` from the returned offset on, and `filled` ends them. */
  room(count: number): number {
    this.reserve(count);
    return used;
  }

  /** What was written into the room ends before `end`. */
  filled(end: number): void {
    this.end = used = end;
  }

  /** Bytes that wait for the end of the turn. */
  get gathered(): number {
    return this.end - this.start;
  }

  /** Writes now what would go out at the end of this turn. */
  flush(): void {
    this.writeRegion();
  }

  /** Forgets what was not written. */
  discard(): void {
    this.end = this.start;
  }

  writeRegion(): void {
    const { start, end } = this;
    if (start === end) return;
    this.start = end;
    const region = this.buffer.subarray(start, end);
    if ((this.kept && this.transport.writableLength > 0) || slabs.out > MAX_OUT) {
      this.give(Buffer.from(region));
      return;
    }
    this.give(region);
    if (this.kept) this.borrow(this.slab);
  }

  /**
   * Appends the latin1 text of a head that has `lines` line ends. False, and nothing appended, when it holds another
   * control character than those line ends: a field's value would end its line, and begin one of its own.
   */
  head(text: string, lines: number): boolean {
    const length = text.length;
    if (length > CAPACITY) return false;
    this.reserve(length);
    const start = used;
    const end = start + shared.write(text, start, length, 'latin1');
    const bytes = shared;
    let ends = 0;
    for (let i = skipPrintable(bytes, start, end); i < end; i = skipPrintable(bytes, i + 1, end)) {
      const byte = bytes[i] as number;
      if (byte > 127) continue;
      if (byte === 13 && bytes[i + 1] === 10) {
        ends++;
        i++;
      } else if (byte !== 9) return false;
    }
    if (ends !== lines) return false;
    this.end = used = end;
    return true;
  }

  drained(): void {
    this.blocked = false;
  }

  /** Makes room for `count` bytes at the end of this connection's region. */
  private reserve(count: number): void {
    if (this.end !== this.start) {
      if (this.end === used && this.buffer === shared && used + count <= CAPACITY) return;
      this.flush();
    }
    if (used + count > CAPACITY) flushOutputs();
    this.slab = current;
    this.buffer = shared;
    this.start = this.end = used;
    if (this.queued) return;
    this.queued = true;
    if (waiting.push(this) === 1) setImmediate(flushOutputs);
  }

  /** Writes many bytes without a copy, where the transport may borrow them. */
  private giveAlone(chunk: Buffer): void {
    const slab = slabOf(chunk);
    if (slab === undefined) {
      this.give(keepBytes(chunk));
      return;
    }
    this.give(chunk);
    if (this.kept) this.borrow(slab);
  }

  private give(bytes: Buffer): void {
    const { transport } = this;
    this.written += bytes.length;
    if (!transport.write(bytes)) this.blocked = true;
    this.kept = transport.writableLength > 0;
  }

  private borrow(slab: Slab): void {
    slab.lend();
    if (this.borrowed === undefined) this.borrowed = [];
    if (this.borrowed.push(slab) === 1) borrowers.push(this);
  }

  /** Of `settle`. True: the transport has written everything, and has no loan. */
  returnsLoans(): boolean {
    if (this.transport.writableLength > 0) return false;
    const { borrowed } = this;
    if (borrowed === undefined) return true;
    for (let i = 0; i < borrowed.length; i++) (borrowed[i] as Slab).giveBack();
    borrowed.length = 0;
    return true;
  }
}
