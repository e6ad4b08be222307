/** The secret manager, wired: material to the workers and to warming, problems to the log, what nobody needs let go. */
import type { ConfigChange } from '../xds-client/changes.ts';
import type { Configuration } from '../xds-client/configuration.ts';
import type { Listener } from '../xds-client/model/listener.ts';
import type { SecretUser } from '../xds-client/resource-types.ts';
import { statPrefix as clusterStatPrefix } from './cluster/stats.ts';
import { listenerStatPrefix } from './listener/stats.ts';
import type { ComponentLog } from './log.ts';
import type { ToWorker } from './messages.ts';
import type { MainStats } from './observe/stats/main-stats.ts';
import type { CertificateAges } from './secrets/certificate-ages.ts';
import type { Problem } from './secrets/material.ts';
import { SecretManager } from './secrets/secret-manager.ts';
import type { SecretTable } from './tls/secret-table.ts';

export interface TlsMaterialOptions {
  readonly broadcast: (message: ToWorker) => void;
  /** The main thread's, for its own connections. */
  readonly own: SecretTable;
  readonly stats: MainStats;
  readonly log: ComponentLog;
  readonly ages: CertificateAges;
  /** Asked when there is something to say to it, which is after it was made. */
  readonly configuration: () => Configuration;
}

export function wireTlsMaterial({
  broadcast,
  own,
  stats,
  log,
  ages,
  configuration,
}: TlsMaterialOptions): SecretManager {
  return new SecretManager({
    stats,
    statPrefix: prefixOf,
    onUnused: (name) => stats.text(`sds.${name}.version_text`, undefined),
    onMaterial: (key, payload) => {
      own.set(key, payload);
      ages.set(key, payload);
      broadcast({ type: 'secret', key, json: JSON.stringify(payload) });
      configuration().secretReady(key);
    },
    onProblem: (problem) => log.error({}, problemText(problem)),
  });
}

/** After changes were applied: what only gone or replaced resources needed is forgotten, here, in warming, in the workers. */
export function releaseTlsMaterial(
  changes: readonly ConfigChange[],
  secrets: SecretManager,
  {
    broadcast,
    own,
    ages,
    configuration,
    served,
  }: Pick<TlsMaterialOptions, 'broadcast' | 'own' | 'ages' | 'configuration'> & {
    /** Listeners that serve, though the configuration has others in their place by now. */
    readonly served: () => Iterable<Listener>;
  },
): void {
  if (!changes.some(({ type }) => ENDS_USE.has(type))) return;
  const stillServed = [...served()].map((value) => ({ kind: 'listener', value }) as const);
  const gone = secrets.retain([...configuration().secretUsers(), ...stillServed]);
  configuration().secretsReleased(gone);
  for (const key of gone) {
    own.delete(key);
    ages.delete(key);
    broadcast({ type: 'secret-removed', key });
  }
}

const ENDS_USE: ReadonlySet<ConfigChange['type']> = new Set([
  'cluster',
  'listener',
  'cluster-removed',
  'listener-removed',
]);

function prefixOf(user: SecretUser): string {
  return user.kind === 'listener' ? listenerStatPrefix(user.value) : clusterStatPrefix(user.value);
}

function problemText({ name, reason, serving }: Problem): string {
  const what = name === undefined ? 'TLS material' : `secret "${name}"`;
  return `${what} cannot be used, ${serving ? 'the last good one stays' : 'there is none yet'}: ${reason}`;
}
