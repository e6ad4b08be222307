/**
 * Envoy's `retry_on` words as bits, and what a policy becomes before it meets requests. The words:
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-on
 */
import type { RetryPolicy } from '../../xds-client/model/route.ts';
import type { HeaderMap, RequestHead } from '../http/headers.ts';

export const RetryOn = {
  ServerError: 1 << 0, // 5xx
  GatewayError: 1 << 1,
  Reset: 1 << 2,
  ResetBeforeRequest: 1 << 3,
  ConnectFailure: 1 << 4,
  RefusedStream: 1 << 5,
  Retriable4xx: 1 << 6,
  RetriableStatusCodes: 1 << 7,
  RetriableHeaders: 1 << 8,
  EnvoyRateLimited: 1 << 9,
  GrpcCancelled: 1 << 10,
  GrpcDeadlineExceeded: 1 << 11,
  GrpcInternal: 1 << 12,
  GrpcResourceExhausted: 1 << 13,
  GrpcUnavailable: 1 << 14,
} as const;

const WORDS: ReadonlyMap<string, number> = new Map([
  ['5xx', RetryOn.ServerError],
  ['gateway-error', RetryOn.GatewayError],
  ['reset', RetryOn.Reset],
  ['reset-before-request', RetryOn.ResetBeforeRequest],
  ['connect-failure', RetryOn.ConnectFailure],
  ['refused-stream', RetryOn.RefusedStream],
  ['retriable-4xx', RetryOn.Retriable4xx],
  ['retriable-status-codes', RetryOn.RetriableStatusCodes],
  ['retriable-headers', RetryOn.RetriableHeaders],
  ['envoy-ratelimited', RetryOn.EnvoyRateLimited],
  ['cancelled', RetryOn.GrpcCancelled],
  ['deadline-exceeded', RetryOn.GrpcDeadlineExceeded],
  ['internal', RetryOn.GrpcInternal],
  ['resource-exhausted', RetryOn.GrpcResourceExhausted],
  ['unavailable', RetryOn.GrpcUnavailable],
]);

/** gRPC status codes to their conditions. */
export const GRPC_CONDITIONS: ReadonlyMap<number, number> = new Map([
  [1, RetryOn.GrpcCancelled],
  [4, RetryOn.GrpcDeadlineExceeded],
  [8, RetryOn.GrpcResourceExhausted],
  [13, RetryOn.GrpcInternal],
  [14, RetryOn.GrpcUnavailable],
]);

/** Any of the five gRPC conditions. */
export const ANY_GRPC =
  RetryOn.GrpcCancelled |
  RetryOn.GrpcDeadlineExceeded |
  RetryOn.GrpcInternal |
  RetryOn.GrpcResourceExhausted |
  RetryOn.GrpcUnavailable;

/** The bit of one word, 0 for a word that is none: Envoy passes over those. */
export function conditionOf(word: string): number {
  return WORDS.get(word) ?? 0;
}

/** Whether a header's words are all conditions of its protocol. */
export function conditionsValid(value: string, grpc: boolean): boolean {
  return value.split(',').every((word) => {
    const bit = conditionOf(word.trim());
    return bit !== 0 && ((bit & ANY_GRPC) !== 0) === grpc;
  });
}

/** The words of a set of bits, for the decision record. */
export function conditionNames(bits: number): string {
  const names: string[] = [];
  for (const [word, bit] of WORDS) if ((bits & bit) !== 0) names.push(word);
  return names.join(',');
}

/** A retry policy as decisions use it: of a route, or of a route and a request's `x-envoy-*` headers. */
export interface CompiledRetry {
  readonly on: number;
  readonly numRetries: number;
  readonly statusCodes: ReadonlySet<number>;
  /** Compiled `retriable_headers`; `undefined` when there are none. */
  readonly retriableHeaders: ((headers: HeaderMap) => boolean) | undefined;
  /** Compiled `retriable_request_headers`: requests that do not match are not retried. */
  readonly requestHeaders: ((head: RequestHead) => boolean) | undefined;
  readonly baseMs: number;
  readonly maxMs: number;
  readonly rateLimited: RetryPolicy['rateLimitedBackoff'];
}

/** Header matchers are compiled by proxy/route/, which this room does not know. */
export interface CompileHeaders {
  ofResponse(matches: RetryPolicy['retriableHeaders']): (headers: HeaderMap) => boolean;
  /** Pseudo headers (`:method`) count. */
  ofRequest(matches: RetryPolicy['retriableRequestHeaders']): (head: RequestHead) => boolean;
}

export function compileRetry(policy: RetryPolicy, compile: CompileHeaders): CompiledRetry {
  let on = 0;
  for (const word of policy.on) {
    // A status code may stand among the words, as Istio writes them.
    if (/^[1-5]\d\d$/.test(word)) on |= RetryOn.RetriableStatusCodes;
    else on |= conditionOf(word);
  }
  const codes = new Set(policy.retriableStatusCodes);
  for (const word of policy.on) if (/^[1-5]\d\d$/.test(word)) codes.add(Number(word));
  return {
    on,
    numRetries: policy.numRetries,
    statusCodes: codes,
    retriableHeaders: policy.retriableHeaders.length === 0 ? undefined : compile.ofResponse(policy.retriableHeaders),
    requestHeaders:
      policy.retriableRequestHeaders.length === 0 ? undefined : compile.ofRequest(policy.retriableRequestHeaders),
    baseMs: policy.backoff.baseMs,
    maxMs: policy.backoff.maxMs,
    rateLimited: policy.rateLimitedBackoff,
  };
}

/** No retry at all: the ground that request headers build on where the route has no policy. */
const NONE: CompiledRetry = {
  on: 0,
  numRetries: 1,
  statusCodes: new Set(),
  retriableHeaders: undefined,
  requestHeaders: undefined,
  baseMs: 25,
  maxMs: 250,
  rateLimited: undefined,
};

const RETRY_HEADERS = [
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
  'x-envoy-max-retries',
  'x-envoy-retriable-status-codes',
  'x-envoy-retriable-header-names',
  'x-envoy-hedge-on-per-try-timeout',
];

/**
 * The policy for one request: the route's, with the request's `x-envoy-retry-*` headers merged in and taken off.
 * External requests lost those headers in the connection manager. Returns the route's own object when there is nothing
 * to merge, so that the common request allocates nothing; `undefined`: no retry.
 */
export function retryForRequest(route: CompiledRetry | undefined, head: RequestHead): CompiledRetry | undefined {
  const { headers } = head;
  const merged = headersSayAnything(headers) ? mergeHeaders(route ?? NONE, headers) : route;
  if (merged === undefined || merged.on === 0) return undefined;
  if (merged.requestHeaders !== undefined && !merged.requestHeaders(head)) return undefined;
  return merged;
}

function headersSayAnything(headers: HeaderMap): boolean {
  const { names } = headers;
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    if (name.length >= 16 && name.charCodeAt(0) === 120 && RETRY_HEADERS.includes(name)) return true;
  }
  return false;
}

function mergeHeaders(base: CompiledRetry, headers: HeaderMap): CompiledRetry {
  // Each header has the words of its own protocol.
  let on =
    base.on |
    (bitsOf(headers.get('x-envoy-retry-on')) & ~ANY_GRPC) |
    (bitsOf(headers.get('x-envoy-retry-grpc-on')) & ANY_GRPC);
  const codes = new Set(base.statusCodes);
  for (const word of words(headers.get('x-envoy-retriable-status-codes'))) {
    if (/^\d{3}$/.test(word)) codes.add(Number(word));
  }
  const names = words(headers.get('x-envoy-retriable-header-names')).map((name) => name.toLowerCase());
  const inner = base.retriableHeaders;
  const retriableHeaders =
    names.length === 0
      ? inner
      : (response: HeaderMap) => names.some((name) => response.has(name)) || (inner?.(response) ?? false);
  const max = headers.get('x-envoy-max-retries');
  const numRetries = on !== 0 && max !== undefined && /^\d{1,9}$/.test(max) ? Number(max) : base.numRetries;
  if (headers.get('x-envoy-max-retries') === '0') on = 0;
  for (const name of RETRY_HEADERS) headers.remove(name);
  return { ...base, on, numRetries, statusCodes: codes, retriableHeaders };
}

function words(value: string | undefined): string[] {
  return value === undefined
    ? []
    : value
        .split(',')
        .map((word) => word.trim())
        .filter((word) => word !== '');
}

function bitsOf(value: string | undefined): number {
  let bits = 0;
  for (const word of words(value)) bits |= conditionOf(word);
  return bits;
}
