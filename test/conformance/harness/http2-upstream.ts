/** The HTTP/2 side of an upstream: streams become messages, and the texts that cases answer with become frames. */
import { constants, createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { type Message, parseMessage } from './http-text.ts';
import type { Answer } from './upstream.ts';

/** `answer`: what a whole request gets. */
export function http2Server(answer: (request: Message) => Answer | undefined): Http2Server {
  const server = createServer();
  server.on('stream', (stream: ServerHttp2Stream, head, _flags, raw) => {
    let body = '';
    let trailers: [string, string][] = [];
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => {
      body += chunk.toString('latin1');
    });
    stream.on('trailers', (_fields, _more, list: string[] = []) => {
      trailers = pairs(list);
    });
    const whole = (): void => {
      const headers = pairs(raw as string[]).filter(([name]) => !/^:(method|path)$/.test(name));
      const start = `${head[':method']} ${head[':path']} HTTP/2`;
      const given = answer({ start, headers, body, trailers, framing: 'none' });
      if (given !== undefined) respond(stream, given);
    };
    // A tunnel has no end to wait for.
    if (head[':method'] === 'CONNECT' && head[':protocol'] === undefined) whole();
    else stream.on('end', whole);
  });
  return server;
}

function respond(stream: ServerHttp2Stream, answer: Answer): void {
  if (stream.destroyed || answer.do === 'hang') return;
  if (answer.do !== 'send') {
    stream.close(answer.do === 'close' ? constants.NGHTTP2_REFUSED_STREAM : constants.NGHTTP2_INTERNAL_ERROR);
    return;
  }
  const message = parseMessage(answer.bytes, 'response', { ended: true })?.message;
  if (message === undefined) return;
  const headers = Object.fromEntries(message.headers.filter(([name]) => name !== 'transfer-encoding'));
  const status = { ':status': Number(message.start.split(' ')[1]) };
  if (message.trailers.length === 0) {
    stream.respond({ ...status, ...headers }, { endStream: message.body === '' });
    if (message.body !== '') stream.end(message.body, 'latin1');
    return;
  }
  stream.respond({ ...status, ...headers }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(Object.fromEntries(message.trailers)));
  stream.end(message.body, 'latin1');
}

function pairs(list: readonly string[]): [string, string][] {
  const found: [string, string][] = [];
  for (let i = 0; i + 1 < list.length; i += 2) found.push([list[i] as string, list[i + 1] as string]);
  return found;
}
