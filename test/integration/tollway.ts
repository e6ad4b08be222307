/** Real Tollway processes for tests of a process's life: started, talked to, ended with the test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';

const START = resolve(import.meta.dirname, '../../bin/tollway.js');
const PATIENCE_MS = 15_000;

/** Looks every 10 ms until `found` gives something; fails with `what` and what `also` says when it does not. */
export async function eventually<T>(
  what: string,
  found: () => T | undefined | Promise<T | undefined>,
  also: () => string = () => '',
): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const value = await Promise.resolve()
      .then(found)
      .catch(() => undefined);
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}\n${also()}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Of the connection it came over: the same number, the same connection. */
  readonly localPort: number;
}

/** A new folder that goes with the test. */
export function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-life-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export class Tollway {
  readonly folder: string;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';
  private readonly child: ChildProcess;

  /** `bootstrap`: text, or an object that is written as JSON, one member a line. */
  constructor(t: TestContext, bootstrap: object | string, args: readonly string[] = []) {
    this.folder = folderOf(t);
    const file = join(this.folder, 'bootstrap.yaml');
    writeFileSync(file, typeof bootstrap === 'string' ? bootstrap : JSON.stringify(bootstrap, null, 1));
    const own = ['-c', file, '--admin-address-path', join(this.folder, 'admin')];
    this.child = spawn(process.execPath, [START, ...own, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString();
    });
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    this.ended = new Promise((done) => this.child.once('close', (code, signal) => done({ code, signal })));
    t.after(async () => {
      this.child.kill('SIGKILL');
      await this.ended;
    });
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('the proxy was not started');
    return this.child.pid;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Resolves when /ready says LIVE; rejects when the process has ended. */
  async live(): Promise<this> {
    const isLive = async () => (!this.running || (await this.admin('/ready')).status === 200 ? true : undefined);
    await eventually('the proxy is live', isLive, () => this.stderr);
    if (!this.running) throw new Error(`the proxy has ended: ${this.stderr}`);
    return this;
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  async admin(path: string, method = 'GET'): Promise<Reply> {
    const [host, port] = readFileSync(join(this.folder, 'admin'), 'utf8').trim().split(':');
    return ask({ host, port: Number(port), path, method });
  }

  get hasAdmin(): boolean {
    return existsSync(join(this.folder, 'admin'));
  }

  /** The sum of the lines of `/stats` with that very name; `undefined` when there is none. */
  async stat(name: string): Promise<number | undefined> {
    const { body } = await this.admin('/stats');
    const line = body.split('\n').find((one) => one.startsWith(`${name}: `));
    return line === undefined ? undefined : Number(line.slice(name.length + 2));
  }

  /** The port a listener is bound to; waits for it. */
  async port(listener: string): Promise<number> {
    const pattern = new RegExp(`^${listener}::127\\.0\\.0\\.1:(\\d+)$`, 'm');
    return eventually(
      `listener ${listener} is bound`,
      async () => {
        const port = pattern.exec((await this.admin('/listeners')).body)?.[1];
        return port === undefined ? undefined : Number(port);
      },
      () => this.stderr,
    );
  }
}

export interface Question {
  readonly host?: string | undefined;
  readonly port: number;
  readonly path?: string;
  readonly method?: string;
  readonly agent?: Agent;
}

export function ask({ host = '127.0.0.1', port, path = '/', method = 'GET', agent }: Question): Promise<Reply> {
  return new Promise((done, failed) => {
    const asked = request({ host, port, path, method, ...(agent ? { agent } : { agent: false }) }, (answer) => {
      const localPort = answer.socket.localPort ?? 0;
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        body += chunk;
      });
      answer.on('error', failed);
      answer.on('end', () => done({ status: answer.statusCode ?? 0, headers: answer.headers, body, localPort }));
    });
    asked.setTimeout(PATIENCE_MS, () => asked.destroy(new Error('no answer in time')));
    asked.on('error', failed);
    asked.end();
  });
}

/** One connection, kept. */
export function keptConnection(t: TestContext): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  return agent;
}

/** Listens on a free port of 127.0.0.1 and does nothing else. */
export async function occupiedPort(t: TestContext): Promise<number> {
  const server: Server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

const EXTENSIONS = 'type.googleapis.com/envoy.extensions.filters';
const ROUTER = { name: 'router', typed_config: { '@type': `${EXTENSIONS}.http.router.v3.Router` } };

export function address(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

export function clusterTo(name: string, port: number, more: object = {}): object {
  const endpoint = { endpoint: { address: address(port) } };
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
    ...more,
  };
}

/** A plaintext HTTP listener. `routes` are those of its one virtual host; `manager`: more members of the connection manager. */
export function httpListener(
  name: string,
  port: number,
  routes: readonly object[],
  more: object = {},
  manager: object = {},
): object {
  const typed_config = {
    '@type': `${EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    route_config: { name, virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
    http_filters: [ROUTER],
    ...manager,
  };
  return { name, address: address(port), filter_chains: [{ filters: [{ name: 'http', typed_config }] }], ...more };
}

export function answering(text: string, prefix = '/'): object {
  return { match: { prefix }, direct_response: { status: 200, body: { inline_string: text } } };
}

export function forwarding(cluster: string, prefix = '/'): object {
  return { match: { prefix }, route: { cluster } };
}

export function bootstrapOf(listeners: readonly object[], clusters: readonly object[] = []): object {
  return { admin: { address: address(0) }, static_resources: { listeners, clusters } };
}
