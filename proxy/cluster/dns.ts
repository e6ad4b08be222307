/**
 * STRICT_DNS and LOGICAL_DNS on the main thread: names become addresses, again and again, and each new set of addresses
 * becomes an assignment. A lookup that fails keeps what the last one brought.
 */
import { isIP } from 'node:net';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Assignment, Endpoint, LocalityEndpoints } from '../../xds-client/model/endpoint.ts';

export interface ResolvedAddress {
  readonly address: string;
  /** `undefined`: the resolver does not know. */
  readonly ttlMs: number | undefined;
}

/** Looks names up. An empty answer means that the name has no address of that family; anything else that is wrong throws. */
export interface DnsResolver {
  resolve(name: string, family: 4 | 6, wantTtl: boolean): Promise<readonly ResolvedAddress[]>;
}

/** Time, injected. */
export interface DnsTimers {
  set(callback: () => void, ms: number): unknown;
  clear(timer: unknown): void;
}

export interface DnsEvents {
  /** A new set of endpoints, the first one included even when it is empty. */
  onAssignment(assignment: Assignment): void;
  /** `attempt` before a lookup; then one of the others (cluster.<n>.update_*). */
  onUpdate(kind: 'attempt' | 'success' | 'failure' | 'empty' | 'no_rebuild', error?: unknown): void;
}

/** Never look up more often than this, whatever a TTL says. */
const MIN_REFRESH_MS = 1_000;

/** A cluster whose endpoints come from DNS. */
export type DnsConfig = Cluster & {
  readonly discovery: {
    readonly kind: 'strict-dns' | 'logical-dns';
    readonly localities: readonly LocalityEndpoints[];
  };
};

/** Whether the cluster's endpoints come from DNS. */
export function isDnsCluster(cluster: Cluster): cluster is DnsConfig {
  return cluster.discovery.kind === 'strict-dns' || cluster.discovery.kind === 'logical-dns';
}

/** One cluster's resolution; looks each distinct name up on its own schedule. */
export class DnsCluster {
  private readonly cluster: DnsConfig;
  private readonly resolver: DnsResolver;
  private readonly timers: DnsTimers;
  private readonly events: DnsEvents;
  private readonly random: () => number;
  private readonly names = new Map<string, NameState>();
  private waiting: number;
  private closed = false;
  private last: string | undefined = undefined;

  constructor(cluster: DnsConfig, resolver: DnsResolver, timers: DnsTimers, random: () => number, events: DnsEvents) {
    this.cluster = cluster;
    this.resolver = resolver;
    this.timers = timers;
    this.random = random;
    this.events = events;
    for (const name of namesOf(cluster))
      this.names.set(name, { addresses: [], failures: 0, asked: false, timer: undefined });
    this.waiting = this.names.size;
  }

  /** Starts looking up; the first assignment comes when every name was answered or failed once. */
  start(): void {
    if (this.names.size === 0) this.publish();
    for (const [name, state] of this.names) void this.refresh(name, state);
  }

  close(): void {
    this.closed = true;
    for (const state of this.names.values()) this.timers.clear(state.timer);
  }

  private async refresh(name: string, state: NameState): Promise<void> {
    this.events.onUpdate('attempt');
    const { dns, discovery } = this.cluster;
    let delay = dns.refreshMs;
    try {
      const found = await lookUp(this.resolver, name, dns.family, dns.respectTtl);
      if (this.closed) return;
      state.failures = 0;
      this.events.onUpdate('success');
      if (found.length === 0) this.events.onUpdate('empty');
      // A logical cluster is one endpoint, and keeps it when the name has no address for a while.
      if (discovery.kind === 'strict-dns') state.addresses = found.map(({ address }) => address).sort();
      else if (found[0] !== undefined) state.addresses = [found[0].address];
      if (dns.respectTtl) delay = shortestTtl(found) ?? delay;
    } catch (error) {
      if (this.closed) return;
      this.events.onUpdate('failure', error);
      delay = this.failureDelay(state);
    }
    if (!state.asked) {
      state.asked = true;
      this.waiting--;
    }
    if (this.waiting === 0) this.publish();
    state.timer = this.timers.set(() => void this.refresh(name, state), Math.max(delay, MIN_REFRESH_MS));
  }

  /** dns_failure_refresh_rate: jittered and doubling up to its maximum; otherwise the usual interval. */
  private failureDelay(state: NameState): number {
    const { failureRefresh, refreshMs } = this.cluster.dns;
    if (failureRefresh === undefined) return refreshMs;
    const ceiling = Math.min(failureRefresh.maxMs, failureRefresh.baseMs * 2 ** Math.min(state.failures++, 30));
    return Math.max(1, this.random() * ceiling);
  }

  private publish(): void {
    const assignment = this.assignment();
    const text = JSON.stringify(assignment);
    if (text === this.last) {
      this.events.onUpdate('no_rebuild');
      return;
    }
    this.last = text;
    this.events.onAssignment(assignment);
  }

  private assignment(): Assignment {
    const { cluster } = this;
    const localities = cluster.discovery.localities.map((locality) => ({
      ...locality,
      endpoints: locality.endpoints.flatMap((endpoint) => this.resolved(endpoint)),
    }));
    return staticAssignment(cluster, localities);
  }

  private resolved(endpoint: Endpoint): readonly Endpoint[] {
    const { address } = endpoint;
    if (address.kind === 'pipe' || isIP(address.host) !== 0) return [endpoint];
    const hostname = endpoint.hostname === '' ? address.host : endpoint.hostname;
    const addresses = this.names.get(address.host)?.addresses ?? [];
    return addresses.map((host) => ({ ...endpoint, hostname, address: { kind: 'socket', host, port: address.port } }));
  }
}

interface NameState {
  addresses: readonly string[];
  failures: number;
  /** Answered or failed once. */
  asked: boolean;
  timer: unknown;
}

/** The assignment of a cluster that carries its own endpoints. */
export function staticAssignment(cluster: Cluster, localities: readonly LocalityEndpoints[]): Assignment {
  return {
    clusterName: cluster.name,
    localities,
    overprovisioningFactor: cluster.overprovisioningFactor,
    endpointStaleAfterMs: undefined,
    drops: [],
  };
}

function namesOf(cluster: DnsConfig): Set<string> {
  const names = new Set<string>();
  for (const { endpoints } of cluster.discovery.localities) {
    for (const { address } of endpoints) {
      if (address.kind === 'socket' && isIP(address.host) === 0) names.add(address.host);
    }
  }
  return names;
}

/** AUTO asks for IPv6 and falls back to IPv4; V4_PREFERRED the other way round; ALL joins both. */
async function lookUp(
  resolver: DnsResolver,
  name: string,
  family: Cluster['dns']['family'],
  wantTtl: boolean,
): Promise<readonly ResolvedAddress[]> {
  switch (family) {
    case 'v4-only':
      return resolver.resolve(name, 4, wantTtl);
    case 'v6-only':
      return resolver.resolve(name, 6, wantTtl);
    case 'all': {
      const [v4, v6] = await Promise.all([resolver.resolve(name, 4, wantTtl), resolver.resolve(name, 6, wantTtl)]);
      return [...v4, ...v6];
    }
    default: {
      const [first, second] = family === 'auto' ? ([6, 4] as const) : ([4, 6] as const);
      const preferred = await resolver.resolve(name, first, wantTtl);
      return preferred.length > 0 ? preferred : resolver.resolve(name, second, wantTtl);
    }
  }
}

function shortestTtl(found: readonly ResolvedAddress[]): number | undefined {
  const known = found.flatMap(({ ttlMs }) => (ttlMs === undefined ? [] : [ttlMs]));
  return known.length === 0 ? undefined : Math.min(...known);
}
