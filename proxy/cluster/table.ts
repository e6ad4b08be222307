/**
 * A worker's clusters, fed by the main thread's messages. Resources stay JSON text until a request asks for their
 * cluster: most clusters of a large mesh are never used by a given worker.
 */
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Assignment } from '../../xds-client/model/endpoint.ts';
import type { ToWorker } from '../messages.ts';
import type { ClusterHandle, ClusterTable } from '../upstream/contract.ts';
import type { ClusterEnvironment } from './environment.ts';
import { WorkerHost } from './host.ts';
import { ClusterLimits } from './limits.ts';
import { AttachedCells } from './shared.ts';
import { type Membership, WorkerCluster } from './worker-cluster.ts';

/** What the messages said, and what was made of it once somebody asked. */
interface Entry {
  readonly slot: number;
  json: string;
  /** Newer text than `cluster` was made from. */
  stale: boolean;
  assignmentJson: string | undefined;
  assignmentStale: boolean;
  /** Slots of the last assignment, one an endpoint, held by this worker whether or not it was parsed. */
  slots: readonly number[];
  cluster: WorkerCluster | undefined;
  limits: ClusterLimits | undefined;
  /** By slot: an endpoint that keeps its address keeps its slot, and is the same host. */
  readonly hosts: Map<number, WorkerHost>;
}

export class WorkerClusterTable implements ClusterTable {
  private readonly env: ClusterEnvironment;
  private readonly cells = new AttachedCells();
  private readonly entries = new Map<string, Entry>();
  /** Endpoints that no configuration names and that have something under way. */
  private readonly retired = new Set<WorkerHost>();

  constructor(env: ClusterEnvironment) {
    this.env = env;
  }

  /** Takes one message in; false when it is not about clusters. */
  handle(message: ToWorker): boolean {
    switch (message.type) {
      case 'shared':
        this.cells.attach(message.index, message.buffer);
        return true;
      case 'cluster':
        this.setCluster(message.name, message.json, message.slot);
        return true;
      case 'cluster-removed':
        this.removeCluster(message.name);
        return true;
      case 'endpoints':
        this.setEndpoints(message.cluster, message.json, message.slots);
        return true;
      case 'endpoint-health':
        this.changeHealth(message.cluster, message.failed);
        return true;
      default:
        return false;
    }
  }

  get(name: string): ClusterHandle | undefined {
    const entry = this.entries.get(name);
    if (entry === undefined) return undefined;
    if (entry.cluster !== undefined && !entry.stale && !entry.assignmentStale) return entry.cluster;
    return this.inflate(entry);
  }

  /** Closes every connection now. */
  destroy(): void {
    for (const { hosts, cluster } of this.entries.values()) {
      for (const host of hosts.values()) host.destroyPools();
      cluster?.destroyPools();
    }
    for (const host of [...this.retired]) host.destroyPools();
  }

  private setCluster(name: string, json: string, slot: number): void {
    const known = this.entries.get(name);
    if (known !== undefined && known.slot === slot) {
      if (known.json === json) return;
      known.json = json;
      known.stale = true;
      // Connections that must not serve new requests drain now, not at the next request.
      if (known.cluster !== undefined) this.inflate(known);
      return;
    }
    if (known !== undefined) this.removeCluster(name);
    this.entries.set(name, {
      slot,
      json,
      stale: true,
      assignmentJson: undefined,
      assignmentStale: false,
      slots: [],
      cluster: undefined,
      limits: undefined,
      hosts: new Map(),
    });
  }

  private removeCluster(name: string): void {
    const entry = this.entries.get(name);
    if (entry === undefined) return;
    this.entries.delete(name);
    this.dropSlots(entry, new Set());
    const { limits, slot, cluster } = entry;
    if (limits === undefined) {
      this.cells.release(slot);
      return;
    }
    cluster?.close();
    limits.whenUnused(() => {
      this.cells.release(slot);
      cluster?.release();
    });
  }

  private setEndpoints(name: string, json: string, slots: readonly number[]): void {
    const entry = this.entries.get(name);
    if (entry === undefined) {
      // The main thread sends the cluster first; slots of a cluster that is gone are let go all the same.
      for (const slot of new Set(slots)) this.cells.release(slot);
      return;
    }
    this.dropSlots(entry, new Set(slots));
    entry.slots = slots;
    entry.assignmentJson = json;
    entry.assignmentStale = true;
    if (entry.cluster !== undefined) this.inflate(entry);
  }

  private changeHealth(name: string, failed: readonly number[]): void {
    const entry = this.entries.get(name);
    if (entry?.cluster === undefined) return;
    entry.cluster.rebuild();
    for (const slot of failed) {
      entry.hosts.get(slot)?.failedHealth(entry.cluster.config.closeConnectionsOnHostHealthFailure);
    }
  }

  /** Lets go of the endpoints that are not in `kept`. */
  private dropSlots(entry: Entry, kept: ReadonlySet<number>): void {
    for (const slot of new Set(entry.slots)) {
      if (kept.has(slot)) continue;
      const host = entry.hosts.get(slot);
      entry.hosts.delete(slot);
      if (host === undefined) {
        this.cells.release(slot);
        continue;
      }
      this.retired.add(host);
      host.retire();
    }
  }

  private inflate(entry: Entry): WorkerCluster {
    let { cluster } = entry;
    if (cluster === undefined || entry.stale) {
      const config = JSON.parse(entry.json) as Cluster;
      entry.stale = false;
      if (cluster === undefined) {
        entry.limits = new ClusterLimits(this.cells.slot(entry.slot), config.thresholds);
        cluster = new WorkerCluster(config, entry.limits, this.env);
        entry.cluster = cluster;
      } else if (cluster.reconfigure(config)) {
        for (const host of entry.hosts.values()) host.drainPools();
      }
    }
    if (entry.assignmentStale && entry.assignmentJson !== undefined) {
      entry.assignmentStale = false;
      cluster.setMembership(this.membership(entry, JSON.parse(entry.assignmentJson) as Assignment, cluster));
    }
    return cluster;
  }

  /** Hosts for the assignment: those that are there take the endpoint's new words, the others are made. */
  private membership(entry: Entry, assignment: Assignment, cluster: WorkerCluster): Membership {
    let next = 0;
    const hosts = assignment.localities.map(({ endpoints }) => {
      // An address that appears twice is one endpoint.
      const members = new Set<WorkerHost>();
      for (const endpoint of endpoints) {
        const slot = entry.slots[next++];
        if (slot === undefined) continue;
        const known = entry.hosts.get(slot);
        if (known !== undefined) {
          const wasHealthy = known.healthy;
          known.endpoint = endpoint;
          if (wasHealthy && !known.healthy && cluster.config.closeConnectionsOnHostHealthFailure) known.destroyPools();
          members.add(known);
          continue;
        }
        const host: WorkerHost = new WorkerHost(cluster.name, endpoint, this.cells.slot(slot), () => {
          this.retired.delete(host);
          this.cells.release(slot);
        });
        entry.hosts.set(slot, host);
        members.add(host);
      }
      return [...members];
    });
    return { assignment, hosts };
  }
}
