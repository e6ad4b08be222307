/**
 * The second pass over a head: field lines to a `HeaderMap`, with what framing needs noted on the way (RFC 9112 §6.3).
 * Fields of this hop do not get into the map (RFC 9110 §7.6.1). Works on one latin1 string with the line ends that
 * ./head-scan.ts noted.
 */
import type { HeaderMap } from '../http/headers.ts';
import type { ProtocolFault } from '../http/stream.ts';
import { Fault } from './faults.ts';
import { FieldKind, read, readName } from './field-names.ts';
import { scanned } from './head-scan.ts';

export type Underscores = 'allow' | 'reject' | 'drop';

/** What the fields of the last parsed head said; one for the thread, valid until the next head. */
export const facts = {
  host: undefined as string | undefined,
  /** -1: none. */
  contentLength: -1,
  chunked: false,
  close: false,
  keepAlive: false,
  /** `Connection: upgrade` was there. */
  connectionUpgrade: false,
  upgrade: undefined as string | undefined,
  /** Fields that `Connection` names, to be taken out. */
  nominated: undefined as string[] | undefined,
};

/**
 * Parses the field lines of `text`, whose lines end at `scanned.lineEnds` (from line `firstLine`), into `headers` and
 * `facts`. Returns the fault, or `undefined`.
 */
export function parseFields(
  text: string,
  firstLine: number,
  headers: HeaderMap,
  underscores: Underscores,
): ProtocolFault | undefined {
  facts.host = undefined;
  facts.contentLength = -1;
  facts.chunked = false;
  facts.close = false;
  facts.keepAlive = false;
  facts.connectionUpgrade = false;
  facts.upgrade = undefined;
  facts.nominated = undefined;
  const { lineEnds, lines } = scanned;
  const { names, values, spelling } = headers;
  for (let line = firstLine; line < lines; line++) {
    const start = line === 0 ? 0 : (lineEnds[line - 1] as number) + 2;
    let end = lineEnds[line] as number;
    if (!readName(text, start, end)) return Fault.fieldName;
    const { name, kind, colon } = read;
    let at = colon + 1;
    while (at < end && isBlank(text.charCodeAt(at))) at++;
    while (end > at && isBlank(text.charCodeAt(end - 1))) end--;
    let value = text.slice(at, end);
    if (kind !== FieldKind.Ordinary) {
      if (kind === FieldKind.ContentLength) {
        if (facts.contentLength >= 0) return Fault.twoContentLengths;
        facts.contentLength = decimal(value);
        if (facts.contentLength < 0) return Fault.contentLength;
        // One reading only: a leading zero means octal to some.
        if (value.charCodeAt(0) === 48) value = String(facts.contentLength);
      } else if (kind === FieldKind.Underscore) {
        if (underscores === 'reject') return Fault.underscore;
        if (underscores === 'drop') continue;
      } else {
        const fault = takeSpecial(kind, value);
        if (fault !== undefined) return fault;
        if (kind !== FieldKind.Te || !acceptsTrailers(value)) continue;
        value = 'trailers';
      }
    }
    names.push(name);
    values.push(value);
    if (spelling !== undefined) spelling.push(text.slice(start, colon));
  }
  if (facts.chunked && facts.contentLength >= 0) return Fault.lengthAndChunked;
  return facts.nominated === undefined ? undefined : removeNominated(headers, facts.nominated);
}

function takeSpecial(kind: number, value: string): ProtocolFault | undefined {
  switch (kind) {
    case FieldKind.Host:
      if (facts.host !== undefined) return Fault.twoHosts;
      facts.host = value;
      return undefined;
    case FieldKind.TransferEncoding:
      if (facts.chunked || value.toLowerCase() !== 'chunked') return Fault.transferEncoding;
      facts.chunked = true;
      return undefined;
    case FieldKind.Connection:
      return takeConnection(value);
    case FieldKind.Upgrade:
      facts.upgrade = facts.upgrade === undefined ? value : `${facts.upgrade}, ${value}`;
      return undefined;
    case FieldKind.HopByHop:
      // No standard, but clients that take us for a forward proxy say it so, and Envoy hears it too.
      if (read.name === 'proxy-connection' && hasToken(value, 'close')) facts.close = true;
      return undefined;
    default:
      return undefined;
  }
}

/** Of `TE` one word goes on: that the sender reads trailers. Codings are of this hop. */
function acceptsTrailers(value: string): boolean {
  return value === 'trailers' || hasToken(value, 'trailers');
}

function hasToken(list: string, token: string): boolean {
  return list.split(',').some((one) => one.trim().toLowerCase() === token);
}

/** The most fields that one message may nominate for removal, as in Envoy. */
const MAX_NOMINATED = 10;

function takeConnection(value: string): ProtocolFault | undefined {
  if (value === 'keep-alive' || value === 'Keep-Alive') {
    facts.keepAlive = true;
    return undefined;
  }
  if (value === 'close') {
    facts.close = true;
    return undefined;
  }
  for (let at = 0; at <= value.length; ) {
    let end = value.indexOf(',', at);
    if (end < 0) end = value.length;
    const token = value.slice(at, end).trim().toLowerCase();
    at = end + 1;
    if (token === 'close') facts.close = true;
    else if (token === 'keep-alive') facts.keepAlive = true;
    else if (token === 'upgrade') facts.connectionUpgrade = true;
    else if (token !== '') {
      if (mustStay(token)) return Fault.connectionField;
      facts.nominated ??= [];
      if (facts.nominated.push(token) > MAX_NOMINATED) return Fault.connectionField;
    }
  }
  return undefined;
}

/**
 * Fields that a sender could use `Connection` against: framing, routing, and what proxies on the way wrote down.
 * Envoy refuses the `x-forwarded-*` ones and pseudo headers; framing, host and the payment's own key are Tollway's addition.
 */
function mustStay(token: string): boolean {
  switch (token) {
    case 'host':
    case 'content-length':
    case 'transfer-encoding':
    case 'cdn-loop':
    case 'x-forwarded-for':
    case 'x-forwarded-host':
    case 'x-forwarded-proto':
    case 'x-forwarded-client-cert':
    case 'idempotency-key':
      return true;
    default:
      return token.charCodeAt(0) === 58;
  }
}

function removeNominated(headers: HeaderMap, nominated: readonly string[]): undefined {
  for (const name of nominated) if (name !== 'te') headers.remove(name);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

/** 1 to 15 decimal digits after leading zeros, or -1. */
function decimal(value: string): number {
  if (value.length === 0 || value.length > 18) return -1;
  let n = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    n = n * 10 + digit;
  }
  return n <= Number.MAX_SAFE_INTEGER ? n : -1;
}
