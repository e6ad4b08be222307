/**
 * What goes out on one connection, gathered so that a message, or the messages of one receive, are one write. All
 * connections of a thread share one buffer: who appends to it while another's bytes are in it first flushes those, so
 * an idle connection holds no memory, and bytes wait no longer than the event-loop callback they were made in.
 *
 * The buffer is used again when the transport took the bytes at once (`writableLength === 0` after `write`). A transport
 * that keeps them (TLS always does) is given copies of the exact size from then on.
 */
import { Buffer } from 'node:buffer';
import { keepBytes } from '../http/bytes.ts';
import type { Transport } from '../http/stream.ts';
import { skipPrintable } from './head-scan.ts';

const CAPACITY = 64 * 1024;
/** A chunk of at least this many bytes is written on its own rather than copied. */
const DIRECT = 16 * 1024;

let shared: Buffer = Buffer.allocUnsafeSlow(CAPACITY);
/** Takes the shared buffer's place while that is being written, so that what a write sets off may append. */
let spare: Buffer | undefined;
let used = 0;
let owner: Output | undefined;
let scheduled = false;

function flushOwner(): void {
  scheduled = false;
  owner?.flush();
}

export class Output {
  private readonly transport: Transport;
  /** The transport keeps what it is given. */
  private copies: boolean;
  /** The last write passed the transport's high-water mark, and it has not drained. */
  blocked = false;
  /** Messages are being made for bytes that are being received: flush at their end. */
  held = false;
  /** Bytes ever given to the transport. */
  written = 0;

  constructor(transport: Transport) {
    this.transport = transport;
    this.copies = 'encrypted' in transport;
  }

  /** Bytes appended and not yet given to the transport. */
  get pending(): number {
    return owner === this ? used : 0;
  }

  /** Appends latin1 text. */
  text(text: string): void {
    const length = text.length;
    this.reserve(length);
    if (length > CAPACITY) this.give(Buffer.from(text, 'latin1'));
    else used += shared.write(text, used, length, 'latin1');
  }

  /** Appends bytes, or writes them at once where they are many. They are free again when this returns. */
  bytes(chunk: Buffer): void {
    if (chunk.length >= DIRECT) {
      if (this.pending > 0 && used + chunk.length > CAPACITY) this.flush();
      if (this.pending === 0) {
        this.give(keepBytes(chunk));
        return;
      }
    }
    this.reserve(chunk.length);
    shared.set(chunk, used);
    used += chunk.length;
  }

  /** After a part of a message: goes out when this callback ends. */
  later(): void {
    if (this.held || scheduled || owner !== this) return;
    scheduled = true;
    process.nextTick(flushOwner);
  }

  /** After the end of a message: goes out now, or with the rest of what is being received. */
  soon(): void {
    if (!this.held) this.flush();
  }

  flush(): void {
    if (owner !== this) return;
    const length = used;
    owner = undefined;
    used = 0;
    if (length === 0) return;
    if (this.copies) {
      const copy = Buffer.allocUnsafe(length);
      copy.set(shared.subarray(0, length));
      this.give(copy);
      return;
    }
    const buffer = shared;
    shared = spare ?? Buffer.allocUnsafeSlow(CAPACITY);
    spare = undefined;
    this.give(buffer.subarray(0, length));
    if (this.transport.writableLength === 0) spare = buffer;
    else this.copies = true;
  }

  /** Forgets what was not written. */
  discard(): void {
    if (owner !== this) return;
    owner = undefined;
    used = 0;
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
    used = end;
    return true;
  }

  drained(): void {
    this.blocked = false;
    this.copies = 'encrypted' in this.transport;
  }

  private reserve(count: number): void {
    if (owner !== this) {
      owner?.flush();
      owner = this;
      used = 0;
    } else if (used + count > CAPACITY) {
      this.flush();
      owner = this;
      used = 0;
    }
  }

  private give(bytes: Buffer): void {
    this.written += bytes.length;
    if (!this.transport.write(bytes)) this.blocked = true;
  }
}
