/** Processes of a measurement: pinned to a core, their CPU time and memory read from /proc. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Of `getconf CLK_TCK`: 100 on Linux. */
const TICKS_PER_SECOND = 100;

export interface Measured {
  readonly name: string;
  readonly pid: number;
  readonly child: ChildProcess;
  output(): string;
}

/** Starts `command` on processor `core`, or on several (`0,1`). The output is kept (the last 64 KiB) for the case that it fails. */
export function startPinned(
  name: string,
  core: number | string,
  command: string,
  args: readonly string[],
  env: { readonly [name: string]: string } = {},
): Measured {
  const child = spawn('taskset', ['-c', String(core), command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString('utf8')).slice(-65_536);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  if (child.pid === undefined) throw new Error(`${command} could not be started`);
  return { name, pid: child.pid, child, output: () => output };
}

export async function stop(process: Measured): Promise<void> {
  const { child } = process;
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((done) => child.once('exit', () => done()));
  child.kill('SIGTERM');
  const kill = setTimeout(() => child.kill('SIGKILL'), 1_000);
  await gone;
  clearTimeout(kill);
}

/** The process and all its descendants: nginx and HAProxy work in children. */
function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number);
  return [pid, ...children.flatMap(family)];
}

/** User and system time so far, in microseconds, of the process and its children. */
export function cpuMicros(pid: number): number {
  let ticks = 0;
  for (const member of family(pid)) {
    const text = readFileSync(`/proc/${member}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (ticks * 1e6) / TICKS_PER_SECOND;
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  let kib = 0;
  for (const member of family(pid)) {
    const rollup = readFileSync(`/proc/${member}/smaps_rollup`, 'utf8');
    kib += Number(/^Rss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0);
  }
  return kib * 1024;
}
