/**
 * Bytes after a head to a body: by length, chunked (RFC 9112 §7.1), until close, or a raw tunnel. One a connection, set
 * up anew for each message.
 */
import { Buffer } from 'node:buffer';
import { HeaderMap } from '../http/headers.ts';
import type { ProtocolFault } from '../http/stream.ts';
import { Fault } from './faults.ts';
import { parseFields } from './fields.ts';
import { type HeadLimits, NEED_MORE, PartialHead, REFUSED, scanHead, scanned } from './head-scan.ts';

/** Gets what a `BodyDecoder` makes. May set the decoder's `stopped` to be called no further. */
export interface BodySink {
  onBody(chunk: Buffer, end: boolean): void;
  /** The message ends with these. */
  onBodyTrailers(trailers: HeaderMap): void;
  onBodyFault(fault: ProtocolFault): void;
}

export const EMPTY = Buffer.alloc(0);

const Mode = {
  None: 0,
  Length: 1,
  ChunkSize: 2,
  ChunkExtension: 3,
  ChunkSizeEnd: 4,
  ChunkData: 5,
  ChunkEndCr: 6,
  ChunkEndLf: 7,
  Trailers: 8,
  Raw: 9,
} as const;

/** Bytes of chunk extensions: in one chunk, and in a message (they carry nothing, and are a way to make work). */
const MAX_CHUNK_EXTENSION = 1024;
const MAX_EXTENSIONS = 16_384;

export class BodyDecoder {
  /** The sink wants no more calls: backpressure, or the stream is gone. */
  stopped = false;
  private readonly sink: BodySink;
  private readonly limits: HeadLimits;
  private readonly keepTrailers: boolean;
  private mode: number = Mode.None;
  /** Bytes of the body, or of the chunk, still to come. */
  private remaining = 0;
  private digits = 0;
  private extension = 0;
  private extensions = 0;
  private partial: PartialHead | undefined = undefined;

  constructor(sink: BodySink, limits: HeadLimits, keepTrailers: boolean) {
    this.sink = sink;
    this.limits = limits;
    this.keepTrailers = keepTrailers;
  }

  get done(): boolean {
    return this.mode === Mode.None;
  }

  /** A body that ends with the connection, or a tunnel. */
  get untilClose(): boolean {
    return this.mode === Mode.Raw;
  }

  startLength(length: number): void {
    this.mode = length === 0 ? Mode.None : Mode.Length;
    this.remaining = length;
  }

  startChunked(): void {
    this.mode = Mode.ChunkSize;
    this.remaining = 0;
    this.digits = 0;
    this.extension = 0;
    this.extensions = 0;
    this.partial = undefined;
  }

  startRaw(): void {
    this.mode = Mode.Raw;
  }

  /** The message is over, or given up. */
  finish(): void {
    this.mode = Mode.None;
    this.partial = undefined;
  }

  /** Takes bytes from `at`; returns where it stopped: at the end of the bytes, of the body, or when told to stop. */
  decode(bytes: Buffer, at: number): number {
    while (at < bytes.length && !this.stopped && this.mode !== Mode.None) {
      switch (this.mode) {
        case Mode.Length:
          at = this.takeLength(bytes, at);
          break;
        case Mode.Raw: {
          const chunk = at === 0 ? bytes : bytes.subarray(at);
          at = bytes.length;
          this.sink.onBody(chunk, false);
          break;
        }
        case Mode.ChunkData:
          at = this.takeChunk(bytes, at);
          break;
        case Mode.Trailers:
          at = this.takeTrailers(bytes, at);
          break;
        default:
          at = this.takeChunkLine(bytes, at);
      }
    }
    return at;
  }

  private takeLength(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.remaining);
    this.remaining -= end - at;
    const last = this.remaining === 0;
    if (last) this.mode = Mode.None;
    this.sink.onBody(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end), last);
    return end;
  }

  private takeChunk(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.remaining);
    this.remaining -= end - at;
    const chunk = bytes.subarray(at, end);
    if (this.remaining === 0) {
      this.mode = Mode.ChunkEndCr;
      // The usual ending comes with the last chunk: told as one event, it goes out as one write.
      if (endsHere(bytes, end)) {
        this.mode = Mode.None;
        this.sink.onBody(chunk, true);
        return end + 7;
      }
    }
    this.sink.onBody(chunk, false);
    return end;
  }

  /** One byte of what stands between chunks. */
  private takeChunkLine(bytes: Buffer, at: number): number {
    const byte = bytes[at] as number;
    switch (this.mode) {
      case Mode.ChunkSize: {
        const digit = hexDigit(byte);
        if (digit >= 0) {
          this.remaining = this.remaining * 16 + digit;
          if (++this.digits > 16 || this.remaining > Number.MAX_SAFE_INTEGER) return this.refuse(Fault.chunkSize, at);
        } else if (this.digits === 0) return this.refuse(Fault.chunkSize, at);
        else if (byte === 13) this.mode = Mode.ChunkSizeEnd;
        else if (byte === 59) this.mode = Mode.ChunkExtension;
        else return this.refuse(Fault.chunkSize, at);
        return at + 1;
      }
      case Mode.ChunkExtension:
        if (byte === 13) this.mode = Mode.ChunkSizeEnd;
        else if ((byte < 32 && byte !== 9) || byte === 127) return this.refuse(Fault.chunkExtension, at);
        else if (++this.extension > MAX_CHUNK_EXTENSION || ++this.extensions > MAX_EXTENSIONS) {
          return this.refuse(Fault.chunkExtension, at);
        }
        return at + 1;
      case Mode.ChunkSizeEnd:
        if (byte !== 10) return this.refuse(this.extension > 0 ? Fault.chunkExtension : Fault.chunkSize, at);
        this.mode = this.remaining === 0 ? Mode.Trailers : Mode.ChunkData;
        this.digits = 0;
        this.extension = 0;
        return at + 1;
      case Mode.ChunkEndCr:
        if (byte !== 13) return this.refuse(Fault.chunkEnd, at);
        this.mode = Mode.ChunkEndLf;
        return at + 1;
      default:
        if (byte !== 10) return this.refuse(Fault.chunkEnd, at);
        this.mode = Mode.ChunkSize;
        return at + 1;
    }
  }

  private takeTrailers(bytes: Buffer, at: number): number {
    let end: number;
    let head: Buffer;
    if (this.partial !== undefined) {
      end = this.partial.push(at === 0 ? bytes : bytes.subarray(at), this.limits);
      if (end >= 0) end += at;
      head = this.partial.head;
    } else {
      end = scanHead(bytes, at, at, at, 0, bytes.length, this.limits);
      if (end === NEED_MORE) this.partial = new PartialHead(bytes, at);
      head = end < 0 ? bytes : bytes.subarray(at, end);
    }
    if (end === NEED_MORE) return bytes.length;
    if (end === REFUSED) return this.refuse(scanned.fault ?? Fault.fieldName, at);
    this.partial = undefined;
    const trailers = new HeaderMap();
    const fault = parseFields(head.toString('latin1', 0, head.length), 0, trailers, 'allow');
    if (fault !== undefined) return this.refuse(fault, at);
    this.mode = Mode.None;
    // Framing, host and hop fields never get into the map; a length has no meaning here (RFC 9110 §6.5.1).
    trailers.remove('content-length');
    if (this.keepTrailers && trailers.size > 0) this.sink.onBodyTrailers(trailers);
    else this.sink.onBody(EMPTY, true);
    return end;
  }

  private refuse(fault: ProtocolFault, at: number): number {
    this.finish();
    this.stopped = true;
    this.sink.onBodyFault(fault);
    return at;
  }
}

/** `CRLF 0 CRLF CRLF` at `at`. */
function endsHere(bytes: Buffer, at: number): boolean {
  return (
    bytes.length >= at + 7 &&
    bytes[at] === 13 &&
    bytes[at + 1] === 10 &&
    bytes[at + 2] === 48 &&
    bytes[at + 3] === 13 &&
    bytes[at + 4] === 10 &&
    bytes[at + 5] === 13 &&
    bytes[at + 6] === 10
  );
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
