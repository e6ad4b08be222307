/** A Tollway process for tests: started with a bootstrap, asked over its admin interface, ended with the test. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';

const MAIN = resolve(import.meta.dirname, '../../proxy/main.ts');
const PATIENCE_MS = 10_000;

/** Looks until `found` gives something, every 10 ms; fails with `what` when it does not for ten seconds. */
export async function eventually<T>(
  what: string,
  found: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const value = await found();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}

export interface CertificateRow {
  readonly ca_cert: readonly { readonly path: string; readonly serial_number: string }[];
  readonly cert_chain: readonly { readonly path: string; readonly serial_number: string }[];
}

export class ProxyProcess {
  readonly folder: string;
  #output = '';
  #child: ChildProcess | undefined;
  #admin = '';

  constructor(t: TestContext) {
    this.folder = mkdtempSync(join(tmpdir(), 'tollway-integration-'));
    t.after(() => {
      this.#child?.kill('SIGKILL');
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  /** Resolves when it is LIVE. `bootstrap`: without `admin`, which is added. */
  async start(bootstrap: object): Promise<void> {
    const address = { socket_address: { address: '127.0.0.1', port_value: 0 } };
    writeFileSync(join(this.folder, 'bootstrap.json'), JSON.stringify({ ...bootstrap, admin: { address } }));
    const adminPath = join(this.folder, 'admin');
    const child = spawn(process.execPath, [
      MAIN,
      ...['-c', join(this.folder, 'bootstrap.json'), '--admin-address-path', adminPath, '--concurrency', '1'],
    ]);
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString();
      });
    }
    this.#admin = await eventually('the proxy has an admin interface', () => {
      assert.equal(child.exitCode, null, this.#output);
      return existsSync(adminPath) && readFileSync(adminPath, 'utf8');
    });
    await eventually('the proxy is ready', async () => {
      const ready = await this.get('/ready').catch(() => '');
      assert.equal(child.exitCode, null, this.#output);
      return ready.startsWith('LIVE');
    });
  }

  /** Log lines of every level that is on. */
  get output(): string {
    return this.#output;
  }

  async get(path: string): Promise<string> {
    return (await fetch(`http://${this.#admin}${path}`)).text();
  }

  /** 0 for a statistic that is not there. */
  async stat(name: string): Promise<number> {
    const text = await this.get(`/stats?filter=^${encodeURIComponent(name.replaceAll('.', '\\.'))}$`);
    return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
  }

  async certificates(): Promise<readonly CertificateRow[]> {
    return JSON.parse(await this.get('/certs')).certificates;
  }

  /** The port a listener was bound to. */
  async port(listener: string): Promise<number> {
    const text = await this.get('/listeners');
    const port = new RegExp(`^${listener}::127\\.0\\.0\\.1:(\\d+)$`, 'm').exec(text)?.[1];
    assert.ok(port, text);
    return Number(port);
  }
}
