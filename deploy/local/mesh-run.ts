/**
 * One run of the mesh on this machine: the control plane, a sidecar and an application a pod, the gateway. Follows the
 * mesh's folder: a changed replica count starts and drains pods.
 */
import { type FSWatcher, mkdirSync, mkdtempSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { bootstrapOf } from './bootstrap.ts';
import { Collector } from './collector.ts';
import type { ControlPlaneStatus, FromControlPlane, ToControlPlane } from './control-plane/protocol.ts';
import type { Pod } from './istio/mesh.ts';
import { readMesh } from './istio/read.ts';
import { Addresses, Pods, podKey } from './pods.ts';
import { type ProcessSpec, Supervised } from './processes.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** Who each application asks next, by deployment without its version. */
const NEXT: { readonly [service: string]: string } = {
  'payment-service': 'settlement.bank.svc.cluster.local',
  settlement: 'clearance.bank.svc.cluster.local',
};
const CERTIFICATE_TTL_MS = 30_000;
const READY_WITHIN_MS = 30_000;
/** Endpoints are withdrawn this long before their pod is told to end, as in a cluster. */
const WITHDRAW_MS = 1_500;

interface RunningPod {
  readonly pod: Pod;
  readonly proxy: Supervised;
  readonly app: Supervised | undefined;
}

export type LedgerEntries = readonly (readonly [string, number])[];

export class MeshRun {
  readonly folder: string;
  readonly collector: Collector;
  status: ControlPlaneStatus = {
    pushes: 0,
    rejected: 0,
    connected: 0,
    warnings: [],
    error: undefined,
  };
  /** Short-lived on purpose: a rotation is seen every few seconds. */
  private readonly ca = new DevCa({ now: Date.now, trustDomain: 'cluster.local', skewMs: 1_000 });
  private readonly meshFolder: string;
  private readonly pods: Pods;
  /** Another proxy in Tollway's place, such as an Envoy. */
  private readonly proxyCommand: string | undefined;
  private readonly running = new Map<string, RunningPod>();
  private readonly ledgers = new Map<string, LedgerEntries>();
  private controlPlane: Supervised | undefined;
  private watcher: FSWatcher | undefined;
  private reconciling: Promise<void> = Promise.resolve();
  private stopping = false;

  private constructor(
    meshFolder: string,
    folder: string,
    collector: Collector,
    pods: Pods,
    proxyCommand: string | undefined,
  ) {
    this.proxyCommand = proxyCommand;
    this.meshFolder = meshFolder;
    this.folder = folder;
    this.collector = collector;
    this.pods = pods;
  }

  /** Starts everything and resolves when every proxy says that it is ready. */
  static async start(meshFolder: string, proxyCommand?: string): Promise<MeshRun> {
    const folder = mkdtempSync(join(tmpdir(), 'tollway-'));
    mkdirSync(join(folder, 'logs'), { mode: 0o700 });
    const run = new MeshRun(
      resolve(meshFolder),
      folder,
      await Collector.start(),
      new Pods(await Addresses.find()),
      proxyCommand,
    );
    try {
      await run.reconcile();
      await run.ready();
    } catch (error) {
      await run.stop();
      throw error;
    }
    run.watcher = watch(run.meshFolder, { recursive: true }, () => {
      run.reconciling = run.reconciling.then(() => run.reconcile()).catch(() => undefined);
    });
    return run;
  }

  /** Where payments enter. */
  get gateway(): { readonly host: string; readonly port: number } {
    const pod = [...this.running.values()].find(({ pod: { gateway } }) => gateway)?.pod;
    const port = pod === undefined ? undefined : Object.values(pod.ports.gateway)[0];
    if (pod === undefined || port === undefined)
      throw new Error('the mesh has no gateway: add a Gateway and a Deployment it selects');
    return { host: pod.ip, port };
  }

  get runningPods(): readonly Pod[] {
    return [...this.running.values()].map(({ pod }) => pod);
  }

  get controlPlanePid(): number | undefined {
    return this.controlPlane?.running ? this.controlPlane.child.pid : undefined;
  }

  get restarts(): number {
    let sum = this.controlPlane?.restarts ?? 0;
    for (const { proxy, app } of this.running.values()) sum += proxy.restarts + (app?.restarts ?? 0);
    return sum;
  }

  /** What every application processed: payment id to how often, by pod. */
  async collectLedgers(): Promise<ReadonlyMap<string, LedgerEntries>> {
    this.ledgers.clear();
    const apps = [...this.running.values()].filter(({ app }) => app !== undefined);
    for (const { app } of apps) app?.send({ type: 'ledger' });
    const deadline = Date.now() + 3_000;
    while (this.ledgers.size < apps.length && Date.now() < deadline) await pause(20);
    return this.ledgers;
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.watcher?.close();
    await this.reconciling;
    await Promise.all([...this.running.values()].map(({ proxy }) => proxy.stop()));
    await Promise.all([...this.running.values()].map(({ app }) => app?.stop()));
    await this.controlPlane?.stop();
    this.collector.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private get socket(): string {
    return join(this.folder, 'xds.sock');
  }

  private async reconcile(): Promise<void> {
    if (this.stopping) return;
    const mesh = readMesh(this.meshFolder);
    const pods = await this.pods.of(mesh);
    const wanted = new Set(pods.map(podKey));
    const leaving = [...this.running.values()].filter(({ pod }) => !wanted.has(podKey(pod)));
    const message: ToControlPlane = { type: 'pods', pods };
    if (this.controlPlane === undefined) this.controlPlane = this.startControlPlane(() => pods);
    for (const pod of pods) if (!this.running.has(podKey(pod))) this.running.set(podKey(pod), this.startPod(pod));
    this.controlPlane.send(message);
    if (leaving.length === 0) return;
    await pause(WITHDRAW_MS);
    for (const { pod, proxy, app } of leaving) {
      await proxy.stop();
      await app?.stop();
      this.running.delete(podKey(pod));
    }
  }

  private startControlPlane(firstPods: () => readonly Pod[]): Supervised {
    return new Supervised(
      {
        name: 'control-plane',
        command: process.execPath,
        args: [join(ROOT, 'deploy/local/control-plane/main.ts')],
        env: {
          MESH_FOLDER: this.meshFolder,
          MESH_SOCKET: this.socket,
          MESH_COLLECTOR_PORT: String(this.collector.port),
        },
        restartAfterMs: 4_000,
        onStart: (child) => {
          const pods = this.running.size === 0 ? firstPods() : this.runningPods;
          child.send({ type: 'pods', pods } satisfies ToControlPlane);
        },
        onMessage: (message) => this.fromControlPlane(message as FromControlPlane),
      },
      join(this.folder, 'logs'),
    );
  }

  private fromControlPlane(message: FromControlPlane): void {
    if (message.type === 'status') {
      this.status = message.status;
      return;
    }
    const { chain, key } = this.ca.issue({ spiffeId: message.spiffeId, ttlMs: CERTIFICATE_TTL_MS });
    const answer: ToControlPlane = { type: 'certificate', node: message.node, chain, key, root: this.ca.rootPem };
    this.controlPlane?.send(answer);
  }

  private startPod(pod: Pod): RunningPod {
    const key = podKey(pod);
    const name = key.replace('/', '_');
    const config = join(this.folder, `${name}.json`);
    writeFileSync(
      config,
      JSON.stringify(
        bootstrapOf(pod, { controlPlaneSocket: this.socket, collectorPort: this.collector.port }),
        null,
        2,
      ),
    );
    const logs = join(this.folder, 'logs');
    const proxy = new Supervised(
      {
        name: `${name}.proxy`,
        ...proxyCommandLine(this.proxyCommand, config),
        env: {},
        restartAfterMs: 500,
      },
      logs,
    );
    if (pod.gateway) return { pod, proxy, app: undefined };
    const next = NEXT[pod.labels.app ?? pod.deployment] ?? NEXT[pod.deployment];
    const app = new Supervised(
      {
        name: `${name}.app`,
        command: process.execPath,
        args: [join(ROOT, 'deploy/local/services/service.ts')],
        env: {
          SERVICE_NAME: pod.name,
          SERVICE_HOST: pod.ip,
          SERVICE_PORT: String(pod.ports.app),
          ...(next === undefined ? {} : { SERVICE_OUTBOUND: `${pod.ip}:${pod.ports.outbound}`, SERVICE_NEXT: next }),
        },
        restartAfterMs: 500,
        onMessage: (message) => {
          const { type, entries } = message as { readonly type: string; readonly entries: LedgerEntries };
          if (type === 'ledger') this.ledgers.set(pod.name, entries);
        },
      },
      logs,
    );
    return { pod, proxy, app };
  }

  private async ready(): Promise<void> {
    const deadline = Date.now() + READY_WITHIN_MS;
    for (const { pod, proxy } of this.running.values()) {
      while (!(await isReady(pod))) {
        if (Date.now() > deadline || !proxy.running) {
          throw new Error(`${podKey(pod)} is not ready: see ${join(this.folder, 'logs')}`);
        }
        await pause(50);
      }
    }
  }
}

function proxyCommandLine(command: string | undefined, config: string): Pick<ProcessSpec, 'command' | 'args'> {
  const args = ['-c', config, '--drain-time-s', '5'];
  if (command !== undefined) return { command, args: [...args, '--disable-hot-restart', '--concurrency', '1'] };
  return { command: process.execPath, args: [join(ROOT, 'bin/tollway.js'), ...args] };
}

async function isReady(pod: Pod): Promise<boolean> {
  try {
    const answer = await fetch(`http://${pod.ip}:${pod.ports.admin}/ready`, { signal: AbortSignal.timeout(1_000) });
    await answer.text();
    return answer.status === 200;
  } catch {
    return false;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
