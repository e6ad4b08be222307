/** Network namespaces for tests, and what runs in them: made for a test, removed with it. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { eventually, folderOf } from '../integration/tollway.ts';

const START = resolve(import.meta.dirname, '../../bin/tollway.js');
const PROXY = '1337';
/** So that it reads the project wherever it is, and binds what is transparent. */
const CAPABILITIES = '+dac_read_search,+net_admin,+net_raw';

/** Why these tests cannot run here; `undefined`: they can. Where `TOLLWAY_NETNS` is set they have to. */
export function whyNot(): string | undefined {
  const reason = obstacle();
  if (reason !== undefined && process.env.TOLLWAY_NETNS !== undefined) throw new Error(reason);
  return reason;
}

function obstacle(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  for (const program of ['ip', 'iptables-restore', 'ip6tables-restore', 'nft', 'setpriv', 'nsenter']) {
    if (spawnSync(program, ['--version']).error !== undefined) return `${program} is not installed`;
  }
  const name = `tollway-probe-${process.pid}`;
  const made = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  spawnSync('ip', ['netns', 'del', name]);
  return made.status === 0 ? undefined : `no network namespace can be made: ${made.stderr.trim()}`;
}

let made = 0;

export class Namespace {
  readonly name = `tollway-${process.pid}-${made++}`;
  readonly #t: TestContext;

  constructor(t: TestContext) {
    this.#t = t;
    ip('netns', 'add', this.name);
    t.after(() => ip('netns', 'del', this.name));
    ip('-n', this.name, 'link', 'set', 'lo', 'up');
  }

  /** Runs to its end; fails with what it said. */
  run(...command: string[]): string {
    const [program = '', ...args] = this.#inside(command);
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 });
  }

  /** A node script that writes its answer. */
  async script(code: string): Promise<string> {
    const child = this.start([process.execPath, '--input-type=module', '-e', code]);
    let said = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const status = await new Promise((done) => child.once('close', done));
    if (status !== 0) throw new Error(`the script ended with ${status}: ${said}`);
    return said;
  }

  /** A GET, and what came of it: status and body, or the failure's code. */
  async get(url: string): Promise<string> {
    return this.script(`
      try {
        const answer = await fetch(${JSON.stringify(url)}, { signal: AbortSignal.timeout(5000) });
        process.stdout.write(answer.status + ' ' + await answer.text());
      } catch (error) { process.stdout.write('failed ' + (error.cause?.code ?? error.name)); }`);
  }

  /** Ends with the test. */
  start(command: readonly string[]): ChildProcess {
    const [program = '', ...args] = this.#inside(command);
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise((done) => child.once('close', done));
    this.#t.after(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    return child;
  }

  /** An application that answers with what it got: the caller's address, the identity header and the path, in JSON. */
  async application(port: number): Promise<void> {
    const code = `
      import { createServer } from 'node:http';
      createServer((request, response) => {
        const { remoteAddress } = request.socket;
        const source = request.headers['x-forwarded-client-cert'] ?? '';
        response.end(JSON.stringify({ remoteAddress, source, path: request.url }));
      }).listen(${port}, '::', () => console.log('up'));`;
    const child = this.start([process.execPath, '--input-type=module', '-e', code]);
    await new Promise((up) => child.stdout?.once('data', up));
  }

  /** The pod's proxy, as the user whose traffic is left alone; resolves when it is ready. */
  async proxy(bootstrap: object): Promise<void> {
    const file = join(folderOf(this.#t), 'bootstrap.yaml');
    writeFileSync(file, JSON.stringify(bootstrap));
    const user = ['setpriv', `--reuid=${PROXY}`, `--regid=${PROXY}`, '--clear-groups'];
    const caps = [`--inh-caps=${CAPABILITIES}`, `--ambient-caps=${CAPABILITIES}`];
    const child = this.start([...user, ...caps, process.execPath, START, '-c', file]);
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    child.stdout?.resume();
    await eventually(
      'the proxy is ready',
      async () => {
        if (child.exitCode !== null) return true;
        return (await this.get('http://127.0.0.1:15000/ready')) === '200 LIVE\n' ? true : undefined;
      },
      () => said,
    );
    if (child.exitCode !== null) throw new Error(`the proxy has ended: ${said}`);
  }

  /** Of the proxy's statistics. */
  async stat(name: string): Promise<number> {
    const text = await this.get('http://127.0.0.1:15000/stats');
    const line = text.split(/\s*\n/).find((one) => one.replace(/^200 /, '').startsWith(`${name}: `));
    return Number(line?.split(': ')[1] ?? 0);
  }

  /** Fails unless the statistic is `expected`: soon, since a worker announces what it counts for the first time every 100 ms. */
  async counts(name: string, expected: number, otherwise?: string): Promise<void> {
    let found = Number.NaN;
    await eventually(
      `${name} to be ${expected}`,
      async () => {
        found = await this.stat(name);
        return found === expected ? true : undefined;
      },
      () => otherwise ?? `it is ${found}`,
    );
  }

  redirect(...flags: string[]): string {
    return this.run(process.execPath, START, 'redirect', ...flags);
  }

  /** All rules, tables of rules and routes: without counters and comments, and without tables that iptables leaves empty. */
  rules(): string {
    const saved = ['iptables-save', 'ip6tables-save'].flatMap((program) =>
      this.run(program)
        .split('\n')
        .filter((line) => /^-A|^:.* - /.test(line))
        .map((line) => line.replace(/ \[\d+:\d+\]$/, '')),
    );
    const own = this.run('nft', 'list', 'tables')
      .split('\n')
      .filter((line) => line.includes('tollway'));
    const routing = ['-4', '-6'].map((family) => this.run('ip', family, 'rule', 'list') + tproxyRoutes(this, family));
    return [...saved, ...own, ...routing, this.run('ip', '-6', '-o', 'addr', 'show', 'dev', 'lo')].join('\n');
  }

  #inside(command: readonly string[]): string[] {
    return ['nsenter', `--net=/run/netns/${this.name}`, ...command];
  }
}

function tproxyRoutes(namespace: Namespace, family: string): string {
  const result = spawnSync('ip', ['-n', namespace.name, family, 'route', 'list', 'table', '133'], { encoding: 'utf8' });
  return result.stdout;
}

/** A cable between two, with addresses of both families: `10.<net>.0.1` and `fd00:<net>::1` on the left, `.2` and `::2` on the right. */
export function connect(left: Namespace, right: Namespace, net: number): void {
  const [a, b] = [`tw${process.pid}a${net}`.slice(-15), `tw${process.pid}b${net}`.slice(-15)];
  ip('link', 'add', a, 'netns', left.name, 'type', 'veth', 'peer', 'name', b, 'netns', right.name);
  for (const [namespace, name, number] of [
    [left, a, 1],
    [right, b, 2],
  ] as const) {
    ip('-n', namespace.name, 'addr', 'add', `10.${net}.0.${number}/24`, 'dev', name);
    ip('-n', namespace.name, '-6', 'addr', 'add', `fd00:${net}::${number}/64`, 'dev', name, 'nodad');
    ip('-n', namespace.name, 'link', 'set', name, 'up');
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
