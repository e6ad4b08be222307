/**
 * The load of the gRPC rows, as a process: HTTP/2 over mTLS, every call with an id and a trace of its own, messages of 100 bytes.
 * `unary`: a stream opens a call as soon as its last one ended. `stream`: each stream is one call for the whole run and sends
 * its next message when the last one came back. Prints `{"requests", "failed", "perSecond", "why"}`; requests are calls or
 * messages, `why` is the first failure.
 *
 * It decodes no header. A call succeeded when its whole message came back unchanged and the stream then ended in
 * trailers: a proxy's own answer has no message.
 *
 * BENCH_LOAD: a `GrpcLoad` as JSON
 */
import { readFileSync } from 'node:fs';
import { stdout } from 'node:process';
import { connect, type TLSSocket } from 'node:tls';
import { Flag, FrameSocket, type FrameTaker, Type } from './frames.ts';
import { HeaderEncoder } from './header-encoder.ts';

export interface GrpcLoad {
  readonly kind: 'unary' | 'stream';
  readonly port: number;
  readonly connections: number;
  readonly streams: number;
  readonly seconds: number;
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
}

const MESSAGE = 100;
/** gRPC's prefix is a flag and four bytes of length. */
const PREFIXED = MESSAGE + 5;
const STATIC_POST_HTTPS = [3, 7];
const CONNECT_MS = 5_000;

interface Call {
  /** Bytes of the answer so far. */
  got: number;
  sendWindow: number;
  stamp: number;
  waiting: boolean;
}

class Connection implements FrameTaker {
  requests = 0;
  failed = 0;
  /** Of the first failure. */
  why: string | undefined;
  running = true;
  private readonly frames: FrameSocket;
  private readonly encoder: HeaderEncoder;
  private readonly kind: GrpcLoad['kind'];
  private readonly calls = new Map<number, Call>();
  private readonly block = Buffer.allocUnsafe(1024);
  private readonly message = Buffer.alloc(PREFIXED, 'm');
  private nextId = 1;
  private stamp = 0;

  constructor(socket: TLSSocket, load: GrpcLoad, seed: number) {
    this.kind = load.kind;
    this.message.writeUInt8(0, 0);
    this.message.writeUInt32BE(MESSAGE, 1);
    this.encoder = new HeaderEncoder(
      STATIC_POST_HTTPS,
      {
        ':path': `/bench.Echo/${load.kind === 'unary' ? 'Unary' : 'Stream'}`,
        ':authority': `localhost:${load.port}`,
        'content-type': 'application/grpc',
        'user-agent': 'grpc-bench/1.0',
        te: 'trailers',
      },
      {
        'x-request-id': 'xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx',
        traceparent: '00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-01',
      },
      seed,
    );
    this.frames = new FrameSocket(socket, 'client', this);
    for (let at = 0; at < load.streams; at++) this.open();
    this.frames.flush();
  }

  frame(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (type === Type.Data) {
      const call = this.calls.get(id);
      if (call !== undefined) this.data(id, call, bytes, from, to);
    } else if (type === Type.RstStream || type === Type.GoAway) {
      const all = type === Type.GoAway;
      this.broken(id, all, `${all ? 'GOAWAY' : 'RST_STREAM'} ${bytes.readUInt32BE(from + (all ? 4 : 0))}`);
      return;
    } else if (type === Type.WindowUpdate) {
      this.windowUpdate(id, bytes.readUInt32BE(from));
      return;
    }
    if ((flags & Flag.EndStream) !== 0) this.ended(id, type);
  }

  windowsChanged(delta: number): void {
    for (const [id, call] of this.calls) {
      call.sendWindow += delta;
      if (call.waiting) this.send(id, call);
    }
  }

  private open(): void {
    const { frames, nextId: id } = this;
    this.nextId += 2;
    const length = this.encoder.write(this.block);
    frames.head(length, Type.Headers, Flag.EndHeaders, id);
    frames.copy(this.block, 0, length);
    const call: Call = { got: 0, sendWindow: frames.streamWindow, stamp: 0, waiting: false };
    this.calls.set(id, call);
    this.send(id, call);
  }

  /** The next message, as far as the windows let it. */
  private send(id: number, call: Call): void {
    const { frames, message } = this;
    call.waiting = call.sendWindow < PREFIXED || frames.sendWindow < PREFIXED;
    if (call.waiting) return;
    call.sendWindow -= PREFIXED;
    frames.sendWindow -= PREFIXED;
    call.stamp = this.stamp = (this.stamp + 1) >>> 0;
    message.writeUInt32BE(call.stamp, 5);
    frames.head(PREFIXED, Type.Data, this.kind === 'unary' ? Flag.EndStream : 0, id);
    frames.copy(message);
  }

  private data(id: number, call: Call, bytes: Buffer, from: number, to: number): void {
    if (call.got === 0 && to - from >= 9 && bytes.readUInt32BE(from + 5) !== call.stamp) {
      this.fail(1, 'another message came back');
      this.calls.delete(id);
      return;
    }
    call.got += to - from;
    if (this.kind === 'unary' || call.got < PREFIXED) return;
    call.got -= PREFIXED;
    this.requests++;
    if (this.running) this.send(id, call);
  }

  private ended(id: number, type: number): void {
    const call = this.calls.get(id);
    if (call === undefined) return;
    this.calls.delete(id);
    if (this.kind === 'unary' && type === Type.Headers && call.got === PREFIXED) this.requests++;
    else this.fail(1, call.got === 0 ? 'an answer without a message' : `a message of ${call.got} bytes`);
    if (this.running) this.open();
  }

  fail(calls: number, why: string): void {
    this.failed += calls;
    this.why ??= why;
  }

  private broken(id: number, all: boolean, why: string): void {
    if (!all && !this.calls.has(id)) return;
    this.fail(all ? this.calls.size : 1, why);
    if (all) this.calls.clear();
    else this.calls.delete(id);
    if (!all && this.running) this.open();
  }

  private windowUpdate(id: number, more: number): void {
    const call = this.calls.get(id);
    if (call !== undefined) call.sendWindow += more;
    if (id !== 0 && call?.waiting !== true) return;
    for (const [other, waiting] of this.calls) if (waiting.waiting) this.send(other, waiting);
  }
}

function dial(load: GrpcLoad, seed: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: '127.0.0.1',
      port: load.port,
      servername: 'localhost',
      ca: readFileSync(load.tls.ca),
      cert: readFileSync(load.tls.cert),
      key: readFileSync(load.tls.key),
      ALPNProtocols: ['h2'],
      timeout: CONNECT_MS,
    });
    let made: Connection | undefined;
    socket.once('secureConnect', () => {
      socket.setNoDelay(true);
      socket.setTimeout(0);
      made = new Connection(socket, load, seed);
      resolve(made);
    });
    socket.once('timeout', () => socket.destroy(new Error(`no TLS session within ${CONNECT_MS} ms`)));
    socket.on('error', reject);
    socket.once('close', () => {
      if (made?.running === true) made.fail(1, 'the connection ended');
    });
  });
}

const load = JSON.parse(process.env.BENCH_LOAD ?? '{}') as GrpcLoad;
const connections = await Promise.all(Array.from({ length: load.connections }, (_, at) => dial(load, at + 1)));
const startedAt = performance.now();
setTimeout(() => {
  const requests = connections.reduce((sum, connection) => sum + connection.requests, 0);
  const failed = connections.reduce((sum, connection) => sum + connection.failed, 0);
  const why = connections.find((connection) => connection.why !== undefined)?.why;
  for (const connection of connections) connection.running = false;
  const seconds = (performance.now() - startedAt) / 1000;
  stdout.write(`${JSON.stringify({ requests, failed, perSecond: requests / seconds, why })}\n`, () => process.exit(0));
}, load.seconds * 1000);
