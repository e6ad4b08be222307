/** A client that sends exactly the bytes of the case and notes everything that comes back. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type SecureVersion, type TLSSocket } from 'node:tls';
import { type Message, parseMessage } from './http-text.ts';
import { runHttp2 } from './http2-client.ts';

export interface ClientTls {
  /** PEM. */
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly alpn?: readonly string[];
  readonly maxVersion?: SecureVersion;
  readonly minVersion?: SecureVersion;
  /** OpenSSL's lists. */
  readonly ciphers?: string;
  readonly sigalgs?: string;
  readonly ecdhCurve?: string;
  /** Asks for an OCSP staple. */
  readonly requestOCSP?: boolean;
  /** Offers the newest session that an exchange with the same word got of the listener. */
  readonly session?: string;
  /** `SSL_OP_NO_TICKET`, for sessions by their id. */
  readonly secureOptions?: number;
}

/** What the handshake came to: what was agreed, or why it failed. */
export interface TlsSaw {
  readonly protocol?: string | null;
  readonly alpn?: string | false | null;
  /** Subject alternative names of the proxy's certificate. */
  readonly server?: string | undefined;
  /** Of its key, where the exchange offers more than one type. */
  readonly keyType?: string | undefined;
  /** Whether a staple came, where one was asked for. */
  readonly stapled?: boolean;
  /** Where a session was offered or is kept. */
  readonly reused?: boolean;
  readonly error?: string;
}

export interface Exchange {
  /** Speak TLS. The proxy's certificate is noted, not judged. */
  readonly tls?: ClientTls;
  /** The listener, where it is not the suite's. */
  readonly listener?: string;
  /** Parts written one after the other; a number waits that many milliseconds. */
  readonly send: readonly (string | number)[];
  /** Speaks HTTP/2 instead: frames after the preface, and pauses. `responses` counts the streams that end. */
  readonly frames?: readonly (Buffer | number)[];
  /** Responses to wait for (1xx not counted). Default 1; 0 only waits for the end of the connection. */
  readonly responses?: number;
  /** The requests are HEAD: responses have no body. */
  readonly head?: boolean;
  /** The client half-closes after its last byte. */
  readonly halfClose?: boolean;
  /** Gives up after so long; default 5 s. */
  readonly withinMs?: number;
  /** How long after the last response the proxy may take to close; default 120. */
  readonly lingerMs?: number;
}

export interface ClientSaw {
  readonly responses: readonly Message[];
  /** How the connection stood a moment after the last response. */
  readonly end: 'open' | 'closed' | 'reset' | 'timeout';
  readonly tls?: TlsSaw;
  /** Bytes that are no whole response. */
  readonly rest: string;
  readonly tookMs: number;
}

const LINGER_MS = 120;

export function get(
  path: string,
  headers: { readonly [name: string]: string } = {},
  method = 'GET',
  body?: string,
): Exchange {
  const fields = {
    host: 'conformance.test',
    ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
    ...headers,
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return { send: [`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body ?? ''}`], head: method === 'HEAD' };
}

export function post(path: string, body: string, headers: { readonly [name: string]: string } = {}): Exchange {
  return get(path, headers, 'POST', body);
}

/** Raw text in which every line ends in CRLF, whatever the source file says. */
export function raw(text: string, options: Omit<Exchange, 'send'> = {}): Exchange {
  return { send: [text.replace(/\r?\n/g, '\r\n')], ...options };
}

/** Frames of HTTP/2; `responses`: the streams that have to end. */
export const http2 = (frames: readonly (Buffer | number)[], responses = 1): Exchange => ({
  send: [],
  frames,
  responses,
});

/** The exchange on another listener. */
export const on = (listener: string, exchange: Exchange): Exchange => ({ ...exchange, listener });

/** The exchange over TLS, after a pause in which the proxy can refuse the client's certificate. */
export const over = (tls: ClientTls, exchange: Exchange): Exchange => ({
  ...exchange,
  tls,
  send: [60, ...exchange.send],
});

export function run(port: number, exchange: Exchange): Promise<ClientSaw> {
  const wanted = exchange.responses ?? 1;
  if (exchange.frames !== undefined) {
    return runHttp2(port, exchange.frames, wanted, exchange.lingerMs ?? LINGER_MS, exchange.withinMs ?? 5_000);
  }
  return new Promise((resolve) => {
    const socket = dial(port, exchange.tls);
    let tls: TlsSaw | undefined;
    let stapled = false;
    socket.on('OCSPResponse', (staple: Buffer | null) => {
      stapled = staple !== null && staple.length > 0;
    });
    const responses: Message[] = [];
    const startedAt = performance.now();
    let tookMs = 0;
    let text = '';
    let final = 0;
    let linger: NodeJS.Timeout | undefined;
    let settled = false;

    const settle = (end: ClientSaw['end']): void => {
      if (settled) return;
      settled = true;
      clearTimeout(limit);
      clearTimeout(linger);
      parse(end === 'closed');
      if (tookMs === 0) tookMs = performance.now() - startedAt;
      socket.destroy();
      resolve({ responses, end, ...(tls === undefined ? {} : { tls }), rest: text, tookMs });
    };
    const parse = (ended: boolean): void => {
      const options = { bodyless: exchange.head === true, ended };
      for (
        let parsed = parseMessage(text, 'response', options);
        parsed !== undefined;
        parsed = parseMessage(text, 'response', options)
      ) {
        text = text.slice(parsed.length);
        responses.push(parsed.message);
        if (!/^HTTP\/1\.[01] 1(?!01)/.test(parsed.message.start)) final++;
        if (text === '') break;
      }
      if (wanted > 0 && final >= wanted && linger === undefined) {
        tookMs = performance.now() - startedAt;
        linger = setTimeout(() => settle('open'), exchange.lingerMs ?? LINGER_MS);
      }
    };
    const limit = setTimeout(() => settle('timeout'), exchange.withinMs ?? 5_000);
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const reset = error.code === 'ECONNRESET' || error.code === 'EPIPE';
      if (exchange.tls !== undefined && !reset) tls = { error: error.code ?? error.message };
      settle(reset ? 'reset' : 'closed');
    });
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      parse(false);
    });
    socket.on('end', () => settle('closed'));
    socket.on(exchange.tls === undefined ? 'connect' : 'secureConnect', () => {
      if (exchange.tls !== undefined) tls = agreed(socket as TLSSocket, exchange.tls, stapled);
      void (async () => {
        for (const part of exchange.send) {
          if (typeof part === 'number') await new Promise((done) => setTimeout(done, part));
          else if (!socket.destroyed) socket.write(part, 'latin1');
        }
        if (exchange.halfClose === true) socket.end();
      })();
    });
  });
}

function dial(port: number, tls: ClientTls | undefined): Socket {
  const to = { port, host: '127.0.0.1', allowHalfOpen: true };
  if (tls === undefined) return connect(to);
  const { alpn, servername, session, ...rest } = tls;
  const store = `${port} ${session}`;
  const offered = session === undefined ? undefined : sessions.get(store);
  const socket = connectTls({
    ...to,
    rejectUnauthorized: false,
    ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
    ...(servername === undefined ? {} : { servername }),
    ...(offered === undefined ? {} : { session: offered }),
    ...rest,
  });
  if (session !== undefined) socket.on('session', (made) => sessions.set(store, made));
  return socket;
}

/** By port and the exchange's word. */
const sessions = new Map<string, Buffer>();

function agreed(socket: TLSSocket, tls: ClientTls, stapled: boolean): TlsSaw {
  const certificate = socket.getPeerX509Certificate();
  return {
    protocol: socket.getProtocol(),
    alpn: socket.alpnProtocol,
    server: certificate?.subjectAltName,
    ...(tls.sigalgs === undefined && tls.ciphers === undefined && tls.ecdhCurve === undefined
      ? {}
      : { keyType: certificate?.publicKey.asymmetricKeyType }),
    ...(tls.requestOCSP === true ? { stapled } : {}),
    ...(tls.session === undefined ? {} : { reused: socket.isSessionReused() }),
  };
}
