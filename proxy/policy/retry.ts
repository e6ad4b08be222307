/**
 * Whether a failed attempt is tried again. Two questions, in this order: would Envoy's `retry_on` retry it, and may it
 * be sent again at all? The second is the project's own promise (a payment is never silently sent twice): bytes that
 * may have been processed go out again only where the request says that this does no harm.
 */
import type { HeaderMap } from '../http/headers.ts';
import type { ResetReason } from '../http/stream.ts';
import type { AttemptClass } from '../http/stream-info.ts';
import { ANY_GRPC, type CompiledRetry, GRPC_CONDITIONS, RetryOn } from './retry-conditions.ts';

/** `reason` is for the decision record: it says which rule decided. */
export interface RetryDecision {
  readonly retry: boolean;
  readonly reason: string;
}

/** What makes a request safe to send again although its outcome is unknown. */
export interface Repeatable {
  readonly method: string;
  /** RFC 9110: the method is safe or idempotent. */
  readonly idempotent: boolean;
  readonly idempotencyKey: boolean;
  /** The route's `tollway.retry: {idempotency_key: true}`. */
  readonly keyAllowed: boolean;
}

/** Whether what is known of the attempt lets the request go out again. */
export function mayRepeat(attempt: AttemptClass, request: Repeatable): RetryDecision {
  if (attempt === 'not-sent') return { retry: true, reason: 'no byte of the request was sent' };
  if (attempt === 'unprocessed')
    return { retry: true, reason: 'the upstream says that it did not process the request' };
  if (request.idempotent) return { retry: true, reason: `${request.method} is idempotent` };
  if (request.idempotencyKey && request.keyAllowed) {
    return { retry: true, reason: 'the request has an idempotency key and the route allows it' };
  }
  const known =
    attempt === 'answered' ? 'the application answered and may have processed it' : 'its outcome is unknown';
  const key = request.idempotencyKey ? 'the route does not allow its idempotency key' : 'it has no idempotency key';
  return { retry: false, reason: `${known}, ${request.method} is not idempotent and ${key}` };
}

/** The condition that a reset meets, 0 for none. Overflow is never retried: it would feed itself. */
export function resetCondition(on: number, reason: ResetReason, requestStarted: boolean): number {
  if (reason === 'overflow') return 0;
  if ((on & RetryOn.Reset) !== 0) return RetryOn.Reset;
  if ((on & RetryOn.ResetBeforeRequest) !== 0 && !requestStarted) return RetryOn.ResetBeforeRequest;
  if ((on & RetryOn.ServerError) !== 0) return RetryOn.ServerError;
  if ((on & RetryOn.GatewayError) !== 0) return RetryOn.GatewayError;
  if ((on & RetryOn.ConnectFailure) !== 0 && (reason === 'connection-failure' || reason === 'connection-timeout')) {
    return RetryOn.ConnectFailure;
  }
  if ((on & RetryOn.RefusedStream) !== 0 && reason === 'remote-refused') return RetryOn.RefusedStream;
  return 0;
}

/** The condition that a response meets, 0 for none. A final response that says `x-envoy-overloaded` is never retried. */
export function responseCondition(policy: CompiledRetry, status: number, headers: HeaderMap): number {
  const { on } = policy;
  if (status < 400 && policy.retriableHeaders === undefined && (on & ANY_GRPC) === 0) {
    if ((on & RetryOn.RetriableStatusCodes) === 0 || !policy.statusCodes.has(status)) return 0;
  }
  if (headers.has('x-envoy-overloaded')) return 0;
  if (headers.has('x-envoy-ratelimited')) return on & RetryOn.EnvoyRateLimited;
  if ((on & RetryOn.ServerError) !== 0 && status >= 500) return RetryOn.ServerError;
  if ((on & RetryOn.GatewayError) !== 0 && status >= 502 && status <= 504) return RetryOn.GatewayError;
  if ((on & RetryOn.Retriable4xx) !== 0 && status === 409) return RetryOn.Retriable4xx;
  if ((on & RetryOn.RetriableStatusCodes) !== 0 && policy.statusCodes.has(status)) return RetryOn.RetriableStatusCodes;
  if ((on & RetryOn.RetriableHeaders) !== 0 && policy.retriableHeaders?.(headers)) return RetryOn.RetriableHeaders;
  if ((on & ANY_GRPC) !== 0) {
    const code = headers.get('grpc-status');
    if (code !== undefined) return on & (GRPC_CONDITIONS.get(Number(code)) ?? 0);
  }
  return 0;
}
