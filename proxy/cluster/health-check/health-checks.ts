/**
 * Active health checks of every cluster that has them, on the main thread. A cluster that is to be served is checked once
 * before (Envoy's warming), beside the one of its name that serves; when it serves, its checks go on.
 */
import type { Cluster } from '../../../xds-client/model/cluster.ts';
import type { Assignment } from '../../../xds-client/model/endpoint.ts';
import { type CheckedCluster, type ChecksEnvironment, ClusterChecks } from './cluster-checks.ts';

export interface HealthChecksEvents {
  /** An endpoint of a serving cluster. `failed`: it was healthy until now. */
  onFlags(cluster: string, address: string, failed: boolean): void;
  /** The endpoints of a serving cluster, without one that discovery had taken away and that has failed now. */
  onAssignment(cluster: string, assignment: Assignment): void;
  /** Every endpoint was checked once. `cluster` is the object that `warm` was given. */
  onChecked(cluster: Cluster): void;
}

export class HealthChecks {
  private readonly env: ChecksEnvironment;
  private readonly events: HealthChecksEvents;
  private readonly serving = new Map<string, ClusterChecks>();
  private readonly warming = new Map<string, ClusterChecks>();

  constructor(env: ChecksEnvironment, events: HealthChecksEvents) {
    this.env = env;
    this.events = events;
  }

  /** Checks these endpoints of a cluster that does not serve yet, instead of what was checked for its name before. */
  warm(cluster: Cluster, assignment: Assignment): void {
    const { name } = cluster;
    if (!isChecked(cluster)) return;
    let checks = this.warming.get(name);
    if (checks?.cluster !== cluster) {
      this.stopWarming(name);
      checks = this.make(cluster);
      this.warming.set(name, checks);
    }
    checks.set(assignment);
  }

  stopWarming(name: string): void {
    this.warming.get(name)?.close();
    this.warming.delete(name);
  }

  /** The cluster serves from now on; gives the endpoints to serve it with. */
  serve(cluster: Cluster, assignment: Assignment): Assignment {
    const { name } = cluster;
    const warm = this.warming.get(name);
    this.serving.get(name)?.close();
    this.serving.delete(name);
    if (!isChecked(cluster)) {
      this.stopWarming(name);
      return assignment;
    }
    let checks = warm;
    if (checks?.cluster !== cluster) {
      this.stopWarming(name);
      checks = this.make(cluster);
    }
    this.warming.delete(name);
    this.serving.set(name, checks);
    return checks.set(assignment);
  }

  /** The endpoints of a serving cluster as discovery says; gives those to serve with. */
  update(name: string, assignment: Assignment): Assignment {
    return this.serving.get(name)?.set(assignment) ?? assignment;
  }

  remove(name: string): void {
    this.stopWarming(name);
    this.serving.get(name)?.close();
    this.serving.delete(name);
  }

  /** `HealthFlag` bits of an endpoint of a serving cluster. */
  flagsOf(name: string, address: string): number {
    return this.serving.get(name)?.flagsOf(address) ?? 0;
  }

  /** The endpoint of a serving cluster answered a request that it is not to be used any more. */
  fail(name: string, address: string): void {
    this.serving.get(name)?.fail(address);
  }

  close(): void {
    for (const name of [...this.serving.keys(), ...this.warming.keys()]) this.remove(name);
  }

  private make(cluster: CheckedCluster): ClusterChecks {
    const { name } = cluster;
    const checks: ClusterChecks = new ClusterChecks(cluster, this.env, {
      onFlags: (address, failed) => {
        if (this.serving.get(name) === checks) this.events.onFlags(name, address, failed);
      },
      onAssignment: (assignment) => {
        if (this.serving.get(name) === checks) this.events.onAssignment(name, assignment);
      },
      onChecked: () => {
        if (this.warming.get(name) === checks) this.events.onChecked(cluster);
      },
    });
    return checks;
  }
}

function isChecked(cluster: Cluster): cluster is CheckedCluster {
  return cluster.healthCheck !== undefined;
}
