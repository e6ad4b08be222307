/**
 * Format strings with command operators (`%REQ(X-ID?:PATH):20%`), compiled once to pieces; writing a line concatenates.
 * The same formats serve access logs, header values (`request_headers_to_add`) and the bodies of local replies.
 */
import type { Json } from '../../../xds-client/model/common.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import { quoted, sortedJson } from './json-text.ts';
import { type FormatExtra, type Operator, type OperatorOptions, shortened, type Value } from './operator.ts';
import { makeOperator } from './operators.ts';

export type Formatter = (info: StreamInfo, extra?: FormatExtra) => string;

export interface FormatOptions extends OperatorOptions {
  /** An absent value is empty instead of `-` in text, and its member is left out of JSON. Header values want this. */
  readonly omitEmpty?: boolean;
}

export type Compiled = { readonly format: Formatter } | { readonly error: string };

/** Envoy's default line. */
export const DEFAULT_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ' +
  '%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ' +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

const OPERATOR = /%([A-Z0-9_]+)(?:\((.*?)\))?(?::([0-9]+))?%/sy;

type Piece = string | Operator;

/** Compiles text. The error names the operator that is unknown or malformed. */
export function compileFormat(text: string, options: FormatOptions = {}): Compiled {
  const pieces = parse(text, { ...options, inText: true });
  if (!Array.isArray(pieces)) return pieces;
  const absent = options.omitEmpty === true ? '' : '-';
  const only = pieces[0];
  if (pieces.length === 0) return { format: () => '' };
  if (pieces.length === 1 && typeof only === 'string') return { format: () => only };
  return { format: joined(pieces, absent) };
}

/** Compiles a JSON shape to a function that gives one line of JSON without its newline. Keys are sorted, as Envoy's are. */
export function compileJsonFormat(shape: { readonly [key: string]: Json }, options: FormatOptions = {}): Compiled {
  const errors: string[] = [];
  const write = compileNode(shape, options, errors);
  const [error] = errors;
  if (error !== undefined) return { error };
  return { format: (info, extra) => write(info, extra) ?? 'null' };
}

function parse(text: string, options: FormatOptions): Piece[] | { readonly error: string } {
  const pieces: Piece[] = [];
  let literal = '';
  let at = 0;
  while (at < text.length) {
    const percent = text.indexOf('%', at);
    if (percent < 0) break;
    literal += text.slice(at, percent);
    if (text[percent + 1] === '%') {
      literal += '%';
      at = percent + 2;
      continue;
    }
    OPERATOR.lastIndex = percent;
    const match = OPERATOR.exec(text);
    if (match === null)
      return { error: `"${text.slice(percent, percent + 40)}" is no command operator; write %% for a percent sign` };
    const [whole, name = '', argument, length] = match;
    const operator = makeOperator(name, argument, options);
    if (typeof operator !== 'function') return operator;
    if (literal !== '') pieces.push(literal);
    literal = '';
    pieces.push(length === undefined ? operator : shortened(operator, Number(length)));
    at = percent + whole.length;
  }
  literal += text.slice(at);
  if (literal !== '') pieces.push(literal);
  return pieces;
}

/** The pieces one after the other; what a request lacks is `absent`. */
function joined(pieces: readonly Piece[], absent: string): Formatter {
  return (info, extra) => {
    let line = '';
    for (const piece of pieces) line += typeof piece === 'string' ? piece : asText(piece(info, extra), absent);
    return line;
  };
}

function asText(value: Value, absent: string): string {
  if (value === undefined || value === null) return absent;
  if (typeof value === 'string') return value;
  return typeof value === 'object' ? sortedJson(value) : String(value);
}

/** JSON text; `undefined` for what is absent. Text at once: an object for each line would be made to be thrown away. */
type Write = (info: StreamInfo, extra: FormatExtra | undefined) => string | undefined;

function compileNode(node: Json, options: FormatOptions, errors: string[]): Write {
  if (typeof node === 'string') return compileLeaf(node, options, errors);
  if (Array.isArray(node)) {
    const items = (node as readonly Json[]).map((item) => compileNode(item, options, errors));
    return (info, extra) => `[${items.map((item) => item(info, extra) ?? 'null').join(',')}]`;
  }
  if (node === null) return () => undefined;
  if (typeof node !== 'object') {
    const text = JSON.stringify(node);
    return () => text;
  }
  const members = Object.entries(node)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => ({ key: `${JSON.stringify(key)}:`, write: compileNode(value, options, errors) }));
  const omit = options.omitEmpty === true;
  return (info, extra) => {
    let text = '{';
    for (const { key, write } of members) {
      const value = write(info, extra);
      if (value === undefined && omit) continue;
      if (text.length > 1) text += ',';
      text += key;
      text += value ?? 'null';
    }
    return `${text}}`;
  };
}

/** One operator alone keeps its type; anything else is text. */
function compileLeaf(format: string, options: FormatOptions, errors: string[]): Write {
  const pieces = parse(format, options);
  if (!Array.isArray(pieces)) {
    errors.push(pieces.error);
    return () => undefined;
  }
  const [only] = pieces;
  if (pieces.length === 1 && typeof only === 'function') return (info, extra) => jsonText(only(info, extra));
  const compiled = compileFormat(format, options);
  if ('error' in compiled) {
    errors.push(compiled.error);
    return () => undefined;
  }
  return (info, extra) => quoted(compiled.format(info, extra));
}

function jsonText(value: Value): string | undefined {
  if (value === undefined || value === null) return undefined;
  return sortedJson(value);
}
