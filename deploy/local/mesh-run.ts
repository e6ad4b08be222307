/**
 * One run of the mesh on this machine: the control plane, a sidecar and an application a pod, the gateway. Follows the
 * mesh's folder: a changed replica count starts and drains pods.
 */
import { type FSWatcher, mkdirSync, mkdtempSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { Collector } from './collector.ts';
import { ControlPlaneProcess } from './control-plane-process.ts';
import type { Pod } from './istio/mesh.ts';
import { readMesh } from './istio/read.ts';
import { readLines } from './ledgers.ts';
import { type RunningPod, startPod, stopPod } from './pod-processes.ts';
import { Addresses, Pods, podKey } from './pods.ts';

const READY_WITHIN_MS = 60_000;
/** An editor may write a file in several steps; half of one would take pods away. */
const EDIT_SETTLES_MS = 300;
/** Endpoints are withdrawn this long before their pod is told to end, as in a cluster. */
const WITHDRAW_MS = 1_500;

export interface MeshRunOptions {
  readonly meshFolder: string;
  /** Another proxy in Tollway's place, such as an Envoy. */
  readonly proxyCommand?: string | undefined;
  /** Told what a person at the terminal wants to know, a line each. */
  readonly tell?: (line: string) => void;
}

export class MeshRun {
  readonly folder: string;
  readonly collector: Collector;
  private readonly options: MeshRunOptions;
  private readonly meshFolder: string;
  /** Short-lived on purpose: a rotation is seen every few seconds. */
  private readonly ca = new DevCa({ now: Date.now, trustDomain: 'cluster.local', skewMs: 1_000 });
  private readonly pods: Pods;
  private readonly running = new Map<string, RunningPod>();
  /** Ledgers of pods that were taken away. */
  private readonly left: Pick<RunningPod, 'pod' | 'ledger' | 'reports'>[] = [];
  private plane: ControlPlaneProcess | undefined;
  private watcher: FSWatcher | undefined;
  private settling: NodeJS.Timeout | undefined;
  private reconciling: Promise<void> = Promise.resolve();
  private stopping = false;

  private constructor(options: MeshRunOptions, folder: string, collector: Collector, pods: Pods) {
    this.options = options;
    this.meshFolder = resolve(options.meshFolder);
    this.folder = folder;
    this.collector = collector;
    this.pods = pods;
  }

  /** Starts everything and resolves when every proxy is ready and every application listens. */
  static async start(options: MeshRunOptions): Promise<MeshRun> {
    const folder = mkdtempSync(join(tmpdir(), 'tollway-'));
    mkdirSync(join(folder, 'logs'), { mode: 0o700 });
    const run = new MeshRun(options, folder, await Collector.start(), new Pods(await Addresses.find()));
    try {
      await run.reconcile();
      await run.ready();
    } catch (error) {
      await run.stop(true);
      throw error;
    }
    run.watcher = watch(run.meshFolder, { recursive: true }, () => {
      clearTimeout(run.settling);
      run.settling = setTimeout(() => run.follow(), EDIT_SETTLES_MS);
    });
    return run;
  }

  /** Where payments enter. */
  get gateway(): { readonly host: string; readonly port: number } {
    const pod = this.runningPods.find(({ gateway }) => gateway);
    const port = pod === undefined ? undefined : Object.values(pod.ports.gateway)[0];
    if (pod === undefined || port === undefined)
      throw new Error('the mesh has no gateway: add a Gateway and a Deployment it selects');
    return { host: pod.ip, port };
  }

  get runningPods(): readonly Pod[] {
    return [...this.running.values()].map(({ pod }) => pod);
  }

  get controlPlane(): ControlPlaneProcess {
    if (this.plane === undefined) throw new Error('the control plane was never started');
    return this.plane;
  }

  /** Process id of a pod's application; `undefined`: it has none, or it is away. */
  appPid(pod: Pod): number | undefined {
    const app = this.running.get(podKey(pod))?.app;
    return app?.running ? app.child.pid : undefined;
  }

  /** What every application took: payment ids by service. */
  ledgers(): ReadonlyMap<string, readonly string[]> {
    return readLines([...this.left, ...this.running.values()], 'ledger');
  }

  /** What the ends of the settlement reports wrote down, by service. */
  reports(): ReadonlyMap<string, readonly string[]> {
    return readLines([...this.left, ...this.running.values()], 'reports');
  }

  /** `keepLogs`: leave the folder, for somebody who was told to look into it. */
  async stop(keepLogs = false): Promise<void> {
    this.stopping = true;
    clearTimeout(this.settling);
    this.watcher?.close();
    await this.reconciling;
    // Proxies first: applications answer what they have begun.
    await Promise.all([...this.running.values()].map(stopPod));
    await this.plane?.stop();
    this.collector.stop();
    if (!keepLogs) rmSync(this.folder, { recursive: true, force: true });
  }

  /** What cannot be read is the control plane's to report: it reads the same folder. */
  private follow(): void {
    this.reconciling = this.reconciling.then(() => this.reconcile()).catch(() => undefined);
  }

  private async reconcile(): Promise<void> {
    if (this.stopping) return;
    const mesh = readMesh(this.meshFolder);
    const pods = await this.pods.of(mesh);
    const wanted = new Set(pods.map(podKey));
    const leaving = [...this.running.values()].filter(({ pod }) => !wanted.has(podKey(pod)));
    const socket = join(this.folder, 'xds.sock');
    const logs = join(this.folder, 'logs');
    const { meshFolder, ca, collector, options } = this;
    if (this.plane === undefined) {
      const tell = options.tell ?? (() => undefined);
      this.plane = new ControlPlaneProcess({ meshFolder, socket, collectorPort: collector.port, logs, ca, tell }, pods);
    } else this.plane.setPods(pods);
    const surroundings = {
      folder: this.folder,
      controlPlaneSocket: socket,
      collectorPort: collector.port,
      proxyCommand: options.proxyCommand,
    };
    for (const pod of pods) {
      if (!this.running.has(podKey(pod))) this.running.set(podKey(pod), startPod(pod, surroundings));
    }
    if (leaving.length === 0) return;
    await pause(WITHDRAW_MS);
    for (const running of leaving) {
      await stopPod(running);
      this.left.push(running);
      this.running.delete(podKey(running.pod));
    }
  }

  private async ready(): Promise<void> {
    const deadline = Date.now() + READY_WITHIN_MS;
    const problem = (pod: Pod) => new Error(`${podKey(pod)} is not ready: see ${join(this.folder, 'logs')}`);
    for (const { pod, proxy, listening } of this.running.values()) {
      while (!(await isReady(pod))) {
        if (Date.now() > deadline || !proxy.running) throw problem(pod);
        await pause(50);
      }
      const late = pause(Math.max(0, deadline - Date.now()), false).then(() => {
        throw problem(pod);
      });
      await Promise.race([listening, late]);
    }
  }
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

/** `keepsAlive`: whether the process waits for it. */
function pause(ms: number, keepsAlive = true): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    if (!keepsAlive) timer.unref();
  });
}
