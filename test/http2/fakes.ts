/** Two codecs joined in memory, frames made by hand, and handlers that write down what they are told. */
import { Buffer } from 'node:buffer';
import { HeaderMap, type RequestHead } from '../../proxy/http/headers.ts';
import { flushOutputs } from '../../proxy/http/output.ts';
import { Http2ClientConnection } from '../../proxy/http2/client-connection.ts';
import { PREFACE } from '../../proxy/http2/frames.ts';
import { HpackEncoder } from '../../proxy/http2/hpack-encoder.ts';
import { type Http2Limits, http2Limits } from '../../proxy/http2/options.ts';
import { Http2ServerConnection } from '../../proxy/http2/server-connection.ts';
import { HTTP2_STATS } from '../../proxy/http2/stats.ts';
import type { StatBlock } from '../../proxy/observe/stats/contract.ts';
import type { Http2Options } from '../../xds-client/model/http-connection-manager.ts';
import {
  RecordingClient,
  RecordingServer,
  RecordingTransport,
  response,
  SeenRequest,
  SeenResponse,
} from '../http/fakes.ts';

export { response, SeenRequest, SeenResponse };

export class FakeStats implements StatBlock {
  readonly cells = new Map<number, number>();
  inc(index: number): void {
    this.add(index, 1);
  }
  add(index: number, amount: number): void {
    this.cells.set(index, this.get(index) + amount);
  }
  set(index: number, value: number): void {
    this.cells.set(index, value);
  }
  get(index: number): number {
    return this.cells.get(index) ?? 0;
  }
  release(): void {}
  named(name: string): number {
    return this.get(HTTP2_STATS.names.indexOf(name));
  }
}

export class BinaryTransport extends RecordingTransport {
  #written: Buffer[] = [];
  /** The peer does not read: what is written stays in `writableLength`. */
  holds = false;
  /** As TLS does, it takes what it is given after `write` has returned. */
  takesLate = false;

  override write(data: Uint8Array): boolean {
    this.#written.push(Buffer.from(data));
    if (this.holds) this.writableLength += data.length;
    if (this.takesLate) this.writableLength = data.length;
    return this.accepts;
  }
  /** What was written since the last call. */
  take(): Buffer {
    flushOutputs();
    const all = Buffer.concat(this.#written);
    this.#written = [];
    return all;
  }
}

export const HTTP2: Http2Options = {
  maxConcurrentStreams: undefined,
  initialStreamWindowSize: undefined,
  initialConnectionWindowSize: undefined,
  hpackTableSize: undefined,
  allowConnect: false,
  maxOutboundFrames: undefined,
  maxOutboundControlFrames: undefined,
  maxConsecutiveInboundFramesWithEmptyPayload: undefined,
  maxInboundPriorityFramesPerStream: undefined,
  maxInboundWindowUpdateFramesPerDataFrameSent: undefined,
  overrideStreamErrorOnInvalidHttpMessage: undefined,
  keepalive: undefined,
};

function options(limits: Partial<Http2Limits>, stats: StatBlock) {
  return {
    limits: { ...http2Limits(HTTP2, false), ...limits },
    maxHeadersBytes: 60 * 1024,
    maxHeadersCount: 100,
    stats,
    random: () => 0,
  };
}

export class Server extends RecordingServer {
  readonly transport = new BinaryTransport();
  readonly stats = new FakeStats();
  readonly connection: Http2ServerConnection;

  constructor(limits: Partial<Http2Limits> = {}, underscores: 'allow' | 'reject' | 'drop' = 'allow') {
    super();
    this.connection = new Http2ServerConnection(this.transport, this, {
      ...options(limits, this.stats),
      scheme: 'http',
      underscores,
    });
  }
  /** Receives frames after preface and SETTINGS, which the first call adds. */
  #greeted = false;
  receive(...frames: Buffer[]): void {
    if (!this.#greeted) {
      this.#greeted = true;
      this.connection.receive(Buffer.concat([PREFACE, frame(4, 0, 0)]));
      this.frames();
    }
    this.connection.receive(Buffer.concat(frames));
  }
  frames(): string[] {
    return readFrames(this.transport.take());
  }
}

export class Client extends RecordingClient {
  readonly transport = new BinaryTransport();
  readonly stats = new FakeStats();
  readonly connection: Http2ClientConnection;
  rooms = 0;

  constructor(limits: Partial<Http2Limits> = {}) {
    super();
    this.connection = new Http2ClientConnection(this.transport, this, options(limits, this.stats));
  }
  onRoom(): void {
    this.rooms++;
  }
  receive(...frames: Buffer[]): void {
    this.connection.receive(Buffer.concat(frames));
  }
  frames(): string[] {
    const bytes = this.transport.take();
    return readFrames(bytes.subarray(bytes.indexOf(PREFACE) === 0 ? PREFACE.length : 0));
  }
  open(
    head: RequestHead = request(),
    end = true,
  ): { seen: SeenResponse; stream: ReturnType<Http2ClientConnection['newStream']> } {
    const seen = new SeenResponse();
    const stream = this.connection.newStream(seen);
    stream.sendHead(head, end);
    return { seen, stream };
  }
}

/** A client and a server whose transports feed each other. `turn` moves what was written in a turn. */
export class Pair {
  readonly client: Client;
  readonly server: Server;

  constructor(clientLimits: Partial<Http2Limits> = {}, serverLimits: Partial<Http2Limits> = {}) {
    this.client = new Client(clientLimits);
    this.server = new Server(serverLimits);
  }
  /** Moves bytes until neither side writes any more; cut into pieces of `size`. */
  turn(size = Number.POSITIVE_INFINITY): void {
    for (;;) {
      const up = this.client.transport.take();
      const down = this.server.transport.take();
      if (up.length === 0 && down.length === 0) return;
      for (let at = 0; at < up.length; at += size) this.server.connection.receive(up.subarray(at, at + size));
      for (let at = 0; at < down.length; at += size) this.client.connection.receive(down.subarray(at, at + size));
    }
  }
}

export function fields(...pairs: string[]): HeaderMap {
  const headers = new HeaderMap();
  for (let i = 0; i < pairs.length; i += 2) headers.add(pairs[i] as string, pairs[i + 1] as string);
  return headers;
}

export function request(change: Partial<RequestHead> = {}): RequestHead {
  return {
    method: 'GET',
    path: '/p',
    authority: 'a',
    scheme: 'http',
    version: 20,
    protocol: undefined,
    headers: new HeaderMap(),
    ...change,
  };
}

export function frame(type: number, flags: number, id: number, payload: Buffer | string = ''): Buffer {
  const body = Buffer.from(payload as string, 'latin1');
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, body]);
}

/** A header block that uses no table. */
export function block(...pairs: string[]): Buffer {
  const encoder = new HpackEncoder(0);
  const to = Buffer.alloc(1 << 17);
  let at = 0;
  for (let i = 0; i < pairs.length; i += 2) at = encoder.encode(to, at, pairs[i] as string, pairs[i + 1] as string);
  return to.subarray(0, at);
}

export const GET = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'];
export const POST = [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'a'];

/** HEADERS that are complete in one frame. */
export function headers(id: number, end: boolean, ...pairs: string[]): Buffer {
  return frame(1, end ? 5 : 4, id, block(...pairs));
}

export function data(id: number, text: string, end = false): Buffer {
  return frame(0, end ? 1 : 0, id, text);
}

export function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

const TYPES = ['DATA', 'HEADERS', 'PRIORITY', 'RST', 'SETTINGS', 'PUSH', 'PING', 'GOAWAY', 'WINDOW', 'CONTINUATION'];

/** Frames in short: `RST 1 8`, `DATA 1 5 end`, `SETTINGS 0 ack`, `GOAWAY 3 1`. */
export function readFrames(bytes: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUIntBE(at, 3);
    const type = TYPES[bytes[at + 3] as number] ?? '?';
    const flags = bytes[at + 4] as number;
    const id = bytes.readUInt32BE(at + 5);
    const body = bytes.subarray(at + 9, at + 9 + length);
    at += 9 + length;
    if (type === 'RST' || type === 'WINDOW') found.push(`${type} ${id} ${body.readUInt32BE(0)}`);
    else if (type === 'GOAWAY') found.push(`${type} ${body.readUInt32BE(0)} ${body.readUInt32BE(4)}`);
    else if (type === 'SETTINGS' || type === 'PING') found.push(`${type} ${(flags & 1) !== 0 ? 'ack' : length}`);
    else if (type === 'DATA') found.push(`DATA ${id} ${length}${(flags & 1) !== 0 ? ' end' : ''}`);
    else found.push(`${type} ${id}${(flags & 1) !== 0 ? ' end' : ''}`);
  }
  return found;
}
