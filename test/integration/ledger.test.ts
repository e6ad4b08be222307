/**
 * Payments are never lost and never doubled: numbered payments cross two sidecars with mTLS while endpoints die, connections
 * break, certificates rotate, endpoints and listeners are pushed, a sidecar is replaced and another one is killed. Then the
 * client's book is held against the service's and against what the first sidecar says it knew.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { DevCa, type IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { AdsServer } from '../../deploy/local/control-plane/ads-server.ts';
import { Ledger, LedgerClient, LedgerEndpoint, seeded } from './ledger-service.ts';
import {
  adsBootstrap,
  CLUSTER,
  certificateSecret,
  FROM_ADS,
  LISTENER,
  message,
  SECRET,
  sds,
  trustSecret,
} from './tls-config.ts';
import { address, eventually, httpListener, Tollway } from './tollway.ts';

const TYPE = 'type.googleapis.com';
const ENDPOINTS = `${TYPE}/envoy.config.endpoint.v3.ClusterLoadAssignment`;
const TLS = `${TYPE}/envoy.extensions.transport_sockets.tls.v3`;
const RUN_MS = 8_000;
const SEED = 20;

const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const issue = (who: string): IssuedLeaf => ca.issue({ spiffeId: `spiffe://td/ns/pay/sa/${who}`, ttlMs: 600_000 });

const sleep = (ms: number): Promise<void> => new Promise((wake) => setTimeout(wake, ms));

function commonTls(from: string): object {
  const matcher = { san_type: 'URI', matcher: { exact: `spiffe://td/ns/pay/sa/${from}` } };
  return {
    tls_certificate_sds_secret_configs: [sds('own')],
    combined_validation_context: {
      default_validation_context: { match_typed_subject_alt_names: [matcher] },
      validation_context_sds_secret_config: sds('ROOTCA'),
    },
  };
}

/** Retried as often as Envoy's policies allow: what holds a payment back is the class of the attempt alone. */
function routesTo(cluster: string): readonly object[] {
  const retry_policy = {
    retry_on: '5xx,reset,connect-failure,refused-stream',
    num_retries: 4,
    retry_back_off: { base_interval: '0.005s', max_interval: '0.05s' },
  };
  const route = { cluster, timeout: '6s', retry_policy };
  const metadata = { filter_metadata: { 'tollway.retry': { idempotency_key: true } } };
  return [
    { match: { prefix: '/keyed' }, metadata, route },
    { match: { prefix: '/' }, route },
  ];
}

function edsCluster(name: string, more: object = {}): object {
  return {
    name,
    type: 'EDS',
    connect_timeout: '1s',
    eds_cluster_config: { eds_config: FROM_ADS },
    circuit_breakers: { thresholds: [{ max_retries: 1_000 }] },
    ...more,
  };
}

/** The listener of a sidecar; `version` makes it another one. */
function listenerOf(cluster: string, version: number, tls?: object): object {
  const listener = httpListener('in', 0, routesTo(cluster), { traffic_direction: 'INBOUND' });
  const [chain] = Reflect.get(listener, 'filter_chains') as object[];
  const typed_config = tls && {
    '@type': `${TLS}.DownstreamTlsContext`,
    common_tls_context: tls,
    require_client_certificate: true,
  };
  const transport_socket = typed_config && { name: 'envoy.transport_sockets.tls', typed_config };
  const name = `version ${version}`;
  return { ...listener, filter_chains: [{ ...chain, name, ...(transport_socket && { transport_socket }) }] };
}

/** A control plane for the two kinds of sidecar: a snapshot each, by the node's id. */
class Plane {
  readonly server = new AdsServer({ snapshotOf: ({ id }) => id });
  readonly nacks: string[] = [];

  set(node: string, typeUrl: string, ...resources: object[]): void {
    const named = resources.map(
      (one) => [String(Reflect.get(one, 'name') ?? Reflect.get(one, 'cluster_name')), message(typeUrl, one)] as const,
    );
    this.server.setResources(typeUrl, new Map(named), node);
  }

  assign(node: string, cluster_name: string, ports: readonly number[]): void {
    const lb_endpoints = ports.map((port) => ({ endpoint: { address: address(port) } }));
    this.set(node, ENDPOINTS, { cluster_name, endpoints: [{ lb_endpoints }] });
  }
}

class Mesh {
  readonly plane = new Plane();
  readonly ledger = new Ledger();
  readonly endpoints = Array.from({ length: 3 }, () => new LedgerEndpoint(this.ledger));
  readonly done = new Map<string, number>();
  private readonly t: TestContext;
  private planePort = 0;
  private version = 0;

  constructor(t: TestContext) {
    this.t = t;
    t.after(() => this.plane.server.kill());
    t.after(() => {
      for (const endpoint of this.endpoints) endpoint.kill();
    });
  }

  async start(): Promise<{ caller: Tollway; called: Tollway; port: number }> {
    for (const endpoint of this.endpoints) await endpoint.start();
    this.planePort = Number((await this.plane.server.listen()).split(':').at(-1));
    this.rotate();
    const typed_config = { '@type': `${TLS}.UpstreamTlsContext`, common_tls_context: commonTls('called') };
    this.plane.set(
      'caller',
      CLUSTER,
      edsCluster('called', { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config } }),
    );
    this.plane.set('called', CLUSTER, edsCluster('service'));
    this.plane.assign(
      'called',
      'service',
      this.endpoints.map(({ port }) => port),
    );
    this.pushListener('called');
    this.pushListener('caller');
    const called = await this.sidecar('called').live();
    this.plane.assign('caller', 'called', [await called.port('in')]);
    const caller = await this.sidecar('caller').live();
    return { caller, called, port: await caller.port('in') };
  }

  sidecar(id: string): Tollway {
    const bootstrap = {
      ...adsBootstrap(this.planePort, {}),
      node: { id, cluster: 'payment' },
      admin: { address: address(0) },
    };
    return new Tollway(this.t, bootstrap, ['--concurrency', '1', '--drain-time-s', '3']);
  }

  rotate(): void {
    for (const node of ['caller', 'called']) {
      this.plane.set(node, SECRET, certificateSecret('own', issue(node)), trustSecret('ROOTCA', ca.rootPem));
    }
  }

  pushListener(node: string): void {
    this.version++;
    if (node === 'caller') this.plane.set(node, LISTENER, listenerOf('called', this.version));
    else this.plane.set(node, LISTENER, listenerOf('service', this.version, commonTls('caller')));
  }

  /** The schedule: one fault after the other, none of which may cost or double a payment. */
  async trouble(random: () => number, until: number): Promise<void> {
    while (performance.now() < until) {
      const chance = random();
      if (chance < 0.35) await this.killEndpoint(random);
      else if (chance < 0.65) this.pushEndpoints(random);
      else if (chance < 0.85) this.count('rotations', () => this.rotate());
      else this.count('listeners', () => this.pushListener(random() < 0.5 ? 'caller' : 'called'));
      await sleep(60 + random() * 120);
    }
    this.plane.assign(
      'called',
      'service',
      this.endpoints.map(({ port }) => port),
    );
  }

  private async killEndpoint(random: () => number): Promise<void> {
    const endpoint = this.endpoints[Math.floor(random() * this.endpoints.length)] as LedgerEndpoint;
    this.count('kills', () => endpoint.kill());
    await sleep(50 + random() * 200);
    await endpoint.start();
  }

  private pushEndpoints(random: () => number): void {
    const some = this.endpoints.filter(() => random() < 0.5);
    const chosen = some.length === 0 ? this.endpoints : some;
    this.count('pushes', () =>
      this.plane.assign(
        'called',
        'service',
        chosen.map(({ port }) => port),
      ),
    );
  }

  private count(what: string, fault: () => void): void {
    this.done.set(what, (this.done.get(what) ?? 0) + 1);
    fault();
  }
}

interface LogLine {
  readonly path?: string;
  readonly tries?: readonly { readonly class: string }[];
}

/** Numbers of which the first sidecar has said that an attempt's outcome is not known, or that an application answered it. */
function doubtsOf(caller: Tollway): Set<number> {
  const doubts = new Set<number>();
  for (const line of `${caller.stdout}\n${caller.stderr}`.split('\n')) {
    if (!line.includes('"tries"')) continue;
    const { path = '', tries = [] }: LogLine = JSON.parse(line);
    if (tries.some((attempt) => attempt.class === 'unknown' || attempt.class === 'answered')) {
      doubts.add(Number(path.split('/').at(-1)));
    }
  }
  return doubts;
}

test('no payment is lost and none is doubled, whatever happens around it', { timeout: 60_000 }, async (t) => {
  const mesh = new Mesh(t);
  const { caller, called, port } = await mesh.start();
  const client = new LedgerClient(port);
  const until = performance.now() + RUN_MS;
  const trouble = mesh.trouble(seeded(SEED), until);

  // A sidecar is replaced while all that goes on: the new one is there and known before the old one is told to go.
  await sleep(RUN_MS * 0.3);
  const successor = await mesh.sidecar('called').live();
  mesh.plane.assign('caller', 'called', [await successor.port('in')]);
  called.signal('SIGTERM');
  assert.deepEqual(await called.ended, { code: 0, signal: null }, called.stderr);

  // And one that dies with all it carries, before another is known.
  const heir = await mesh.sidecar('called').live();
  const heirPort = await heir.port('in');
  successor.signal('SIGKILL');
  await successor.ended;
  mesh.plane.assign('caller', 'called', [heirPort]);

  await trouble;
  await client.stop();
  const active = ['http.in.downstream_rq_active', 'cluster.called.upstream_rq_active'];
  for (const name of active) {
    await eventually(`${name} is 0`, async () => ((await caller.stat(name)) === 0 ? true : undefined));
  }

  const { processed, mishaps } = mesh.ledger;
  const known = new Map(client.told.map((told) => [told.payment.number, told]));
  assert.equal(known.size, client.told.length);
  for (const [number, times] of processed) {
    const told = known.get(number);
    assert.ok(told !== undefined, `payment ${number} was never made`);
    assert.ok(
      times === 1 || told.payment.repeatable,
      `payment ${number} was processed ${times} times: ${JSON.stringify(told)}`,
    );
  }
  await eventually(
    'the log is written',
    () => caller.stdout.includes(`/${client.told.at(-1)?.payment.number}"`) || undefined,
  );
  const doubts = doubtsOf(caller);
  for (const { payment, status, body } of client.told) {
    const { number } = payment;
    if (status === 200) {
      assert.equal(body, `paid ${number}`);
      assert.ok(processed.has(number), `payment ${number} is lost: the client was told that it is made`);
    } else if (status !== 0 && processed.has(number)) {
      assert.ok(status >= 500, `payment ${number} was refused with ${status} and made`);
      assert.ok(doubts.has(number), `payment ${number} was made, and nobody knew that it might have been`);
    }
  }

  // It all happened: the test is worth nothing otherwise.
  const ok = client.told.filter(({ status }) => status === 200).length;
  const broken = client.told.filter(({ status }) => status === 0).length;
  const twice = [...processed.values()].filter((times) => times > 1).length;
  const seen = JSON.stringify({
    made: known.size,
    ok,
    broken,
    twice,
    ...Object.fromEntries([...mesh.done, ...mishaps]),
  });
  t.diagnostic(seen);
  assert.ok(known.size > 300 && ok > known.size * 0.8, seen);
  assert.ok(twice > 0, seen);
  // Connections of the client break where a response had begun, and nowhere else: neither drains nor rotations cost one. (The
  // sidecar that was killed may have begun one for each of the client's eight connections.)
  assert.ok(broken <= (mishaps.get('cut-off') ?? 0) + 8, seen);
  for (const what of ['kills', 'pushes', 'rotations', 'listeners']) assert.ok((mesh.done.get(what) ?? 0) > 1, seen);
  for (const what of ['reset-unread', 'reset-unprocessed', 'reset-processed', 'cut-off', 'slow'] as const) {
    assert.ok((mishaps.get(what) ?? 0) > 3, seen);
  }
});
