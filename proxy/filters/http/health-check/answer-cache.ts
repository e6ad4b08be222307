/**
 * The upstream's last answer to a check, for the checks that follow. As in Envoy it is forgotten at fixed times, one
 * `cacheMs` apart, however old it is; here each worker keeps its own.
 */
export interface CachedAnswer {
  readonly status: number;
  readonly degraded: boolean;
}

export class AnswerCache {
  private readonly cacheMs: number;
  private readonly now: () => number;
  private readonly startedAt: number;
  private answer: CachedAnswer | undefined = undefined;
  /** The period that the answer came in. */
  private period = -1;

  constructor(cacheMs: number, now: () => number) {
    this.cacheMs = cacheMs;
    this.now = now;
    this.startedAt = now();
  }

  get(): CachedAnswer | undefined {
    return this.period === this.periodNow() ? this.answer : undefined;
  }

  /** An answer that was given out of the cache is as good as new. */
  set(answer: CachedAnswer): void {
    this.answer = answer;
    this.period = this.periodNow();
  }

  private periodNow(): number {
    return Math.floor((this.now() - this.startedAt) / this.cacheMs);
  }
}
