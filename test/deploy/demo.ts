/** `npm start` as a real process: its lines, and the commands that it prints. */
import { type ChildProcess, exec, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');
const PATIENCE_MS = 40_000;

/** What the line of a second says. */
export interface Second {
  readonly requests: number;
  readonly errors: number;
  readonly mtls: number;
  /** Percent of settlement's payments that v2 took. */
  readonly v2: number;
  readonly controlPlane: string;
}

export class Demo {
  readonly lines: string[] = [];
  readonly ended: Promise<number | null>;
  private readonly child: ChildProcess;
  private readonly waiting = new Set<() => void>();

  /** `npm start -- <args>`, killed with the test if it still runs. */
  constructor(t: TestContext, args: readonly string[]) {
    this.child = spawn('npm', ['start', '--', ...args], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      // npm passes no signal on to a process that is not in the terminal's group: the group is told.
      detached: true,
    });
    for (const output of [this.child.stdout, this.child.stderr]) {
      if (output === null) continue;
      createInterface({ input: output }).on('line', (line) => {
        this.lines.push(line);
        for (const look of this.waiting) look();
      });
    }
    this.ended = new Promise((done) => this.child.once('close', done));
    t.after(async () => {
      if (this.child.exitCode === null && this.child.signalCode === null) this.signal('SIGKILL');
      await this.ended;
    });
  }

  get text(): string {
    return this.lines.join('\n');
  }

  /** As Ctrl-C does with SIGINT: to npm and to what it runs. */
  signal(signal: NodeJS.Signals): void {
    process.kill(-(this.child.pid as number), signal);
  }

  /** The first of the lines from `from` on that `wanted` accepts, now or later. Gives its number. Asks once a line, in order. */
  async line(what: string, wanted: (line: string) => boolean, from = 0): Promise<number> {
    let next = from;
    const accepted = (): boolean => {
      for (; next < this.lines.length; next++) if (wanted(this.lines[next] as string)) return true;
      return false;
    };
    if (accepted()) return next;
    await new Promise<void>((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.waiting.delete(look);
      };
      const fail = (why: string): void => {
        end();
        reject(new Error(`waited in vain for ${what}: ${why}\n${this.text}`));
      };
      const timer = setTimeout(() => fail(`${PATIENCE_MS} ms have passed`), PATIENCE_MS);
      const look = (): void => {
        if (!accepted()) return;
        end();
        resolve();
      };
      this.waiting.add(look);
      void this.ended.then(() => fail('it has ended'));
    });
    return next;
  }

  /** The first line of a second, from line `from` on, that `wanted` accepts. */
  async second(what: string, wanted: (second: Second) => boolean, from = this.lines.length): Promise<Second> {
    const accepted = (line: string): boolean => {
      const second = secondOf(line);
      return second !== undefined && wanted(second);
    };
    return secondOf(this.lines[await this.line(what, accepted, from)] as string) as Second;
  }

  /** The command that is printed below the comment that has `words`. */
  async command(words: string): Promise<string> {
    const comment = await this.line(`a command to ${words}`, (line) => line.startsWith('  #') && line.includes(words));
    await this.line(`the command to ${words}`, () => true, comment + 1);
    return (this.lines[comment + 1] as string).trim();
  }

  /** Runs a printed command as a person in the project's folder does. */
  async run(words: string): Promise<void> {
    const command = await this.command(words);
    await new Promise<void>((done, fail) => {
      exec(command, { cwd: ROOT }, (error) => (error === null ? done() : fail(error)));
    });
  }

  /** The object on the last line. */
  result(): { readonly [name: string]: number } {
    return JSON.parse(this.lines.at(-1) ?? '') as { readonly [name: string]: number };
  }
}

function secondOf(line: string): Second | undefined {
  if (!line.startsWith('requests ')) return undefined;
  const number = (pattern: RegExp): number => Number(pattern.exec(line)?.[1] ?? 0);
  return {
    requests: number(/^requests (\d+)/),
    errors: number(/errors (\d+)/),
    mtls: number(/mTLS (\d+) %/),
    v2: number(/settlement .*v2 (\d+) %/),
    controlPlane: /control plane (.*)$/.exec(line)?.[1] ?? '',
  };
}
