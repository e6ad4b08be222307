/**
 * Decoded fields to heads and trailers (RFC 9113 §8). A message that breaks these rules is malformed, whatever it was meant
 * to be: what one side takes for a field and the other for a line's end is how requests are smuggled.
 */
import { HeaderMap, type RequestHead, type ResponseHead } from '../http/headers.ts';
import { Fault, type Http2Fault } from './faults.ts';
import type { HpackDecoder } from './hpack-decoder.ts';
import { LOWER_TOKEN, NameKind } from './names.ts';
import type { Field } from './static-table.ts';

/** What the last read message said beside its fields, and why it was refused; one for the thread. */
export const read = {
  fault: undefined as Http2Fault | undefined,
  /** -1: none. */
  contentLength: -1,
  /** Fields with an underscore that were left out. */
  dropped: 0,
};

export type Underscores = 'allow' | 'reject' | 'drop';

let cookies: string | undefined;

function begin(): void {
  read.fault = undefined;
  read.contentLength = -1;
  read.dropped = 0;
  cookies = undefined;
}

function refuse(fault: Http2Fault): undefined {
  read.fault = fault;
  return undefined;
}

/** Adds a field that is no pseudo-field. Returns why it makes its message malformed. */
function addField(headers: HeaderMap, field: Field, underscores: Underscores): Http2Fault | undefined {
  if (!field.valid) return Fault.fieldValue;
  const { name, value } = field;
  switch (name.kind) {
    case NameKind.Ordinary:
      break;
    case NameKind.ContentLength: {
      const length = decimal(value);
      // Two that differ, or that are written differently, could be read in two ways.
      if (length < 0 || read.contentLength >= 0) return Fault.contentLength;
      read.contentLength = length;
      break;
    }
    case NameKind.Te:
      if (value !== 'trailers') return Fault.connectionField;
      break;
    case NameKind.Cookie:
      // Crumbs are one field to everybody else (RFC 9113 §8.2.3).
      if (cookies !== undefined) {
        cookies = `${cookies}; ${value}`;
        headers.set('cookie', cookies);
        return undefined;
      }
      cookies = value;
      break;
    case NameKind.Underscore:
      if (underscores === 'reject') return Fault.underscore;
      if (underscores === 'drop') {
        read.dropped++;
        return undefined;
      }
      break;
    case NameKind.ConnectionSpecific:
      return Fault.connectionField;
    case NameKind.Invalid:
      return name.text.charCodeAt(0) === 58 ? Fault.strayPseudoField : Fault.fieldName;
    case NameKind.Host:
      break;
    default:
      return Fault.strayPseudoField;
  }
  headers.names.push(name.text);
  headers.values.push(value);
  return undefined;
}

/** The request that the decoder's fields make; `undefined`: malformed, see `read.fault`. An extended CONNECT comes out as a GET. */
export function readRequest(
  decoder: HpackDecoder,
  scheme: string,
  underscores: Underscores,
  allowConnect: boolean,
): RequestHead | undefined {
  begin();
  const { fields, count } = decoder;
  const headers = new HeaderMap();
  let method: string | undefined;
  let path: string | undefined;
  let named: string | undefined;
  let authority: string | undefined;
  let protocol: string | undefined;
  let host: string | undefined;
  let i = 0;
  for (; i < count; i++) {
    const { name, value, valid } = fields[i] as Field;
    const { kind } = name;
    if (kind === NameKind.Ordinary || kind > NameKind.Status) break;
    if (!valid) return refuse(Fault.fieldValue);
    if (kind === NameKind.Method && method === undefined) method = value;
    else if (kind === NameKind.Path && path === undefined) path = value;
    else if (kind === NameKind.Scheme && named === undefined) named = value;
    else if (kind === NameKind.Authority && authority === undefined) authority = value;
    else if (kind === NameKind.Protocol && protocol === undefined) protocol = value;
    else return refuse(Fault.pseudoField);
  }
  for (; i < count; i++) {
    const field = fields[i] as Field;
    if (field.name.kind === NameKind.Host && field.valid) {
      if (host !== undefined) return refuse(Fault.authority);
      host = field.value;
      continue;
    }
    const fault = addField(headers, field, underscores);
    if (fault !== undefined) return refuse(fault);
  }
  if (method === undefined || !isToken(method)) return refuse(method === undefined ? Fault.pseudoField : Fault.method);
  const connects = method === 'CONNECT';
  if (protocol !== undefined && (!connects || !allowConnect)) return refuse(Fault.connectProtocol);
  if (connects && protocol === undefined) {
    if (path !== undefined || named !== undefined || authority === undefined) return refuse(Fault.pseudoField);
    path = '';
  } else {
    if (named === undefined || path === undefined) return refuse(Fault.pseudoField);
    if (!isPath(path) || (path.charCodeAt(0) !== 47 && (path !== '*' || method !== 'OPTIONS'))) {
      return refuse(Fault.path);
    }
  }
  if (host !== undefined && authority !== undefined && host.toLowerCase() !== authority.toLowerCase()) {
    return refuse(Fault.authority);
  }
  authority ??= host ?? '';
  if (authority === '') return refuse(Fault.pseudoField);
  if (!isAuthority(authority)) return refuse(Fault.authority);
  if (protocol !== undefined) method = 'GET';
  return { method, path, authority, scheme, version: 20, protocol, headers };
}

/** The response that the decoder's fields make; `undefined`: malformed, see `read.fault`. */
export function readResponse(decoder: HpackDecoder): ResponseHead | undefined {
  begin();
  const { fields, count } = decoder;
  const headers = new HeaderMap();
  const first = fields[0];
  if (count === 0 || first === undefined || first.name.kind !== NameKind.Status) return refuse(Fault.pseudoField);
  const status = first.value.length === 3 ? decimal(first.value) : -1;
  // 101 is HTTP/1.1's alone (RFC 9113 §8.6).
  if (status < 100 || status === 101) return refuse(Fault.status);
  for (let i = 1; i < count; i++) {
    const fault = addField(headers, fields[i] as Field, 'allow');
    if (fault !== undefined) return refuse(fault);
  }
  return { status, headers };
}

/** The trailers that the decoder's fields make; `undefined`: malformed, see `read.fault`. */
export function readTrailers(decoder: HpackDecoder, underscores: Underscores): HeaderMap | undefined {
  begin();
  const trailers = new HeaderMap();
  for (let i = 0; i < decoder.count; i++) {
    const fault = addField(trailers, decoder.fields[i] as Field, underscores);
    if (fault !== undefined) return refuse(fault);
  }
  return trailers;
}

function isToken(text: string): boolean {
  if (text === '') return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // Upper case is 32 below lower case.
    if (LOWER_TOKEN[code] !== 1 && !(code >= 65 && code <= 90)) return false;
  }
  return true;
}

function isPath(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 33 || code > 126) return false;
  }
  return text !== '';
}

/** RFC 3986 §3.2 without user information: it is how hosts are spoofed. */
const AUTHORITY = new Uint8Array(256);
for (const c of "-._~!$&'()*+,;=%:[]0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
  AUTHORITY[c.charCodeAt(0)] = 1;
}

function isAuthority(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (AUTHORITY[text.charCodeAt(i)] !== 1) return false;
  return true;
}

/** 1 to 15 decimal digits, or -1. */
function decimal(value: string): number {
  if (value.length === 0 || value.length > 15) return -1;
  let n = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    n = n * 10 + digit;
  }
  return n;
}
