/** `membership_*`: how many endpoints a cluster has and how they are, and in how many priorities they changed. */
import type { Assignment } from '../../xds-client/model/endpoint.ts';
import type { StatBlock } from '../observe/stats/contract.ts';
import { addressText } from '../upstream/contract.ts';
import { healthOf, isExcluded } from './health.ts';
import { ClusterStat } from './stats.ts';

/** `flagsAt`: the `HealthFlag` bits of the assignment's endpoint at that position, over all localities. */
export function setMembershipGauges(
  stats: StatBlock,
  assignment: Assignment,
  flagsAt: (index: number) => number,
): void {
  const count = { healthy: 0, degraded: 0, unhealthy: 0 };
  let total = 0;
  let excluded = 0;
  let heaviest = 0;
  for (const { endpoints } of assignment.localities) {
    for (const { health, weight } of endpoints) {
      const flags = flagsAt(total++);
      count[healthOf(health, flags)]++;
      if (isExcluded(health, flags)) excluded++;
      heaviest = Math.max(heaviest, weight);
    }
  }
  stats.set(ClusterStat.membership_total, total);
  stats.set(ClusterStat.membership_healthy, count.healthy);
  stats.set(ClusterStat.membership_degraded, count.degraded);
  stats.set(ClusterStat.membership_excluded, excluded);
  stats.set(ClusterStat.max_host_weight, heaviest);
}

const NONE: ReadonlySet<string> = new Set();

/** Priorities that gained or lost an endpoint: each counts as a change. */
export function changedPriorities(earlier: Assignment | undefined, after: Assignment): number {
  const before = earlier === undefined ? [] : addressesByPriority(earlier);
  const now = addressesByPriority(after);
  let changed = 0;
  for (let priority = 0; priority < Math.max(before.length, now.length); priority++) {
    const old = before[priority] ?? NONE;
    const young = now[priority] ?? NONE;
    if (old.size !== young.size || [...old].some((address) => !young.has(address))) changed++;
  }
  return changed;
}

function addressesByPriority(assignment: Assignment): Set<string>[] {
  const found: Set<string>[] = [];
  for (const { priority, endpoints } of assignment.localities) {
    found[priority] ??= new Set();
    for (const { address } of endpoints) found[priority].add(addressText(address));
  }
  return found;
}
