/**
 * An endpoint's health by its active checks (Envoy, "Health checking"). Pure: results come in, the state and the next
 * pause come out.
 */
import type { HealthCheck } from '../../../xds-client/model/health-check.ts';
import { HealthFlag } from '../shared.ts';
import type { CheckResult } from './contract.ts';

/** What a result did to the health. `pending`: it goes towards a threshold that is not reached. */
export type Transition = 'unchanged' | 'pending' | 'changed';

export class HealthState {
  private readonly config: Pick<HealthCheck, 'healthyThreshold' | 'unhealthyThreshold'>;
  private failed = true;
  private isDegraded = false;
  private timedOut = false;
  private excluded = false;
  private awaited: boolean;
  private successes = 0;
  private failures = 0;
  private first = true;

  /** Unhealthy until the first check. `awaited`: it does not count before. */
  constructor(config: Pick<HealthCheck, 'healthyThreshold' | 'unhealthyThreshold'>, awaited: boolean) {
    this.config = config;
    this.awaited = awaited;
  }

  get healthy(): boolean {
    return !this.failed;
  }

  get degraded(): boolean {
    return this.isDegraded;
  }

  /** No check is over yet. */
  get unchecked(): boolean {
    return this.first;
  }

  /** `HealthFlag` bits. */
  get flags(): number {
    let flags = 0;
    if (this.failed) flags |= HealthFlag.failedActiveHealthCheck;
    if (this.isDegraded) flags |= HealthFlag.degradedActiveHealthCheck;
    if (this.awaited) flags |= HealthFlag.pendingActiveHealthCheck;
    if (this.excluded) flags |= HealthFlag.excludedByImmediateFailure;
    if (this.timedOut) flags |= HealthFlag.activeHealthCheckTimeout;
    return flags;
  }

  apply(result: CheckResult): Transition {
    const transition = result.kind === 'success' ? this.succeeded(result.degraded) : this.failedBy(result);
    this.first = false;
    if (!this.awaited) return transition;
    this.awaited = false;
    return 'changed';
  }

  private succeeded(degraded: boolean): Transition {
    this.failures = 0;
    let transition: Transition = 'unchanged';
    if (this.failed) {
      this.successes++;
      // The very first answer decides alone: a start has not to wait for the threshold.
      if (this.first || this.successes === this.config.healthyThreshold) {
        this.failed = false;
        this.timedOut = false;
        this.excluded = false;
        transition = 'changed';
      } else {
        transition = 'pending';
      }
    }
    if (this.isDegraded !== degraded) {
      this.isDegraded = degraded;
      transition = 'changed';
    }
    return transition;
  }

  private failedBy({ by, retriable, excluded }: Extract<CheckResult, { readonly kind: 'failure' }>): Transition {
    this.successes = 0;
    let transition: Transition = 'unchanged';
    if (!this.failed) {
      this.failures++;
      const decides = by === 'answer' && !retriable;
      if (decides || this.failures === this.config.unhealthyThreshold) {
        this.failed = true;
        transition = 'changed';
      } else {
        transition = 'pending';
      }
    }
    if (this.failed) this.timedOut = by === 'timeout';
    if (excluded && !this.excluded) {
      this.excluded = true;
      transition = 'changed';
    }
    return transition;
  }
}

/** Milliseconds from the end of a check to the next. `random`: uniform in [0, 1). */
export function pauseMs(
  config: HealthCheck,
  good: boolean,
  transition: Transition,
  hasTraffic: boolean,
  random: () => number,
): number {
  const base = basePauseMs(config.intervals, good, transition === 'pending', hasTraffic);
  const share = Math.floor((config.intervalJitterPercent * base) / 100);
  return base + Math.floor(random() * share) + Math.floor(random() * config.intervalJitterMs);
}

function basePauseMs(
  intervals: HealthCheck['intervals'],
  good: boolean,
  pending: boolean,
  hasTraffic: boolean,
): number {
  if (!hasTraffic) return good && !pending ? intervals.noTrafficHealthyMs : intervals.noTrafficMs;
  if (good) return pending ? intervals.healthyEdgeMs : intervals.healthyMs;
  return pending ? intervals.unhealthyEdgeMs : intervals.unhealthyMs;
}
