/** Starts a real Envoy or Tollway on a bootstrap, both with the same command line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export type ProxyKind = 'envoy' | 'tollway';

const ROOT = resolve(import.meta.dirname, '../../..');
const START_WITHIN_MS = 15_000;

/** The Envoy of `npm run peers`, or the one that TOLLWAY_ENVOY names; `undefined` when there is none. */
export function findEnvoy(): string | undefined {
  const path = process.env.TOLLWAY_ENVOY ?? join(ROOT, '.peers/venv/bin/envoy');
  return existsSync(path) ? path : undefined;
}

export interface RunningProxy {
  readonly kind: ProxyKind;
  readonly pid: number;
  /** `127.0.0.1:port` */
  readonly admin: string;
  /** Listener name to bound port. */
  readonly ports: ReadonlyMap<string, number>;
  readonly folder: string;
  /** The process's own log so far. */
  log(): string;
  get(path: string): Promise<string>;
  post(path: string): Promise<string>;
  stop(): Promise<void>;
}

/** Listener name to port, once every listener of `names` is bound; until then `undefined`. */
interface ListenersJson {
  readonly listener_statuses?: readonly {
    readonly name: string;
    readonly local_address: { readonly socket_address?: { readonly port_value?: number } };
  }[];
}

/**
 * Starts a proxy and resolves when it is LIVE and every one of `listeners` is bound. `bootstrap` is JSON or YAML text in which
 * `{{folder}}` stands for a folder of the run, which has `files`. Throws with the process's log when it ends or does not come up in 15 s.
 */
export async function startProxy(
  kind: ProxyKind,
  bootstrap: string,
  listeners: readonly string[],
  files: { readonly [name: string]: string } = {},
): Promise<RunningProxy> {
  const folder = mkdtempSync(join(tmpdir(), `conformance-${kind}-`));
  const config = join(folder, 'bootstrap.yaml');
  const addressFile = join(folder, 'admin');
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  writeFileSync(config, bootstrap.replaceAll('{{folder}}', folder));
  const args = [
    '-c',
    config,
    '--disable-hot-restart',
    '--concurrency',
    '1',
    '--admin-address-path',
    addressFile,
    '--file-flush-interval-msec',
    '20',
    '-l',
    'warning',
    '--drain-time-s',
    '2',
  ];
  const child = spawn(...commandOf(kind, args), { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    log += chunk.toString('utf8');
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    log += chunk.toString('utf8');
  });
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const admin = await until(
      () => (existsSync(addressFile) ? readFileSync(addressFile, 'utf8').trim() || undefined : undefined),
      child,
      () => log,
    );
    const ports = await until(
      async () => boundPorts(await fetchText(admin, '/listeners?format=json'), listeners),
      child,
      () => log,
    );
    // Bound is not serving yet where clusters are checked first.
    await until(
      async () => (await fetchText(admin, '/ready')).startsWith('LIVE') || undefined,
      child,
      () => log,
    );
    return {
      kind,
      pid: child.pid as number,
      admin,
      ports,
      folder,
      log: () => log,
      get: (path) => fetchText(admin, path),
      post: (path) => fetchText(admin, path, 'POST'),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function commandOf(kind: ProxyKind, args: readonly string[]): [string, string[]] {
  if (kind === 'tollway') return [process.execPath, [join(ROOT, 'bin/tollway.js'), ...args]];
  const envoy = findEnvoy();
  if (envoy === undefined) throw new Error('Envoy is not installed: npm run peers');
  return [envoy, [...args]];
}

function boundPorts(text: string, wanted: readonly string[]): ReadonlyMap<string, number> | undefined {
  const { listener_statuses: statuses } = JSON.parse(text) as ListenersJson;
  const ports = new Map<string, number>();
  for (const { name, local_address } of statuses ?? []) {
    const port = local_address.socket_address?.port_value;
    if (port !== undefined && port !== 0) ports.set(name, port);
  }
  return wanted.every((name) => ports.has(name)) ? ports : undefined;
}

async function fetchText(admin: string, path: string, method = 'GET'): Promise<string> {
  const answer = await fetch(`http://${admin}${path}`, { method, signal: AbortSignal.timeout(5_000) });
  return answer.text();
}

async function until<T>(
  look: () => T | undefined | Promise<T | undefined>,
  child: ChildProcess,
  log: () => string,
): Promise<T> {
  const deadline = Date.now() + START_WITHIN_MS;
  for (;;) {
    const ended = child.exitCode !== null || child.signalCode !== null;
    const found = ended ? undefined : await Promise.resolve(look()).catch(() => undefined);
    if (found !== undefined) return found;
    if (ended) throw new Error(`the proxy ended with ${child.exitCode ?? child.signalCode}:\n${log()}`);
    if (Date.now() > deadline) throw new Error(`the proxy did not come up within ${START_WITHIN_MS} ms:\n${log()}`);
    await new Promise((done) => setTimeout(done, 15));
  }
}
