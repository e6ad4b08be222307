/**
 * How the load spreads over priorities (Envoy, "Priority levels"). A priority can carry its healthy share times the
 * overprovisioning factor, capped at 100 %; what the first ones cannot carry spills to the next, then to degraded
 * endpoints. All percents are whole numbers.
 */

/** Endpoints of one priority, counted. `excluded` ones take no part in any share. */
export interface PriorityCounts {
  readonly total: number;
  readonly healthy: number;
  readonly degraded: number;
  readonly excluded: number;
}

export interface PriorityLoad {
  /** Percent of the requests for each priority's healthy endpoints; with `degraded` they sum up to 100. */
  readonly healthy: readonly number[];
  readonly degraded: readonly number[];
  /** Priorities so unhealthy that health is not looked at: any endpoint may be chosen. */
  readonly panic: readonly boolean[];
}

/**
 * Spreads 100 % over the priorities. `overprovisioningFactor` is 140 for 1.4; `panicThresholdPercent` 0 turns panic off.
 */
export function spreadLoad(
  priorities: readonly PriorityCounts[],
  overprovisioningFactor: number,
  panicThresholdPercent: number,
): PriorityLoad {
  const share = (of: number, counts: PriorityCounts): number => {
    const considered = counts.total - counts.excluded;
    return considered <= 0 ? 0 : Math.min(100, Math.floor((overprovisioningFactor * of) / considered));
  };
  const healthyShare = priorities.map((counts) => share(counts.healthy, counts));
  const degradedShare = priorities.map((counts) => share(counts.degraded, counts));
  const available = Math.min(100, sum(healthyShare) + sum(degradedShare));
  if (available === 0 && panicThresholdPercent === 0) {
    return {
      healthy: priorities.map((_, i) => (i === 0 ? 100 : 0)),
      degraded: zeros(priorities),
      panic: falses(priorities),
    };
  }

  // While all priorities together can carry the load none is in panic, however few endpoints it has left.
  const panic = priorities.map((counts) => available < 100 && isPanic(counts, panicThresholdPercent));
  if (panic.every(Boolean)) return { healthy: byCount(priorities), degraded: zeros(priorities), panic };

  const left = { percent: 100 };
  const healthy = take(healthyShare, left, available);
  const degraded = take(degradedShare, left, available);
  // What rounding lost goes to the first priority that takes any.
  if (left.percent > 0) {
    const first = healthyShare.findIndex((percent) => percent > 0);
    if (first >= 0) healthy[first] = (healthy[first] as number) + left.percent;
    else {
      const firstDegraded = Math.max(
        0,
        degradedShare.findIndex((percent) => percent > 0),
      );
      degraded[firstDegraded] = (degraded[firstDegraded] as number) + left.percent;
    }
  }
  return { healthy, degraded, panic };
}

/** The priority and the fitness that `percent` (0 to 99, drawn at random) falls on. */
export function choosePriority(load: PriorityLoad, percent: number): { priority: number; degraded: boolean } {
  let reached = 0;
  for (let i = 0; i < load.healthy.length; i++) {
    reached += load.healthy[i] as number;
    if (percent < reached) return { priority: i, degraded: false };
  }
  for (let i = 0; i < load.degraded.length; i++) {
    reached += load.degraded[i] as number;
    if (percent < reached) return { priority: i, degraded: true };
  }
  return { priority: 0, degraded: false };
}

function isPanic(counts: PriorityCounts, thresholdPercent: number): boolean {
  const considered = counts.total - counts.excluded;
  const fit = considered <= 0 ? 0 : (100 * (counts.healthy + counts.degraded)) / considered;
  return fit < Math.min(100, thresholdPercent);
}

function take(shares: readonly number[], left: { percent: number }, available: number): number[] {
  return shares.map((share) => {
    const part = Math.min(left.percent, available === 0 ? 0 : Math.floor((share * 100) / available));
    left.percent -= part;
    return part;
  });
}

/** Every priority in panic: the load follows the number of endpoints. */
function byCount(priorities: readonly PriorityCounts[]): number[] {
  const total = sum(priorities.map((counts) => counts.total));
  if (total === 0) return priorities.map((_, i) => (i === 0 ? 100 : 0));
  const load = priorities.map((counts) => Math.floor((100 * counts.total) / total));
  const first = priorities.findIndex((counts) => counts.total > 0);
  load[first] = (load[first] as number) + 100 - sum(load);
  return load;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const zeros = (priorities: readonly unknown[]): number[] => priorities.map(() => 0);
const falses = (priorities: readonly unknown[]): boolean[] => priorities.map(() => false);
