/**
 * The retries of one request: whether a failed attempt may be followed by another, how long that waits, and the unit of the
 * cluster's `max_retries` that it holds. Made with the first attempt that meets a condition: most requests have none.
 */
import { ClusterStat } from '../../../cluster/stats.ts';
import type { HeaderMap, RequestHead } from '../../../http/headers.ts';
import { type AttemptClass, ResponseFlag, type StreamInfo } from '../../../http/stream-info.ts';
import { exponentialBackoff, rateLimitedBackoff } from '../../../policy/backoff.ts';
import { hasIdempotencyKey, isIdempotent } from '../../../policy/idempotency.ts';
import { mayRepeat } from '../../../policy/retry.ts';
import { type CompiledRetry, conditionNames } from '../../../policy/retry-conditions.ts';
import { Timer, type TimerTarget } from '../../../timers.ts';
import type { ClusterHandle, Priority } from '../../../upstream/contract.ts';
import type { UpstreamAttempt } from './attempt.ts';
import type { RouterDependencies } from './router.ts';

const {
  upstream_rq_retry: RETRY,
  upstream_rq_retry_backoff_exponential: RETRY_EXPONENTIAL,
  upstream_rq_retry_backoff_ratelimited: RETRY_RATELIMITED,
  upstream_rq_retry_limit_exceeded: RETRY_LIMIT,
  upstream_rq_retry_overflow: RETRY_OVERFLOW,
} = ClusterStat;

/** The kind that the owner's `onTimer` is called with when the wait for the next attempt is over. */
export const BACKOFF_TIMER = 1;

export interface RetryOwner extends TimerTarget {
  /** Counts in the cluster and in the request's scopes. */
  count(index: number): void;
  /** For the decision record. */
  record(attempt: UpstreamAttempt, known: AttemptClass, outcome: string, decision: string): void;
}

/** What stays the same over all attempts. */
export interface RetriedRequest {
  readonly policy: CompiledRetry;
  readonly cluster: ClusterHandle;
  readonly priority: Priority;
  readonly head: RequestHead;
  /** An idempotency key lets a request be sent again. */
  readonly keyAllowed: boolean;
  readonly info: StreamInfo;
}

export class Retries {
  /** Attempts after the first. */
  made = 0;
  private readonly owner: RetryOwner;
  private readonly request: RetriedRequest;
  private readonly dependencies: RouterDependencies;
  private left: number;
  /** One of the cluster's `max_retries` is ours. */
  private held = false;
  private backoff: Timer | undefined = undefined;

  constructor(owner: RetryOwner, request: RetriedRequest, dependencies: RouterDependencies) {
    this.owner = owner;
    this.request = request;
    this.dependencies = dependencies;
    this.left = request.policy.numRetries;
  }

  /**
   * Plans another attempt, or notes why there is none. `condition`: the one of `retry_on` that was met; `headers`: of the
   * response, where there was one.
   */
  plan(
    attempt: UpstreamAttempt,
    condition: number,
    known: AttemptClass,
    outcome: string,
    headers: HeaderMap | undefined,
  ): boolean {
    const { owner } = this;
    const { head, info, cluster, priority, keyAllowed } = this.request;
    this.release();
    if (this.left === 0) {
      info.flags |= ResponseFlag.UpstreamRetryLimitExceeded;
      owner.count(RETRY_LIMIT);
      owner.record(attempt, known, outcome, `not retried: all ${this.made} retries are used`);
      return false;
    }
    const repeat = mayRepeat(known, {
      method: head.method,
      idempotent: isIdempotent(head.method),
      idempotencyKey: hasIdempotencyKey(head.headers),
      keyAllowed,
    });
    if (!repeat.retry) {
      owner.record(attempt, known, outcome, `not retried: ${repeat.reason}`);
      return false;
    }
    this.left--;
    if (!cluster.tryAcquireRetry(priority)) {
      info.flags |= ResponseFlag.UpstreamOverflow;
      owner.count(RETRY_OVERFLOW);
      owner.record(attempt, known, outcome, 'not retried: the cluster has no retry left to give');
      return false;
    }
    this.held = true;
    this.made++;
    owner.count(RETRY);
    owner.record(attempt, known, outcome, `retried on ${conditionNames(condition)}: ${repeat.reason}`);
    this.schedule(headers);
    return true;
  }

  /** The attempt that held the unit is over, one way or the other. */
  release(): void {
    if (!this.held) return;
    this.held = false;
    this.request.cluster.releaseRetry(this.request.priority);
  }

  /** The request is over. */
  end(): void {
    if (this.backoff !== undefined) this.dependencies.timers.cancel(this.backoff);
    this.release();
  }

  private schedule(headers: HeaderMap | undefined): void {
    const { dependencies } = this;
    const { policy, cluster } = this.request;
    const asked =
      headers === undefined || policy.rateLimited === undefined
        ? undefined
        : rateLimitedBackoff(policy.rateLimited, headers, dependencies.wallClock(), dependencies.random());
    cluster.stats.inc(asked === undefined ? RETRY_EXPONENTIAL : RETRY_RATELIMITED);
    const wait = asked ?? exponentialBackoff(policy.baseMs, policy.maxMs, this.made, dependencies.random());
    this.backoff ??= new Timer(this.owner, BACKOFF_TIMER);
    dependencies.timers.arm(this.backoff, wait);
  }
}
