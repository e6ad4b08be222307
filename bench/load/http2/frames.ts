/**
 * The least of HTTP/2 (RFC 9113) that the bench's own client and server need: frames in, frames out. It is apart from
 * the proxy's codec, so that a change of that one never changes what it is measured with.
 */
import type { Duplex } from 'node:stream';

export const Type = { Data: 0, Headers: 1, RstStream: 3, Settings: 4, Ping: 6, GoAway: 7, WindowUpdate: 8 } as const;
export const Flag = { EndStream: 1, Ack: 1, EndHeaders: 4, Padded: 8 } as const;
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
export const FIRST_WINDOW = 65_535;
const HEAD = 9;
const MAX_WINDOW = 0x7fff_ffff;
const INITIAL_WINDOW_SIZE = 4;
const HEADER_TABLE_SIZE = 1;
const OUT_BYTES = 65_536;

export interface FrameTaker {
  /** The payload is `bytes` from `from` to `to`, padding taken away; valid during the call. */
  frame(type: number, flags: number, stream: number, bytes: Buffer, from: number, to: number): void;
  /** The peer's SETTINGS changed the window of every stream by `delta`. */
  windowsChanged(delta: number): void;
}

/** One connection: answers SETTINGS and PING, keeps the windows, writes what a turn gathered at once. */
export class FrameSocket {
  /** Bytes of DATA that the peer takes on the connection. */
  sendWindow = FIRST_WINDOW;
  /** Of a new stream. */
  streamWindow = FIRST_WINDOW;
  private readonly socket: Duplex;
  private readonly taker: FrameTaker;
  private rest: Buffer | undefined;
  private out = Buffer.allocUnsafe(OUT_BYTES);
  private written = 0;
  private received = 0;
  private prefaceLeft: number;

  /** `side` server: the preface is read, client: it is written. */
  constructor(socket: Duplex, side: 'client' | 'server', taker: FrameTaker) {
    this.socket = socket;
    this.taker = taker;
    this.prefaceLeft = side === 'server' ? PREFACE.length : 0;
    if (side === 'client') this.copy(PREFACE);
    // Windows as wide as they go: the proxy's own are what a row is about.
    this.head(6, Type.Settings, 0, 0);
    this.word16(INITIAL_WINDOW_SIZE);
    this.word32(MAX_WINDOW);
    this.head(4, Type.WindowUpdate, 0, 0);
    this.word32(MAX_WINDOW - FIRST_WINDOW);
    socket.on('data', (chunk: Buffer) => {
      this.take(chunk);
      this.flush();
    });
    this.flush();
  }

  /** Writes a frame's head; its payload of `length` bytes must follow. */
  head(length: number, type: number, flags: number, stream: number): void {
    this.room(HEAD + length);
    const { out } = this;
    let at = this.written;
    out[at++] = length >> 16;
    out[at++] = length >> 8;
    out[at++] = length;
    out[at++] = type;
    out[at++] = flags;
    this.written = out.writeUInt32BE(stream, at);
  }

  /** Copies a part of a payload. */
  copy(bytes: Buffer, from = 0, to = bytes.length): void {
    this.written += bytes.copy(this.out, this.written, from, to);
  }

  word16(value: number): void {
    this.written = this.out.writeUInt16BE(value, this.written);
  }

  word32(value: number): void {
    this.written = this.out.writeUInt32BE(value, this.written);
  }

  flush(): void {
    if (this.written === 0) return;
    this.socket.write(this.out.subarray(0, this.written));
    this.out = this.out.subarray(this.written);
    this.written = 0;
  }

  private room(length: number): void {
    if (this.out.length - this.written >= length) return;
    this.flush();
    if (this.out.length < length) this.out = Buffer.allocUnsafe(Math.max(OUT_BYTES, length));
  }

  private take(chunk: Buffer): void {
    let bytes = this.rest === undefined ? chunk : Buffer.concat([this.rest, chunk]);
    this.rest = undefined;
    if (this.prefaceLeft > 0) {
      const skipped = Math.min(this.prefaceLeft, bytes.length);
      this.prefaceLeft -= skipped;
      bytes = bytes.subarray(skipped);
    }
    let at = 0;
    while (bytes.length - at >= HEAD) {
      const end = at + HEAD + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      this.frame(bytes, at, end);
      at = end;
    }
    if (at < bytes.length) this.rest = Buffer.from(bytes.subarray(at));
  }

  private frame(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at + 3] as number;
    const flags = bytes[at + 4] as number;
    const stream = bytes.readUInt32BE(at + 5);
    let from = at + HEAD;
    let to = end;
    if (type === Type.Data || type === Type.Headers) {
      if (type === Type.Data) this.refill(end - from);
      if ((flags & Flag.Padded) !== 0) to -= bytes[from++] as number;
    } else if (type === Type.Settings) {
      if ((flags & Flag.Ack) === 0) this.settings(bytes, from, end);
      return;
    } else if (type === Type.Ping) {
      if ((flags & Flag.Ack) !== 0) return;
      this.head(8, Type.Ping, Flag.Ack, 0);
      this.copy(bytes, from, end);
      return;
    } else if (type === Type.WindowUpdate && stream === 0) {
      this.sendWindow += bytes.readUInt32BE(from);
    }
    this.taker.frame(type, flags, stream, bytes, from, to);
  }

  /** The connection's receive window is given back a GiB at a time. */
  private refill(length: number): void {
    this.received += length;
    if (this.received < 2 ** 30) return;
    this.head(4, Type.WindowUpdate, 0, 0);
    this.word32(this.received);
    this.received = 0;
  }

  private settings(bytes: Buffer, from: number, end: number): void {
    for (let at = from; at + 6 <= end; at += 6) {
      const value = bytes.readUInt32BE(at + 2);
      const name = bytes.readUInt16BE(at);
      if (name === INITIAL_WINDOW_SIZE) {
        const delta = value - this.streamWindow;
        this.streamWindow = value;
        this.taker.windowsChanged(delta);
      } else if (name === HEADER_TABLE_SIZE && value < 4096) {
        throw new Error(`the bench's encoder needs a header table of 4096 bytes, the peer keeps ${value}`);
      }
    }
    this.head(0, Type.Settings, Flag.Ack, 0);
  }
}
