/** Times that a route sets for the downstream's stream. Milliseconds; `undefined`: it says nothing, 0: no limit. */
import type { RouteAction } from '../../../../xds-client/model/route.ts';
import type { HeaderMap } from '../../../http/headers.ts';
import { parseGrpcTimeout } from '../../../policy/timeout.ts';

export function streamIdleTimeout(action: RouteAction): number | undefined {
  return action.idleTimeoutMs;
}

/** `max_stream_duration`, shortened by `grpc-timeout` where the route lets it. */
export function streamDuration(action: RouteAction, headers: HeaderMap): number | undefined {
  const { maxStreamDurationMs, grpcTimeoutHeaderMaxMs, grpcTimeoutOffsetMs } = action;
  if (maxStreamDurationMs === undefined) return undefined;
  const value = grpcTimeoutHeaderMaxMs === undefined ? undefined : headers.get('grpc-timeout');
  const asked = value === undefined ? undefined : parseGrpcTimeout(value);
  if (asked === undefined) return maxStreamDurationMs;
  const max = grpcTimeoutHeaderMaxMs ?? 0;
  const limited = max > 0 ? Math.min(asked, max) : asked;
  return grpcTimeoutOffsetMs < limited ? limited - grpcTimeoutOffsetMs : limited;
}
