/**
 * The upstream of the HTTP/2 rows, as a process: HTTP/2 by prior knowledge on one port, over TLS with a required client
 * certificate on another. A request without a body is answered by 100 bytes; one with a body as gRPC answers: its
 * bytes are sent back as they come, then trailers with status 0. So that it costs little it reads no header.
 *
 * BENCH_H2_PORT, BENCH_H2_TLS_PORT, BENCH_CA, BENCH_CERT, BENCH_KEY
 */
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { Flag, FrameSocket, type FrameTaker, Type } from './frames.ts';

const STATIC_STATUS_200 = 0x88;
const FIRST_INDEX = 62;
const BODY = Buffer.alloc(100, 'x');

function literal(nameIndexOrName: number | string, value: string): Buffer {
  const name =
    typeof nameIndexOrName === 'number'
      ? Buffer.of(0x40 | nameIndexOrName)
      : Buffer.concat([Buffer.of(0x40, nameIndexOrName.length), Buffer.from(nameIndexOrName)]);
  return Buffer.concat([name, Buffer.of(value.length), Buffer.from(value)]);
}

/** The few fields that it ever sends, each put in the table on first use. They never fill it. */
const FIELDS = {
  plain: literal(31, 'text/plain'),
  length: literal(28, String(BODY.length)),
  grpc: literal(31, 'application/grpc'),
  status: literal('grpc-status', '0'),
};

interface Stream {
  window: number;
  readonly waiting: Buffer[];
  ended: boolean;
}

class Connection implements FrameTaker {
  private readonly frames: FrameSocket;
  private readonly streams = new Map<number, Stream>();
  private readonly entries: Buffer[] = [];
  private readonly block = Buffer.allocUnsafe(256);
  /** Streams whose bytes wait for a window; empty but for a slow reader. */
  private readonly blocked = new Set<number>();

  constructor(socket: Socket) {
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    this.frames = new FrameSocket(socket, 'server', this);
  }

  frame(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (type === Type.Headers) this.request(id, (flags & Flag.EndStream) !== 0);
    else if (type === Type.Data) this.data(id, bytes, from, to, (flags & Flag.EndStream) !== 0);
    else if (type === Type.RstStream) this.forget(id);
    else if (type === Type.WindowUpdate) this.windowUpdate(id, bytes.readUInt32BE(from));
  }

  windowsChanged(delta: number): void {
    for (const stream of this.streams.values()) stream.window += delta;
    this.unblock();
  }

  private request(id: number, ended: boolean): void {
    const stream = this.streams.get(id);
    if (stream !== undefined) {
      // Trailers.
      stream.ended = true;
      this.finish(id, stream);
      return;
    }
    if (ended) {
      this.headers(id, Flag.EndHeaders, STATIC_STATUS_200, FIELDS.plain, FIELDS.length);
      if (this.frames.sendWindow < BODY.length) throw new Error('the proxy holds the window of the connection shut');
      this.frames.sendWindow -= BODY.length;
      this.frames.head(BODY.length, Type.Data, Flag.EndStream, id);
      this.frames.copy(BODY);
      return;
    }
    this.streams.set(id, { window: this.frames.streamWindow, waiting: [], ended: false });
    this.headers(id, Flag.EndHeaders, STATIC_STATUS_200, FIELDS.grpc);
  }

  private data(id: number, bytes: Buffer, from: number, to: number, ended: boolean): void {
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    const { frames } = this;
    const length = to - from;
    stream.ended = ended;
    if (length > 0) {
      if (stream.waiting.length > 0 || length > stream.window || length > frames.sendWindow) {
        stream.waiting.push(Buffer.from(bytes.subarray(from, to)));
        this.blocked.add(id);
        this.unblock();
        return;
      }
      stream.window -= length;
      frames.sendWindow -= length;
      frames.head(length, Type.Data, 0, id);
      frames.copy(bytes, from, to);
    }
    this.finish(id, stream);
  }

  private finish(id: number, stream: Stream): void {
    if (!stream.ended || stream.waiting.length > 0) return;
    this.headers(id, Flag.EndHeaders | Flag.EndStream, 0, FIELDS.status);
    this.streams.delete(id);
  }

  private windowUpdate(id: number, more: number): void {
    const stream = this.streams.get(id);
    if (stream !== undefined) stream.window += more;
    if (this.blocked.size > 0) this.unblock();
  }

  private unblock(): void {
    for (const id of this.blocked) {
      const stream = this.streams.get(id);
      if (stream === undefined) continue;
      const { waiting } = stream;
      for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
        const length = Math.min(next.length, stream.window, this.frames.sendWindow);
        if (length <= 0) break;
        if (length === next.length) waiting.shift();
        else waiting[0] = next.subarray(length);
        stream.window -= length;
        this.frames.sendWindow -= length;
        this.frames.head(length, Type.Data, 0, id);
        this.frames.copy(next, 0, length);
      }
      if (waiting.length > 0) continue;
      this.blocked.delete(id);
      this.finish(id, stream);
    }
  }

  private forget(id: number): void {
    this.streams.delete(id);
    this.blocked.delete(id);
  }

  private headers(id: number, flags: number, opening: number, ...fields: readonly Buffer[]): void {
    let length = 0;
    if (opening > 0) this.block[length++] = opening;
    for (const field of fields) {
      const at = this.entries.indexOf(field);
      if (at >= 0) {
        this.block[length++] = 0x80 | (FIRST_INDEX + this.entries.length - 1 - at);
      } else {
        length += field.copy(this.block, length);
        this.entries.push(field);
      }
    }
    this.frames.head(length, Type.Headers, flags, id);
    this.frames.copy(this.block, 0, length);
  }
}

function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

createServer((socket) => new Connection(socket)).listen(Number(variable('BENCH_H2_PORT')), '127.0.0.1', 4096);
createTlsServer(
  {
    ca: readFileSync(variable('BENCH_CA')),
    cert: readFileSync(variable('BENCH_CERT')),
    key: readFileSync(variable('BENCH_KEY')),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['h2'],
  },
  (socket) => new Connection(socket),
).listen(Number(variable('BENCH_H2_TLS_PORT')), '127.0.0.1', 4096);
