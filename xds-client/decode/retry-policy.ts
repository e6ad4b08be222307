/** envoy RetryPolicy. */
import type { MessageObject } from '../../protos/index.ts';
import type { RetryPolicy } from '../model/route.ts';
import { duration, each } from './common.ts';
import { type DecodeContext, type Extension, support } from './context.ts';
import { decodeExtension } from './extension.ts';
import { any, message, number, numbers, text, word, wrappedNumber } from './fields.ts';
import { decodeHeaderMatches } from './matcher.ts';

const RETRY = 'envoy.config.route.v3.RetryPolicy';

support(RETRY, {
  acts: [
    'retry_on',
    'num_retries',
    'per_try_timeout',
    'per_try_idle_timeout',
    'retry_priority',
    'retry_host_predicate',
    'host_selection_retry_max_attempts',
    'retriable_status_codes',
    'retry_back_off',
    'rate_limited_retry_back_off',
    'retriable_headers',
    'retriable_request_headers',
  ],
  ignored: { retry_options_predicates: 'retries keep the options of the first attempt' },
});
support(`${RETRY}.RetryPriority`, { acts: ['name', 'typed_config'] });
support(`${RETRY}.RetryHostPredicate`, { acts: ['name', 'typed_config'] });
support(`${RETRY}.RetryBackOff`, { acts: ['base_interval', 'max_interval'] });
support(`${RETRY}.RateLimitedRetryBackOff`, { acts: ['reset_headers', 'max_interval'] });
support(`${RETRY}.ResetHeader`, { acts: ['name', 'format'] });
support('envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate', { acts: [] });

export const PREVIOUS_HOSTS: Extension<'previous-hosts'> = {
  name: 'envoy.retry_host_predicates.previous_hosts',
  type: 'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
  decode: () => 'previous-hosts',
};

export const PREVIOUS_PRIORITIES: Extension<'previous-priorities'> = {
  name: 'envoy.retry_priorities.previous_priorities',
  type: 'envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig',
  ignored: 'a retry is free to choose the same priority',
};

const DEFAULT_BASE_MS = 25;
const DEFAULT_RATE_LIMITED_MAX_MS = 300_000;
/** Envoy rounds a back-off below this up. */
const MIN_BACKOFF_MS = 1;

function decodeBackoff(policy: MessageObject, ctx: DecodeContext): RetryPolicy['backoff'] {
  const backoff = message(policy, 'retry_back_off');
  if (backoff === undefined) return { baseMs: DEFAULT_BASE_MS, maxMs: DEFAULT_BASE_MS * 10 };
  return ctx.at('retry_back_off', () => {
    const baseMs = Math.max(MIN_BACKOFF_MS, duration(backoff, 'base_interval', ctx) ?? DEFAULT_BASE_MS);
    const given = duration(backoff, 'max_interval', ctx);
    const maxMs = given === undefined ? baseMs * 10 : Math.max(MIN_BACKOFF_MS, given);
    if (maxMs < baseMs)
      ctx.error('retry_policy.max_interval must greater than or equal to the base_interval', 'max_interval');
    return { baseMs, maxMs };
  });
}

function decodeRateLimited(policy: MessageObject, ctx: DecodeContext): RetryPolicy['rateLimitedBackoff'] {
  const backoff = message(policy, 'rate_limited_retry_back_off');
  if (backoff === undefined) return undefined;
  return ctx.at('rate_limited_retry_back_off', () => ({
    maxMs: duration(backoff, 'max_interval', ctx) ?? DEFAULT_RATE_LIMITED_MAX_MS,
    resetHeaders: each(backoff, 'reset_headers', ctx, (header) => ({
      name: text(header, 'name').toLowerCase(),
      format: word(header, 'format', 'SECONDS') === 'UNIX_TIMESTAMP' ? 'unix-timestamp' : 'seconds',
    })),
  }));
}

/** Conditions in one list, HTTP's and gRPC's. Envoy leaves words it does not know aside, without an error. */
function decodeConditions(policy: MessageObject): string[] {
  return text(policy, 'retry_on')
    .split(',')
    .map((condition) => condition.trim())
    .filter((condition) => condition !== '');
}

export function decodeRetryPolicy(policy: MessageObject, ctx: DecodeContext): RetryPolicy {
  const predicates = each(policy, 'retry_host_predicate', ctx, (predicate) =>
    decodeExtension('retry-host-predicate', any(predicate, 'typed_config'), text(predicate, 'name'), ctx),
  );
  const priority = message(policy, 'retry_priority');
  const chosen =
    priority === undefined
      ? undefined
      : ctx.at('retry_priority', () =>
          decodeExtension('retry-priority', any(priority, 'typed_config'), text(priority, 'name'), ctx),
        );
  return {
    on: decodeConditions(policy),
    numRetries: wrappedNumber(policy, 'num_retries') ?? 1,
    perTryTimeoutMs: duration(policy, 'per_try_timeout', ctx),
    perTryIdleTimeoutMs: duration(policy, 'per_try_idle_timeout', ctx),
    retriableStatusCodes: numbers(policy, 'retriable_status_codes'),
    retriableHeaders: decodeHeaderMatches(policy, 'retriable_headers', ctx),
    retriableRequestHeaders: decodeHeaderMatches(policy, 'retriable_request_headers', ctx),
    backoff: decodeBackoff(policy, ctx),
    rateLimitedBackoff: decodeRateLimited(policy, ctx),
    avoidPreviousHosts: predicates.some((found) => found.kind === 'acts' && found.value === 'previous-hosts'),
    previousPriorities: chosen?.kind === 'acts',
    hostSelectionMaxAttempts: Math.max(1, number(policy, 'host_selection_retry_max_attempts')),
  };
}
