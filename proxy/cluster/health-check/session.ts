/** One endpoint's checks: when the next one is made, how long it may take, and what came of it. */
import type { HealthCheck } from '../../../xds-client/model/health-check.ts';
import type { DnsTimers } from '../dns.ts';
import { type Checker, type CheckResult, TIMED_OUT, UNREACHABLE } from './contract.ts';
import { HealthState, pauseMs } from './state.ts';

export interface SessionOptions {
  readonly config: HealthCheck;
  readonly timers: DnsTimers;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** A connection for requests was made in the cluster, ever. */
  readonly hasTraffic: () => boolean;
  /** The endpoint counts for nothing until it was checked. */
  readonly awaited: boolean;
  readonly checker: (report: (result: CheckResult) => void) => Checker;
  readonly onAttempt: () => void;
  /** After each check. */
  readonly onResult: (result: CheckResult, before: Health) => void;
}

/** What a check may change. */
export interface Health {
  readonly healthy: boolean;
  readonly degraded: boolean;
  /** `HealthFlag` bits. */
  readonly flags: number;
}

export class Session {
  readonly state: HealthState;
  private readonly options: SessionOptions;
  private readonly checker: Checker;
  private timer: unknown = undefined;
  private closed = false;

  constructor(options: SessionOptions) {
    this.options = options;
    this.state = new HealthState(options.config, options.awaited);
    this.checker = options.checker((result) => this.done(result));
  }

  start(): void {
    const { config, timers, random } = this.options;
    // Never in the caller's own turn: it is in the middle of taking a configuration over.
    this.timer = timers.set(() => this.check(), Math.floor(random() * config.initialJitterMs));
  }

  close(): void {
    this.closed = true;
    this.options.timers.clear(this.timer);
    this.checker.close();
  }

  private check(): void {
    const { config, timers, onAttempt } = this.options;
    onAttempt();
    this.timer = timers.set(() => {
      this.checker.abort();
      this.done(TIMED_OUT);
    }, config.timeoutMs);
    try {
      this.checker.check();
    } catch {
      // Node refuses the address, or there is no TLS material: the endpoint cannot be reached.
      this.checker.abort();
      this.done(UNREACHABLE);
    }
  }

  /** Also what happens between two checks (a kept connection that ends): the pause begins anew. */
  private done(result: CheckResult): void {
    if (this.closed) return;
    const { config, timers, random, hasTraffic, onResult } = this.options;
    timers.clear(this.timer);
    const { healthy, degraded, flags } = this.state;
    const transition = this.state.apply(result);
    const pause = pauseMs(config, result.kind === 'success', transition, hasTraffic(), random);
    this.timer = timers.set(() => this.check(), pause);
    onResult(result, { healthy, degraded, flags });
  }
}
