/**
 * A response body that goes out no faster than so many bytes a second. What the rate does not allow yet is kept, up to the
 * listener's buffer limit; then its source is paused. Envoy's way: a twentieth of a second's worth may go at once, what is
 * not used adds up to one second's worth, and what waits is looked at every 50 ms.
 */
import { keepBytes } from '../../../http/bytes.ts';
import type { HeaderMap } from '../../../http/headers.ts';
import { Timer, type TimerTarget } from '../../../timers.ts';
import type { FilterCallbacks, FilterContext } from '../contract.ts';

const INTERVAL_MS = 50;
const NOTHING = Buffer.alloc(0);

export class PacedResponse implements TimerTarget {
  private readonly callbacks: FilterCallbacks;
  private readonly context: FilterContext;
  private readonly bytesPerSecond: number;
  private readonly timer = new Timer(this, 0);
  /** Bytes that may go. */
  private allowance: number;
  private countedAt: number;
  private readonly waiting: Buffer[] = [];
  private waitingBytes = 0;
  /** The last of the body has come. */
  private ended = false;
  /** The last of the message has gone. */
  private done = false;
  private trailers: HeaderMap | undefined = undefined;
  private blocked = false;
  private paused = false;

  constructor(callbacks: FilterCallbacks, context: FilterContext, bytesPerSecond: number) {
    this.callbacks = callbacks;
    this.context = context;
    this.bytesPerSecond = bytesPerSecond;
    this.allowance = (bytesPerSecond * INTERVAL_MS) / 1000;
    this.countedAt = context.now();
  }

  take(chunk: Buffer, end: boolean): void {
    this.ended = end;
    if (chunk.length > 0) {
      this.waiting.push(keepBytes(chunk));
      this.waitingBytes += chunk.length;
    }
    if (!this.timer.armed) this.send();
    if (this.waitingBytes > this.callbacks.bufferLimit && !this.paused) {
      this.paused = true;
      this.callbacks.pauseResponse();
    }
  }

  /** False: nothing waits, they may go on by themselves. */
  takeTrailers(trailers: HeaderMap): boolean {
    if (this.waitingBytes === 0) return false;
    this.trailers = trailers;
    return true;
  }

  /** The downstream cannot take more, or can again. */
  block(blocked: boolean): void {
    this.blocked = blocked;
    if (!blocked && !this.timer.armed && this.waitingBytes > 0) this.send();
  }

  onTimer(): void {
    this.send();
  }

  stop(): void {
    this.context.timers.cancel(this.timer);
  }

  /** Sends what may go; the rest has its timer, or waits for the downstream. */
  private send(): void {
    this.refill();
    const { callbacks } = this;
    while (!this.blocked && this.waiting.length > 0) {
      const slice = this.nextSlice();
      if (slice === undefined) break;
      this.done = this.ended && this.waitingBytes === 0;
      callbacks.addResponseData(slice, this.done);
    }
    if (this.waitingBytes > 0) {
      if (!this.blocked) this.context.timers.arm(this.timer, INTERVAL_MS);
    } else this.finish();
    if (this.paused && this.waitingBytes <= callbacks.bufferLimit / 2) {
      this.paused = false;
      callbacks.resumeResponse();
    }
  }

  /** The next bytes that may go. */
  private nextSlice(): Buffer | undefined {
    const first = this.waiting[0] as Buffer;
    const allowed = Math.min(first.length, Math.floor(this.allowance));
    if (allowed === 0) return undefined;
    if (allowed === first.length) this.waiting.shift();
    else this.waiting[0] = first.subarray(allowed);
    this.allowance -= allowed;
    this.waitingBytes -= allowed;
    return first.subarray(0, allowed);
  }

  private finish(): void {
    const { trailers } = this;
    if (this.done) return;
    if (trailers !== undefined) {
      this.done = true;
      this.callbacks.addResponseTrailers(trailers);
    } else if (this.ended) {
      this.done = true;
      this.callbacks.addResponseData(NOTHING, true);
    }
  }

  private refill(): void {
    const now = this.context.now();
    const earned = ((now - this.countedAt) * this.bytesPerSecond) / 1000;
    this.allowance = Math.min(this.bytesPerSecond, this.allowance + earned);
    this.countedAt = now;
  }
}
