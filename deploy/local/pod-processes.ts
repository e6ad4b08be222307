/** The processes of one pod: its proxy, and its application where it is no gateway. */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { bootstrapOf } from './bootstrap.ts';
import type { Pod } from './istio/mesh.ts';
import { podKey } from './pods.ts';
import { type ProcessSpec, Supervised } from './processes.ts';

const ROOT = resolve(import.meta.dirname, '../..');
type Protocol = 'http' | 'grpc';

/** What applications speak and whom they ask next, by their label or their deployment; HTTP and nobody where they are not here. */
const APPLICATIONS: {
  readonly [service: string]: {
    readonly speaks: Protocol;
    readonly next: { readonly service: string; readonly speaks: Protocol };
  };
} = {
  'payment-service': { speaks: 'http', next: { service: 'settlement.bank.svc.cluster.local', speaks: 'grpc' } },
  settlement: { speaks: 'grpc', next: { service: 'clearance.bank.svc.cluster.local', speaks: 'http' } },
};
/** Long enough to see what the mesh does without it. */
const APP_RESTART_MS = 3_000;
const PROXY_RESTART_MS = 500;
const DRAIN_S = 5;

export interface RunningPod {
  readonly pod: Pod;
  readonly proxy: Supervised;
  readonly app: Supervised | undefined;
  /** The application listens; at once where there is none. */
  readonly listening: Promise<void>;
  /** File of the payments that the application took, an id a line. */
  readonly ledger: string;
  /** File of the messages of reports that it sent or received. */
  readonly reports: string;
}

export interface PodSurroundings {
  /** For configuration, logs and ledgers. */
  readonly folder: string;
  readonly controlPlaneSocket: string;
  readonly collectorPort: number;
  /** Another proxy in Tollway's place, such as an Envoy. */
  readonly proxyCommand: string | undefined;
}

export function startPod(pod: Pod, surroundings: PodSurroundings): RunningPod {
  const { folder } = surroundings;
  const name = podKey(pod).replace('/', '_');
  const config = join(folder, `${name}.json`);
  const ledger = join(folder, `${name}.ledger`);
  const reports = join(folder, `${name}.reports`);
  writeFileSync(config, JSON.stringify(bootstrapOf(pod, surroundings), null, 2));
  const logs = join(folder, 'logs');
  const command = proxyCommandLine(surroundings.proxyCommand, config);
  const proxy = new Supervised({ name: `${name}.proxy`, ...command, env: {}, restartAfterMs: PROXY_RESTART_MS }, logs);
  if (pod.gateway) return { pod, proxy, app: undefined, listening: Promise.resolve(), ledger, reports };
  const listens = Promise.withResolvers<void>();
  const application = APPLICATIONS[pod.labels.app ?? pod.deployment] ?? APPLICATIONS[pod.deployment];
  const app = new Supervised(
    {
      name: `${name}.app`,
      command: process.execPath,
      args: [join(ROOT, 'deploy/local/services/service.ts')],
      env: {
        SERVICE_NAME: pod.name,
        SERVICE_HOST: pod.ip,
        SERVICE_PORT: String(pod.ports.app),
        SERVICE_LEDGER: ledger,
        SERVICE_REPORTS: reports,
        ...(application === undefined
          ? {}
          : {
              SERVICE_SPEAKS: application.speaks,
              SERVICE_OUTBOUND: `${pod.ip}:${pod.ports.outbound}`,
              SERVICE_NEXT: application.next.service,
              SERVICE_NEXT_SPEAKS: application.next.speaks,
            }),
      },
      restartAfterMs: APP_RESTART_MS,
      onMessage: (message) => {
        if ((message as { readonly type?: string }).type === 'listening') listens.resolve();
      },
    },
    logs,
  );
  return { pod, proxy, app, listening: listens.promise, ledger, reports };
}

export async function stopPod({ proxy, app }: RunningPod): Promise<void> {
  await proxy.stop();
  await app?.stop();
}

function proxyCommandLine(command: string | undefined, config: string): Pick<ProcessSpec, 'command' | 'args'> {
  const args = ['-c', config, '--drain-time-s', String(DRAIN_S)];
  if (command !== undefined) return { command, args: [...args, '--disable-hot-restart', '--concurrency', '1'] };
  const own = ['--import', join(import.meta.dirname, 'end-with-starter.ts'), join(ROOT, 'bin/tollway.js')];
  return { command: process.execPath, args: [...own, ...args] };
}
