/** When to end connections while something drains: the process, a listener or one filter chain. */
import type { DrainDecision } from '../filters/network/contract.ts';

export type DrainStrategy = 'gradual' | 'immediate';

/** A drain that may be under way. Asks its parent too: a chain drains when its listener does. */
export class DrainState implements DrainDecision {
  readonly #parent: DrainState | undefined;
  readonly #now: () => number;
  readonly #random: () => number;
  #startedAt = 0;
  #durationMs = 0;
  #strategy: DrainStrategy | undefined;
  /** `/healthcheck/fail`: every response ends its connection, until the check passes again. */
  failing = false;

  /** `now`: monotonic milliseconds; `random`: [0, 1). */
  constructor(now: () => number, random: () => number, parent?: DrainState) {
    this.#now = now;
    this.#random = random;
    this.#parent = parent;
  }

  start(strategy: DrainStrategy, durationMs: number): void {
    if (this.#strategy === 'immediate') return;
    this.#strategy = strategy;
    this.#startedAt = this.#now();
    this.#durationMs = durationMs;
  }

  get draining(): boolean {
    return this.#strategy !== undefined || this.#parent?.draining === true;
  }

  shouldDrain(): boolean {
    if (this.failing) return true;
    if (this.#strategy !== undefined && this.#decide(this.#strategy)) return true;
    return this.#parent?.shouldDrain() === true;
  }

  /** Gradual: elapsed over duration is the probability, so that callers reconnect spread over the whole drain time. */
  #decide(strategy: DrainStrategy): boolean {
    if (strategy === 'immediate') return true;
    const elapsed = this.#now() - this.#startedAt;
    return elapsed >= this.#durationMs || this.#random() * this.#durationMs < elapsed;
  }
}
