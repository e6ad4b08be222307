/** A cluster in a worker: its endpoints, the choice among them, and the way to their pools. Made on first use. */
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Assignment } from '../../xds-client/model/endpoint.ts';
import type { LocalityHosts } from '../balancer/contract.ts';
import { LoadBalancer } from '../balancer/load-balancer.ts';
import type { ClientStreamHandler, ResetReason } from '../http/stream.ts';
import type { StatBlock } from '../observe/stats/contract.ts';
import type {
  ClusterHandle,
  Host,
  LoadBalancerContext,
  PoolCallbacks,
  PoolHandle,
  Priority,
  ReportedAnswer,
  TcpPoolCallbacks,
} from '../upstream/contract.ts';
import type { ClusterEnvironment } from './environment.ts';
import type { WorkerHost } from './host.ts';
import { HostPoolFactory } from './host-pools.ts';
import type { ClusterLimits } from './limits.ts';
import { OriginalDestinations } from './original-destinations.ts';
import { CLUSTER_STATS, ClusterStat, statPrefix } from './stats.ts';

/** The endpoints of one assignment, in its localities. */
export interface Membership {
  readonly assignment: Assignment;
  /** Parallel to the assignment's localities. */
  readonly hosts: readonly (readonly WorkerHost[])[];
}

export class WorkerCluster implements ClusterHandle {
  readonly name: string;
  readonly stats: StatBlock;
  private current: Cluster;
  private readonly env: ClusterEnvironment;
  private readonly limits: ClusterLimits;
  private pools: HostPoolFactory;
  private originals: OriginalDestinations | undefined;
  private members: Membership | undefined = undefined;
  private balancer: LoadBalancer<WorkerHost> | undefined = undefined;

  constructor(config: Cluster, limits: ClusterLimits, env: ClusterEnvironment) {
    this.name = config.name;
    this.current = config;
    this.env = env;
    this.limits = limits;
    this.stats = env.stats.block(statPrefix(config), CLUSTER_STATS);
    this.pools = new HostPoolFactory(config, limits, this.stats, env);
    this.originals = originalsOf(config, env);
  }

  get config(): Cluster {
    return this.current;
  }

  /** A changed configuration. True: connections made so far must not serve new requests. */
  reconfigure(config: Cluster): boolean {
    const previous = this.current;
    this.current = config;
    this.limits.update(config.thresholds);
    const changed = connectionText(previous) !== connectionText(config);
    if (changed) {
      const before = this.pools;
      this.pools = new HostPoolFactory(config, this.limits, this.stats, this.env);
      // after the new one has taken the statistics over
      before.release();
    }
    if (JSON.stringify(previous.discovery) !== JSON.stringify(config.discovery)) {
      this.originals?.close();
      this.originals = originalsOf(config, this.env);
    } else if (changed) {
      this.originals?.drainPools();
    }
    this.rebuild();
    return changed;
  }

  setMembership(membership: Membership): void {
    this.members = membership;
    this.rebuild();
  }

  /** Health or weights changed: the next choice sees them. */
  rebuild(): void {
    this.balancer = undefined;
  }

  /** The cluster is gone; what is under way goes on. */
  close(): void {
    this.members = undefined;
    this.rebuild();
    this.originals?.close();
  }

  /** Nothing is under way any more: its statistics go. */
  release(): void {
    this.stats.release();
    this.pools.release();
  }

  /** Closes connections to endpoints that only this cluster knows. */
  destroyPools(): void {
    this.originals?.destroyPools();
  }

  choose(context: LoadBalancerContext, _priority: Priority): Host | undefined {
    const host = this.originals === undefined ? this.balance(context) : this.originals.choose(context);
    if (host === undefined) this.stats.inc(ClusterStat.upstream_cx_none_healthy);
    return host;
  }

  membership(): { readonly total: number; readonly available: number } {
    let total = 0;
    let available = 0;
    for (const hosts of this.members?.hosts ?? []) {
      total += hosts.length;
      for (const host of hosts) if (host.healthy) available++;
    }
    return { total, available };
  }

  refusal(): string {
    const hosts = this.members?.hosts.flat() ?? [];
    if (hosts.length === 0) return `cluster "${this.name}" has no endpoints`;
    const unhealthy = hosts.filter((host) => !host.healthy).length;
    return `cluster "${this.name}": no endpoint is healthy (${unhealthy} of ${hosts.length} unhealthy)`;
  }

  newStream(
    host: Host,
    priority: Priority,
    downstreamVersion: 10 | 11 | 20,
    handler: ClientStreamHandler,
    callbacks: PoolCallbacks,
    context: LoadBalancerContext,
  ): PoolHandle {
    // Hosts come from `choose` only.
    const pool = this.pools.http(host as WorkerHost, priority, downstreamVersion, context.head);
    return pool.newStream(handler, callbacks);
  }

  newTcpConnection(
    host: Host,
    priority: Priority,
    callbacks: TcpPoolCallbacks,
    context: LoadBalancerContext,
  ): PoolHandle {
    return this.pools.tcp(host as WorkerHost, priority, context.head).newConnection(callbacks);
  }

  tryAcquireRetry(priority: Priority): boolean {
    return this.limits.tryAcquire('retries', priority);
  }

  releaseRetry(priority: Priority): void {
    this.limits.release('retries', priority);
  }

  report(host: Host, result: ReportedAnswer | { readonly failure: ResetReason }): void {
    const answered = 'status' in result;
    // Hosts come from `choose` only.
    const own = host as WorkerHost;
    own.reported(answered && result.status < 500 ? 'success' : 'error');
    if (!answered || this.current.healthCheck === undefined || own.excluded) return;
    if (result.headers?.has('x-envoy-immediate-health-check-fail')) {
      this.env.onImmediateFailure?.(this.name, own.addressText);
    }
  }

  private balance(context: LoadBalancerContext): WorkerHost | undefined {
    this.balancer ??= this.build();
    let host = this.balancer.choose();
    const { avoid } = context;
    if (avoid === undefined || avoid.length === 0) return host;
    for (let tries = context.hostSelectionMaxAttempts; tries > 0; tries--) {
      if (host === undefined || !avoid.includes(host)) return host;
      host = this.balancer.choose();
    }
    return host;
  }

  private build(): LoadBalancer<WorkerHost> {
    const { current: config, members: membership } = this;
    const localities: readonly LocalityHosts<WorkerHost>[] = (membership?.assignment.localities ?? []).map(
      ({ priority, weight }, index) => ({ priority, weight, hosts: membership?.hosts[index] ?? [] }),
    );
    return new LoadBalancer(localities, {
      policy: config.lb,
      overprovisioningFactor: membership?.assignment.overprovisioningFactor ?? config.overprovisioningFactor,
      panicThresholdPercent: config.panicThresholdPercent,
      localityWeighted: config.localityWeighted === true,
      random: this.env.random,
      onPanic: () => this.stats.inc(ClusterStat.lb_healthy_panic),
    });
  }
}

/** Everything that an open connection depends on: a difference retires the pools. */
function connectionText(config: Cluster): string {
  return JSON.stringify([
    config.connectTimeoutMs,
    config.perConnectionBufferLimitBytes,
    config.protocol,
    config.common,
    config.autoSni,
    config.autoSanValidation,
    config.transportSocket,
    config.transportSocketMatches,
    config.tcpKeepalive,
    config.sourceAddress,
  ]);
}

function originalsOf(config: Cluster, env: ClusterEnvironment): OriginalDestinations | undefined {
  return config.discovery.kind === 'original-dst'
    ? new OriginalDestinations(config.name, config.discovery, env.now)
    : undefined;
}
