/**
 * The main thread's clusters: gives each cluster and endpoint its shared slot, and tells every worker. Warming and name
 * resolution (./resolution.ts) are over before a resource gets here.
 */

import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Assignment } from '../../xds-client/model/endpoint.ts';
import { equal } from '../../xds-client/model/equal.ts';
import type { ToWorker } from '../messages.ts';
import type { StatBlock, StatsStore } from '../observe/stats/contract.ts';
import { addressText } from '../upstream/contract.ts';
import { BreakerGauges } from './breaker-gauges.ts';
import { staticAssignment } from './dns.ts';
import { changedPriorities, setMembershipGauges } from './membership-gauges.ts';
import { ACTIVE_CHECK_FLAGS, EndpointCell, SharedCells, type Slot } from './shared.ts';
import { CLUSTER_STATS, ClusterStat, statPrefix } from './stats.ts';

export interface DirectoryOptions {
  /** How many tables receive the messages: the number of workers, 1 when the data side runs in the main thread. */
  readonly workers: number;
  /** Sends to every worker, in order. */
  readonly broadcast: (message: ToWorker) => void;
  readonly stats: StatsStore;
  /** What active health checks say of an endpoint (`ACTIVE_CHECK_FLAGS`), by `addressText`. */
  readonly checkFlags?: (cluster: string, address: string) => number;
  /** Runs what many changes of health have in common once for all of them; at once by default. */
  readonly later?: (callback: () => void) => void;
}

/** Holds the models that the configuration holds too: text of its own for each cluster would weigh more than both. */
interface Entry {
  config: Cluster;
  readonly slot: number;
  assignment: Assignment | undefined;
  /** Of the assignment's endpoints, in order: a map by address for each cluster would weigh as much as the endpoints. */
  endpointSlots: readonly number[];
  stats: StatBlock;
  breakers: BreakerGauges;
  /** An endpoint's health is not the one that the membership gauges show. */
  healthChanged: boolean;
  /** A connection for requests was made in the cluster. */
  hasTraffic: boolean;
  /** Slots by address, made for the first endpoint that is asked for since the assignment. */
  index: ReadonlyMap<string, number> | undefined;
}

/** A cluster for the admin pages. */
export interface ClusterView {
  readonly config: Cluster;
  readonly assignment: Assignment | undefined;
  /** The endpoint's live numbers (`EndpointCell`), by `addressText`. */
  endpoint(address: string): Slot | undefined;
  /** The cluster's own (`ClusterCell`). */
  readonly slot: Slot;
}

export class ClusterDirectory {
  private readonly options: DirectoryOptions;
  private readonly cells: SharedCells;
  private readonly entries = new Map<string, Entry>();
  /** By cluster: slots that failed, of a message that is about to be sent. */
  private readonly changedHealth = new Map<string, number[]>();

  constructor(options: DirectoryOptions) {
    this.options = options;
    this.cells = new SharedCells(options.workers, (index, buffer) =>
      options.broadcast({ type: 'shared', index, buffer }),
    );
  }

  /** Adds or replaces a cluster. Static endpoints follow at once, all others by `setAssignment`. */
  setCluster(cluster: Cluster): void {
    let entry = this.entries.get(cluster.name);
    if (entry !== undefined && equal(entry.config, cluster)) return;
    if (entry === undefined) {
      entry = this.add(cluster);
    } else {
      entry.config = cluster;
      this.restat(entry, cluster);
    }
    this.options.broadcast({ type: 'cluster', name: cluster.name, json: JSON.stringify(cluster), slot: entry.slot });
    const { discovery } = cluster;
    if (discovery.kind === 'static') this.setAssignment(cluster.name, staticAssignment(cluster, discovery.localities));
  }

  removeCluster(name: string): void {
    const entry = this.entries.get(name);
    if (entry === undefined) return;
    this.entries.delete(name);
    this.options.broadcast({ type: 'cluster-removed', name });
    for (const slot of slotsByAddress(entry).values()) this.cells.release(slot);
    this.cells.release(entry.slot);
    entry.stats.release();
    entry.breakers.release();
  }

  /** The cluster's endpoints, whole. An unknown cluster is nobody's: nothing happens. */
  setAssignment(name: string, assignment: Assignment): void {
    const entry = this.entries.get(name);
    if (entry === undefined) return;
    if (entry.assignment !== undefined && equal(entry.assignment, assignment)) {
      entry.stats.inc(ClusterStat.update_no_rebuild);
      // Other checks than before may have taken over.
      this.refreshChecks(name, entry);
      return;
    }
    const before = entry.assignment;
    const previous = slotsByAddress(entry);
    entry.assignment = assignment;
    const slots = new Map<string, number>();
    const order: number[] = [];
    for (const { endpoints } of assignment.localities) {
      for (const { address } of endpoints) {
        const key = addressText(address);
        const slot = slots.get(key) ?? previous.get(key) ?? this.cells.allocate();
        slots.set(key, slot);
        order.push(slot);
      }
    }
    // While the old ones are there to be looked at.
    this.noteTraffic(entry);
    entry.endpointSlots = order;
    entry.index = undefined;
    for (const [key, slot] of slots) this.setFlags(slot, this.options.checkFlags?.(name, key) ?? 0);
    this.options.broadcast({ type: 'endpoints', cluster: name, json: JSON.stringify(assignment), slots: order });
    for (const [key, slot] of previous) {
      if (slots.get(key) === slot) continue;
      this.cells.release(slot);
    }
    entry.stats.add(ClusterStat.membership_change, changedPriorities(before, assignment));
    this.setMembership(entry, assignment);
  }

  /** Active health checks say something new of an endpoint. `failed`: it was healthy until now. */
  setCheckFlags(name: string, address: string, flags: number, failed: boolean): void {
    const entry = this.entries.get(name);
    if (entry === undefined) return;
    entry.index ??= slotsByAddress(entry);
    const slot = entry.index.get(address);
    if (slot === undefined || !this.setFlags(slot, flags)) return;
    this.healthChanged(name, entry, failed ? [slot] : []);
  }

  /** Whether a connection for requests was ever made in the cluster. */
  hasTraffic(name: string): boolean {
    const entry = this.entries.get(name);
    if (entry === undefined) return false;
    this.noteTraffic(entry);
    return entry.hasTraffic;
  }

  names(): string[] {
    return [...this.entries.keys()];
  }

  view(name: string): ClusterView | undefined {
    const entry = this.entries.get(name);
    if (entry === undefined) return undefined;
    const slots = slotsByAddress(entry);
    return {
      config: entry.config,
      assignment: entry.assignment,
      slot: this.cells.slot(entry.slot),
      endpoint: (address) => {
        const slot = slots.get(address);
        return slot === undefined ? undefined : this.cells.slot(slot);
      },
    };
  }

  /** Brings the gauges up to date that others than the configuration change. Before each scrape. */
  refreshGauges(): void {
    for (const entry of this.entries.values()) {
      entry.breakers.refresh(this.cells.slot(entry.slot));
      if (entry.healthChanged && entry.assignment !== undefined) this.setMembership(entry, entry.assignment);
    }
  }

  private refreshChecks(name: string, entry: Entry): void {
    const { checkFlags } = this.options;
    if (checkFlags === undefined) return;
    let changed = false;
    for (const [address, slot] of slotsByAddress(entry)) {
      if (this.setFlags(slot, checkFlags(name, address))) changed = true;
    }
    if (changed) this.healthChanged(name, entry, []);
  }

  private healthChanged(name: string, entry: Entry, failed: readonly number[]): void {
    entry.healthChanged = true;
    const waiting = this.changedHealth.get(name);
    if (waiting !== undefined) {
      waiting.push(...failed);
      return;
    }
    this.changedHealth.set(name, [...failed]);
    const { later } = this.options;
    if (later === undefined) this.tellHealth(name);
    else later(() => this.tellHealth(name));
  }

  /** One message, however many endpoints of the cluster changed: each makes the workers choose anew. */
  private tellHealth(name: string): void {
    const failed = this.changedHealth.get(name) ?? [];
    this.changedHealth.delete(name);
    this.options.broadcast({ type: 'endpoint-health', cluster: name, failed });
  }

  /** True: they were others. The outlier's stay. */
  private setFlags(slot: number, flags: number): boolean {
    const { cells, base } = this.cells.slot(slot);
    const at = base + EndpointCell.healthFlags;
    const before = Atomics.load(cells, at);
    const after = (before & ~ACTIVE_CHECK_FLAGS) | flags;
    if (after !== before) Atomics.store(cells, at, after);
    return after !== before;
  }

  private noteTraffic(entry: Entry): void {
    entry.hasTraffic ||= entry.endpointSlots.some((slot) => {
      const { cells, base } = this.cells.slot(slot);
      return Atomics.load(cells, base + EndpointCell.connections) !== 0;
    });
  }

  private setMembership(entry: Entry, assignment: Assignment): void {
    entry.healthChanged = false;
    setMembershipGauges(entry.stats, assignment, (index) => {
      const { cells, base } = this.cells.slot(entry.endpointSlots[index] as number);
      return Atomics.load(cells, base + EndpointCell.healthFlags);
    });
  }

  private add(cluster: Cluster): Entry {
    const prefix = statPrefix(cluster);
    const entry: Entry = {
      config: cluster,
      slot: this.cells.allocate(),
      assignment: undefined,
      endpointSlots: [],
      stats: this.options.stats.block(prefix, CLUSTER_STATS),
      breakers: new BreakerGauges(this.options.stats, prefix, cluster.thresholds),
      healthChanged: false,
      hasTraffic: false,
      index: undefined,
    };
    this.entries.set(cluster.name, entry);
    return entry;
  }

  /** Thresholds or alt_stat_name may have changed. */
  private restat(entry: Entry, cluster: Cluster): void {
    const prefix = statPrefix(cluster);
    const { stats, breakers } = entry;
    // The new ones first: a block that keeps its prefix keeps its numbers.
    entry.stats = this.options.stats.block(prefix, CLUSTER_STATS);
    entry.breakers = new BreakerGauges(this.options.stats, prefix, cluster.thresholds);
    stats.release();
    breakers.release();
  }
}

/** Two endpoints of one address share a slot. */
function slotsByAddress({ assignment, endpointSlots }: Entry): ReadonlyMap<string, number> {
  const slots = new Map<string, number>();
  let at = 0;
  for (const { endpoints } of assignment?.localities ?? []) {
    for (const { address } of endpoints) slots.set(addressText(address), endpointSlots[at++] as number);
  }
  return slots;
}
