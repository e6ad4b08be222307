/** Statistics by full name, for events that come with names: a name that belongs to a family's block goes there. */
import type { StatSink } from '../xds-client/statistics.ts';
import { CLUSTER_STATS } from './cluster/stats.ts';
import type { StatBlock, StatFamily } from './observe/stats/contract.ts';
import { CLUSTER_MANAGER_STATS, CONTROL_PLANE_STATS, LISTENER_MANAGER_STATS } from './observe/stats/families.ts';
import type { MainStats } from './observe/stats/main-stats.ts';
import { SDS_STATS } from './secrets/stats.ts';

const FAMILIES: readonly (readonly [pattern: RegExp, family: StatFamily])[] = [
  [/^cluster_manager\.(?=[a-z_]+$)/, CLUSTER_MANAGER_STATS],
  [/^listener_manager\.(?=[a-z_]+$)/, LISTENER_MANAGER_STATS],
  [/^control_plane\.(?=[a-z_]+$)/, CONTROL_PLANE_STATS],
  [/^cluster\..+\.(?=[a-z_]+$)/, CLUSTER_STATS],
  [/^sds\..+\.(?=[a-z_]+$)/, SDS_STATS],
];

export class NamedStats implements StatSink {
  private readonly stats: MainStats;
  /** Kept for the life of the process: the managers' own. */
  private readonly managers: readonly StatBlock[];

  constructor(stats: MainStats) {
    this.stats = stats;
    this.managers = [
      stats.block('cluster_manager.', CLUSTER_MANAGER_STATS),
      stats.block('listener_manager.', LISTENER_MANAGER_STATS),
      stats.block('control_plane.', CONTROL_PLANE_STATS),
    ];
  }

  inc(name: string): void {
    if (!this.inBlock(name, (block, index) => block.inc(index))) this.stats.counter(name).inc();
  }

  set(name: string, value: number): void {
    if (!this.inBlock(name, (block, index) => block.set(index, value))) this.stats.gauge(name).set(value);
  }

  text(name: string, value: string): void {
    this.stats.text(name, value);
  }

  close(): void {
    for (const block of this.managers) block.release();
  }

  private inBlock(name: string, use: (block: StatBlock, index: number) => void): boolean {
    for (const [pattern, family] of FAMILIES) {
      const prefix = pattern.exec(name)?.[0];
      const index = prefix === undefined ? -1 : family.names.indexOf(name.slice(prefix.length));
      if (prefix === undefined || index < 0) continue;
      // Whoever owns the block holds it; this is a visit.
      const block = this.stats.block(prefix, family);
      use(block, index);
      block.release();
      return true;
    }
    return false;
  }
}
