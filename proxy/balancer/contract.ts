/**
 * Choosing an endpoint, with no socket, clock or counter inside: what changes comes in as the host's live numbers and as
 * `random`. A policy chooses among hosts that are equally fit; priorities, health and localities are decided before it
 * (./load-balancer.ts).
 */

/** What a choice looks at. */
export interface BalancerHost {
  /** 1 or more. */
  readonly weight: number;
  readonly health: HostHealth;
  /** Counts neither for nor against its priority's health: it leaves on purpose. */
  readonly excluded?: boolean;
  /** Requests under way over all workers. */
  activeRequests(): number;
}

export type HostHealth = 'healthy' | 'degraded' | 'unhealthy';

/** Uniform in [0, 1). */
export type Random = () => number;

/** One policy over one fixed list of hosts, which is not empty. Keeps its place in the rotation. */
export interface Picker<H> {
  pick(): H;
}

/** Hosts of one locality. `weight`: `undefined` takes no part in locality weighting. */
export interface LocalityHosts<H> {
  readonly priority: number;
  readonly weight: number | undefined;
  readonly hosts: readonly H[];
}
