/** DNS of the clusters that have it: each `resolve` starts afresh under its name, each new set of addresses is handed on. */
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Assignment } from '../../xds-client/model/endpoint.ts';
import type { StatsStore } from '../observe/stats/contract.ts';
import { DnsCluster, type DnsResolver, type DnsTimers, isDnsCluster } from './dns.ts';
import { CLUSTER_STATS, ClusterStat, statPrefix } from './stats.ts';

export interface ResolutionOptions {
  readonly resolver: DnsResolver;
  readonly timers: DnsTimers;
  readonly random: () => number;
  readonly stats: StatsStore;
  /** `cluster` is the object that `resolve` was given. */
  readonly onAssignment: (cluster: Cluster, assignment: Assignment) => void;
  readonly onFailure: (cluster: string, error: unknown) => void;
}

export class ClusterResolution {
  private readonly options: ResolutionOptions;
  private readonly running = new Map<string, () => void>();

  constructor(options: ResolutionOptions) {
    this.options = options;
  }

  resolve(cluster: Cluster): void {
    this.stop(cluster.name);
    if (!isDnsCluster(cluster)) return;
    const { resolver, timers, random, stats, onAssignment, onFailure } = this.options;
    const block = stats.block(statPrefix(cluster), CLUSTER_STATS);
    const dns = new DnsCluster(cluster, resolver, timers, random, {
      onAssignment: (assignment) => onAssignment(cluster, assignment),
      onUpdate: (kind, error) => {
        block.inc(ClusterStat[`update_${kind}`]);
        if (kind === 'failure') onFailure(cluster.name, error);
      },
    });
    this.running.set(cluster.name, () => {
      dns.close();
      block.release();
    });
    dns.start();
  }

  stop(name: string): void {
    this.running.get(name)?.();
    this.running.delete(name);
  }

  close(): void {
    for (const end of this.running.values()) end();
    this.running.clear();
  }
}
