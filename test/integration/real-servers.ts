/** PostgreSQL and Redis as Debian packs them, started for a test: folders and ports of their own, without privileges. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chownSync, existsSync, readdirSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { eventually, folderOf } from './tollway.ts';

/** PostgreSQL does not run as root. */
const NOBODY = 65_534;
const asNobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

function find(name: string): string | undefined {
  return ['/usr/bin', '/usr/local/bin', ...postgresFolders()].map((folder) => join(folder, name)).find(existsSync);
}

/** Newest first. */
function postgresFolders(): string[] {
  const versions = '/usr/lib/postgresql';
  if (!existsSync(versions)) return [];
  const names = readdirSync(versions).sort((a, b) => Number(b) - Number(a));
  return names.map((version) => join(versions, version, 'bin'));
}

/** Why a test with these programs has to be skipped, or `false`. */
export function missing(...programs: readonly string[]): string | false {
  const lacking = programs.filter((program) => find(program) === undefined);
  return lacking.length === 0
    ? false
    : `not installed: ${lacking.join(', ')} (apt-get install postgresql redis-server)`;
}

export interface Output {
  readonly ok: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a client to its end, `input` on its standard input. Not started by a shell. */
export function run(program: string, args: readonly string[], input = ''): Promise<Output> {
  return new Promise((resolve) => {
    const options = {
      timeout: 30_000,
      maxBuffer: 64 * 1024 * 1024,
      ...asNobody,
      env: { PATH: '/usr/bin:/bin' },
      cwd: '/',
    };
    const child = execFile(find(program) ?? program, args, options, (error, stdout, stderr) =>
      resolve({ ok: error === null, stdout, stderr }),
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

function answers(port: number): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.on('connect', () => socket.destroy());
    socket.on('error', () => resolve(undefined));
  });
}

async function serve(t: TestContext, program: string, port: number, args: readonly string[]): Promise<number> {
  const child: ChildProcess = spawn(find(program) ?? program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...asNobody });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  const ended = new Promise((done) => child.once('close', done));
  t.after(async () => {
    // PostgreSQL's word for: at once, and its children too
    child.kill('SIGQUIT');
    const kill = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await ended;
    clearTimeout(kill);
  });
  await eventually(
    `${program} answers`,
    () => answers(port),
    () => said,
  );
  return port;
}

function ownFolder(t: TestContext): string {
  const folder = folderOf(t);
  if (asNobody.uid !== undefined) chownSync(folder, NOBODY, NOBODY);
  return folder;
}

/** Its port; the user is `pay`, the database `postgres`, and nobody is asked for a password. */
export async function postgres(t: TestContext): Promise<number> {
  const folder = ownFolder(t);
  const data = join(folder, 'data');
  const made = await run('initdb', ['-D', data, '-U', 'pay', '-A', 'trust', '-E', 'UTF8', '--no-sync']);
  if (!made.ok) throw new Error(`initdb: ${made.stderr}`);
  const port = await freePort();
  const settings = ['listen_addresses=127.0.0.1', `unix_socket_directories=${folder}`, 'fsync=off'];
  const args = ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])];
  await serve(t, 'postgres', port, args);
  const ready = () =>
    run('pg_isready', ['-h', '127.0.0.1', '-p', String(port)]).then(({ ok }) => (ok ? true : undefined));
  await eventually('PostgreSQL takes connections', ready);
  return port;
}

/** Its port. Nothing is written to disk. */
export async function redis(t: TestContext): Promise<number> {
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', ownFolder(t)];
  return serve(t, 'redis-server', port, args);
}
