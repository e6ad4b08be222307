/** Pauses between attempts to reach the control plane: exponential with full jitter, as Envoy's. */
export interface BackoffOptions {
  /** Upper bound of the first pause, in milliseconds. Envoy: 500. */
  readonly baseMs: number;
  /** Envoy: 30 000. */
  readonly maxMs: number;
}

export class Backoff {
  private readonly options: BackoffOptions;
  /** In [0, 1). */
  private readonly random: () => number;
  private bound: number;

  constructor(options: BackoffOptions, random: () => number) {
    this.options = options;
    this.random = random;
    this.bound = options.baseMs;
  }

  /** The pause before the next attempt; its bound doubles each time. Whole milliseconds. */
  next(): number {
    const pause = Math.floor(this.random() * this.bound);
    this.bound = Math.min(this.bound * 2, this.options.maxMs);
    return pause;
  }

  reset(): void {
    this.bound = this.options.baseMs;
  }
}
