/** A client that sends exactly the bytes of the case and notes everything that comes back. */
import { connect } from 'node:net';
import { type Message, parseMessage } from './http-text.ts';

export interface Exchange {
  /** Parts written one after the other; a number waits that many milliseconds. */
  readonly send: readonly (string | number)[];
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

export function run(port: number, exchange: Exchange): Promise<ClientSaw> {
  const wanted = exchange.responses ?? 1;
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
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
      resolve({ responses, end, rest: text, tookMs });
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
    socket.on('error', (error: NodeJS.ErrnoException) =>
      settle(error.code === 'ECONNRESET' || error.code === 'EPIPE' ? 'reset' : 'closed'),
    );
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      parse(false);
    });
    socket.on('end', () => settle('closed'));
    socket.on('connect', () => {
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
