/** Long bodies for tests of backpressure: where they come from, who reads them and how slowly, and what asks and answers. */
import { once } from 'node:events';
import { Agent, request as askHttp, createServer as httpServer } from 'node:http';
import { connect, createSecureServer, createServer as http2Server } from 'node:http2';
import { request as askHttps, Agent as HttpsAgent, createServer as httpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Readable, type Writable } from 'node:stream';
import type { TestContext } from 'node:test';
import { crc32 } from 'node:zlib';
import type { IssuedLeaf } from '../../certs/source/dev-ca.ts';

export type Protocol = 'h1' | 'h2';
type Pair = Pick<IssuedLeaf, 'chain' | 'key'>;

const BLOCK = 256 * 1024;
const WINDOW = 4 << 20;

/** Bytes that are nowhere the same twice within 8 MiB. */
const pool = Buffer.alloc(8 << 20);
for (let i = 0, x = 1; i < pool.length; i += 4) {
  x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
  pool.writeUInt32LE(x, i);
}

/** So many bytes, made as they are asked for. */
export class Source {
  readonly stream: Readable;
  /** Given to whoever sends it. */
  sent = 0;
  crc = 0;

  constructor(length: number) {
    this.stream = new Readable({
      highWaterMark: BLOCK,
      read: () => {
        const at = this.sent % (pool.length - BLOCK);
        const block = pool.subarray(at, at + Math.min(BLOCK, length - this.sent));
        this.sent += block.length;
        this.crc = crc32(block, this.crc);
        this.stream.push(block.length === 0 ? null : block);
      },
    });
  }
}

/** Reads nothing until it is let, and then with a pause after each `pauseEvery` bytes. */
export class SlowReader {
  received = 0;
  crc = 0;
  readonly ended: Promise<void>;
  readonly #stream: Readable;

  /** `atPause`: called in each pause. */
  constructor(stream: Readable, pauseEvery: number, atPause: () => void) {
    this.#stream = stream;
    let next = pauseEvery;
    this.ended = new Promise((done, failed) => {
      stream.on('error', failed);
      stream.on('end', done);
      stream.on('close', () => failed(new Error(`the stream was cut off after ${this.received} bytes`)));
    });
    this.ended.catch(() => undefined);
    stream.pause();
    stream.on('data', (chunk: Buffer) => {
      this.received += chunk.length;
      this.crc = crc32(chunk, this.crc);
      if (this.received < next) return;
      next += pauseEvery;
      stream.pause();
      setTimeout(() => {
        atPause();
        stream.resume();
      }, 5);
    });
  }

  read(): void {
    this.#stream.resume();
  }
}

export interface Exchange {
  readonly request: Readable;
  readonly response: Writable;
}

/** An endpoint whose exchanges the test takes one by one. */
export class Endpoint {
  readonly #server;
  readonly #came: Exchange[] = [];
  #waiting: ((exchange: Exchange) => void) | undefined;

  constructor(t: TestContext, protocol: Protocol, leaf?: Pair) {
    const take = (request: Readable, response: Writable): void => {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      if (waiting === undefined) this.#came.push({ request, response });
      else waiting({ request, response });
    };
    const tls = leaf === undefined ? undefined : { cert: leaf.chain, key: leaf.key };
    if (protocol === 'h1') {
      this.#server = tls === undefined ? httpServer(take) : httpsServer(tls, take);
      t.after(() => this.#server.close());
    } else {
      const settings = { initialWindowSize: WINDOW };
      const server =
        tls === undefined ? http2Server({ settings }, take) : createSecureServer({ ...tls, settings }, take);
      server.on('session', (session) => {
        session.setLocalWindowSize(WINDOW);
        session.on('error', () => undefined);
        t.after(() => session.destroy());
      });
      this.#server = server;
      t.after(() => server.close());
    }
    this.#server.listen(0, '127.0.0.1');
  }

  async port(): Promise<number> {
    if (this.#server.address() === null) await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async next(): Promise<Exchange> {
    return (
      this.#came.shift() ??
      new Promise((found) => {
        this.#waiting = found;
      })
    );
  }
}

/** What asks: POST with the body, or GET without. Gives the response, which must be a 200. */
export type Caller = (path: string, body?: Readable) => Promise<Readable>;

export async function caller(t: TestContext, protocol: Protocol, port: number, tls: boolean): Promise<Caller> {
  if (protocol === 'h1') {
    const agent = tls ? new HttpsAgent({ rejectUnauthorized: false }) : new Agent();
    t.after(() => agent.destroy());
    return async (path, body) => {
      const method = body === undefined ? 'GET' : 'POST';
      const asked = (tls ? askHttps : askHttp)({ host: '127.0.0.1', port, path, method, agent });
      asked.on('error', () => undefined);
      if (body === undefined) asked.end();
      else body.pipe(asked);
      const [response] = await once(asked, 'response');
      if (response.statusCode !== 200) throw new Error(`answered ${response.statusCode}`);
      return response;
    };
  }
  const session = connect(`${tls ? 'https' : 'http'}://127.0.0.1:${port}`, {
    rejectUnauthorized: false,
    settings: { initialWindowSize: WINDOW },
  });
  session.on('error', () => undefined);
  t.after(() => session.destroy());
  await once(session, 'connect');
  session.setLocalWindowSize(WINDOW);
  return async (path, body) => {
    const stream = session.request(
      { ':path': path, ':method': body === undefined ? 'GET' : 'POST' },
      { endStream: false },
    );
    stream.on('error', () => undefined);
    if (body === undefined) stream.end();
    else body.pipe(stream);
    const [head] = await once(stream, 'response');
    if (head[':status'] !== 200) throw new Error(`answered ${head[':status']}`);
    return stream;
  };
}
