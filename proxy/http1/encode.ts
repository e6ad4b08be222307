/**
 * Heads to bytes. A head is one string, written once; framing and hop fields come from the codec alone, so those that a
 * filter or the configuration put into the map are left out.
 */
import type { HeaderMap, RequestHead } from '../http/headers.ts';
import type { Output } from '../http/output.ts';

export type HeaderCase = 'lower' | 'proper' | 'preserve';

const REASONS: { readonly [status: number]: string } = {
  100: 'Continue',
  101: 'Switching Protocols',
  102: 'Processing',
  103: 'Early Hints',
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  203: 'Non-Authoritative Information',
  204: 'No Content',
  205: 'Reset Content',
  206: 'Partial Content',
  207: 'Multi-Status',
  208: 'Already Reported',
  226: 'IM Used',
  300: 'Multiple Choices',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  305: 'Use Proxy',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  407: 'Proxy Authentication Required',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  411: 'Length Required',
  412: 'Precondition Failed',
  413: 'Payload Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  416: 'Range Not Satisfiable',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  422: 'Unprocessable Entity',
  423: 'Locked',
  424: 'Failed Dependency',
  425: 'Too Early',
  426: 'Upgrade Required',
  428: 'Precondition Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  451: 'Unavailable For Legal Reasons',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  506: 'Variant Also Negotiates',
  507: 'Insufficient Storage',
  508: 'Loop Detected',
  511: 'Network Authentication Required',
  599: 'Last Unassigned Server Error Code',
};

const statusLines: string[] = [];

function statusLine(status: number, version: number): string {
  if (version === 10) return `HTTP/1.0 ${status} ${REASONS[status] ?? 'Unknown'}\r\n`;
  const known = statusLines[status];
  if (known !== undefined) return known;
  const made = `HTTP/1.1 ${status} ${REASONS[status] ?? 'Unknown'}\r\n`;
  if (status >= 100 && status < 1000) statusLines[status] = made;
  return made;
}

/** How a message's body is delimited on the wire. */
export const Framing = {
  /** No framing field: there is no body, or the connection's end ends it. */
  None: 0,
  /** The map's own Content-Length. */
  Length: 1,
  /** `content-length: 0`. */
  Zero: 2,
  Chunked: 3,
} as const;

export const CLOSE_LINE = 'connection: close\r\n';
export const KEEP_ALIVE_LINE = 'connection: keep-alive\r\n';

/** Writes a response head. `version`: 10 for HTTP/1.0. `connection`: the `connection` and `upgrade` lines, each with its CRLF. */
export function putResponseHead(
  out: Output,
  version: number,
  status: number,
  headers: HeaderMap,
  framing: number,
  connection: string,
  headerCase: HeaderCase,
): void {
  const start = statusLine(status, version);
  if (put(out, start, 1, headers, framing, connection, headerCase, false)) return;
  put(out, start, 1, cleanedFields(headers), framing, cleanedLines(connection), headerCase, true);
}

/** Writes a request head: `host` first, as Envoy does. */
export function putRequestHead(
  out: Output,
  head: RequestHead,
  framing: number,
  connection: string,
  headerCase: HeaderCase,
): void {
  const host = headerCase === 'lower' ? 'host' : 'Host';
  let target = head.method === 'CONNECT' ? head.authority : head.path;
  // A rewrite may have made it: a space would end the target and begin the version.
  if (target.includes(' ')) target = target.replaceAll(' ', '%20');
  const start = `${head.method} ${target} HTTP/1.1\r\n${host}: ${head.authority}\r\n`;
  if (put(out, start, 2, head.headers, framing, connection, headerCase, false)) return;
  const cleanStart = `${cleaned(head.method)} ${cleaned(target).replaceAll(' ', '%20')} HTTP/1.1\r\n${host}: ${cleaned(head.authority)}\r\n`;
  put(out, cleanStart, 2, cleanedFields(head.headers), framing, cleanedLines(connection), headerCase, true);
}

/** Writes trailer fields, without the line that ends them. Those that frame or route a message are left out. */
export function putTrailers(out: Output, trailers: HeaderMap, headerCase: HeaderCase): void {
  const { names, values } = trailers;
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    if (isOurs(name, Framing.None)) continue;
    out.text(`${headerCase === 'proper' ? properCase(name) : cleaned(name)}: ${cleaned(values[i] as string)}\r\n`);
  }
}

/** False: nothing was written, because a value holds what no field may (or the head is very large). */
function put(
  out: Output,
  start: string,
  startLines: number,
  headers: HeaderMap,
  framing: number,
  connection: string,
  headerCase: HeaderCase,
  clean: boolean,
): boolean {
  const { names, values } = headers;
  const spelling = headerCase === 'preserve' ? headers.spelling : undefined;
  let text = start;
  let lines = startLines + 1;
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    if (isOurs(name, framing)) continue;
    const written = spelling !== undefined ? spelling[i] : headerCase === 'proper' ? properCase(name) : name;
    text += `${written}: ${values[i]}\r\n`;
    lines++;
  }
  if (framing >= Framing.Zero) {
    text += headerCase === 'proper' ? PROPER_FRAMING[framing] : LOWER_FRAMING[framing];
    lines++;
  }
  if (connection !== '') {
    text += connection;
    lines += countLines(connection);
  }
  text += '\r\n';
  if (out.head(text, lines)) return true;
  if (clean) out.text(text);
  return clean;
}

const LOWER_FRAMING = ['', '', 'content-length: 0\r\n', 'transfer-encoding: chunked\r\n'];
const PROPER_FRAMING = ['', '', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n'];

function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++;
  return count;
}

/** Fields that the codec writes itself, or that are of the other hop. */
function isOurs(name: string, framing: number): boolean {
  switch (name.length) {
    case 4:
      return name === 'host';
    case 7:
      return name === 'upgrade';
    case 10:
      return name === 'connection' || name === 'keep-alive';
    case 14:
      return name === 'content-length' && framing !== Framing.Length;
    case 16:
      return name === 'proxy-connection';
    case 17:
      return name === 'transfer-encoding';
    default:
      return false;
  }
}

/**
 * The text with every character that no field may hold made a space. A line end in a value (made by a filter, a rewrite,
 * an HTTP/2 sender) would begin a field, or a message, of its own.
 */
function cleaned(text: string): string {
  let made = '';
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    made += code > 255 || (code < 32 && code !== 9) || code === 127 ? ' ' : text.charAt(i);
  }
  return made;
}

function cleanedFields(headers: HeaderMap): HeaderMap {
  const copy = headers.clone();
  for (let i = 0; i < copy.names.length; i++) {
    copy.names[i] = cleaned(copy.names[i] as string);
    copy.values[i] = cleaned(copy.values[i] as string);
    if (copy.spelling !== undefined) copy.spelling[i] = cleaned(copy.spelling[i] as string);
  }
  return copy;
}

/** `connection` holds the request's own upgrade token: its line ends are the ones that stand where lines end. */
function cleanedLines(connection: string): string {
  return connection.split('\r\n').map(cleaned).join('\r\n');
}

const MAX_PROPER = 1024;
const proper = new Map<string, string>();

/** `x-request-id` to `X-Request-Id`: a letter is upper case at the start and after anything that is not a letter. */
export function properCase(name: string): string {
  const known = proper.get(name);
  if (known !== undefined) return known;
  let made = '';
  let upper = true;
  for (let i = 0; i < name.length; i++) {
    const c = name.charAt(i);
    made += upper ? c.toUpperCase() : c;
    const lower = name.charCodeAt(i) | 32;
    upper = lower < 97 || lower > 122;
  }
  if (proper.size < MAX_PROPER) proper.set(name, made);
  return made;
}
