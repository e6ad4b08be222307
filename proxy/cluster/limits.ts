/**
 * A cluster's circuit breaker as one worker sees it: four thresholds a priority, counted in shared cells and therefore
 * exact over all workers. Taking compares and swaps, so that two workers at the cap never both pass.
 */
import type { Cluster, Thresholds } from '../../xds-client/model/cluster.ts';
import type { Priority } from '../upstream/contract.ts';
import { ClusterCell, PRIORITY_CELLS, type Slot } from './shared.ts';

export type Resource = keyof typeof ClusterCell;

export class ClusterLimits {
  private readonly slot: Slot;
  private thresholds: Cluster['thresholds'];
  /** Units that this worker holds; the slot is let go when they are back and the cluster is gone. */
  private held = 0;
  private onUnused: (() => void) | undefined = undefined;
  /** The slot was let go: nothing is counted any more, and nothing may be taken but what `acquire` insists on. */
  private closed = false;
  private uncounted = 0;

  constructor(slot: Slot, thresholds: Cluster['thresholds']) {
    this.slot = slot;
    this.thresholds = thresholds;
  }

  /** New thresholds hold from now on; what is counted stays counted. */
  update(thresholds: Cluster['thresholds']): void {
    this.thresholds = thresholds;
  }

  /** Takes one unit. False: the threshold is reached. */
  tryAcquire(resource: Resource, priority: Priority): boolean {
    if (this.closed) return false;
    const { cells } = this.slot;
    const index = this.index(resource, priority);
    const max = this.max(resource, priority);
    let now = Atomics.load(cells, index);
    while (now < max) {
      const seen = Atomics.compareExchange(cells, index, now, now + 1);
      if (seen === now) {
        this.held++;
        return true;
      }
      now = seen;
    }
    return false;
  }

  /** Takes one unit whatever the threshold says: the connection that an endpoint without any is always granted. */
  acquire(resource: Resource, priority: Priority): void {
    if (this.closed) {
      this.uncounted++;
      return;
    }
    Atomics.add(this.slot.cells, this.index(resource, priority), 1);
    this.held++;
  }

  release(resource: Resource, priority: Priority): void {
    if (this.uncounted > 0) {
      this.uncounted--;
      return;
    }
    Atomics.sub(this.slot.cells, this.index(resource, priority), 1);
    this.held--;
    if (this.held === 0) this.settle();
  }

  /** Over all workers. */
  count(resource: Resource, priority: Priority): number {
    return Atomics.load(this.slot.cells, this.index(resource, priority));
  }

  /** Calls back once, when this worker holds no unit any more. */
  whenUnused(callback: () => void): void {
    this.onUnused = callback;
    if (this.held === 0) this.settle();
  }

  private settle(): void {
    const callback = this.onUnused;
    if (callback === undefined) return;
    this.onUnused = undefined;
    this.closed = true;
    callback();
  }

  private index(resource: Resource, priority: Priority): number {
    return this.slot.base + (priority === 'high' ? PRIORITY_CELLS : 0) + ClusterCell[resource];
  }

  private max(resource: Resource, priority: Priority): number {
    const row = this.thresholds[priority];
    if (resource === 'connections') return row.maxConnections;
    if (resource === 'pending') return row.maxPendingRequests;
    if (resource === 'requests') return row.maxRequests;
    const { cells } = this.slot;
    if (row.retryBudget === undefined) return row.maxRetries;
    const active =
      Atomics.load(cells, this.index('requests', priority)) + Atomics.load(cells, this.index('pending', priority));
    return retryAllowance(row, active);
  }
}

/** Retries that may be under way with `active` requests active and pending: the budget where there is one. */
export function retryAllowance(row: Thresholds, active: number): number {
  if (row.retryBudget === undefined) return row.maxRetries;
  return Math.max(Math.floor((row.retryBudget.percent * active) / 100), row.retryBudget.minConcurrency);
}
