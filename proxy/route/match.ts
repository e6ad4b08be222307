/** envoy.config.route.v3.RouteMatch, compiled. Tests run from the cheapest to the dearest; the result is the same in any order. */
import type { Fraction } from '../../xds-client/model/common.ts';
import type { QueryParameterMatch, RouteMatch } from '../../xds-client/model/route.ts';
import type { TlsInfo } from '../http/connection-info.ts';
import { isGrpcType } from '../http/grpc-type.ts';
import type { RequestHead } from '../http/headers.ts';
import { HeaderTest } from './header-match.ts';
import { FullMatchRegex } from './regex.ts';
import { compileStringMatch, type StringTest } from './string-match.ts';

const PathKind = { Prefix: 0, Exact: 1, Regex: 2, Separated: 3, Connect: 4, Never: 5 } as const;

interface QueryTest {
  readonly config: QueryParameterMatch;
  readonly value: StringTest | undefined;
}

/** The runtime's shares, which take the place of configured ones, by key. */
export type Shares = (key: string) => Pick<Fraction, 'numerator' | 'denominator'> | undefined;
const NO_SHARES: Shares = () => undefined;

export class RouteTest {
  private readonly config: RouteMatch;
  private readonly shares: Shares;
  private readonly kind: number;
  private readonly value: string;
  private readonly ignoreCase: boolean;
  private readonly regex: FullMatchRegex | undefined;
  private readonly headers: readonly HeaderTest[];
  private readonly query: readonly QueryTest[];
  private readonly plain: boolean;

  constructor(config: RouteMatch, shares: Shares = NO_SHARES) {
    this.config = config;
    this.shares = shares;
    const { path } = config;
    this.kind = kindOf(path.kind);
    this.ignoreCase = 'ignoreCase' in path && path.ignoreCase;
    const value = path.kind === 'connect' ? '' : path.value;
    this.value = this.ignoreCase ? value.toLowerCase() : value;
    this.regex = path.kind === 'regex' ? new FullMatchRegex(value) : undefined;
    this.headers = config.headers.map((header) => new HeaderTest(header));
    this.query = config.queryParameters.map((parameter) => ({
      config: parameter,
      value: parameter.match === undefined ? undefined : compileStringMatch(parameter.match),
    }));
    this.plain =
      this.headers.length === 0 &&
      this.query.length === 0 &&
      !config.grpc &&
      config.fraction === undefined &&
      config.tls === undefined;
  }

  /** `path` is the request's without its query; `random` is in [0, 1). */
  matches(head: RequestHead, path: string, tls: TlsInfo | undefined, random: number): boolean {
    return this.matchesPath(head, path) && (this.plain || this.refusal(head, tls, random) === undefined);
  }

  /** Why the request does not match, or `undefined`. For explanations: it makes text. */
  explain(head: RequestHead, path: string, tls: TlsInfo | undefined, random: number): string | undefined {
    if (!this.matchesPath(head, path)) {
      const { path: wanted } = this.config;
      return wanted.kind === 'connect' ? 'it is for CONNECT' : `path is not ${wanted.kind} "${wanted.value}"`;
    }
    const part = this.refusal(head, tls, random);
    if (typeof part === 'string') return part;
    if (part instanceof HeaderTest) return `header "${part.config.name}" does not match`;
    return part === undefined ? undefined : `query parameter "${part.config.name}" does not match`;
  }

  private matchesPath(head: RequestHead, path: string): boolean {
    if (this.kind === PathKind.Connect) return head.method === 'CONNECT';
    if (path === '') return false;
    const text = this.ignoreCase ? path.toLowerCase() : path;
    switch (this.kind) {
      case PathKind.Prefix:
        return text.startsWith(this.value);
      case PathKind.Exact:
        return text === this.value;
      case PathKind.Separated:
        return (
          text.startsWith(this.value) &&
          (text.length === this.value.length || text.charCodeAt(this.value.length) === 47)
        );
      default:
        return this.regex?.matches(text) === true;
    }
  }

  /** The first condition beside the path that does not hold. */
  private refusal(
    head: RequestHead,
    tls: TlsInfo | undefined,
    random: number,
  ): HeaderTest | QueryTest | string | undefined {
    const { fraction, grpc, tls: wanted } = this.config;
    if (fraction !== undefined && !inFraction(fraction, random, this.shares)) return 'outside of the runtime fraction';
    if (grpc && !isGrpc(head)) return 'it is for gRPC';
    for (const header of this.headers) if (!header.matchesRequest(head)) return header;
    if (this.query.length > 0) {
      for (const parameter of this.query) if (!matchesQuery(parameter, head.path)) return parameter;
    }
    if (wanted?.presented !== undefined && wanted.presented !== (tls?.peer !== undefined)) {
      return wanted.presented ? 'it is for peers with a certificate' : 'it is for peers without a certificate';
    }
    if (wanted?.validated !== undefined && wanted.validated !== (tls?.peer !== undefined && tls.peerValidated)) {
      return wanted.validated ? 'it is for peers with a validated certificate' : 'it is for peers not validated';
    }
    return undefined;
  }
}

function kindOf(kind: RouteMatch['path']['kind']): number {
  switch (kind) {
    case 'prefix':
      return PathKind.Prefix;
    case 'exact':
      return PathKind.Exact;
    case 'regex':
      return PathKind.Regex;
    case 'path-separated-prefix':
      return PathKind.Separated;
    case 'connect':
      return PathKind.Connect;
    case 'uri-template':
      return PathKind.Never;
  }
}

/** Whether `random` (in [0, 1)) falls in the fraction. */
function inFraction(fraction: Fraction, random: number, shares: Shares): boolean {
  const said = fraction.runtimeKey === undefined ? undefined : shares(fraction.runtimeKey);
  const { numerator, denominator } = said ?? fraction;
  return random * denominator < numerator;
}

/** `application/grpc`, alone or with a `+suffix`. */
export function isGrpc(head: RequestHead): boolean {
  return isGrpcType(head.headers.get('content-type'));
}

/** The path without query. */
export function withoutQuery(path: string): string {
  const end = path.indexOf('?');
  return end < 0 ? path : path.slice(0, end);
}

/** The first value of a query parameter, not decoded, as Envoy compares it; `undefined`: it is not there. */
export function queryParameter(path: string, name: string): string | undefined {
  const mark = path.indexOf('?');
  if (mark < 0) return undefined;
  for (let at = mark + 1; at <= path.length; ) {
    let end = path.indexOf('&', at);
    if (end < 0) end = path.length;
    if (path.startsWith(name, at)) {
      const after = at + name.length;
      if (after === end) return '';
      if (path.charCodeAt(after) === 61) return path.slice(after + 1, end);
    }
    at = end + 1;
  }
  return undefined;
}

function matchesQuery(test: QueryTest, path: string): boolean {
  const value = queryParameter(path, test.config.name);
  if (test.value !== undefined) return value !== undefined && test.value(value);
  return (value !== undefined) === (test.config.present ?? true);
}
