/**
 * The request on its way to the upstream: what of it is kept to be sent again or held until a tunnel opens, what is sent
 * when, and who has to wait for whom. A base of the router's stream and no part of it, so that a request stays one object.
 */
import type { Json } from '../../../../xds-client/model/common.ts';
import type { RouteAction } from '../../../../xds-client/model/route.ts';
import { ClusterStat } from '../../../cluster/stats.ts';
import type { ConnectionInfo } from '../../../http/connection-info.ts';
import type { HeaderMap, RequestHead } from '../../../http/headers.ts';
import { HeldBody } from '../../../http/held-body.ts';
import type { ClientStream } from '../../../http/stream.ts';
import type { CompiledRetry } from '../../../policy/retry-conditions.ts';
import type { Host, LoadBalancerContext } from '../../../upstream/contract.ts';
import type { MatchedRoute, ResponseSink } from '../stream-ends.ts';
import type { UpstreamAttempt } from './attempt.ts';
import { RequestAccounts } from './request-accounts.ts';
import type { Retries } from './retries.ts';
import type { RoutePlan } from './route-plan.ts';
import type { Router } from './router.ts';

const { retry_or_shadow_abandoned: ABANDONED } = ClusterStat;

export abstract class UpstreamRequest extends RequestAccounts implements LoadBalancerContext {
  // LoadBalancerContext: the stream is its own, so that a choice allocates nothing.
  readonly downstream: ConnectionInfo;
  hash: bigint | undefined = undefined;
  metadataMatch: { readonly [key: string]: Json } | undefined = undefined;
  avoid: Host[] | undefined = undefined;
  hostSelectionMaxAttempts = 1;
  head: RequestHead | undefined = undefined;

  protected readonly sink: ResponseSink;
  protected matched: MatchedRoute | undefined = undefined;
  protected plan: RoutePlan | undefined = undefined;
  protected action: RouteAction | undefined = undefined;
  protected attempt: UpstreamAttempt | undefined = undefined;
  protected retry: CompiledRetry | undefined = undefined;
  /** There once an attempt met a condition of the policy. */
  protected retries: Retries | undefined = undefined;
  /** The whole request may be sent again: by a retry, or to where a redirect leads. */
  protected keeps = false;
  /** Received and either not sent yet or kept. */
  protected body: HeldBody | undefined = undefined;
  protected trailers: HeaderMap | undefined = undefined;
  protected bodyLimit = 0;
  protected requestEnded = false;
  protected responseStarted = false;
  /**
   * The request becomes a tunnel once the upstream agrees. Until then its bytes are held: one that does not agree would read
   * them as the next request.
   */
  protected awaitsTunnel = false;
  protected over = false;
  private upstreamBlocked = false;
  private requestPaused = false;
  private responsePaused = false;

  constructor(router: Router, sink: ResponseSink) {
    super(router, sink.info);
    this.sink = sink;
    this.downstream = sink.info.connection;
  }

  /** All of the request has come. */
  protected abstract endRequest(): void;
  /** All of the request was handed to the attempt's stream. */
  protected abstract upstreamRequestDone(attempt: UpstreamAttempt): void;

  onRequestData(chunk: Buffer, end: boolean): void {
    if (this.over || this.cluster === undefined) return;
    const attempt = this.attempt;
    const stream = attempt?.stream;
    if (this.keeps && this.heldBytes + chunk.length > this.bodyLimit) this.giveUpReplay();
    if (stream === undefined || this.keeps || this.awaitsTunnel) {
      // Nobody waits for the rest of a request whose response is complete.
      if (attempt?.over === true && this.responseStarted) return;
      this.body ??= new HeldBody();
      this.body.push(chunk);
    }
    if (end) this.endRequest();
    if (stream === undefined || attempt === undefined || this.awaitsTunnel) {
      this.updatePause();
      return;
    }
    if (end) attempt.requestSent = true;
    if (!stream.sendData(chunk, end)) this.blockUpstream(attempt);
    if (end) this.upstreamRequestDone(attempt);
  }

  onRequestTrailers(trailers: HeaderMap): void {
    if (this.over || this.cluster === undefined) return;
    this.trailers = trailers;
    this.endRequest();
    const attempt = this.attempt;
    if (attempt?.stream === undefined || this.awaitsTunnel) return;
    attempt.requestSent = true;
    attempt.stream.sendTrailers(trailers);
    this.upstreamRequestDone(attempt);
  }

  onDownstreamDrain(): void {
    if (!this.responsePaused) return;
    this.responsePaused = false;
    this.attempt?.stream?.resume();
  }

  /** Sends what has come. False: the upstream reads slowly. */
  protected sendRequest(attempt: UpstreamAttempt, stream: ClientStream): boolean {
    const { body, trailers } = this;
    const empty = body === undefined || body.pieces.length === 0;
    const last = this.requestEnded && trailers === undefined;
    if (last && empty) attempt.requestSent = true;
    const writable = stream.sendHead(this.head as RequestHead, last && empty);
    if (this.awaitsTunnel) return writable;
    // What is not kept for a replay is let go now: from here on data goes straight through.
    if (!this.keeps) this.body = undefined;
    const flows = this.sendHeld(attempt, body?.pieces, last);
    if (!this.keeps) body?.release();
    return flows && writable;
  }

  /** Sends what has come of the request's body. `last`: it ends with it. */
  private sendHeld(attempt: UpstreamAttempt, body: readonly Buffer[] | undefined, last: boolean): boolean {
    const { stream } = attempt;
    const { trailers } = this;
    if (stream === undefined) return true;
    let writable = true;
    const pieces = body === undefined ? 0 : body.length;
    for (let i = 0; i < pieces && !attempt.over; i++) {
      const end = last && i === pieces - 1;
      if (end) attempt.requestSent = true;
      writable = stream.sendData((body as Buffer[])[i] as Buffer, end);
    }
    if (trailers !== undefined && !attempt.over) {
      attempt.requestSent = true;
      stream.sendTrailers(trailers);
    }
    return writable;
  }

  /** The upstream agreed: from here on bytes pass. */
  protected openTunnel(attempt: UpstreamAttempt, headers: HeaderMap): void {
    // What follows has no length, whatever this says (RFC 9110 §9.3.6).
    headers.remove('content-length');
    this.awaitsTunnel = false;
    const { body, requestEnded } = this;
    this.body = undefined;
    const last = requestEnded && this.trailers === undefined;
    const held = body === undefined && last && !attempt.requestSent ? [Buffer.alloc(0)] : body?.pieces;
    if (this.sendHeld(attempt, held, last)) this.updatePause();
    else this.blockUpstream(attempt);
    body?.release();
  }

  /** The request's bytes go to the upstream as they are. */
  protected endsHere(head: RequestHead): boolean {
    const { endsConnect, endsPost } = this.plan as RoutePlan;
    if (!endsConnect) return false;
    return (head.method === 'CONNECT' && head.protocol === undefined) || (endsPost && head.method === 'POST');
  }

  /** The body outgrew what may be kept: it goes out once, whole, and never in part a second time. */
  private giveUpReplay(): void {
    this.retry = undefined;
    this.keeps = false;
    this.retries?.release();
    this.cluster?.stats.inc(ABANDONED);
    if (this.attempt?.stream !== undefined) this.dropBody();
  }

  onAttemptDrain(): void {
    this.upstreamBlocked = false;
    this.updatePause();
  }

  private get heldBytes(): number {
    return this.body === undefined ? 0 : this.body.bytes;
  }

  protected dropBody(): void {
    this.body?.release();
    this.body = undefined;
  }

  // Backpressure.

  protected blockUpstream(attempt: UpstreamAttempt): void {
    if (attempt.over) return;
    this.upstreamBlocked = true;
    this.updatePause();
  }

  protected blockDownstream(attempt: UpstreamAttempt): void {
    if (attempt.over || this.responsePaused) return;
    this.responsePaused = true;
    attempt.stream?.pause();
  }

  protected updatePause(): void {
    const waiting = (this.attempt?.stream === undefined || this.awaitsTunnel) && this.heldBytes > this.bodyLimit;
    const pause = !this.requestEnded && (this.upstreamBlocked || waiting);
    if (pause === this.requestPaused) return;
    this.requestPaused = pause;
    if (pause) this.sink.pauseRequest();
    else this.sink.resumeRequest();
  }
}

/** Whether a response agrees to what the request wants to become: 101, or any 2xx to CONNECT (RFC 9110 §9.3.6). */
export function opensTunnel(head: RequestHead, status: number): boolean {
  return head.protocol === undefined ? status >= 200 && status < 300 : status === 101;
}
