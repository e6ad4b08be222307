/** What may serve yet. Pure: what is known comes in, the answer comes out. */

import type { Cluster } from './model/cluster.ts';
import type { Assignment } from './model/endpoint.ts';
import { equal } from './model/equal.ts';
import type { Listener } from './model/listener.ts';
import { assignmentOf, type Reference, routesOfListener, secretsOfCluster, secretsOfListener } from './references.ts';

/** Names of one kind of resource that were asked for: come, or given up on. */
export interface Arrivals {
  has(name: string): boolean;
  isAbsent(name: string): boolean;
}

/** The secrets that a resource needs. */
export interface SecretFacts {
  /** Keys of all the material the resource needs, also what is in files. */
  readonly keys: readonly string[];
  isReady(key: string): boolean;
  /** Asked for, and not sent in time. */
  isAbsent(reference: Reference): boolean;
}

/** All material is there, or what is missing was given up on: then handshakes fail, as Envoy's do. */
function secretsSettled(facts: SecretFacts, references: readonly Reference[]): boolean {
  const missing = facts.keys.filter((key) => !facts.isReady(key)).length;
  if (missing === 0) return true;
  const absent = new Set(references.filter((wanted) => facts.isAbsent(wanted)).map(({ name }) => name));
  return missing <= absent.size;
}

/** A listener serves after the routes of all its chains and its secrets. Given up routes answer 404. */
export function listenerIsReady(listener: Listener, routes: Arrivals, secrets: SecretFacts): boolean {
  for (const { name } of routesOfListener(listener)) {
    if (!routes.has(name) && !routes.isAbsent(name)) return false;
  }
  return secretsSettled(secrets, secretsOfListener(listener));
}

export interface ClusterFacts {
  readonly assignments: ReadonlyMap<string, Assignment>;
  /** Service names that were asked for and not sent in time. */
  isAbsent(service: string): boolean;
  /** What the resolver found for this very cluster. */
  readonly resolved: Assignment | undefined;
  /** What serves under the name now, and its endpoints. */
  readonly serving: { readonly cluster: Cluster; readonly assignment: Assignment } | undefined;
  readonly secrets: SecretFacts;
}

/** The endpoints with which a cluster may serve now; `undefined` while it has to wait. */
export function readyAssignment(cluster: Cluster, facts: ClusterFacts): Assignment | undefined {
  if (!secretsSettled(facts.secrets, secretsOfCluster(cluster))) return undefined;
  const { discovery } = cluster;
  switch (discovery.kind) {
    case 'static':
      return assignmentWith(cluster, discovery.localities);
    case 'original-dst':
      return assignmentWith(cluster, []);
    case 'strict-dns':
    case 'logical-dns':
      // What is resolved stays so while only other parts of the cluster change.
      return facts.resolved ?? (sameNames(cluster, facts.serving?.cluster) ? facts.serving?.assignment : undefined);
    case 'eds': {
      const service = assignmentOf(cluster)?.name ?? cluster.name;
      const known = facts.assignments.get(service);
      if (known !== undefined) return known;
      if (!facts.isAbsent(service)) return undefined;
      // Given up waiting: the endpoints that served before are better than none.
      return facts.serving?.assignment ?? assignmentWith(cluster, []);
    }
  }
}

/** Whether the cluster's endpoints are to be checked once before it serves: Envoy's warming waits for their health. */
export function awaitsChecks(cluster: Cluster, { localities }: Assignment): boolean {
  if (cluster.healthCheck === undefined) return false;
  return localities.some(({ endpoints }) => endpoints.some(({ healthCheck }) => healthCheck?.disabled !== true));
}

/** The same names are resolved in the same way. */
export function sameNames(cluster: Cluster, other: Cluster | undefined): boolean {
  if (other === undefined) return false;
  return equal(cluster.discovery, other.discovery) && equal(cluster.dns, other.dns);
}

export function isResolved(cluster: Cluster): boolean {
  return cluster.discovery.kind === 'strict-dns' || cluster.discovery.kind === 'logical-dns';
}

function assignmentWith(cluster: Cluster, localities: Assignment['localities']): Assignment {
  return {
    clusterName: cluster.name,
    localities,
    overprovisioningFactor: cluster.overprovisioningFactor,
    endpointStaleAfterMs: undefined,
    drops: [],
  };
}
