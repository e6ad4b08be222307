/** The checks of one cluster as it was configured: a session for each endpoint, and what all of them say together. */
import type { Cluster } from '../../../xds-client/model/cluster.ts';
import type { Assignment, Endpoint } from '../../../xds-client/model/endpoint.ts';
import type { HealthCheck } from '../../../xds-client/model/health-check.ts';
import { HTTP2_STATS } from '../../http2/stats.ts';
import type { StatBlock, StatsStore } from '../../observe/stats/contract.ts';
import type { TlsProvider } from '../../tls/contract.ts';
import { addressText } from '../../upstream/contract.ts';
import type { DnsTimers } from '../dns.ts';
import { checkAddress } from '../health.ts';
import { HealthFlag } from '../shared.ts';
import { CLUSTER_STATS, ClusterStat, statPrefix } from '../stats.ts';
import { createChecker } from './checkers.ts';
import { type CheckResult, EXCLUDED } from './contract.ts';
import { stabilized } from './membership.ts';
import { type Health, Session } from './session.ts';
import { HEALTH_CHECK_STATS, HealthCheckStat } from './stats.ts';
import { CheckWrapping, checkTarget } from './target.ts';

/** A cluster whose endpoints are checked. */
export type CheckedCluster = Cluster & { readonly healthCheck: HealthCheck };

export interface ChecksEnvironment {
  readonly stats: StatsStore;
  /** Fed with the material of every cluster that is checked. */
  readonly tls: TlsProvider;
  readonly timers: DnsTimers;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** A connection for requests was made in the cluster of that name, ever. */
  readonly hasTraffic: (cluster: string) => boolean;
}

export interface ClusterChecksEvents {
  /** The endpoint's flags are others now. `failed`: it was healthy before. */
  onFlags(address: string, failed: boolean): void;
  /** An endpoint that was kept though discovery had taken it away has failed now: these are left. */
  onAssignment(assignment: Assignment): void;
  /** Once: each endpoint was checked, or there is none to check. */
  onChecked(): void;
}

interface Checked {
  readonly session: Session;
  /** As it was configured last. */
  endpoint: Endpoint;
}

export class ClusterChecks {
  readonly cluster: CheckedCluster;
  private readonly env: ChecksEnvironment;
  private readonly events: ClusterChecksEvents;
  private readonly stats: StatBlock;
  private readonly wrapping: CheckWrapping;
  private readonly sessions = new Map<string, Checked>();
  private http2: StatBlock | undefined = undefined;
  private block: StatBlock | undefined = undefined;
  /** As discovery said it last, and with those that are kept. */
  private assignment: Assignment | undefined = undefined;
  private effective: Assignment | undefined = undefined;
  private kept: ReadonlySet<string> = new Set();
  private allChecked = false;

  constructor(cluster: CheckedCluster, env: ChecksEnvironment, events: ClusterChecksEvents) {
    this.cluster = cluster;
    this.env = env;
    this.events = events;
    this.stats = env.stats.block(`${statPrefix(cluster)}health_check.`, HEALTH_CHECK_STATS);
    this.wrapping = new CheckWrapping(cluster, cluster.healthCheck, env.tls, env.stats);
  }

  /** Discovery's word; gives the endpoints to serve with. */
  set(assignment: Assignment): Assignment {
    this.assignment = assignment;
    const { effective } = this;
    if (effective === undefined || !this.stabilizes()) {
      this.effective = assignment;
    } else {
      const result = stabilized(effective, assignment, (endpoint, address) => this.stays(endpoint, address));
      this.effective = result.assignment;
      this.kept = result.kept;
    }
    this.reconcile(this.effective);
    return this.effective;
  }

  /** `HealthFlag` bits of active checks. 0 for an endpoint that is not checked. */
  flagsOf(address: string): number {
    const session = this.sessions.get(address)?.session;
    if (session === undefined) return 0;
    return session.state.flags | (this.kept.has(address) ? HealthFlag.pendingDynamicRemoval : 0);
  }

  /** An answer to a request, not to a check: as good as a failed one, and the next check comes when it would have. */
  fail(address: string): void {
    const session = this.sessions.get(address)?.session;
    if (session === undefined) return;
    const { healthy, degraded, flags } = session.state;
    session.state.apply(EXCLUDED);
    this.stats.inc(HealthCheckStat.passiveFailure);
    this.checked(address, session, EXCLUDED, { healthy, degraded, flags });
  }

  close(): void {
    for (const { session } of this.sessions.values()) this.end(session);
    this.sessions.clear();
    this.stats.release();
    this.http2?.release();
    this.block?.release();
    this.wrapping.release();
  }

  /** Discovery that names every endpoint anew each time; a static list is the operator's own word. */
  private stabilizes(): boolean {
    const { discovery, ignoreHealthOnHostRemoval } = this.cluster;
    return !ignoreHealthOnHostRemoval && (discovery.kind === 'eds' || discovery.kind === 'strict-dns');
  }

  private stays({ health }: Endpoint, address: string): boolean {
    if (health === 'unhealthy' || health === 'timeout' || health === 'draining') return false;
    return this.sessions.get(address)?.session.state.healthy === true;
  }

  private reconcile(assignment: Assignment): void {
    const wanted = new Map<string, Endpoint>();
    for (const { endpoints } of assignment.localities) {
      for (const endpoint of endpoints) wanted.set(addressText(endpoint.address), endpoint);
    }
    for (const [address, checked] of this.sessions) {
      const endpoint = wanted.get(address);
      if (endpoint !== undefined && isChecked(endpoint) && asksTheSame(endpoint, checked.endpoint)) {
        checked.endpoint = endpoint;
        continue;
      }
      this.sessions.delete(address);
      this.end(checked.session);
    }
    const begun: Session[] = [];
    for (const [address, endpoint] of wanted) {
      if (!isChecked(endpoint) || this.sessions.has(address)) continue;
      const session = this.session(address, endpoint);
      this.sessions.set(address, { session, endpoint });
      begun.push(session);
    }
    for (const session of begun) session.start();
    this.noteChecked();
  }

  private session(address: string, endpoint: Endpoint): Session {
    const { cluster, env, stats, wrapping } = this;
    const check = cluster.healthCheck;
    const isNewToService = cluster.discovery.kind !== 'static';
    const session: Session = new Session({
      config: check,
      timers: env.timers,
      random: env.random,
      hasTraffic: () => env.hasTraffic(cluster.name),
      awaited: cluster.ignoreNewHostsUntilFirstCheck === true && isNewToService,
      onAttempt: () => stats.inc(HealthCheckStat.attempt),
      checker: (report) =>
        createChecker(
          cluster,
          () => this.http2Stats(),
          checkTarget({
            cluster,
            check,
            endpoint: () => this.sessions.get(address)?.endpoint ?? endpoint,
            wrapping,
            onVerify: () => stats.inc(HealthCheckStat.verifyCluster),
            onProtocolError: () => this.clusterStats().inc(ClusterStat.upstream_cx_protocol_error),
            report,
          }),
        ),
      onResult: (result, before) => this.checked(address, session, result, before),
    });
    return session;
  }

  private checked(address: string, { state }: Session, result: CheckResult, before: Health): void {
    const { stats } = this;
    stats.inc(result.kind === 'success' ? HealthCheckStat.success : HealthCheckStat.failure);
    if (result.kind === 'failure' && result.by !== 'answer') stats.inc(HealthCheckStat.networkFailure);
    stats.add(HealthCheckStat.healthy, Number(state.healthy) - Number(before.healthy));
    stats.add(HealthCheckStat.degraded, Number(state.degraded) - Number(before.degraded));
    if (state.flags !== before.flags) this.events.onFlags(address, before.healthy && !state.healthy);
    if (!state.healthy && this.kept.has(address)) this.letGo();
    this.noteChecked();
  }

  /** A kept endpoint has failed: what discovery says holds for it from now on. */
  private letGo(): void {
    if (this.assignment !== undefined) this.events.onAssignment(this.set(this.assignment));
  }

  private noteChecked(): void {
    if (this.allChecked) return;
    for (const { session } of this.sessions.values()) if (session.state.unchecked) return;
    this.allChecked = true;
    this.events.onChecked();
  }

  private end(session: Session): void {
    session.close();
    const { state } = session;
    this.stats.add(HealthCheckStat.healthy, -Number(state.healthy));
    this.stats.add(HealthCheckStat.degraded, -Number(state.degraded));
  }

  private clusterStats(): StatBlock {
    this.block ??= this.env.stats.block(statPrefix(this.cluster), CLUSTER_STATS);
    return this.block;
  }

  private http2Stats(): StatBlock {
    this.http2 ??= this.env.stats.block(`${statPrefix(this.cluster)}http2.`, HTTP2_STATS);
    return this.http2;
  }
}

function isChecked(endpoint: Endpoint): boolean {
  return endpoint.healthCheck?.disabled !== true;
}

/** A change of where an endpoint is asked begins anew. */
function asksTheSame(endpoint: Endpoint, before: Endpoint): boolean {
  return addressText(checkAddress(endpoint)) === addressText(checkAddress(before));
}
