/** An upstream that does what a case says, and remembers what it saw. */
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';
import { type Message, parseMessage } from './http-text.ts';
import { http2Server } from './http2-upstream.ts';

/** Bytes as they stand. */
export interface Send {
  readonly do: 'send';
  readonly bytes: string;
  /** Sent as soon as the request's head is there, where its body is not; `bytes` follow when it is whole. */
  readonly early?: string;
  readonly afterMs?: number;
  readonly thenClose?: boolean;
}

/** What an upstream does with one request. */
export type Answer =
  | Send
  /** Closes (FIN) or resets without answering. */
  | { readonly do: 'close' | 'reset'; readonly afterBytes?: string }
  | { readonly do: 'hang' };

/** Answers by turn: the last one repeats. Or a function of the request. */
export type Behaviour = readonly Answer[] | ((request: Message, turn: number) => Answer) | 'refuse-connections';

/** PEM texts. A client's certificate is asked for and noted, not judged. */
export interface UpstreamTlsOptions {
  readonly cert: string;
  readonly key: string;
  readonly alpn?: readonly string[];
  /** OpenSSL's list: `DEFAULT@SECLEVEL=0` to show weak keys. */
  readonly ciphers?: string;
}

export interface UpstreamTlsSaw {
  readonly sni: string | false | null | undefined;
  readonly alpn: string | false | null;
  /** Subject alternative names of the proxy's certificate. */
  readonly client: string | undefined;
}

export interface Seen {
  readonly upstream: string;
  readonly request: Message;
  /** 1 for the first connection since the case began; 0 for one from before. */
  readonly connection: number;
  readonly tls: UpstreamTlsSaw | undefined;
  /** 1 for the first request on its connection. */
  readonly onConnection: number;
}

/** A response with a body and Content-Length. */
export function reply(status: number, body = '', headers: { readonly [name: string]: string } = {}): Send {
  const fields = Object.entries({ 'content-length': String(Buffer.byteLength(body)), ...headers });
  return {
    do: 'send',
    bytes: `HTTP/1.1 ${status} Status\r\n${fields.map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n${body}`,
  };
}

export class Upstream {
  readonly name: string;
  readonly seen: Seen[] = [];
  port = 0;
  connections = 0;
  private turn = 0;
  private generation = 0;
  private behaviour: Behaviour;
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;

  /** `over`: TLS, or HTTP/2 in plaintext. */
  constructor(name: string, behaviour: Behaviour, over?: UpstreamTlsOptions | 'http2') {
    this.name = name;
    this.behaviour = behaviour;
    if (over === 'http2') {
      this.server = http2Server((request) => this.onStream(request));
      this.server.on('connection', (socket) => this.keep(socket));
    } else if (over === undefined) this.server = createServer((socket) => this.accept(socket));
    else {
      const { alpn, ...pair } = over;
      const options = { ...pair, requestCert: true, rejectUnauthorized: false };
      const protocols = alpn === undefined ? {} : { ALPNProtocols: [...alpn] };
      this.server = createTlsServer({ ...options, ...protocols }, (socket) => this.accept(socket));
      this.server.on('tlsClientError', () => undefined);
    }
  }

  async start(): Promise<void> {
    await this.listen(0);
    const address = this.server.address();
    this.port = typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** A new script, for the next case; forgets what was seen. Refusing connections means not to listen. */
  async reset(behaviour: Behaviour): Promise<void> {
    this.behaviour = behaviour;
    this.turn = 0;
    this.generation++;
    this.connections = 0;
    this.seen.length = 0;
    if (behaviour === 'refuse-connections') await this.stop();
    else if (!this.server.listening) await this.listen(this.port);
  }

  private listen(port: number): Promise<void> {
    return new Promise((done, fail) => {
      this.server.once('error', fail);
      this.server.listen(port, '127.0.0.1', done);
    });
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    if (this.server.listening) await new Promise<void>((done) => this.server.close(() => done()));
  }

  private keep(socket: Socket): void {
    this.connections++;
    this.sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.sockets.delete(socket));
  }

  private onStream(request: Message): Answer | undefined {
    this.seen.push({ upstream: this.name, request, connection: 0, tls: undefined, onConnection: 0 });
    const answer = this.next(request);
    this.turn++;
    return answer;
  }

  private accept(socket: Socket): void {
    const number = ++this.connections;
    const { generation } = this;
    const tls = socket instanceof TLSSocket ? tlsOf(socket) : undefined;
    this.sockets.add(socket);
    let text = '';
    let onConnection = 0;
    let begun = false;
    socket.on('error', () => undefined);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let parsed = parseMessage(text, 'request'); parsed !== undefined; parsed = parseMessage(text, 'request')) {
        text = text.slice(parsed.length);
        onConnection++;
        const connection = generation === this.generation ? number : 0;
        this.seen.push({ upstream: this.name, request: parsed.message, connection, tls, onConnection });
        this.answer(socket, parsed.message);
        begun = false;
      }
      if (begun || !text.includes('\r\n\r\n')) return;
      begun = true;
      const next = this.next(undefined);
      if (next?.do === 'send' && next.early !== undefined) socket.write(next.early, 'latin1');
    });
  }

  /** What is done with the next request; functions decide on a whole one. */
  private next(request: Message | undefined): Answer | undefined {
    const { behaviour, turn } = this;
    if (behaviour === 'refuse-connections') return undefined;
    if (typeof behaviour === 'function') return request === undefined ? undefined : behaviour(request, turn);
    return behaviour[Math.min(turn, behaviour.length - 1)];
  }

  private answer(socket: Socket, request: Message): void {
    const answer = this.next(request);
    this.turn++;
    if (answer === undefined || answer.do === 'hang') return;
    if (answer.do !== 'send') {
      if (answer.afterBytes !== undefined) socket.write(answer.afterBytes, 'latin1');
      if (answer.do === 'reset') socket.resetAndDestroy();
      else socket.end();
      return;
    }
    const send = (): void => {
      if (socket.destroyed) return;
      socket.write(answer.bytes, 'latin1');
      if (answer.thenClose === true) socket.end();
    };
    if (answer.afterMs === undefined) send();
    else setTimeout(send, answer.afterMs);
  }
}

function tlsOf(socket: TLSSocket): UpstreamTlsSaw {
  const { servername } = socket as TLSSocket & { readonly servername?: string | false | null };
  return {
    sni: servername,
    alpn: socket.alpnProtocol,
    client: socket.getPeerX509Certificate()?.subjectAltName,
  };
}
