/** envoy.config.route.v3.HeaderMatcher, compiled; also for virtual clusters and retries. */
import type { HeaderMatch } from '../../xds-client/model/common.ts';
import type { HeaderMap, RequestHead } from '../http/headers.ts';
import { compileStringMatch, type StringTest } from './string-match.ts';

export class HeaderTest {
  readonly config: HeaderMatch;
  private readonly value: StringTest | undefined;

  constructor(config: HeaderMatch) {
    this.config = config;
    this.value = config.match.kind === 'string' ? compileStringMatch(config.match.string) : undefined;
  }

  /** Of a request. */
  matchesRequest(head: RequestHead): boolean {
    const { name } = this.config;
    const pseudo = pseudoValue(head, name);
    if (pseudo !== undefined) return this.testOne(pseudo);
    return this.matchesFields(head.headers);
  }

  /** Of fields without pseudo headers (a response, trailers). */
  matchesFields(headers: HeaderMap): boolean {
    const { match, invert, treatMissingAsEmpty, name } = this.config;
    const { names, values } = headers;
    const first = names.indexOf(name);
    if (first < 0) {
      if (treatMissingAsEmpty) return this.testOne('');
      // As in Envoy: a field that is not there matches no value, inverted or not.
      return match.kind === 'present' && !match.present !== invert;
    }
    // As in Envoy: each field of that name for itself, and one is enough.
    for (let i = first; i >= 0; i = names.indexOf(name, i + 1)) {
      if (this.testValue(values[i] as string)) return !invert;
    }
    return invert;
  }

  private testOne(value: string): boolean {
    return this.testValue(value) !== this.config.invert;
  }

  private testValue(value: string): boolean {
    const { match } = this.config;
    if (match.kind === 'present') return match.present;
    if (match.kind === 'range') {
      const number = integer(value);
      return number !== undefined && number >= match.start && number < match.end;
    }
    return this.value?.(value) === true;
  }
}

/** The value of a pseudo header (or of `host`), or `undefined` when `name` is none, or the request has none. */
function pseudoValue(head: RequestHead, name: string): string | undefined {
  switch (name) {
    case ':method':
      return head.method;
    case ':path':
      return head.path === '' ? undefined : head.path;
    case ':authority':
    case 'host':
      return head.authority;
    case ':scheme':
      return head.scheme;
    case ':protocol':
      return head.protocol;
    default:
      return undefined;
  }
}

/** A whole decimal number with an optional sign, or `undefined`. */
function integer(value: string): number | undefined {
  const text = value.trim();
  const start = text.startsWith('-') || text.startsWith('+') ? 1 : 0;
  if (text.length === start) return undefined;
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 48 || code > 57) return undefined;
  }
  return Number(text);
}
