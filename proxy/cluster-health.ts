/**
 * Active health checks, wired: the configuration says which endpoints to check, the checks say how they are, and the
 * directory tells the workers. The checks' code is loaded with the first cluster that has them.
 */
import { createRequire } from 'node:module';
import type { Cluster } from '../xds-client/model/cluster.ts';
import type { Assignment } from '../xds-client/model/endpoint.ts';
import type { ClusterDirectory } from './cluster/directory.ts';
import type * as checksModule from './cluster/health-check/health-checks.ts';
import { HealthFlag } from './cluster/shared.ts';
import { systemTimers } from './cluster/system-resolver.ts';
import type { ComponentLog } from './log.ts';
import type { StatsStore } from './observe/stats/contract.ts';
import type * as timersModule from './timers.ts';
import type * as livesModule from './tls/lives.ts';
import type * as tlsModule from './tls/provider.ts';
import type { SecretTable } from './tls/secret-table.ts';

export interface ClusterHealthOptions {
  readonly directory: () => ClusterDirectory;
  readonly stats: StatsStore;
  /** The material of everything that serves or warms. */
  readonly secrets: SecretTable;
  /** Each endpoint of the cluster was checked once. */
  readonly onChecked: (cluster: Cluster) => void;
  readonly log: ComponentLog;
}

interface Modules
  extends Pick<typeof checksModule, 'HealthChecks'>,
    Pick<typeof tlsModule, 'WorkerTlsProvider'>,
    Pick<typeof livesModule, 'ConnectionLives'>,
    Pick<typeof timersModule, 'createTimers'> {}

function loadModules(): Modules {
  const require = createRequire(import.meta.url);
  const { HealthChecks } = require('./cluster/health-check/health-checks.ts') as typeof checksModule;
  const { WorkerTlsProvider } = require('./tls/provider.ts') as typeof tlsModule;
  const { ConnectionLives } = require('./tls/lives.ts') as typeof livesModule;
  const { createTimers } = require('./timers.ts') as typeof timersModule;
  return { HealthChecks, WorkerTlsProvider, ConnectionLives, createTimers };
}

export class ClusterHealth {
  private readonly options: ClusterHealthOptions;
  private checks: checksModule.HealthChecks | undefined = undefined;

  constructor(options: ClusterHealthOptions) {
    this.options = options;
  }

  /** A cluster warms: its endpoints are checked. */
  warm(cluster: Cluster, assignment: Assignment): void {
    this.load().warm(cluster, assignment);
  }

  stopWarming(name: string): void {
    this.checks?.stopWarming(name);
  }

  /** A cluster serves; gives the endpoints to serve it with. */
  serve(cluster: Cluster, assignment: Assignment): Assignment {
    if (this.checks === undefined && cluster.healthCheck === undefined) return assignment;
    return this.load().serve(cluster, assignment);
  }

  /** What discovery says of a serving cluster; gives the endpoints to serve it with. */
  update(name: string, assignment: Assignment): Assignment {
    return this.checks?.update(name, assignment) ?? assignment;
  }

  remove(name: string): void {
    this.checks?.remove(name);
  }

  /** `HealthFlag` bits of the endpoint at that address. */
  flagsOf(name: string, address: string): number {
    return this.checks?.flagsOf(name, address) ?? 0;
  }

  /** The endpoint answered a request that it is not to be used any more. */
  fail(name: string, address: string): void {
    this.checks?.fail(name, address);
  }

  close(): void {
    this.checks?.close();
  }

  private load(): checksModule.HealthChecks {
    if (this.checks !== undefined) return this.checks;
    const { directory, stats, secrets, onChecked, log } = this.options;
    const { HealthChecks, WorkerTlsProvider, ConnectionLives, createTimers } = loadModules();
    const now = (): number => performance.now();
    const lives = new ConnectionLives({
      timers: createTimers(now),
      wallClock: Date.now,
      now,
      random: Math.random,
      // a check's connection carries nothing that a longer grace would save
      number: () => undefined,
      log: undefined,
    });
    this.checks = new HealthChecks(
      {
        stats,
        tls: new WorkerTlsProvider(secrets, Date.now, (message) => log.error({}, message), lives),
        timers: systemTimers,
        random: Math.random,
        hasTraffic: (name) => directory().hasTraffic(name),
      },
      {
        onFlags: (name, address, failed) => {
          const flags = this.flagsOf(name, address);
          const health = (flags & HealthFlag.failedActiveHealthCheck) === 0 ? 'passes' : 'fails';
          log.debug({ cluster: name, endpoint: address }, `cluster "${name}": ${address} ${health} its health checks`);
          directory().setCheckFlags(name, address, flags, failed);
        },
        onAssignment: (name, assignment) => directory().setAssignment(name, assignment),
        onChecked,
      },
    );
    return this.checks;
  }
}
