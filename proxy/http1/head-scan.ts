/**
 * The first of two passes over a head: finds where it ends, notes where its lines end, and refuses what no head may
 * hold: a bare LF, a bare CR, any other control character (RFC 9112 §2.2, RFC 9110 §5.5). The second pass
 * (./fields.ts) then needs no bounds of its own, and works on one string.
 *
 * A head that comes in pieces is kept in one growing buffer and scanned from where the last piece ended.
 */
import { Buffer } from 'node:buffer';
import { skipPrintable } from '../http/printable.ts';
import type { ProtocolFault } from '../http/stream.ts';
import { Fault } from './faults.ts';

/** The most lines that `scan` notes; `limits.maxHeadersCount` is cut to it. */
export const MAX_LINES = 8192;

export interface HeadLimits {
  /** Request line and fields together, bytes. */
  readonly maxHeadersBytes: number;
  readonly maxHeadersCount: number;
}

/**
 * What the last scan found; one for the thread, valid until the next. `lineEnds` are offsets of each line's CR from the
 * head's start, the blank line not among them.
 */
export const scanned = {
  lineEnds: new Int32Array(256),
  lines: 0,
  fault: undefined as ProtocolFault | undefined,
  resumeAt: 0,
  lineStart: 0,
};

export const NEED_MORE = -1;
export const REFUSED = -2;

/**
 * Scans `bytes` from `from` (a head that starts at `start`, the current line at `lineStart`) to `to`. Returns the offset
 * just past the blank line, `NEED_MORE`, or `REFUSED` with `scanned.fault` set.
 */
export function scanHead(
  bytes: Uint8Array,
  start: number,
  from: number,
  lineStart: number,
  lines: number,
  to: number,
  limits: HeadLimits,
): number {
  const stop = to - start > limits.maxHeadersBytes ? start + limits.maxHeadersBytes : to;
  let lineEnds = scanned.lineEnds;
  for (let i = from; i < stop; i++) {
    i = skipPrintable(bytes, i, stop);
    if (i === stop) break;
    const byte = bytes[i] as number;
    if (byte > 127) continue;
    if (byte === 13) {
      if (i + 1 >= to) {
        scanned.resumeAt = i;
        scanned.lineStart = lineStart;
        scanned.lines = lines;
        return NEED_MORE;
      }
      if (bytes[i + 1] !== 10) return refuse(Fault.bareCr);
      if (i === lineStart) {
        scanned.lines = lines;
        return i + 2;
      }
      if (lines > limits.maxHeadersCount || lines >= MAX_LINES) return refuse(Fault.tooManyHeaders);
      if (lines >= lineEnds.length) lineEnds = growLineEnds();
      lineEnds[lines++] = i - start;
      i++;
      lineStart = i + 1;
    } else if (byte !== 9) {
      return refuse(byte === 10 ? Fault.bareLf : Fault.controlCharacter);
    }
  }
  if (stop < to) return refuse(Fault.headersTooLarge);
  scanned.resumeAt = to;
  scanned.lineStart = lineStart;
  scanned.lines = lines;
  return NEED_MORE;
}

function refuse(fault: ProtocolFault): number {
  scanned.fault = fault;
  return REFUSED;
}

function growLineEnds(): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(Math.min(MAX_LINES, scanned.lineEnds.length * 2));
  larger.set(scanned.lineEnds);
  scanned.lineEnds = larger;
  return larger;
}

/** The beginning of a head whose end has not come. */
export class PartialHead {
  private buffer: Buffer;
  private length: number;
  private resumeAt: number;
  private lineStart: number;
  private lines: number;
  /** The whole head, once `push` has found its end. */
  head: Buffer;

  /** Right after a `scanHead` of `bytes` from `start` that needed more. */
  constructor(bytes: Uint8Array, start: number) {
    this.length = bytes.length - start;
    this.buffer = Buffer.allocUnsafe(Math.max(256, this.length * 2));
    this.buffer.set(bytes.subarray(start), 0);
    this.resumeAt = scanned.resumeAt - start;
    this.lineStart = scanned.lineStart - start;
    this.lines = scanned.lines;
    this.head = this.buffer;
  }

  /**
   * Takes more bytes. Returns how many of them belong to the head, now in `head` and in `scanned`; or `NEED_MORE`
   * (all were taken) or `REFUSED`.
   */
  push(bytes: Uint8Array, limits: HeadLimits): number {
    const taken = Math.min(bytes.length, limits.maxHeadersBytes + 2 - this.length);
    this.append(bytes, taken);
    const end = scanHead(this.buffer, 0, this.resumeAt, this.lineStart, this.lines, this.length, limits);
    if (end < 0) {
      this.resumeAt = scanned.resumeAt;
      this.lineStart = scanned.lineStart;
      this.lines = scanned.lines;
      return end;
    }
    this.head = this.buffer.subarray(0, end);
    // The line ends noted by the earlier pieces belong to the thread and are gone: note them all again, once.
    scanHead(this.head, 0, 0, 0, 0, end, limits);
    return end - (this.length - taken);
  }

  /** What has come so far. */
  get begun(): Buffer {
    return this.buffer.subarray(0, this.length);
  }

  private append(bytes: Uint8Array, count: number): void {
    if (this.length + count > this.buffer.length) {
      const larger = Buffer.allocUnsafe((this.length + count) * 2);
      larger.set(this.buffer.subarray(0, this.length), 0);
      this.buffer = larger;
    }
    this.buffer.set(count === bytes.length ? bytes : bytes.subarray(0, count), this.length);
    this.length += count;
  }
}
