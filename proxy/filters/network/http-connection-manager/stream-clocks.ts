/**
 * The clocks of one downstream request: how long it may stand still, how long its body may take, how long all of it may.
 * A base of the stream and no part of it, so that a request stays one object.
 */
import type { RouteAction } from '../../../../xds-client/model/route.ts';
import type { HeaderMap } from '../../../http/headers.ts';
import type { StreamInfo } from '../../../http/stream-info.ts';
import { formatGrpcTimeout } from '../../../policy/timeout.ts';
import { isGrpc } from '../../../route/match.ts';
import { Timer, type TimerTarget } from '../../../timers.ts';
import type { HttpConnection } from './connection.ts';
import type { HttpManager } from './manager.ts';
import { streamDuration, streamIdleTimeout } from './stream-times.ts';

export const STREAM_IDLE = 10;
export const REQUEST_TIMEOUT = 11;
export const MAX_DURATION = 12;

export abstract class StreamClocks implements TimerTarget {
  readonly info: StreamInfo;
  protected readonly connection: HttpConnection;
  protected readonly manager: HttpManager;
  private idleMs = 0;
  private idleTimer: Timer | undefined = undefined;
  private requestTimer: Timer | undefined = undefined;
  private durationTimer: Timer | undefined = undefined;

  constructor(connection: HttpConnection, info: StreamInfo) {
    this.connection = connection;
    this.manager = connection.manager;
    this.info = info;
  }

  abstract onTimer(kind: number): void;

  /** `end`: the request has no body to wait for. */
  protected startClocks(end: boolean): void {
    const { manager, info } = this;
    const { config } = manager;
    const { timers } = manager.dependencies;
    this.idleMs = config.streamIdleTimeoutMs;
    if (this.idleMs > 0) {
      this.idleTimer = this.connection.takeTimer(this, STREAM_IDLE);
      timers.postpone(this.idleTimer, info.startedAt + this.idleMs);
    }
    if (!end && config.requestTimeoutMs > 0) {
      this.requestTimer = new Timer(this, REQUEST_TIMEOUT);
      timers.armAt(this.requestTimer, info.startedAt + config.requestTimeoutMs);
    }
    if (config.common.maxStreamDurationMs) this.limitDuration(config.common.maxStreamDurationMs);
  }

  /** The route's times take the place of the connection manager's. */
  protected applyRouteTimes(action: RouteAction): void {
    const { timers } = this.manager.dependencies;
    const idle = streamIdleTimeout(action);
    if (idle !== undefined && idle !== this.idleMs) {
      this.idleMs = idle;
      if (idle === 0) {
        if (this.idleTimer !== undefined) timers.cancel(this.idleTimer);
        this.idleTimer = undefined;
      } else {
        this.idleTimer ??= this.connection.takeTimer(this, STREAM_IDLE);
        timers.postpone(this.idleTimer, this.manager.context.now() + idle);
      }
    }
    if (!action.usesStreamDuration) return;
    const { request } = this.info;
    const duration = streamDuration(action, request.headers);
    if (duration !== undefined) this.limitDuration(duration);
    // The upstream of a gRPC call is told of the time that the call really has.
    if (isGrpc(request)) this.tellDeadline(request.headers, duration);
  }

  /** A sign of life. */
  protected touch(): void {
    const { idleTimer } = this;
    if (idleTimer === undefined) return;
    this.manager.dependencies.timers.postpone(idleTimer, this.manager.context.now() + this.idleMs);
  }

  /** All of the request has come. */
  protected stopRequestClock(now: number): void {
    const { timers } = this.manager.dependencies;
    if (this.requestTimer !== undefined) timers.cancel(this.requestTimer);
    if (this.idleTimer !== undefined) timers.postpone(this.idleTimer, now + this.idleMs);
  }

  protected stopClocks(): void {
    const { timers } = this.manager.dependencies;
    if (this.idleTimer !== undefined) this.connection.giveTimer(this.idleTimer);
    this.idleTimer = undefined;
    if (this.requestTimer !== undefined) timers.cancel(this.requestTimer);
    if (this.durationTimer !== undefined) timers.cancel(this.durationTimer);
  }

  private tellDeadline(headers: HeaderMap, duration: number | undefined): void {
    const { maxStreamDurationMs } = this.manager.config.common;
    const whole = duration ?? maxStreamDurationMs ?? 0;
    if (whole > 0) headers.set('grpc-timeout', formatGrpcTimeout(whole));
    else if (maxStreamDurationMs) headers.remove('grpc-timeout');
  }

  private limitDuration(milliseconds: number): void {
    const { timers } = this.manager.dependencies;
    if (milliseconds === 0) {
      if (this.durationTimer !== undefined) timers.cancel(this.durationTimer);
      return;
    }
    this.durationTimer ??= new Timer(this, MAX_DURATION);
    timers.armAt(this.durationTimer, this.info.startedAt + milliseconds);
  }
}
