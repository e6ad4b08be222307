/** `circuit_breakers.<priority>.*`: what the shared cells say against the thresholds, written when somebody scrapes. */
import type { Cluster, Thresholds } from '../../xds-client/model/cluster.ts';
import type { StatBlock, StatsStore } from '../observe/stats/contract.ts';
import type { Priority } from '../upstream/contract.ts';
import { retryAllowance } from './limits.ts';
import { ClusterCell, PRIORITY_CELLS, type Slot } from './shared.ts';
import { BREAKER_STATS, BreakerStat, REMAINING_STATS, RemainingStat } from './stats.ts';

/** Envoy's number for "no limit on pools". */
const UNLIMITED_POOLS = 2 ** 64;

interface Row {
  readonly priority: Priority;
  readonly thresholds: Thresholds;
  readonly open: StatBlock;
  readonly remaining: StatBlock | undefined;
}

export class BreakerGauges {
  private readonly rows: readonly Row[];

  /** `prefix` is the cluster's, with its dot. */
  constructor(stats: StatsStore, prefix: string, thresholds: Cluster['thresholds']) {
    this.rows = (['default', 'high'] as const).map((priority) => {
      const below = `${prefix}circuit_breakers.${priority}.`;
      return {
        priority,
        thresholds: thresholds[priority],
        open: stats.block(below, BREAKER_STATS),
        remaining: thresholds[priority].trackRemaining ? stats.block(below, REMAINING_STATS) : undefined,
      };
    });
  }

  refresh({ cells, base }: Slot): void {
    for (const { priority, thresholds, open, remaining } of this.rows) {
      const row = base + (priority === 'high' ? PRIORITY_CELLS : 0);
      const connections = Atomics.load(cells, row + ClusterCell.connections);
      const pending = Atomics.load(cells, row + ClusterCell.pending);
      const requests = Atomics.load(cells, row + ClusterCell.requests);
      const retries = Atomics.load(cells, row + ClusterCell.retries);
      const maxRetries = retryAllowance(thresholds, requests + pending);
      open.set(BreakerStat.cx_open, reached(connections, thresholds.maxConnections));
      open.set(BreakerStat.rq_pending_open, reached(pending, thresholds.maxPendingRequests));
      open.set(BreakerStat.rq_open, reached(requests, thresholds.maxRequests));
      open.set(BreakerStat.rq_retry_open, reached(retries, maxRetries));
      open.set(BreakerStat.cx_pool_open, 0);
      if (remaining === undefined) continue;
      remaining.set(RemainingStat.remaining_cx, Math.max(0, thresholds.maxConnections - connections));
      remaining.set(RemainingStat.remaining_pending, Math.max(0, thresholds.maxPendingRequests - pending));
      remaining.set(RemainingStat.remaining_rq, Math.max(0, thresholds.maxRequests - requests));
      remaining.set(RemainingStat.remaining_retries, Math.max(0, maxRetries - retries));
      remaining.set(RemainingStat.remaining_cx_pools, UNLIMITED_POOLS);
    }
  }

  release(): void {
    for (const { open, remaining } of this.rows) {
      open.release();
      remaining?.release();
    }
  }
}

/** A threshold of 0 lets nothing be counted: as in Envoy its breaker then never opens. */
function reached(count: number, threshold: number): number {
  return count >= Math.max(threshold, 1) ? 1 : 0;
}
