/**
 * What is counted and noted of one request: its cluster's responses and those of its scopes, each attempt for the decision
 * record, each attempt's span. A base of the router's stream and no part of it, so that a request stays one object.
 */
import { ClusterStat } from '../../../cluster/stats.ts';
import type { AttemptClass, StreamInfo } from '../../../http/stream-info.ts';
import { OTHER_VIRTUAL_CLUSTER } from '../../../route/table.ts';
import type { ClusterHandle } from '../../../upstream/contract.ts';
import type { MatchedRoute, ResponseSink } from '../stream-ends.ts';
import type { UpstreamAttempt } from './attempt.ts';
import type { ClusterResponses, NamedResponses } from './response-stats.ts';
import type { Router } from './router.ts';

const {
  upstream_rq_retry: RETRY,
  upstream_rq_retry_limit_exceeded: RETRY_LIMIT,
  upstream_rq_retry_overflow: RETRY_OVERFLOW,
  upstream_rq_retry_success: RETRY_SUCCESS,
  upstream_rq_timeout: TIMEOUT,
} = ClusterStat;

export abstract class RequestAccounts {
  protected readonly router: Router;
  protected readonly info: StreamInfo;
  protected cluster: ClusterHandle | undefined = undefined;
  /** The request came from inside. */
  protected internal = false;
  private responses: ClusterResponses | undefined = undefined;
  private virtualCluster: NamedResponses | undefined = undefined;
  private routeScope: NamedResponses | undefined = undefined;
  private lastRecorded: UpstreamAttempt | undefined = undefined;
  private spanEnded: UpstreamAttempt | undefined = undefined;

  constructor(router: Router, info: StreamInfo) {
    this.router = router;
    this.info = info;
  }

  /** The cluster is chosen. */
  protected countIn(cluster: ClusterHandle): void {
    const { info } = this;
    this.cluster = cluster;
    this.responses = this.router.responsesOf(cluster);
    info.cluster = cluster.name;
    info.clusterStatName = cluster.config.altStatName ?? cluster.name;
  }

  protected countScopes(matched: MatchedRoute, sink: ResponseSink): void {
    const { virtualHost, route } = matched.decision;
    if (virtualHost.virtualClusters.length > 0) {
      const name = sink.virtualCluster();
      if (name !== undefined) {
        this.info.virtualClusterName = name === OTHER_VIRTUAL_CLUSTER ? undefined : name;
        this.virtualCluster = this.router.virtualClusterOf(virtualHost, name);
      }
    }
    if (route.statPrefix !== undefined) {
      this.routeScope = this.router.routeScopeOf(virtualHost, route.statPrefix);
    }
  }

  /** A stream of the upstream was given to an attempt. */
  protected countStarted(): void {
    this.virtualCluster?.started();
    this.routeScope?.started();
  }

  /** Counts in the cluster and in the request's scopes. */
  count(index: number): void {
    this.cluster?.stats.inc(index);
    const { virtualCluster, routeScope } = this;
    if (virtualCluster === undefined && routeScope === undefined) return;
    for (const scope of [virtualCluster, routeScope]) {
      if (scope === undefined) continue;
      if (index === RETRY) scope.retry.inc();
      else if (index === RETRY_LIMIT) scope.retryLimitExceeded.inc();
      else if (index === RETRY_OVERFLOW) scope.retryOverflow.inc();
      else if (index === RETRY_SUCCESS) scope.retrySuccess.inc();
      else if (index === TIMEOUT) scope.timeout.inc();
    }
  }

  /** A health check's answer is no answer to anybody's request. */
  protected countCode(status: number): void {
    if (this.info.healthCheck) return;
    this.responses?.count(status, this.internal);
    this.virtualCluster?.codes.count(status);
    this.routeScope?.codes.count(status);
  }

  /** The response was answered by another attempt. */
  protected countRetried(status: number): void {
    if (!this.info.healthCheck) this.responses?.countRetried(status);
  }

  protected countTime(milliseconds: number): void {
    this.responses?.time(milliseconds, this.internal);
    this.virtualCluster?.time.record(milliseconds);
    this.routeScope?.time.record(milliseconds);
  }

  /** For the decision record. */
  record(attempt: UpstreamAttempt, known: AttemptClass, outcome: string, decision: string): void {
    const { info } = this;
    const now = this.router.dependencies.now();
    this.lastRecorded = attempt;
    info.attempts ??= [];
    info.attempts.push({
      endpoint: attempt.host.endpoint,
      startedAt: attempt.startedAt,
      endedAt: now,
      class: known,
      outcome,
      decision,
    });
  }

  /** Only where there is a record, or somebody who reads one. */
  protected recordAnswer(attempt: UpstreamAttempt, known: AttemptClass, status: number): void {
    const { info } = this;
    if (info.attempts === undefined && info.trace === undefined) return;
    if (this.lastRecorded !== attempt) this.record(attempt, known, String(status), 'the response was forwarded');
  }

  /** Ends the attempt's span, once. */
  protected endSpan(attempt: UpstreamAttempt): void {
    const { trace } = this.info;
    if (trace === undefined || this.spanEnded === attempt) return;
    this.spanEnded = attempt;
    this.router.dependencies.tracer?.endAttempt(trace, this.info, attempt.startedAt);
  }
}
