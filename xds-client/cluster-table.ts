/** The clusters: which serve, which warm, and with which endpoints. Pure. */

import type { ConfigChange } from './changes.ts';
import type { Cluster } from './model/cluster.ts';
import type { Assignment } from './model/endpoint.ts';
import { equal } from './model/equal.ts';
import { assignmentOf, isPatient, type Reference, secretsOfCluster } from './references.ts';
import { awaitsChecks, isResolved, readyAssignment, type SecretFacts, sameNames } from './warming.ts';

interface Serving {
  readonly cluster: Cluster;
  assignment: Assignment;
}

interface Entry {
  /** Of the bootstrap: the control plane can neither change nor remove it. */
  readonly isStatic: boolean;
  serving: Serving | undefined;
  warming: Cluster | undefined;
  /** The cluster that was last given to the resolver; only its results count. */
  resolving: Cluster | undefined;
  /** What came of it. */
  resolved: Assignment | undefined;
  /** What the health checks were last given; only their word on this cluster counts. */
  checking: Serving | undefined;
  /** Each of its endpoints was checked. */
  checked: boolean;
}

export class ClusterTable {
  private readonly entries = new Map<string, Entry>();
  private readonly warming = new Set<string>();
  private readonly assignments = new Map<string, Assignment>();
  private readonly absentServices = new Set<string>();
  /** Clusters by the service name they ask for, serving or warming. */
  private index: Map<string, Set<string>> | undefined;

  /** Takes a new or changed cluster. False: nothing changes (it is as it was, or it is the bootstrap's). */
  put(name: string, cluster: Cluster, isStatic: boolean, changes: ConfigChange[]): boolean {
    const entry = this.entries.get(name);
    if (entry === undefined) {
      const added: Entry = {
        isStatic,
        serving: undefined,
        warming: cluster,
        resolving: undefined,
        resolved: undefined,
        checking: undefined,
        checked: false,
      };
      this.entries.set(name, added);
      this.startWarming(name, added, cluster, changes);
      return true;
    }
    if (entry.isStatic) return false;
    if (equal(cluster, entry.warming ?? entry.serving?.cluster)) return false;
    if (equal(cluster, entry.serving?.cluster)) {
      // Changed back before the change could serve.
      this.stopWarming(name, entry);
      stopChecking(name, entry, changes);
      if (!isResolved(cluster)) stopResolving(name, entry, changes);
      this.startResolving(name, entry, cluster, changes);
      return true;
    }
    this.startWarming(name, entry, cluster, changes);
    return true;
  }

  has(name: string): boolean {
    return this.entries.has(name);
  }

  isRemovable(name: string): boolean {
    return this.entries.get(name)?.isStatic === false;
  }

  /** True: the cluster served. */
  remove(name: string, changes: ConfigChange[]): boolean {
    const entry = this.entries.get(name);
    if (entry === undefined) return false;
    this.stopWarming(name, entry);
    stopChecking(name, entry, changes);
    // A cluster that served takes its DNS along when it goes.
    if (entry.serving === undefined) stopResolving(name, entry, changes);
    this.entries.delete(name);
    this.index = undefined;
    return entry.serving !== undefined;
  }

  assign(service: string, assignment: Assignment, changes: ConfigChange[]): void {
    this.absentServices.delete(service);
    if (equal(this.assignments.get(service), assignment)) return;
    this.assignments.set(service, assignment);
    for (const name of this.users().get(service) ?? []) {
      const serving = this.entries.get(name)?.serving;
      if (serving === undefined || assignmentOf(serving.cluster)?.name !== service) continue;
      if (equal(serving.assignment, assignment)) continue;
      serving.assignment = assignment;
      changes.push({ type: 'endpoints', name, assignment });
    }
  }

  /** The assignment's time to live ended, or the control plane took it back: its clusters have no endpoints. */
  unassign(service: string, changes: ConfigChange[]): void {
    const before = this.assignments.get(service);
    if (before === undefined) return;
    this.assign(service, { ...before, localities: [], drops: [] }, changes);
    this.assignments.delete(service);
  }

  /** The service was asked for and did not come in time. */
  giveUp(service: string): void {
    this.absentServices.add(service);
  }

  /** `cluster`: the object of the `resolve` change. Results for others came too late and are dropped. */
  resolved(cluster: Cluster, assignment: Assignment, changes: ConfigChange[]): void {
    const entry = this.entries.get(cluster.name);
    if (entry === undefined || entry.resolving !== cluster) return;
    entry.resolved = assignment;
    const { serving } = entry;
    if (serving === undefined || !sameNames(cluster, serving.cluster)) return;
    if (equal(serving.assignment, assignment)) return;
    serving.assignment = assignment;
    changes.push({ type: 'endpoints', name: cluster.name, assignment });
  }

  /** `cluster`: the object of the `check` change. What is said of others came too late. */
  checked(cluster: Cluster): void {
    const entry = this.entries.get(cluster.name);
    if (entry?.checking?.cluster === cluster) entry.checked = true;
  }

  /** Lets everything serve that may. */
  settle(secretsOf: (cluster: Cluster) => SecretFacts, changes: ConfigChange[]): void {
    for (const name of this.warming) {
      const entry = this.entries.get(name);
      const cluster = entry?.warming;
      if (entry === undefined || cluster === undefined) continue;
      const assignment = readyAssignment(cluster, {
        assignments: this.assignments,
        isAbsent: (service) => this.absentServices.has(service),
        resolved: entry.resolved,
        serving: entry.serving,
        secrets: secretsOf(cluster),
      });
      if (assignment === undefined || !isChecked(name, entry, cluster, assignment, changes)) continue;
      entry.checking = undefined;
      entry.serving = { cluster, assignment };
      this.stopWarming(name, entry);
      changes.push({ type: 'cluster', name, cluster, assignment });
    }
  }

  /** The assignments to ask for: of the serving clusters too, until what replaces them serves. */
  assignmentReferences(): Reference[] {
    return this.all().flatMap((cluster) => assignmentOf(cluster) ?? []);
  }

  secretReferences(): Reference[] {
    return this.all().flatMap(secretsOfCluster);
  }

  /** Clusters that ask for the assignment: `cluster.<name>.` is where its statistics go. */
  usersOf(service: string): readonly string[] {
    return [...(this.users().get(service) ?? [])];
  }

  state(name: string): { readonly serving: Cluster | undefined; readonly warming: Cluster | undefined } {
    const entry = this.entries.get(name);
    return { serving: entry?.serving?.cluster, warming: entry?.warming };
  }

  names(): readonly string[] {
    return [...this.entries.keys()];
  }

  counts(): { readonly active: number; readonly warming: number } {
    let active = 0;
    for (const entry of this.entries.values()) if (entry.serving !== undefined) active++;
    return { active, warming: this.warming.size };
  }

  /** A warming cluster waits without limit for what it asks for. */
  isPatient(): boolean {
    return [...this.warming].some((name) => {
      const entry = this.entries.get(name);
      const cluster = entry?.warming;
      if (cluster === undefined) return false;
      // Every check ends within its own timeout.
      if (entry?.checking?.cluster === cluster) return true;
      const assignment = assignmentOf(cluster);
      return (assignment !== undefined && isPatient(assignment)) || secretsOfCluster(cluster).some(isPatient);
    });
  }

  private startWarming(name: string, entry: Entry, cluster: Cluster, changes: ConfigChange[]): void {
    entry.warming = cluster;
    this.warming.add(name);
    this.startResolving(name, entry, cluster, changes);
    this.index = undefined;
  }

  private stopWarming(name: string, entry: Entry): void {
    entry.warming = undefined;
    this.warming.delete(name);
    this.index = undefined;
  }

  private startResolving(name: string, entry: Entry, cluster: Cluster, changes: ConfigChange[]): void {
    if (!isResolved(cluster) || (entry.resolving !== undefined && sameNames(cluster, entry.resolving))) return;
    entry.resolving = cluster;
    entry.resolved = undefined;
    changes.push({ type: 'resolve', name, cluster });
  }

  /** Serving and warming. */
  all(): Cluster[] {
    return [...this.entries.values()].flatMap(({ serving, warming }) => [
      ...(serving === undefined ? [] : [serving.cluster]),
      ...(warming === undefined ? [] : [warming]),
    ]);
  }

  /** Made when it is asked for: a push of thousands of clusters makes it once. */
  private users(): Map<string, Set<string>> {
    if (this.index !== undefined) return this.index;
    this.index = new Map();
    for (const [name, { serving, warming }] of this.entries) {
      for (const cluster of [serving?.cluster, warming]) {
        const service = cluster === undefined ? undefined : assignmentOf(cluster)?.name;
        if (service === undefined) continue;
        const users = this.index.get(service);
        if (users === undefined) this.index.set(service, new Set([name]));
        else users.add(name);
      }
    }
    this.dropUnused(this.index);
    return this.index;
  }

  /** What nobody asks for is not kept: asked for again, it has to come again. */
  private dropUnused(index: ReadonlyMap<string, unknown>): void {
    for (const service of this.assignments.keys()) if (!index.has(service)) this.assignments.delete(service);
    for (const service of this.absentServices) if (!index.has(service)) this.absentServices.delete(service);
  }
}

/** Whether the cluster may serve as far as health goes; otherwise its endpoints are given to the health checks. */
function isChecked(
  name: string,
  entry: Entry,
  cluster: Cluster,
  assignment: Assignment,
  changes: ConfigChange[],
): boolean {
  if (!awaitsChecks(cluster, assignment)) return true;
  if (entry.checking?.cluster !== cluster) entry.checked = false;
  else if (entry.checked) return true;
  else if (equal(entry.checking.assignment, assignment)) return false;
  entry.checking = { cluster, assignment };
  changes.push({ type: 'check', name, cluster, assignment });
  return false;
}

function stopChecking(name: string, entry: Entry, changes: ConfigChange[]): void {
  if (entry.checking === undefined) return;
  entry.checking = undefined;
  changes.push({ type: 'check-ended', name });
}

function stopResolving(name: string, entry: Entry, changes: ConfigChange[]): void {
  if (entry.resolving === undefined) return;
  entry.resolving = undefined;
  entry.resolved = undefined;
  changes.push({ type: 'resolve-ended', name });
}
