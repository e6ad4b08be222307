/** What two ends of a WebSocket say to each other in the tests: each talk gives what both ends saw of it. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';

/** One end of a WebSocket, and what it saw, in order. */
export class End {
  readonly ws: WebSocket;
  readonly saw: string[] = [];
  readonly closed: Promise<void>;
  readonly #waiting: (() => void)[] = [];

  constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on('message', (bytes: Buffer, binary) => this.#note(`${binary ? 'binary' : 'text'} ${digest(bytes)}`));
    ws.on('ping', (bytes) => this.#note(`ping ${bytes}`));
    ws.on('pong', (bytes) => this.#note(`pong ${bytes}`));
    ws.on('unexpected-response', (_request, { statusCode, headers }) => {
      this.#note(`refused ${statusCode} ${headers['x-refused']}`);
      ws.terminate();
    });
    // What an error is called differs with what is underneath; that the socket closed, and how, does not.
    ws.on('error', () => undefined);
    this.closed = new Promise((done) => {
      ws.on('close', (code, reason) => {
        this.#note(`closed ${code} ${reason}`);
        done();
      });
    });
  }

  /** Resolves when it has seen so many things, or is closed. */
  async sees(count: number): Promise<void> {
    while (this.saw.length < count && this.ws.readyState !== WebSocket.CLOSED) {
      await new Promise<void>((wake) => this.#waiting.push(wake));
    }
  }

  #note(what: string): void {
    this.saw.push(what);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

export interface Pair {
  readonly client: End;
  readonly server: End;
  /** The client's own TCP connection. */
  readonly socket: Socket;
}

/** Opens WebSockets whose other end is `server`. */
export class Ends {
  readonly #server: WebSocketServer;
  readonly #accepted: End[] = [];
  readonly #sockets = new Set<Socket>();
  #waiting: ((end: End) => void) | undefined;

  constructor(t: TestContext) {
    this.#server = new WebSocketServer({
      port: 0,
      host: '127.0.0.1',
      maxPayload: 4 << 20,
      perMessageDeflate: { threshold: 0 },
      handleProtocols: (offered) => (offered.has('pay.v2') ? 'pay.v2' : false),
      verifyClient: ({ req }, answer) => answer(!req.url?.endsWith('refused'), 403, 'no', { 'x-refused': 'yes' }),
    });
    this.#server.on('connection', (ws) => {
      // With the handshake's answer: it is one packet.
      if (ws.protocol === 'pay.v2') ws.send('greeting');
      const end = new End(ws);
      const waiting = this.#waiting;
      this.#waiting = undefined;
      if (waiting === undefined) this.#accepted.push(end);
      else waiting(end);
    });
    t.after(() => {
      for (const ws of this.#server.clients) ws.terminate();
      for (const socket of this.#sockets) socket.destroy();
      this.#server.close();
    });
  }

  async port(): Promise<number> {
    if (this.#server.address() === null) await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  /** `protocols`: offered; `deflate`: permessage-deflate is. */
  async open(url: string, protocols: readonly string[] = [], deflate = false): Promise<Pair> {
    const { client, socket } = this.dial(url, protocols, deflate);
    const server =
      this.#accepted.shift() ??
      (await Promise.race([
        new Promise<End>((found) => {
          this.#waiting = found;
        }),
        client.closed.then(() => {
          throw new Error(`no WebSocket: ${client.saw.join()}`);
        }),
      ]));
    if (client.ws.readyState === WebSocket.CONNECTING) await once(client.ws, 'open');
    return { client, server, socket };
  }

  dial(url: string, protocols: readonly string[] = [], deflate = false): { client: End; socket: Socket } {
    const { hostname: host, port, protocol } = new URL(url);
    const to = { host, port: Number(port) };
    const socket =
      protocol === 'wss:'
        ? connectTls({ ...to, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
        : connect({ ...to, allowHalfOpen: true, noDelay: true });
    this.#sockets.add(socket);
    const options = { perMessageDeflate: deflate ? { threshold: 0 } : false, createConnection: () => socket };
    return { client: new End(new WebSocket(url, [...protocols], options)), socket };
  }
}

const digest = (bytes: Buffer): string =>
  bytes.length < 64 ? bytes.toString('latin1') : `${bytes.length} ${createHash('sha1').update(bytes).digest('hex')}`;

/** Bytes that compress a little. */
const filled = (length: number, seed: number): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let i = 0, x = seed | 1; i < length; i++) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    bytes[i] = 32 + ((x >>> 16) % 64);
  }
  return bytes;
};

export const SIZES: readonly number[] = [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20];

type Talk = (
  ends: Ends,
  url: string,
) => Promise<{ readonly client: readonly string[]; readonly server: readonly string[] }>;

async function over({ client, server }: Pair, more: readonly string[] = []): Promise<Awaited<ReturnType<Talk>>> {
  await Promise.all([client.closed, server.closed]);
  return { client: [...more, ...client.saw], server: server.saw };
}

/** Every size as text and as binary, each way, answered one by one. */
async function sizes(pair: Pair): Promise<Awaited<ReturnType<Talk>>> {
  const { client, server } = pair;
  let count = 0;
  for (const size of SIZES) {
    for (const binary of [false, true]) {
      count++;
      client.ws.send(filled(size, size), { binary });
      await server.sees(count);
      server.ws.send(filled(size, size + 1), { binary });
      await client.sees(count);
    }
  }
  client.ws.close(1000, 'done');
  return over(pair, [`extensions ${client.ws.extensions}`]);
}

/** Writes bytes as they are, past the library. */
const rawTalk =
  (hex: string): Talk =>
  async (ends, url) => {
    const pair = await ends.open(url);
    pair.socket.write(Buffer.from(hex, 'hex'));
    return over(pair);
  };

export const TALKS: { readonly [name: string]: Talk } = {
  'messages of many sizes': async (ends, url) => sizes(await ends.open(url)),
  'messages of many sizes, deflated': async (ends, url) => sizes(await ends.open(url, [], true)),
  'fragments with a ping between them': async (ends, url) => {
    const pair = await ends.open(url);
    const { client, server } = pair;
    for (const end of [client, server]) {
      for (const part of ['a', '', 'b'.repeat(70_000)]) end.ws.send(part, { fin: false });
      end.ws.ping('in between');
      end.ws.send('end', { fin: true });
    }
    // A ping, its answer and the message.
    await Promise.all([client.sees(3), server.sees(3)]);
    client.ws.close(1000);
    const { client: atClient, server: atServer } = await over(pair);
    return { client: [...atClient].sort(), server: [...atServer].sort() };
  },
  'pings and pongs': async (ends, url) => {
    const pair = await ends.open(url);
    pair.client.ws.ping('from the client');
    await pair.client.sees(1);
    pair.server.ws.ping('p'.repeat(125));
    await pair.server.sees(2);
    pair.server.ws.pong('unasked');
    await pair.client.sees(3);
    pair.server.ws.close(1001, 'going');
    return over(pair);
  },
  'a greeting in one packet with the answer to the handshake': async (ends, url) => {
    const pair = await ends.open(url, ['pay.v1', 'pay.v2']);
    await pair.client.sees(1);
    pair.client.ws.close(3000, pair.client.ws.protocol);
    return over(pair);
  },
  'a handshake that is refused': async (ends, url) => {
    const { client } = ends.dial(`${url}/refused`);
    await client.closed;
    return { client: client.saw, server: [] };
  },
  'everything at once in both directions': async (ends, url) => {
    const pair = await ends.open(url);
    const count = 24;
    for (let i = 0; i < count; i++) {
      pair.client.ws.send(filled(500_000 + i, i));
      pair.server.ws.send(filled(500_000 - i, i));
    }
    await Promise.all([pair.client.sees(count), pair.server.sees(count)]);
    pair.client.ws.close(1000);
    return over(pair);
  },
  'a close right behind a large message': async (ends, url) => {
    const pair = await ends.open(url);
    pair.server.ws.send(filled(3 << 20, 3));
    pair.server.ws.close(4999, 'r'.repeat(123));
    return over(pair);
  },
  'a close without a code': async (ends, url) => {
    const pair = await ends.open(url);
    pair.client.ws.close();
    return over(pair);
  },
  'text that is no UTF-8': async (ends, url) => {
    const pair = await ends.open(url);
    pair.client.ws.send(Buffer.from([0xce, 0xba, 0xed, 0xa0, 0x80]), { binary: false });
    return over(pair);
  },
  'a message that is too long': async (ends, url) => {
    const pair = await ends.open(url);
    pair.client.ws.send(Buffer.alloc((4 << 20) + 1));
    return over(pair);
  },
  'a frame without a mask': rawTalk('810161'),
  'a reserved bit': rawTalk('c18100000000ff'),
  'a reserved opcode': rawTalk('838000000000'),
  'a ping in fragments': rawTalk('098000000000'),
  'a close code that is none': rawTalk('88820000000003ed'),
  'half a frame and then the end': async (ends, url) => {
    const pair = await ends.open(url);
    pair.socket.end(Buffer.from('818500000000', 'hex'));
    return over(pair);
  },
  'an end by the client, and what the server still says': async (ends, url) => {
    const pair = await ends.open(url);
    pair.client.ws.send('last');
    await pair.server.sees(1);
    pair.server.ws.send(filled(300_000, 1));
    pair.socket.end();
    return over(pair);
  },
  'a reset by the client': async (ends, url) => {
    const pair = await ends.open(url);
    pair.socket.resetAndDestroy();
    return over(pair);
  },
  'an end without a close by the server': async (ends, url) => {
    const pair = await ends.open(url);
    pair.server.ws.terminate();
    return over(pair);
  },
};
