/** Times that a route sets for the downstream's stream. Milliseconds; `undefined`: it says nothing, 0: no limit. */
import type { RouteAction } from '../../../../xds-client/model/route.ts';
import type { HeaderMap } from '../../../http/headers.ts';
import { parseGrpcTimeout } from '../../../policy/timeout.ts';

export function streamIdleTimeout(action: RouteAction): number | undefined {
  return action.idleTimeoutMs;
}

/** A deadline that is over: not 0, which would be no limit, but what `grpc-timeout` rounds to 0. */
const OVER = 0.4;

/** `max_stream_duration`, or what `grpc-timeout` asks for where the route lets it. */
export function streamDuration(action: RouteAction, headers: HeaderMap): number | undefined {
  const { maxStreamDurationMs, grpcTimeoutHeaderMaxMs, grpcTimeoutOffsetMs } = action;
  if (!action.usesStreamDuration) return undefined;
  const value = grpcTimeoutHeaderMaxMs === undefined ? undefined : headers.get('grpc-timeout');
  const asked = value === undefined ? undefined : parseGrpcTimeout(value);
  if (asked === undefined) return maxStreamDurationMs;
  const max = grpcTimeoutHeaderMaxMs ?? 0;
  const limited = max > 0 ? Math.min(asked, max) : asked;
  return Math.max(OVER, limited - grpcTimeoutOffsetMs);
}
