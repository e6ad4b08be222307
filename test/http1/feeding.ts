/** Bytes cut anywhere, and what a server and a client make of them. */
import type { HeadLimits } from '../../proxy/http1/head-scan.ts';
import { Client, request, response, SeenResponse, Server } from './fakes.ts';

/** Limits that short streams reach, too. */
export const SMALL: HeadLimits = { maxHeadersBytes: 400, maxHeadersCount: 6 };

/** The text cut at the places given, each taken modulo its length. */
export function split(text: string, at: readonly number[]): string[] {
  const points = [...new Set(at.map((n) => n % (text.length + 1)))].sort((a, b) => a - b);
  const parts: string[] = [];
  let from = 0;
  for (const point of [...points, text.length]) {
    parts.push(text.slice(from, point));
    from = point;
  }
  return parts;
}

/** What a server makes of the parts, and what it answers: complete requests get a 200, each at once or all at the end. */
export function serve(parts: readonly string[], mode: 'at once' | 'at the end', limits: HeadLimits): string {
  const server = new Server(limits, { enableTrailers: true });
  const finish = () => {
    for (const seen of server.requests) if (seen.complete) seen.stream.sendHead(response(200), true);
  };
  if (mode === 'at once') {
    server.answer = (seen) => {
      if (seen.complete) seen.stream.sendHead(response(200), true);
    };
  }
  for (const part of parts) {
    server.receive(part);
    if (mode === 'at once') finish();
  }
  for (let before = -1; before !== server.requests.length; ) {
    before = server.requests.length;
    finish();
  }
  const { transport } = server;
  const faults = server.faults.map((fault) => fault.details).join();
  return [
    ...server.requests.map((seen) => seen.text),
    faults,
    transport.text,
    transport.ended,
    transport.destroyed,
  ].join('\n');
}

/** What a client that has sent one request makes of the parts; `ends`: the server closes then. */
export function fetch(parts: readonly string[], ends: boolean, limits: HeadLimits): string {
  const client = new Client(limits, { enableTrailers: true });
  const seen = new SeenResponse();
  client.connection.newStream(seen).sendHead(request(), true);
  for (const part of parts) client.receive(part);
  if (ends) client.connection.receiveEnd();
  return [seen.text, client.ends.includes(true), client.transport.destroyed, client.connection.activeStreams].join(
    '\n',
  );
}
