/** Reads HTTP/1.1 messages as a test sees them: the whole text, strictly, with how the body was framed. */

export interface Message {
  /** Request or status line. */
  readonly start: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
  readonly trailers: readonly (readonly [string, string])[];
  readonly framing: 'none' | 'length' | 'chunked' | 'close';
}

export interface Parsed {
  readonly message: Message;
  /** Bytes used. */
  readonly length: number;
}

/**
 * The first whole message of `text` (latin1), or `undefined` while it is not whole. `bodyless`: a response that has no body
 * whatever its fields say (HEAD). `ended`: the connection is closed, so a body without framing is whole.
 */
export function parseMessage(
  text: string,
  kind: 'request' | 'response',
  options: { bodyless?: boolean; ended?: boolean } = {},
): Parsed | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const [start, ...lines] = text.slice(0, headEnd).split('\r\n') as [string, ...string[]];
  const headers = lines.map(field);
  const at = headEnd + 4;
  const value = (name: string) => headers.find(([n]) => n.toLowerCase() === name)?.[1];
  const make = (
    body: string,
    length: number,
    framing: Message['framing'],
    trailers: Message['trailers'] = [],
  ): Parsed => ({
    message: { start, headers, body, trailers, framing },
    length,
  });
  const status = kind === 'response' ? Number(start.split(' ')[1]) : 0;
  if (kind === 'response' && (options.bodyless === true || status < 200 || status === 204 || status === 304))
    return make('', at, 'none');
  if (value('transfer-encoding')?.toLowerCase().endsWith('chunked') === true) return parseChunked(text, at, make);
  const length = value('content-length');
  if (length !== undefined) {
    const end = at + Number(length);
    return text.length < end ? undefined : make(text.slice(at, end), end, 'length');
  }
  if (kind === 'request') return make('', at, 'none');
  return options.ended === true ? make(text.slice(at), text.length, 'close') : undefined;
}

function parseChunked(
  text: string,
  start: number,
  make: (body: string, length: number, framing: 'chunked', trailers: Message['trailers']) => Parsed,
): Parsed | undefined {
  let at = start;
  let body = '';
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    at = lineEnd + 2;
    if (size === 0) break;
    if (text.length < at + size + 2) return undefined;
    body += text.slice(at, at + size);
    at += size + 2;
  }
  const trailers: (readonly [string, string])[] = [];
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const line = text.slice(at, lineEnd);
    at = lineEnd + 2;
    if (line === '') return make(body, at, 'chunked', trailers);
    trailers.push(field(line));
  }
}

function field(line: string): readonly [string, string] {
  const colon = line.indexOf(':');
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
}
