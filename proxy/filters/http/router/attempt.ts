/**
 * One try at an endpoint: the wish for a stream, the stream, and what became of it. It passes everything on to its
 * request's `RouterStream` while it is that stream's current attempt, and is silent afterwards.
 */
import type { HeaderMap, ResponseHead } from '../../../http/headers.ts';
import type { ClientStream, ClientStreamHandler, ResetReason } from '../../../http/stream.ts';
import { Timer, type TimerTarget, type TimerWheel } from '../../../timers.ts';
import type { Host, PoolCallbacks, PoolHandle, UpstreamConnectionInfo } from '../../../upstream/contract.ts';

/** The request's side of an attempt. Calls come only from the attempt that is under way. */
export interface AttemptOwner {
  onAttemptReady(attempt: UpstreamAttempt): void;
  onAttemptInformational(head: ResponseHead): void;
  onAttemptHead(attempt: UpstreamAttempt, head: ResponseHead, end: boolean): void;
  onAttemptData(attempt: UpstreamAttempt, chunk: Buffer, end: boolean): void;
  onAttemptTrailers(attempt: UpstreamAttempt, trailers: HeaderMap): void;
  onAttemptReset(attempt: UpstreamAttempt, reason: ResetReason, details: string | undefined): void;
  onAttemptDrain(): void;
  onAttemptTimeout(attempt: UpstreamAttempt, clock: AttemptClock): void;
}

/** Which time is over: the one of a try, the one without a sign of life, or the one that the cluster gives a stream. */
export const AttemptClock = { Try: 0, Idle: 1, Duration: 2 } as const;
export type AttemptClock = (typeof AttemptClock)[keyof typeof AttemptClock];

export class UpstreamAttempt implements ClientStreamHandler, PoolCallbacks, TimerTarget {
  readonly host: Host;
  readonly startedAt: number;
  private readonly owner: AttemptOwner;
  private readonly timers: TimerWheel;
  /** `undefined` until the pool gave one, and after the end. */
  stream: ClientStream | undefined = undefined;
  connection: UpstreamConnectionInfo | undefined = undefined;
  /** The response's head has come. */
  answered = false;
  /** The upstream has no more to say, or we gave up. */
  over = false;
  /** The request's last part was handed to the stream. */
  requestSent = false;
  /** The pool refused before it came to the endpoint. */
  unplaced = false;
  private handle: PoolHandle | undefined = undefined;
  private sent = false;
  private timer: Timer | undefined = undefined;
  private idleTimer: Timer | undefined = undefined;
  private durationTimer: Timer | undefined = undefined;
  private idleMs = 0;

  constructor(owner: AttemptOwner, host: Host, timers: TimerWheel, startedAt: number) {
    this.owner = owner;
    this.host = host;
    this.timers = timers;
    this.startedAt = startedAt;
  }

  /** Keeps the pool's answer; it may have called back already. */
  wait(handle: PoolHandle): void {
    if (this.stream === undefined && !this.over) this.handle = handle;
  }

  /** Whether a byte of the request may be on the wire. */
  get bytesSent(): boolean {
    return this.sent || (this.stream?.bytesSent ?? false);
  }

  /** The endpoint proved to be a workload of the mesh: a verified certificate with a SPIFFE id. */
  get isMesh(): boolean {
    const tls = this.connection?.tls;
    return tls?.peerValidated === true && (tls.peer?.sans.uris.some((uri) => uri.startsWith('spiffe://')) ?? false);
  }

  /** Starts the attempt's own clock. */
  limit(milliseconds: number): void {
    if (this.over || this.answered || this.timer !== undefined) return;
    this.timer = new Timer(this, AttemptClock.Try);
    this.timers.arm(this.timer, milliseconds);
  }

  /** Starts the clock that every sign of life sets back. */
  limitIdle(milliseconds: number): void {
    if (this.over) return;
    this.idleMs = milliseconds;
    this.idleTimer = new Timer(this, AttemptClock.Idle);
    this.timers.arm(this.idleTimer, milliseconds);
  }

  /** Starts the clock of the stream's whole life. */
  limitDuration(milliseconds: number): void {
    this.durationTimer = new Timer(this, AttemptClock.Duration);
    this.timers.arm(this.durationTimer, milliseconds);
  }

  /** Gives the attempt up: withdraws the wish or resets the stream. No call comes after it. */
  abandon(): void {
    if (this.over) return;
    const { stream, handle } = this;
    this.finish();
    if (stream !== undefined) stream.reset('local-reset');
    else handle?.cancel();
  }

  /** Lets go of stream and timers; what still comes is not passed on. */
  finish(): void {
    this.over = true;
    if (this.stream !== undefined) this.sent = this.stream.bytesSent;
    this.stream = undefined;
    this.handle = undefined;
    if (this.timer !== undefined) this.timers.cancel(this.timer);
    if (this.idleTimer !== undefined) this.timers.cancel(this.idleTimer);
    if (this.durationTimer !== undefined) this.timers.cancel(this.durationTimer);
  }

  onReady(stream: ClientStream, _host: Host, connection: UpstreamConnectionInfo): void {
    this.handle = undefined;
    if (this.over) {
      stream.reset('local-reset');
      return;
    }
    this.stream = stream;
    this.connection = connection;
    this.owner.onAttemptReady(this);
  }

  onFailure(reason: ResetReason, host: Host | undefined, details: string | undefined): void {
    if (this.over) return;
    this.unplaced = host === undefined;
    this.finish();
    this.owner.onAttemptReset(this, reason, details);
  }

  onInformational(head: ResponseHead): void {
    if (this.over) return;
    this.alive();
    this.owner.onAttemptInformational(head);
  }

  onHead(head: ResponseHead, end: boolean): void {
    if (this.over) return;
    this.answered = true;
    if (this.timer !== undefined) this.timers.cancel(this.timer);
    if (!end) {
      this.alive();
      this.owner.onAttemptHead(this, head, false);
      return;
    }
    const unfinished = this.complete();
    this.owner.onAttemptHead(this, head, true);
    unfinished?.reset('local-reset');
  }

  onData(chunk: Buffer, end: boolean): void {
    if (this.over) return;
    if (!end) {
      this.alive();
      this.owner.onAttemptData(this, chunk, false);
      return;
    }
    const unfinished = this.complete();
    this.owner.onAttemptData(this, chunk, true);
    unfinished?.reset('local-reset');
  }

  onTrailers(trailers: HeaderMap): void {
    if (this.over) return;
    const unfinished = this.complete();
    this.owner.onAttemptTrailers(this, trailers);
    unfinished?.reset('local-reset');
  }

  onReset(reason: ResetReason, details: string | undefined): void {
    if (this.over) return;
    this.finish();
    this.owner.onAttemptReset(this, reason, details);
  }

  onDrain(): void {
    if (!this.over) this.owner.onAttemptDrain();
  }

  onTimer(kind: number): void {
    if (!this.over) this.owner.onAttemptTimeout(this, kind as AttemptClock);
  }

  /** The response is complete. Returns the stream when the request is not: nobody will read the rest of it. */
  private complete(): ClientStream | undefined {
    const stream = this.requestSent ? undefined : this.stream;
    this.finish();
    return stream;
  }

  private alive(): void {
    if (this.idleTimer !== undefined) this.timers.arm(this.idleTimer, this.idleMs);
  }
}
