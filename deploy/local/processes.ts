/** Starts the mesh's processes, starts those again that die, and ends them all. */
import { type ChildProcess, type Serializable, spawn } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { join } from 'node:path';

export interface ProcessSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: { readonly [name: string]: string };
  /** Milliseconds after which a process that died is started again. */
  readonly restartAfterMs: number;
  readonly onMessage?: (message: unknown) => void;
  readonly onStart?: (child: ChildProcess) => void;
  readonly onExit?: (code: number | null, signal: NodeJS.Signals | null) => void;
}

const KILL_AFTER_MS = 8_000;

/** One process that is kept alive until `stop`. Its output goes to `<folder>/<name>.log`. */
export class Supervised {
  readonly spec: ProcessSpec;
  child: ChildProcess;
  restarts = 0;
  private stopping = false;
  private timer: NodeJS.Timeout | undefined;
  private readonly log: WriteStream;

  constructor(spec: ProcessSpec, folder: string) {
    this.spec = spec;
    this.log = createWriteStream(join(folder, `${spec.name.replaceAll('/', '_')}.log`), { flags: 'a', mode: 0o600 });
    this.child = this.spawn();
  }

  get running(): boolean {
    const { pid, exitCode, signalCode } = this.child;
    return pid !== undefined && exitCode === null && signalCode === null;
  }

  /** A process that is just ending does not get it: what starts after it is told by `onStart`. */
  send(message: Serializable): void {
    if (this.running && this.child.connected) this.child.send(message, () => undefined);
  }

  /** Ends the process for good: SIGTERM, then SIGKILL when it does not go. */
  async stop(): Promise<void> {
    this.stopping = true;
    clearTimeout(this.timer);
    if (!this.running) return;
    const gone = new Promise<void>((resolve) => this.child.once('exit', () => resolve()));
    this.child.kill('SIGTERM');
    const kill = setTimeout(() => this.child.kill('SIGKILL'), KILL_AFTER_MS);
    await gone;
    clearTimeout(kill);
    this.log.end();
  }

  private spawn(): ChildProcess {
    const child = spawn(this.spec.command, [...this.spec.args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Ctrl-C is for the starter, which ends the processes in order.
      detached: true,
      env: { ...process.env, ...this.spec.env },
    });
    child.stdout?.pipe(this.log, { end: false });
    child.stderr?.pipe(this.log, { end: false });
    child.on('message', (message) => this.spec.onMessage?.(message));
    // A command that cannot be run, mostly.
    child.on('error', (error) => this.log.write(`${this.spec.command}: ${error.message}\n`));
    child.on('exit', (code, signal) => {
      this.spec.onExit?.(code, signal);
      if (this.stopping) return;
      this.timer = setTimeout(() => {
        this.restarts++;
        this.child = this.spawn();
      }, this.spec.restartAfterMs);
    });
    this.spec.onStart?.(child);
    return child;
  }
}
