/**
 * The times a request may take: the route's, as the request's headers change them. Milliseconds; 0 is no limit.
 *
 * `x-envoy-upstream-rq-timeout-ms` and `-per-try-timeout-ms` are honoured on internal requests: the connection manager
 * took them off external ones. `grpc-timeout` counts where the route says how much of it (`max_grpc_timeout`).
 */
import type { RetryPolicy, RouteAction } from '../../xds-client/model/route.ts';
import type { HeaderMap } from '../http/headers.ts';

const UNITS: { readonly [unit: string]: number } = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 };

/** `grpc-timeout` of the gRPC HTTP/2 protocol: at most 8 digits and a unit. Rounded up; `undefined`: malformed. */
export function parseGrpcTimeout(value: string): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(value);
  if (match === null) return undefined;
  return Math.ceil(Number(match[1]) * (UNITS[match[2] as string] as number));
}

/** Writes a `grpc-timeout` in the finest unit that fits 8 digits. */
export function formatGrpcTimeout(ms: number): string {
  if (ms < 100_000_000) return `${Math.max(0, Math.round(ms))}m`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 100_000_000) return `${seconds}S`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 100_000_000) return `${minutes}M`;
  return `${Math.min(99_999_999, Math.floor(minutes / 60))}H`;
}

/** Reads and removes a millisecond header. */
function takeMilliseconds(headers: HeaderMap, name: string): number | undefined {
  const value = headers.get(name);
  if (value === undefined) return undefined;
  headers.remove(name);
  return milliseconds(value);
}

function milliseconds(value: string): number | undefined {
  return /^\d{1,12}$/.test(value) ? Number(value) : undefined;
}

/**
 * The time for the whole of the upstream's part, retries included. `expected`: what the sidecar before us says of it counts,
 * and not what the caller asks for.
 */
export function globalTimeout(route: RouteAction, headers: HeaderMap, grpc: boolean, expected = false): number {
  let timeout = route.timeoutMs;
  if (route.usesStreamDuration) timeout = 0;
  else if (grpc && route.grpcTimeoutHeaderMaxMs !== undefined) timeout = grpcTimeout(route, headers);
  const told = expected ? headers.get('x-envoy-expected-rq-timeout-ms') : undefined;
  if (told !== undefined) return milliseconds(told) ?? timeout;
  return takeMilliseconds(headers, 'x-envoy-upstream-rq-timeout-ms') ?? timeout;
}

function grpcTimeout(route: RouteAction, headers: HeaderMap): number {
  const max = route.grpcTimeoutHeaderMaxMs ?? 0;
  const value = headers.get('grpc-timeout');
  let timeout = value === undefined ? 0 : (parseGrpcTimeout(value) ?? 0);
  // 0 means for ever: an offset may shorten the time, it may not end it.
  if (route.grpcTimeoutOffsetMs < timeout) timeout -= route.grpcTimeoutOffsetMs;
  if (max !== 0 && (timeout === 0 || timeout > max)) timeout = max;
  return timeout;
}

/** The time for one attempt; 0 where it would not end before the whole does. */
export function perTryTimeout(retry: RetryPolicy | undefined, headers: HeaderMap, globalMs: number): number {
  const perTry = takeMilliseconds(headers, 'x-envoy-upstream-rq-per-try-timeout-ms') ?? retry?.perTryTimeoutMs ?? 0;
  return globalMs !== 0 && perTry >= globalMs ? 0 : perTry;
}

/**
 * What the upstream is told (`x-envoy-expected-rq-timeout-ms`): the attempt's time, no more than what is left of the
 * whole. 0: say nothing. Out of time is 1, as 0 would mean for ever.
 */
export function expectedTimeout(globalMs: number, perTryMs: number, elapsedMs: number): number {
  const wanted = perTryMs === 0 ? globalMs : perTryMs;
  if (wanted === 0 || globalMs === 0) return wanted;
  if (elapsedMs >= globalMs) return 1;
  return Math.min(wanted, globalMs - Math.floor(elapsedMs));
}
