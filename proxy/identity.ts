/** The workload's own identity, wired: from what the bootstrap names to a keeper. Loaded where it names something. */
import { createRequire } from 'node:module';
import { systemCertificateClock } from '../certs/clock.ts';
import { parseSpiffeId } from '../certs/identity.ts';
import type { CertificateAuthority, IdentitySource } from '../certs/source/contract.ts';
import { ExtraRoots } from '../certs/source/extra-roots.ts';
import { FileIdentity } from '../certs/source/file-identity.ts';
import { RotatingSource } from '../certs/source/rotating.ts';
import type { Bootstrap } from '../xds-client/model/bootstrap.ts';
import type { IdentitySettings } from '../xds-client/model/identity.ts';
import { ProxyError } from './errors.ts';
import type { ComponentLog } from './log.ts';
import type { StatsStore } from './observe/stats/contract.ts';
import { IdentityKeeper } from './secrets/identity-keeper.ts';

export interface IdentityOptions {
  readonly bootstrap: Bootstrap;
  readonly settings: IdentitySettings;
  readonly stats: StatsStore;
  readonly log: ComponentLog;
}

/** SPIFFE Workload Endpoint §4. */
const SOCKET_VARIABLE = 'SPIFFE_ENDPOINT_SOCKET';
const require = createRequire(import.meta.url);
const clock = systemCertificateClock;

/** gRPC and ASN.1 are loaded by the sources that need them. */
function load<Module>(path: string): Module {
  return require(path) as Module;
}

export function identityKeeper({ bootstrap, settings, stats, log }: IdentityOptions): IdentityKeeper {
  return new IdentityKeeper({
    source: sourceOf(bootstrap, settings),
    clock,
    secrets: settings.secrets,
    manyNames: settings.source.kind === 'spiffe-workload-api',
    stats,
    log,
  });
}

function sourceOf(bootstrap: Bootstrap, { source }: IdentitySettings): IdentitySource {
  switch (source.kind) {
    case 'istio-ca': {
      const { IstioCa } = load<typeof import('../certs/source/istio-ca.ts')>('../certs/source/istio-ca.ts');
      const connection = load<typeof import('./control-plane-connection.ts')>('./control-plane-connection.ts');
      const endpoint = connection.clusterEndpoint(bootstrap, source.cluster);
      const istio = rotating(new IstioCa({ ...source, endpoint, clock }));
      return source.rootsPath === undefined ? istio : new ExtraRoots(istio, source.rootsPath);
    }
    case 'development-ca': {
      const { DevAuthority, DevCa } = load<typeof import('../certs/source/dev-ca.ts')>('../certs/source/dev-ca.ts');
      const { spiffeId, keyType, ttlMs } = source;
      const id = parseSpiffeId(spiffeId);
      const trustDomain = 'error' in id ? '' : id.trustDomain;
      const ca = new DevCa({ now: clock.now, trustDomain, keyType });
      return rotating(new DevAuthority(ca, { spiffeId, ttlMs }, clock.now));
    }
    case 'files':
      return new FileIdentity({ chain: source.certificateChain, key: source.privateKey, ca: source.trustedCa });
    case 'spiffe-workload-api': {
      const { WorkloadApi } = load<typeof import('../certs/source/spiffe-workload.ts')>(
        '../certs/source/spiffe-workload.ts',
      );
      const socket = source.socket ?? process.env[SOCKET_VARIABLE];
      if (socket === undefined) {
        throw new ProxyError(
          'identity-unknown',
          `spiffe_workload_api: name a socket, or set ${SOCKET_VARIABLE} in the environment`,
        );
      }
      return new WorkloadApi({ socket, clock, random: Math.random });
    }
  }
}

function rotating(authority: CertificateAuthority): IdentitySource {
  return new RotatingSource({ authority, clock, random: Math.random });
}
