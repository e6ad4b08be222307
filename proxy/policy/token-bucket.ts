/**
 * A token bucket that fills steadily, held in one number: the time at which it was, or would have been, empty. Its owners
 * may be many; whoever takes moves that time, and a taker that was overtaken looks again.
 */
import type { SharedNumber } from './shared-number.ts';

export interface TokenBucket {
  readonly maxTokens: number;
  readonly tokensPerFill: number;
  readonly fillIntervalMs: number;
}

const NS_PER_MS = 1e6;

/** Nanoseconds that one token takes to come. */
function nsPerToken({ tokensPerFill, fillIntervalMs }: TokenBucket): bigint {
  return BigInt(Math.max(1, Math.round((fillIntervalMs * NS_PER_MS) / tokensPerFill)));
}

export class TokenBucketRules {
  private readonly perToken: bigint;
  private readonly span: bigint;

  constructor(bucket: TokenBucket) {
    this.perToken = nsPerToken(bucket);
    this.span = this.perToken * BigInt(bucket.maxTokens);
  }

  /** The number of a bucket that is full at `now` (nanoseconds). */
  full(now: bigint): bigint {
    return now - this.span;
  }

  /** Takes one token, if there is one. `now` is of the clock that `full` was told. */
  take(number: SharedNumber, now: bigint): boolean {
    for (;;) {
      const stored = number.get();
      const full = this.full(now);
      let emptyAt = stored;
      if (emptyAt < full) emptyAt = full;
      if (now - emptyAt < this.perToken) return false;
      if (number.exchange(stored, emptyAt + this.perToken)) return true;
    }
  }
}
