/** Two sidecars whose material changes under load, with a ledger at both ends: what was asked, what came, what was cut off. */
import { once } from 'node:events';
import { Agent, createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { AdsServer } from '../../deploy/local/control-plane/ads-server.ts';
import {
  adsBootstrap,
  CLUSTER,
  certificateSecret,
  GRPC,
  httpsListener,
  LISTENER,
  message,
  SECRET,
  sds,
  staticCluster,
  tlsCluster,
  trustSecret,
} from './tls-config.ts';
import { address, eventually, forwarding, httpListener, Tollway } from './tollway.ts';

const LINE_MS = 100;

/** Writes down each request that it was asked, and streams numbered lines for as long as the path says. */
export class App {
  /** How often each path was asked. */
  readonly asked = new Map<string, number>();
  /** Of each stream that was ended here: how many lines it had. */
  readonly streamed = new Map<string, number>();
  readonly #server = createServer((request, response) => this.#answer(request, response));
  readonly #streams = new Set<() => void>();

  constructor(t: TestContext) {
    t.after(() => {
      this.#server.close();
      this.#server.closeAllConnections();
    });
  }

  async listen(): Promise<number> {
    this.#server.keepAliveTimeout = 60_000;
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  endStreams(): void {
    for (const end of [...this.#streams]) end();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? '';
    this.asked.set(path, (this.asked.get(path) ?? 0) + 1);
    const lifeMs = /\/stream\/(\d+)\//.exec(path)?.[1];
    if (lifeMs === undefined) response.end(request.headers['x-forwarded-client-cert']?.toString() ?? '');
    else this.#stream(path, response, Number(lifeMs));
  }

  #stream(path: string, response: ServerResponse, lifeMs: number): void {
    let lines = 0;
    const write = (): void => {
      response.write(`${lines++}\n`);
      if (lines * LINE_MS >= lifeMs) end();
    };
    const end = (): void => {
      clearInterval(writing);
      if (!this.#streams.delete(end)) return;
      this.streamed.set(path, lines);
      response.end();
    };
    const writing = setInterval(write, LINE_MS);
    this.#streams.add(end);
    response.on('close', () => {
      clearInterval(writing);
      this.#streams.delete(end);
    });
  }
}

export type Version = 'h1' | 'h2';
export const VERSIONS: readonly Version[] = ['h1', 'h2'];

interface Response {
  readonly status: number;
  readonly body: Readable;
}

/** Asks the first sidecar in both versions of HTTP. */
class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #port: number;
  readonly #session: ClientHttp2Session;

  constructor(t: TestContext, port: number) {
    this.#port = port;
    this.#session = connect(`http://127.0.0.1:${port}`);
    this.#session.on('error', () => undefined);
    t.after(() => {
      this.#agent.destroy();
      this.#session.destroy();
    });
  }

  ask(version: Version, path: string): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (version === 'h1') {
        get({ agent: this.#agent, host: '127.0.0.1', port: this.#port, path }, (body) =>
          resolve({ status: body.statusCode ?? 0, body }),
        ).on('error', reject);
        return;
      }
      const body = this.#session.request({ ':path': path });
      body.on('error', reject);
      body.on('close', () => reject(new Error('closed unanswered')));
      body.on('response', (head) => resolve({ status: Number(head[':status']), body }));
    });
  }
}

/** The whole body; rejects when it was cut off. */
function textOf(body: Readable): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    body.on('data', (chunk: Buffer) => (text += chunk.toString()));
    body.on('end', () => resolve(text));
    body.on('error', reject);
    body.on('close', () => reject(new Error('cut off')));
  });
}

/** So many requests a second and long streams beside them, in each version of HTTP on each of both hops. */
export class Load {
  /** Paths that were answered. */
  readonly answered = new Set<string>();
  readonly failures: string[] = [];
  /** Of each stream that ended as it should: how many lines came, in order. */
  readonly streamed = new Map<string, number>();
  readonly cut: string[] = [];
  sent = 0;
  /** Of each answered request: when it was sent, and how many milliseconds it took. */
  readonly latencies: (readonly [at: number, ms: number])[] = [];
  readonly #client: Client;
  readonly #ratePerS: number;
  readonly #streamMs: number;
  readonly #under = new Map<Promise<void>, string>();
  readonly #startedAt = performance.now();
  #ticking: NodeJS.Timeout | undefined;
  #streams = 0;
  #running = true;

  /** `streamMs`: how long a stream lasts before it is opened again. */
  constructor(t: TestContext, port: number, ratePerS: number, streamMs: number) {
    this.#client = new Client(t, port);
    this.#ratePerS = ratePerS;
    this.#streamMs = streamMs;
    this.#ticking = setInterval(() => this.#tick(), 10);
    t.after(() => clearInterval(this.#ticking));
    for (const version of VERSIONS)
      for (const hop of VERSIONS) this.#track(this.#readStreams(version, hop), `streams ${version} ${hop}`);
  }

  get open(): number {
    return this.#under.size;
  }

  async stop(app: App): Promise<void> {
    this.#running = false;
    clearInterval(this.#ticking);
    app.endStreams();
    const idle = (): true | undefined => (this.#under.size === 0 ? true : undefined);
    await eventually('all is answered', idle, () => [...this.#under.values()].slice(0, 10).join());
  }

  /** Resolves when every request that is under way now is answered: a busy machine is as slow as it likes. */
  async caughtUp(): Promise<void> {
    await Promise.all([...this.#under].filter(([, what]) => !what.startsWith('streams')).map(([work]) => work));
  }

  /** One request of its own; gives what the application says of its caller's certificate. */
  async probe(path: string): Promise<string> {
    const { status, body } = await this.#client.ask('h1', path);
    const text = await textOf(body);
    return status === 200 ? text : `status ${status}`;
  }

  #tick(): void {
    const due = Math.floor(((performance.now() - this.#startedAt) * this.#ratePerS) / 1000);
    // Four ways through: either version on either hop.
    for (; this.sent < due; this.sent++) {
      const version = VERSIONS[this.sent & 1] as Version;
      const hop = VERSIONS[(this.sent >> 1) & 1] as Version;
      const path = `/${hop}/${this.sent}`;
      this.#track(this.#request(version, path), `${version} ${path}`);
    }
  }

  #track(work: Promise<void>, what: string): void {
    this.#under.set(work, what);
    void work.finally(() => this.#under.delete(work));
  }

  async #request(version: Version, path: string): Promise<void> {
    const at = performance.now();
    try {
      const { status, body } = await this.#client.ask(version, path);
      const text = await textOf(body);
      this.latencies.push([at, performance.now() - at]);
      if (status === 200) this.answered.add(path);
      else this.failures.push(`${version} ${path}: ${status} ${text}`);
    } catch (error) {
      this.failures.push(`${version} ${path}: ${error}`);
    }
  }

  async #readStreams(version: Version, hop: Version): Promise<void> {
    while (this.#running) {
      const path = `/${hop}/stream/${this.#streamMs}/${version}-${this.#streams++}`;
      try {
        const { status, body } = await this.#client.ask(version, path);
        const text = await textOf(body);
        const lines = text.split('\n').slice(0, -1);
        const inOrder = lines.every((line, i) => line === String(i));
        if (status === 200 && inOrder) this.streamed.set(path, lines.length);
        else this.cut.push(`${path}: ${status}, ${lines.length} lines`);
      } catch (error) {
        this.cut.push(`${path}: ${error}`);
        await sleep(LINE_MS);
      }
    }
  }
}

export interface SidecarPlan {
  readonly runtime?: object;
  readonly clusters: readonly object[];
  readonly listener: object;
}

/** A proxy and the control plane that gives it its material. */
export class Sidecar {
  readonly proxy: Tollway;
  readonly #plane: AdsServer;
  readonly #secrets = new Map<string, object>();

  private constructor(proxy: Tollway, plane: AdsServer, secrets: Map<string, object>) {
    this.proxy = proxy;
    this.#plane = plane;
    this.#secrets = secrets;
  }

  static async start(t: TestContext, plan: SidecarPlan, leaf: IssuedLeaf, roots: readonly string[]): Promise<Sidecar> {
    const plane = new AdsServer();
    t.after(() => plane.kill());
    const port = Number((await plane.listen()).split(':').at(-1));
    const give = (typeUrl: string, resources: readonly object[]): void =>
      plane.setResources(
        typeUrl,
        new Map(resources.map((one) => [String(Reflect.get(one, 'name')), message(typeUrl, one)])),
      );
    const secrets = new Map([
      ['default', certificateSecret('default', leaf)],
      ['ROOTCA', trustSecret('ROOTCA', ...roots)],
    ]);
    give(SECRET, [...secrets.values()]);
    give(CLUSTER, plan.clusters);
    give(LISTENER, [plan.listener]);
    const layers = [{ name: 'static', static_layer: plan.runtime ?? {} }];
    const bootstrap = { ...adsBootstrap(port, {}), admin: { address: address(0) }, layered_runtime: { layers } };
    const proxy = new Tollway(t, bootstrap, ['--concurrency', '1']);
    await proxy.live();
    return new Sidecar(proxy, plane, secrets);
  }

  certificate(leaf: IssuedLeaf): void {
    this.#set('default', certificateSecret('default', leaf));
  }

  trust(...roots: string[]): void {
    this.#set('ROOTCA', trustSecret('ROOTCA', ...roots));
  }

  #set(name: string, secret: object): void {
    this.#secrets.set(name, secret);
    this.#plane.setResources(SECRET, new Map([...this.#secrets].map(([key, one]) => [key, message(SECRET, one)])));
  }
}

const MUTUAL = {
  tls_certificate_sds_secret_configs: [sds('default')],
  validation_context_sds_secret_config: sds('ROOTCA'),
};

/** Terminates mutual TLS and asks the application, telling it whose certificate the caller has. */
export function inbound(app: number): SidecarPlan {
  const common = { ...MUTUAL, alpn_protocols: ['h2', 'http/1.1'] };
  const manager = { forward_client_cert_details: 'SANITIZE_SET' };
  return { clusters: [staticCluster('app', app)], listener: httpsListener('in', common, 'app', manager) };
}

/** Takes both versions of HTTP and goes on in either over mutual TLS; `/new` on a connection of its own. */
export function outbound(to: number): SidecarPlan {
  const routes = [
    ...VERSIONS.map((hop) => ({ match: { prefix: `/${hop}/` }, route: { cluster: hop, timeout: '0s' } })),
    forwarding('new'),
  ];
  return {
    clusters: [
      tlsCluster('h1', to, MUTUAL),
      { ...tlsCluster('h2', to, MUTUAL), ...GRPC },
      { ...tlsCluster('new', to, MUTUAL), max_requests_per_connection: 1 },
    ],
    listener: httpListener('out', 0, routes),
  };
}
