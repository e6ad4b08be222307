/**
 * What goes out on one connection, gathered so that what one event-loop turn makes for it is one write. All connections
 * of a thread append to one buffer, each to a region of its own, and the regions are written at the end of the turn: an
 * idle connection holds no memory, and the writes of a turn follow each other, so that whoever reads them at the other
 * end is woken once and not for each.
 *
 * The buffer is used again when the transports took the bytes at once (`writableLength === 0` after `write`). A transport
 * that keeps them (TLS always does) is given copies of the exact size from then on.
 */
import { Buffer } from 'node:buffer';
import { keepBytes } from './bytes.ts';
import { skipPrintable } from './printable.ts';
import type { Transport } from './stream.ts';

const CAPACITY = 64 * 1024;
/** A chunk of at least this many bytes is written on its own rather than copied. */
const DIRECT = 16 * 1024;

let shared: Buffer = Buffer.allocUnsafeSlow(CAPACITY);
let used = 0;
/** A transport kept bytes of the shared buffer: it is not written to from its beginning again. */
let kept = false;
/** Takes the shared buffer's place while that is being written, so that what a write sets off may append. */
let spare: Buffer | undefined;
/** The connections that have a region in the shared buffer, or had one. */
let waiting: Output[] = [];
let spareList: Output[] = [];

/** Writes what every connection of this thread has gathered, in the order in which they began to. */
export function flushOutputs(): void {
  const buffer = shared;
  const outputs = waiting;
  if (outputs.length === 0) return;
  const fresh = spare ?? Buffer.allocUnsafeSlow(CAPACITY);
  spare = undefined;
  waiting = spareList;
  spareList = [];
  shared = fresh;
  used = 0;
  const keptBefore = kept;
  kept = false;
  let keptNow = false;
  for (let i = 0; i < outputs.length; i++) {
    const output = outputs[i] as Output;
    output.queued = false;
    if (!output.writeRegion()) continue;
    if (output.buffer === buffer) keptNow = true;
    else kept = true;
  }
  outputs.length = 0;
  spareList = outputs;
  if (!keptBefore && !keptNow) spare = buffer;
}

export class Output {
  private readonly transport: Transport;
  /** The transport keeps what it is given. */
  private copies: boolean;
  /** This connection's region of a shared buffer; it has none where start and end are equal. */
  buffer: Buffer = shared;
  private start = 0;
  private end = 0;
  /** It is in the list of those that wait for the end of the turn. */
  queued = false;
  /** The last write passed the transport's high-water mark, and it has not drained. */
  blocked = false;
  /** Bytes ever given to the transport. */
  written = 0;

  constructor(transport: Transport) {
    this.transport = transport;
    this.copies = transport.encrypted === true;
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
      if (this.end === this.start || used + length > CAPACITY) {
        this.flush();
        this.give(keepBytes(chunk));
        return;
      }
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
    // Between `flushOutputs`'s writes the region may lie in the buffer that it is about to use again.
    if (this.buffer !== shared) this.copies = true;
    if (this.writeRegion()) kept = true;
  }

  /** Forgets what was not written. */
  discard(): void {
    this.end = this.start;
  }

  /** True where the transport keeps a part of what it was given of the buffer. */
  writeRegion(): boolean {
    const { start, end } = this;
    if (start === end) return false;
    this.start = end;
    const region = this.buffer.subarray(start, end);
    if (this.copies) {
      const copy = Buffer.allocUnsafe(end - start);
      copy.set(region);
      this.give(copy);
      return false;
    }
    this.give(region);
    if (this.transport.writableLength === 0) return false;
    this.copies = true;
    return true;
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
    this.copies = this.transport.encrypted === true;
  }

  /** Makes room for `count` bytes at the end of this connection's region. */
  private reserve(count: number): void {
    if (this.end !== this.start) {
      if (this.end === used && this.buffer === shared && used + count <= CAPACITY) return;
      this.flush();
    }
    if (used + count > CAPACITY) flushOutputs();
    this.buffer = shared;
    this.start = this.end = used;
    if (this.queued) return;
    this.queued = true;
    if (waiting.push(this) === 1) setImmediate(flushOutputs);
  }

  private give(bytes: Buffer): void {
    this.written += bytes.length;
    if (!this.transport.write(bytes)) this.blocked = true;
  }
}
