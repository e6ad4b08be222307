/**
 * One request's way to its cluster and back. Long because it is one state machine: who may still answer and which clock
 * runs are one question. Whether and when it is sent again: ./retries.ts; what of it is sent: ./upstream-request.ts; what is
 * counted of it: ./request-accounts.ts.
 *
 * Order in `onRequestHead`: route before cluster, cluster before timeouts (they read the request's headers), timeouts
 * before retry (both take headers off), header changes last, so that they see what the upstream will see.
 */
import type { RouteAction } from '../../../../xds-client/model/route.ts';
import { ClusterStat } from '../../../cluster/stats.ts';
import type { HeaderMap, RequestHead, ResponseHead } from '../../../http/headers.ts';
import type { ResetReason } from '../../../http/stream.ts';
import { type AttemptClass, ResponseFlag } from '../../../http/stream-info.ts';
import { classOfReset, classOfResponse, UNPROCESSED_HEADER } from '../../../policy/attempt-class.ts';
import { httpStatusOfGrpc } from '../../../policy/grpc-status.ts';
import { resetCondition, responseCondition } from '../../../policy/retry.ts';
import { type CompiledRetry, conditionNames, retryForRequest } from '../../../policy/retry-conditions.ts';
import { expectedTimeout, formatGrpcTimeout, globalTimeout, perTryTimeout } from '../../../policy/timeout.ts';
import { isGrpc } from '../../../route/match.ts';
import { Timer } from '../../../timers.ts';
import type { ClusterHandle } from '../../../upstream/contract.ts';
import type { MatchedRoute, RequestSink, ResponseSink } from '../stream-ends.ts';
import { AttemptClock, type AttemptOwner, UpstreamAttempt } from './attempt.ts';
import { answerDirectly } from './direct-answer.ts';
import { becomesGet, followRedirect } from './internal-redirect.ts';
import { Body, bodyOfReset, Details, detailsOfReset, flagOfReset, statusOfReset, underscored } from './outcomes.ts';
import { rewriteRequest, setAuthority } from './request-rewrite.ts';
import { BACKOFF_TIMER, type RetriedRequest, Retries, type RetryOwner } from './retries.ts';
import type { RoutePlan } from './route-plan.ts';
import type { Router } from './router.ts';
import { RouterStat } from './stats.ts';
import { invalidHeader } from './strict-headers.ts';
import { TcpStream } from './tcp-stream.ts';
import { opensTunnel, UpstreamRequest } from './upstream-request.ts';

const {
  upstream_internal_redirect_failed_total: REDIRECT_FAILED,
  upstream_internal_redirect_succeeded_total: REDIRECT_SUCCEEDED,
  upstream_rq_max_duration_reached: MAX_DURATION,
  upstream_rq_per_try_idle_timeout: PER_TRY_IDLE_TIMEOUT,
  upstream_rq_per_try_timeout: PER_TRY_TIMEOUT,
  upstream_rq_retry_success: RETRY_SUCCESS,
  upstream_rq_timeout: TIMEOUT,
} = ClusterStat;
const { RQ_TOTAL, NO_ROUTE, NO_CLUSTER, RQ_DIRECT_RESPONSE, RQ_RESET_AFTER_DOWNSTREAM_RESPONSE_STARTED } = RouterStat;

/** By the clock that ran out. */
const CLOCK_STATS = [PER_TRY_TIMEOUT, PER_TRY_IDLE_TIMEOUT, MAX_DURATION] as const;
const CLOCK_DETAILS = [Details.perTryTimeout, Details.perTryIdleTimeout, Details.maxDuration] as const;

const GLOBAL_TIMER = 0;
const ALT_RESPONSE = 'x-envoy-upstream-rq-timeout-alt-response';

export class RouterStream extends UpstreamRequest implements RequestSink, AttemptOwner, RetryOwner {
  /** The last attempt took longer than one may. */
  private timedOut = false;

  private requestEndedAt = 0;
  private globalMs = 0;
  private perTryMs = 0;
  /** 204 where an internal caller asked for it (`x-envoy-upstream-rq-timeout-alt-response`). */
  private timeoutStatus = 504;
  private timer: Timer | undefined = undefined;

  constructor(router: Router, sink: ResponseSink) {
    super(router, sink);
  }

  // The request.

  onRequestHead(head: RequestHead, end: boolean): void {
    const { router, info, sink } = this;
    router.stats.inc(RQ_TOTAL);
    const matched = sink.matchedRoute();
    if (matched === undefined) {
      router.stats.inc(NO_ROUTE);
      info.flags |= ResponseFlag.NoRouteFound;
      sink.sendLocalReply(404, '', Details.routeNotFound);
      return;
    }
    this.matched = matched;
    this.head = head;
    const plan = router.plans.of(matched);
    this.plan = plan;
    const { action } = matched.decision.route;
    if (action.kind === 'redirect' || action.kind === 'direct-response') {
      router.stats.inc(RQ_DIRECT_RESPONSE);
      answerDirectly(sink, matched, plan, head);
      return;
    }
    const name = matched.choice?.name;
    const cluster = name === undefined ? undefined : router.dependencies.clusters.get(name);
    if (action.kind !== 'route' || cluster === undefined) {
      router.stats.inc(NO_CLUSTER);
      info.flags |= ResponseFlag.NoClusterFound;
      sink.sendLocalReply(action.kind === 'route' ? action.clusterNotFoundStatus : 503, '', Details.clusterNotFound);
      return;
    }
    this.action = action;
    if (this.refuseHeaders(head)) return;
    this.countIn(cluster);
    this.internal = head.headers.get('x-envoy-internal') === 'true';
    this.countScopes(matched, sink);
    this.metadataMatch = plan.metadataMatch;
    this.prepare(head, plan, action);
    if (end) this.endRequest();
    this.startAttempt();
  }

  /** True when it answered. */
  private refuseHeaders(head: RequestHead): boolean {
    const { strictCheckHeaders } = this.router.config;
    if (strictCheckHeaders.length === 0) return false;
    const name = invalidHeader(head.headers, strictCheckHeaders);
    if (name === undefined) return false;
    this.info.flags |= ResponseFlag.InvalidEnvoyRequestHeaders;
    const text = `invalid header '${name}' with value '${head.headers.get(name)}'`;
    this.sink.sendLocalReply(400, text, `${Details.strictCheck}{${name}}`);
    return true;
  }

  onDestroy(): void {
    if (this.over) return;
    const { attempt } = this;
    if (attempt !== undefined && !attempt.over) {
      if (attempt.bytesSent) this.info.maybeProcessed = true;
      this.record(attempt, classOfReset('local-reset', attempt.bytesSent), 'cancelled', 'the downstream is gone');
      this.endSpan(attempt);
    }
    this.end();
  }

  private prepare(head: RequestHead, plan: RoutePlan, action: RouteAction): void {
    const { headers } = head;
    const grpc =
      action.grpcTimeoutHeaderMaxMs !== undefined &&
      (headers.get('content-type')?.startsWith('application/grpc') ?? false);
    this.globalMs = globalTimeout(action, headers, grpc, this.router.config.respectExpectedRqTimeout);
    if (this.internal && headers.remove(ALT_RESPONSE)) this.timeoutStatus = 204;
    this.perTryMs = perTryTimeout(plan.retryPolicy, headers, this.globalMs);
    const retry = retryForRequest(plan.retry, head);
    if (retry !== undefined) {
      this.retry = retry;
      const policy = plan.retryPolicy;
      if (policy?.avoidPreviousHosts) {
        this.avoid = [];
        this.hostSelectionMaxAttempts = policy.hostSelectionMaxAttempts;
      }
    }
    this.awaitsTunnel = (head.protocol !== undefined || head.method === 'CONNECT') && !this.endsHere(head);
    this.keeps = retry !== undefined || action.internalRedirect !== undefined;
    const { decision } = this.matched as MatchedRoute;
    this.bodyLimit =
      decision.route.perRequestBufferLimitBytes ??
      decision.virtualHost.perRequestBufferLimitBytes ??
      this.sink.requestLimit ??
      this.router.bufferLimitBytes;
    rewriteRequest(head, plan, action, this.matched as MatchedRoute, this.info);
    if (grpc) {
      const expected = expectedTimeout(this.globalMs, this.perTryMs, 0);
      if (expected > 0) headers.set('grpc-timeout', formatGrpcTimeout(expected));
    }
  }

  protected endRequest(): void {
    this.requestEnded = true;
    const now = this.router.dependencies.now();
    this.requestEndedAt = now;
    if (this.globalMs > 0 && this.timer === undefined) {
      this.timer = new Timer(this, GLOBAL_TIMER);
      this.router.dependencies.timers.armAt(this.timer, now + this.globalMs);
    }
  }

  // Attempts.

  private startAttempt(): void {
    const { router, info } = this;
    const { dependencies } = router;
    const cluster = this.cluster as ClusterHandle;
    const head = this.head as RequestHead;
    const action = this.action as RouteAction;
    info.attemptCount++;
    const now = dependencies.now();
    if (!router.config.suppressEnvoyHeaders) {
      const elapsed = this.requestEnded && info.attemptCount > 1 ? now - this.requestEndedAt : 0;
      const expected = expectedTimeout(this.globalMs, this.perTryMs, elapsed);
      if (expected > 0) head.headers.set('x-envoy-expected-rq-timeout-ms', String(expected));
    }
    const { virtualHost } = (this.matched as MatchedRoute).decision;
    if (virtualHost.includeRequestAttemptCount) {
      head.headers.set('x-envoy-attempt-count', String(info.attemptCount));
    }
    if (info.attemptCount > 1 && virtualHost.includeIsTimeoutRetryHeader) {
      head.headers.set('x-envoy-is-timeout-retry', this.timedOut ? 'true' : 'false');
    }
    this.timedOut = false;
    const host = cluster.choose(this, action.priority);
    if (host === undefined) {
      info.flags |= ResponseFlag.NoHealthyUpstream;
      this.reply(503, Body.noHealthyUpstream, Details.noHealthyUpstream);
      return;
    }
    info.endpoint = host.endpoint;
    const { hostname } = host.endpoint;
    if (action.hostRewrite?.kind === 'auto' && hostname !== '') setAuthority(action, head, hostname);
    if (info.trace !== undefined) dependencies.tracer?.startAttempt(info.trace, head);
    const attempt = new UpstreamAttempt(this, host, dependencies.timers, now);
    this.attempt = attempt;
    attempt.wait(
      this.endsHere(head)
        ? cluster.newTcpConnection(host, action.priority, new TcpStream(attempt, cluster.stats), this)
        : cluster.newStream(host, action.priority, head.version, attempt, attempt, this),
    );
  }

  onAttemptReady(attempt: UpstreamAttempt): void {
    const { info } = this;
    const { stream, connection } = attempt;
    if (stream === undefined || connection === undefined) return;
    info.upstreamLocalAddress = connection.localAddress;
    info.upstreamProtocol = connection.protocol;
    info.upstreamTls = connection.tls;
    this.countStarted();
    info.upstreamRequestFirstByteAt = this.router.dependencies.now();
    const writable = this.sendRequest(attempt, stream);
    if (attempt.over) return;
    const policy = (this.plan as RoutePlan).retryPolicy;
    if (policy?.perTryIdleTimeoutMs) attempt.limitIdle(policy.perTryIdleTimeoutMs);
    const { maxStreamDurationMs } = (this.cluster as ClusterHandle).config.common;
    if (maxStreamDurationMs) attempt.limitDuration(maxStreamDurationMs);
    if (attempt.requestSent) this.upstreamRequestDone(attempt);
    if (writable) this.updatePause();
    else this.blockUpstream(attempt);
  }

  onAttemptInformational(head: ResponseHead): void {
    this.countCode(head.status);
    if (!this.responseStarted) this.sink.sendInformational(head);
  }

  onAttemptHead(attempt: UpstreamAttempt, head: ResponseHead, end: boolean): void {
    const { info } = this;
    const { dependencies, config } = this.router;
    const { status, headers } = head;
    const now = dependencies.now();
    info.upstreamResponseFirstByteAt = now;
    this.report(attempt, head);
    let known: AttemptClass = 'answered';
    if (headers.has(UNPROCESSED_HEADER)) {
      known = classOfResponse(head, attempt.isMesh);
      headers.remove(UNPROCESSED_HEADER);
    }
    if (known === 'answered') info.maybeProcessed = true;
    const { retry } = this;
    if (retry !== undefined) {
      const condition = responseCondition(retry, status, headers);
      if (condition !== 0) {
        if (this.tryAgain(attempt, condition, known, String(status), headers)) {
          this.countRetried(status);
          this.endSpan(attempt);
          attempt.abandon();
          return;
        }
      } else if (this.retries !== undefined && this.retries.made > 0) this.count(RETRY_SUCCESS);
      this.retries?.release();
    }
    if (this.action?.internalRedirect?.codes.includes(status) && this.redirected(attempt, head, known)) return;
    this.recordAnswer(attempt, known, status);
    this.countCode(status);
    // The time counts from the end of the request: an answer before it took none.
    if (!config.suppressEnvoyHeaders && this.requestEnded) {
      headers.set('x-envoy-upstream-service-time', String(Math.max(0, Math.floor(now - this.requestEndedAt))));
    }
    if ((this.matched as MatchedRoute).decision.virtualHost.includeAttemptCountInResponse) {
      headers.set('x-envoy-attempt-count', String(info.attemptCount));
    }
    info.response = head;
    info.responseCodeDetails = Details.viaUpstream;
    this.plan?.changeResponse(headers, info);
    this.responseStarted = true;
    if (this.awaitsTunnel && opensTunnel(this.head as RequestHead, status)) this.openTunnel(attempt, headers);
    this.retry = undefined;
    if (this.keeps) {
      this.keeps = false;
      if (attempt.stream !== undefined) this.dropBody();
    }
    if (end) this.upstreamDone(now);
    if (!this.sink.sendHead(head, end)) this.blockDownstream(attempt);
  }

  /** For whoever watches the endpoint a gRPC status in the head counts, not the 200 beside it. */
  private report(attempt: UpstreamAttempt, response: ResponseHead): void {
    const grpcStatus = response.headers.get('grpc-status');
    const answer =
      grpcStatus !== undefined && isGrpc(this.head as RequestHead)
        ? { status: httpStatusOfGrpc(grpcStatus), headers: response.headers }
        : response;
    (this.cluster as ClusterHandle).report(attempt.host, answer);
  }

  onAttemptData(attempt: UpstreamAttempt, chunk: Buffer, end: boolean): void {
    if (end) this.upstreamDone(this.router.dependencies.now());
    if (!this.sink.sendData(chunk, end)) this.blockDownstream(attempt);
  }

  onAttemptTrailers(_attempt: UpstreamAttempt, trailers: HeaderMap): void {
    this.upstreamDone(this.router.dependencies.now());
    this.sink.sendTrailers(trailers);
  }

  onAttemptReset(attempt: UpstreamAttempt, reason: ResetReason, details: string | undefined): void {
    const { info } = this;
    const known = classOfReset(reason, attempt.bytesSent);
    if (known === 'unknown') info.maybeProcessed = true;
    this.endSpan(attempt);
    if (reason !== 'overflow') (this.cluster as ClusterHandle).report(attempt.host, { failure: reason });
    // What broke the protocol is the codec's word and not the transport's: it stands in the decision record.
    const broken = reason === 'protocol-error';
    const transport = details === undefined || broken ? undefined : underscored(details);
    if (transport !== undefined) info.upstreamTransportFailureReason = transport;
    const outcome = broken && details !== undefined ? `${reason}: ${details}` : reason;
    if (this.responseStarted) {
      info.flags |= flagOfReset(reason);
      info.responseCodeDetails = detailsOfReset(reason, true, transport);
      this.record(attempt, known, outcome, 'the response had begun');
      this.resetDownstream();
      return;
    }
    if (this.retryAfterReset(attempt, reason, known, outcome)) return;
    info.flags |= flagOfReset(reason);
    if (attempt.unplaced) info.endpoint = undefined;
    this.reply(
      statusOfReset(reason),
      bodyOfReset(reason, info.attemptCount > 1),
      detailsOfReset(reason, false, transport),
      reason === 'overflow',
    );
  }

  onAttemptTimeout(attempt: UpstreamAttempt, clock: AttemptClock): void {
    const { info } = this;
    const cluster = this.cluster as ClusterHandle;
    cluster.stats.inc(CLOCK_STATS[clock]);
    if (clock !== AttemptClock.Duration) cluster.report(attempt.host, { status: 504 });
    attempt.abandon();
    this.endSpan(attempt);
    const known = classOfReset('local-reset', attempt.bytesSent);
    if (known === 'unknown') info.maybeProcessed = true;
    const details = CLOCK_DETAILS[clock];
    const flag =
      clock === AttemptClock.Duration
        ? ResponseFlag.UpstreamMaxStreamDurationReached
        : ResponseFlag.UpstreamRequestTimeout;
    if (this.responseStarted) {
      info.flags |= flag;
      info.responseCodeDetails = details;
      this.resetDownstream();
      return;
    }
    this.timedOut = clock !== AttemptClock.Duration;
    if (this.retryAfterReset(attempt, 'local-reset', known, 'local-reset')) return;
    info.flags |= flag;
    if (clock === AttemptClock.Duration) this.reply(this.requestEnded ? 504 : 408, Body.maxDuration, details);
    else this.replyTimeout(details);
  }

  onTimer(kind: number): void {
    if (this.over) return;
    if (kind === BACKOFF_TIMER) this.startAttempt();
    else if (kind === GLOBAL_TIMER) this.onGlobalTimeout();
  }

  private onGlobalTimeout(): void {
    const { info, attempt } = this;
    if (this.cluster === undefined) return;
    this.count(TIMEOUT);
    if (attempt !== undefined && !attempt.over) {
      if (!attempt.answered) this.cluster.report(attempt.host, { status: 504 });
      attempt.abandon();
      this.endSpan(attempt);
      const known = classOfReset('local-reset', attempt.bytesSent);
      if (known === 'unknown') info.maybeProcessed = true;
      this.record(attempt, known, 'timeout', `the route's ${this.globalMs} ms are over`);
    }
    info.flags |= ResponseFlag.UpstreamRequestTimeout;
    if (this.responseStarted) {
      info.responseCodeDetails = Details.responseTimeout;
      this.resetDownstream();
    } else this.replyTimeout(Details.responseTimeout);
  }

  private replyTimeout(details: string): void {
    this.reply(this.timeoutStatus, this.timeoutStatus === 504 ? Body.requestTimeout : '', details);
  }

  // Retry.

  private retryAfterReset(
    attempt: UpstreamAttempt,
    reason: ResetReason,
    known: AttemptClass,
    outcome: string,
  ): boolean {
    const { retry } = this;
    if (retry === undefined) {
      this.record(attempt, known, outcome, 'the route does not retry');
      return false;
    }
    const condition = resetCondition(retry.on, reason, attempt.stream !== undefined || attempt.bytesSent);
    if (condition !== 0) return this.tryAgain(attempt, condition, known, outcome, undefined);
    this.retries?.release();
    this.record(attempt, known, outcome, `no condition of ${conditionNames(retry.on)} is met`);
    return false;
  }

  private tryAgain(
    attempt: UpstreamAttempt,
    condition: number,
    known: AttemptClass,
    outcome: string,
    headers: HeaderMap | undefined,
  ): boolean {
    this.retries ??= new Retries(this, this.retriedRequest(), this.router.dependencies);
    if (!this.retries.plan(attempt, condition, known, outcome, headers)) return false;
    this.avoid?.push(attempt.host);
    this.onAttemptDrain();
    return true;
  }

  private retriedRequest(): RetriedRequest {
    return {
      policy: this.retry as CompiledRetry,
      cluster: this.cluster as ClusterHandle,
      priority: (this.action as RouteAction).priority,
      head: this.head as RequestHead,
      keyAllowed: (this.plan as RoutePlan).keyAllowed,
      info: this.info,
    };
  }

  /** Follows a redirect of the upstream where the route wants it and all of the request is here. True: this one is over. */
  private redirected(attempt: UpstreamAttempt, response: ResponseHead, known: AttemptClass): boolean {
    const { sink, router } = this;
    const { decision } = this.matched as MatchedRoute;
    const { internalRedirect } = this.action as RouteAction;
    const head = this.head as RequestHead;
    const cluster = this.cluster as ClusterHandle;
    const whole = this.requestEnded && this.keeps && internalRedirect !== undefined;
    if (!whole || !followRedirect(internalRedirect, decision.route.name, head, response, sink, router)) {
      cluster.stats.inc(REDIRECT_FAILED);
      return false;
    }
    cluster.stats.inc(REDIRECT_SUCCEEDED);
    this.recordAnswer(attempt, known, response.status);
    this.endSpan(attempt);
    const dropped = becomesGet(head, response.status);
    const held = this.body;
    this.body = undefined;
    const trailers = dropped ? undefined : this.trailers;
    this.updatePause();
    this.end();
    sink.restart(response, dropped || held === undefined ? [] : held.pieces, trailers);
    held?.release();
    return true;
  }

  // Ends.

  protected upstreamRequestDone(attempt: UpstreamAttempt): void {
    this.info.upstreamRequestLastByteAt = this.info.upstreamRequestFirstByteAt;
    if (this.perTryMs > 0) attempt.limit(this.perTryMs);
  }

  /** The response is complete; what follows is its last part on the way to the downstream. */
  private upstreamDone(now: number): void {
    this.info.upstreamResponseLastByteAt = now;
    if (this.requestEnded && !this.info.healthCheck) {
      this.countTime(now - this.requestEndedAt);
    }
    if (this.attempt !== undefined) this.endSpan(this.attempt);
    if (this.timer !== undefined) this.router.dependencies.timers.cancel(this.timer);
  }

  private reply(status: number, body: string, details: string, overloaded = false): void {
    const { info, router } = this;
    // As in Envoy, the cluster has not answered too late: its own limit has ended the stream.
    if (details !== Details.maxDuration) this.countCode(status);
    this.end();
    const { includeAttemptCountInResponse } = (this.matched as MatchedRoute).decision.virtualHost;
    this.sink.sendLocalReply(status, body, details, (headers) => {
      if (overloaded && !router.config.suppressEnvoyHeaders) headers.set('x-envoy-overloaded', 'true');
      if (includeAttemptCountInResponse) headers.set('x-envoy-attempt-count', String(info.attemptCount));
    });
  }

  private resetDownstream(): void {
    // Envoy's counter is of gRPC alone: there a reset hides the status that trailers would have brought.
    const grpc = this.head?.headers.get('content-type')?.startsWith('application/grpc') ?? false;
    if (grpc) this.router.stats.inc(RQ_RESET_AFTER_DOWNSTREAM_RESPONSE_STARTED);
    this.end();
    this.sink.resetStream('connection-termination');
  }

  private end(): void {
    this.over = true;
    const { timers } = this.router.dependencies;
    this.attempt?.abandon();
    if (this.timer !== undefined) timers.cancel(this.timer);
    this.retries?.end();
    this.dropBody();
  }
}
