/** The control plane as a process of its own: started again when it dies, its figures kept over its lives. */
import { join } from 'node:path';
import type { DevCa } from '../../certs/source/dev-ca.ts';
import type { ControlPlaneStatus, FromControlPlane, ToControlPlane } from './control-plane/protocol.ts';
import type { Pod } from './istio/mesh.ts';
import { Supervised } from './processes.ts';

const CERTIFICATE_TTL_MS = 30_000;
/** Long enough to see that payments go on without it. */
const RESTART_MS = 4_000;

export interface ControlPlaneOptions {
  readonly meshFolder: string;
  readonly socket: string;
  readonly collectorPort: number;
  readonly logs: string;
  /** Signs what the control plane asks for: its state is not to end with the process. */
  readonly ca: DevCa;
  /** Told what a person at the terminal wants to know, a line each. */
  readonly tell: (line: string) => void;
}

const NOTHING: ControlPlaneStatus = { pushes: 0, rejected: 0, connected: 0, warnings: [], taken: 0, error: undefined };

export class ControlPlaneProcess {
  private readonly options: ControlPlaneOptions;
  private readonly process: Supervised;
  private pods: readonly Pod[];
  private status = NOTHING;
  /** Of the lives before this one. */
  private earlier = { pushes: 0, rejected: 0 };
  private away = false;
  private readonly told = new Set<string>();

  constructor(options: ControlPlaneOptions, pods: readonly Pod[]) {
    this.options = options;
    this.pods = pods;
    this.process = new Supervised(
      {
        name: 'control-plane',
        command: process.execPath,
        args: [join(import.meta.dirname, 'control-plane/main.ts')],
        env: {
          MESH_FOLDER: options.meshFolder,
          MESH_SOCKET: options.socket,
          MESH_COLLECTOR_PORT: String(options.collectorPort),
        },
        restartAfterMs: RESTART_MS,
        onStart: (child) => child.send({ type: 'pods', pods: this.pods } satisfies ToControlPlane, () => undefined),
        onExit: (code, signal) => this.gone(signal ?? `exit code ${code}`),
        onMessage: (message) => this.take(message as FromControlPlane),
      },
      options.logs,
    );
  }

  /** `undefined` while it is away. */
  get pid(): number | undefined {
    return this.process.running ? this.process.child.pid : undefined;
  }

  /** Responses that proxies accepted, over all lives. */
  get pushes(): number {
    return this.earlier.pushes + this.status.pushes;
  }

  /** Responses that a proxy refused, over all lives. */
  get rejected(): number {
    return this.earlier.rejected + this.status.rejected;
  }

  get connected(): number {
    return this.status.connected;
  }

  get warnings(): readonly string[] {
    return this.status.warnings;
  }

  /** Warnings that a headline has shown already. */
  markTold(warnings: readonly string[]): void {
    for (const warning of warnings) this.told.add(warning);
  }

  setPods(pods: readonly Pod[]): void {
    this.pods = pods;
    this.process.send({ type: 'pods', pods } satisfies ToControlPlane);
  }

  stop(): Promise<void> {
    this.away = true;
    return this.process.stop();
  }

  private take(message: FromControlPlane): void {
    if (message.type === 'status') {
      this.follow(message.status);
      return;
    }
    const { chain, key } = this.options.ca.issue({ spiffeId: message.spiffeId, ttlMs: CERTIFICATE_TTL_MS });
    const root = this.options.ca.rootPem;
    this.process.send({ type: 'certificate', node: message.node, chain, key, root } satisfies ToControlPlane);
  }

  private follow(next: ControlPlaneStatus): void {
    const before = this.status;
    const { tell } = this.options;
    this.status = next;
    if (this.away && next.connected > 0) {
      this.away = false;
      tell(`control plane is back (pid ${this.pid}), ${next.connected} proxies came again`);
    }
    if (next.error !== undefined && next.error !== before.error) {
      tell(`mesh folder refused, what was served goes on: ${next.error}`);
    }
    if (before.taken > 0 && next.taken > before.taken) {
      tell('mesh folder taken: what changed is pushed');
      for (const warning of next.warnings) if (!this.told.has(warning)) tell(`warning: ${warning}`);
      this.markTold(next.warnings);
    }
  }

  private gone(how: string): void {
    this.earlier = { pushes: this.pushes, rejected: this.rejected };
    this.status = { ...NOTHING, warnings: this.status.warnings };
    if (this.away) return;
    this.away = true;
    this.options.tell(`control plane is gone (${how}): payments go on; it comes back in ${RESTART_MS / 1000} s`);
  }
}
