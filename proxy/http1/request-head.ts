/** Request line, target and host (RFC 9112 §3). */
import type { Http1Options } from '../../xds-client/model/http-connection-manager.ts';
import { HeaderMap, type RequestHead } from '../http/headers.ts';
import type { ProtocolFault } from '../http/stream.ts';
import { Fault } from './faults.ts';
import { facts, parseFields, type Underscores } from './fields.ts';
import { scanned } from './head-scan.ts';

export interface RequestRules {
  readonly http1: Http1Options;
  readonly scheme: 'http' | 'https';
  readonly underscores: Underscores;
}

/** Registered methods that HTTP/1 parsers know; Envoy refuses the others too. */
const METHODS = new Map(
  (
    'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND ' +
    'REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE MKCALENDAR LINK ' +
    'UNLINK SOURCE QUERY'
  )
    .split(' ')
    .map((method) => [method, method]),
);

/** The fault of the last `parseRequestHead` that returned `undefined`. */
export let requestFault: ProtocolFault = Fault.requestLine;
/** The head that `requestFault` refuses, where all of it could be read. */
export let refusedHead: RequestHead | undefined;

function refuse(fault: ProtocolFault, head?: RequestHead): undefined {
  requestFault = fault;
  refusedHead = head;
  return undefined;
}

/**
 * Parses the head that `scanHead` found. `text` is the head as latin1, from the first byte of the request line. What the
 * fields say about framing is in `facts`. `undefined`: refused, see `requestFault`.
 */
export function parseRequestHead(text: string, rules: RequestRules): RequestHead | undefined {
  if (scanned.lines === 0) return refuse(Fault.requestLine);
  const lineEnd = scanned.lineEnds[0] as number;
  const methodEnd = text.indexOf(' ');
  if (methodEnd <= 0 || methodEnd >= lineEnd) return refuse(Fault.requestLine);
  const method = METHODS.get(text.slice(0, methodEnd));
  if (method === undefined) return refuse(Fault.method);
  const start = methodEnd + 1;
  let end = start;
  let badCharacter = false;
  let fragment = false;
  for (; end < lineEnd; end++) {
    const code = text.charCodeAt(end);
    if (code === 32) break;
    if (code < 33 || code > 126) badCharacter = true;
    else if (code === 35) fragment = true;
  }
  if (end === start) return refuse(Fault.requestLine);
  const version = versionOf(text, end, lineEnd);
  if (version === NOT_HTTP) return refuse(Fault.requestLine);
  if (version === OTHER_VERSION || (version === 10 && !rules.http1.acceptHttp10)) return refuse(Fault.version);
  if (badCharacter) return refuse(Fault.targetCharacter);

  const headers = new HeaderMap();
  if (rules.http1.headerCase === 'preserve') headers.spelling = [];
  const fault = parseFields(text, 1, headers, rules.underscores);
  if (fault !== undefined) return refuse(fault);
  if (version === 10 && facts.chunked) return refuse(Fault.transferEncodingVersion);

  let path = text.slice(start, end);
  let authority = facts.host ?? (version === 10 ? rules.http1.defaultHostForHttp10 : undefined);
  if (authority === undefined) {
    return refuse(Fault.missingHost, {
      method,
      path,
      authority: '',
      scheme: rules.scheme,
      version,
      protocol: undefined,
      headers,
    });
  }
  if (method === 'CONNECT') {
    if (!isAuthority(path)) return refuse(Fault.target);
    if (facts.chunked || facts.contentLength >= 0) return refuse(Fault.bodyDisallowed);
    authority = path;
    path = '';
  } else if (path.charCodeAt(0) !== 47 && !(path === '*' && method === 'OPTIONS')) {
    if (!path.includes('://')) return refuse(path === '*' ? Fault.target : Fault.relativeTarget);
    // Not taken apart, it is a path that no route has: the connection manager says so.
    if (rules.http1.allowAbsoluteUrl) {
      const absolute = splitAbsolute(path);
      if (absolute === undefined) return refuse(Fault.scheme);
      // The target's authority is the one that counts, whatever Host said (RFC 9112 §3.2.2).
      authority = absolute.authority;
      path = absolute.path;
      if (authority === '') return refuse(Fault.target);
    }
  }
  if (!isAuthority(authority)) return refuse(Fault.authority);
  const protocol = upgradeOf(version);
  if (protocol !== undefined && (facts.chunked || facts.contentLength > 0)) return refuse(Fault.bodyDisallowed);
  const head: RequestHead = { method, path, authority, scheme: rules.scheme, version, protocol, headers };
  return fragment ? refuse(Fault.fragment, head) : head;
}

const NOT_HTTP = 0;
const OTHER_VERSION = 1;

/** The version at ` HTTP/1.1` up to the line's end; no version at all is HTTP/0.9. */
function versionOf(text: string, at: number, lineEnd: number): 10 | 11 | 0 | 1 {
  if (at === lineEnd) return OTHER_VERSION;
  if (lineEnd - at !== 9 || !text.startsWith(' HTTP/', at) || text.charCodeAt(at + 7) !== 46) return NOT_HTTP;
  const major = text.charCodeAt(at + 6) - 48;
  const minor = text.charCodeAt(at + 8) - 48;
  if (major < 0 || major > 9 || minor < 0 || minor > 9) return NOT_HTTP;
  if (major === 1 && minor === 1) return 11;
  return major === 1 && minor === 0 ? 10 : OTHER_VERSION;
}

/** `http://host/path` to its parts. User information is refused: it is how hosts are spoofed (RFC 9110 §4.2.4). */
function splitAbsolute(target: string): { authority: string; path: string } | undefined {
  const mark = target.indexOf('://');
  if (mark < 0) return undefined;
  const scheme = target.slice(0, mark).toLowerCase();
  if (scheme !== 'http' && scheme !== 'https') return undefined;
  let at = mark + 3;
  while (at < target.length && target.charCodeAt(at) !== 47 && target.charCodeAt(at) !== 63) at++;
  const rest = target.slice(at);
  return { authority: target.slice(mark + 3, at), path: rest.charCodeAt(0) === 47 ? rest : `/${rest}` };
}

/** RFC 3986 §3.2 without user information: unreserved, sub-delims, `%`, `:`, `[` and `]`. */
const AUTHORITY = new Uint8Array(256);
for (const c of "-._~!$&'()*+,;=%:[]0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
  AUTHORITY[c.charCodeAt(0)] = 1;

function isAuthority(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (AUTHORITY[text.charCodeAt(i)] !== 1) return false;
  return true;
}

/** The protocol asked for. `h2c` is not taken up, as in Envoy: the request goes on as HTTP/1.1. */
function upgradeOf(version: 10 | 11): string | undefined {
  if (facts.upgrade === undefined || !facts.connectionUpgrade || version === 10) return undefined;
  return facts.upgrade.toLowerCase() === 'h2c' ? undefined : facts.upgrade;
}
