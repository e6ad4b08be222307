/** Tollway as its own agent: it asks Istio's authority itself and supplies the secrets that configurations ask `sds-grpc` for. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ServerCredentials } from '@grpc/grpc-js';
import { DevCa, type IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { AdsServer } from '../../deploy/local/control-plane/ads-server.ts';
import { IstioCaServer } from '../certs/istio-ca-server.ts';
import { derOf, svid, WorkloadApiServer } from '../certs/workload-api-server.ts';
import { Mount } from './mount.ts';
import { Endpoint, KeptCaller, once1 } from './tls-callers.ts';
import {
  adsBootstrap,
  CLUSTER,
  httpsListener,
  LISTENER,
  message,
  pipeCluster,
  sds,
  staticCluster,
  tlsCluster,
} from './tls-config.ts';
import { address, eventually, folderOf, Tollway } from './tollway.ts';

const ID = 'spiffe://td/ns/pay/sa/payment';
const ca = new DevCa({ now: Date.now, trustDomain: 'td', intermediate: true });
const caller = { leaf: ca.issue({ spiffeId: 'spiffe://td/ns/pay/sa/caller', ttlMs: 600_000 }), roots: ca.rootPem };

/** As istiod's clusters and listeners say it. */
const FROM_AGENT = {
  api_config_source: {
    api_type: 'GRPC',
    transport_api_version: 'V3',
    set_node_on_first_message_only: true,
    grpc_services: [{ envoy_grpc: { cluster_name: 'sds-grpc' } }],
  },
  initial_fetch_timeout: '0s',
  resource_api_version: 'V3',
};
const BOTH = {
  tls_certificate_sds_secret_configs: [sds('default', FROM_AGENT)],
  validation_context_sds_secret_config: sds('ROOTCA', FROM_AGENT),
};

/** Nobody is there: these listeners answer themselves. */
const NONE = [staticCluster('none', 1)];

/** A proxy with mTLS in and out, and an authority whose certificates live `ttlMs`. */
async function start(t: TestContext, ttlMs: number) {
  const folder = folderOf(t);
  const token = join(folder, 'token');
  writeFileSync(token, 'a.token.of-the-service-account');
  const server = new IstioCaServer(ca, {
    tokens: new Map([['a.token.of-the-service-account', ID]]),
    maxTtlMs: ttlMs,
  });
  const socket = join(folder, 'ca.sock');
  await server.listen(`unix:${socket}`);
  t.after(() => server.stop());
  const endpoint = new Endpoint(t, ca.issue({ spiffeId: 'spiffe://td/ns/pay/sa/app', ttlMs: 600_000 }), ca.rootPem);
  const proxy = new Tollway(
    t,
    {
      node: {
        metadata: {
          NAMESPACE: 'pay',
          SERVICE_ACCOUNT: 'payment',
          TRUST_DOMAIN: 'td',
          TOLLWAY_IDENTITY: { istio_ca: { cluster: 'ca', token_path: token } },
        },
      },
      admin: { address: address(0) },
      static_resources: {
        listeners: [httpsListener('in', BOTH, 'app')],
        clusters: [pipeCluster('ca', socket), tlsCluster('app', await endpoint.listen(), BOTH)],
      },
    },
    ['--concurrency', '1'],
  );
  await proxy.live();
  return { server, socket, endpoint, proxy, port: await proxy.port('in') };
}

/** Waits with the clock's own seconds: what is awaited is time itself. */
function until(at: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, Math.max(0, at - Date.now())));
}

/** New connections one after the other, in and out, and one that is kept. */
class Load {
  readonly failures: string[] = [];
  readonly serials = new Set<string>();
  answers = 0;
  readonly #kept: KeptCaller;
  readonly #port: number;
  #running = true;
  #done: Promise<void> | undefined;

  constructor(port: number) {
    this.#port = port;
    this.#kept = new KeptCaller(port, caller, '/');
  }

  run(): this {
    this.#kept.run();
    this.#done = this.#loop();
    return this;
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
    await this.#kept.stop();
    this.failures.push(...this.#kept.failures);
  }

  async #loop(): Promise<void> {
    while (this.#running) {
      const answer = await once1(this.#port, caller, '/');
      if ('error' in answer) this.failures.push(answer.error);
      else if (answer.status !== 200) this.failures.push(`status ${answer.status}`);
      else this.serials.add(answer.serial);
      this.answers++;
      await new Promise((wake) => setTimeout(wake, 10));
    }
  }
}

test('asks for its own certificate and renews it under load: no request fails', async (t) => {
  const { server, proxy, port, endpoint } = await start(t, 4_000);
  const load = new Load(port).run();
  await eventually('three more certificates have come', async () =>
    ((await proxy.stat('identity.update_success')) ?? 0) > 3 ? true : undefined,
  );
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.ok(load.serials.size >= 3, `callers saw ${load.serials.size} certificates`);
  assert.ok(
    endpoint.callers.some((serial) => load.serials.has(serial)),
    'it is shown to upstreams as well',
  );
  assert.equal(server.metadata[0]?.get('authorization')[0], 'Bearer a.token.of-the-service-account');
  assert.ok(((await proxy.stat('sds.default.update_success')) ?? 0) >= 4);
  assert.equal(await proxy.stat('sds.ROOTCA.update_success'), 1, 'the bundle did not change');
  assert.equal(await proxy.stat('identity.life_three_quarters'), 0);
  const dump = (await proxy.admin('/config_dump')).body;
  assert.match(dump, /"default"/);
  assert.ok(!dump.includes('PRIVATE KEY') && !(proxy.stdout + proxy.stderr).includes('PRIVATE KEY'));
  assert.ok(!dump.includes('of-the-service-account'));
});

test('an authority that is away for longer than half of the life costs no request', async (t) => {
  const { server, socket, proxy, port } = await start(t, 8_000);
  const load = new Load(port).run();
  const started = Date.now();
  server.stop();
  // the renewal at half of the life fails, and fails again
  await until(started + 5_500);
  assert.ok(((await proxy.stat('identity.update_failure')) ?? 0) >= 1);
  assert.equal(await proxy.stat('identity.valid'), 1);
  await server.listen(`unix:${socket}`);
  await eventually('it is renewed', async () =>
    (await proxy.stat('identity.update_success')) === 2 ? true : undefined,
  );
  const { answers } = load;
  await eventually('callers go on with it', () => (load.answers > answers + 20 ? true : undefined));
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.equal(load.serials.size, 2);
  assert.match(proxy.stdout + proxy.stderr, /no new identity, the last one stays until/);
});

test('past its end the state is clear, and the authority finds us within a second of its return', async (t) => {
  const { server, socket, proxy, port } = await start(t, 3_000);
  server.stop();
  await eventually('it has expired', async () =>
    (await proxy.stat('identity.life_expired')) === 1 ? true : undefined,
  );
  assert.equal(await proxy.stat('identity.life_three_quarters'), 1);
  assert.equal(await proxy.stat('identity.life_nine_tenths'), 1);
  assert.equal(await proxy.stat('identity.valid'), 0);
  const log = proxy.stdout + proxy.stderr;
  assert.match(log, /has a quarter of its life left/);
  assert.match(log, /critical.*spiffe:\/\/td\/ns\/pay\/sa\/payment.*has expired at/);
  const { certificates } = JSON.parse((await proxy.admin('/certs')).body);
  const ends = certificates.map((row: { cert_chain: { expiration_time: string }[] }) =>
    Date.parse(row.cert_chain[0]?.expiration_time ?? ''),
  );
  assert.ok(ends.length > 0 && ends.every((end: number) => end < Date.now()));
  const refused = await once1(port, caller, '/');
  assert.ok('error' in refused && /CERT_HAS_EXPIRED/.test(refused.error), JSON.stringify(refused));
  const asked = server.requests.length;
  const back = Date.now();
  await server.listen(`unix:${socket}`);
  await eventually('it is asked', () => (server.requests.length > asked ? true : undefined));
  const tookMs = Date.now() - back;
  assert.ok(tookMs < 1000, `asked after ${tookMs} ms`);
  await eventually('it serves again', async () => ('status' in (await once1(port, caller, '/')) ? true : undefined));
  assert.equal(await proxy.stat('identity.valid'), 1);
});

test('comes up from a token alone: its certificate over TLS, then the control plane over mTLS with it', async (t) => {
  const folder = folderOf(t);
  const token = join(folder, 'token');
  const roots = join(folder, 'roots.pem');
  writeFileSync(token, 'token');
  writeFileSync(roots, ca.rootPem);
  const istiod = ca.issue({ dnsNames: ['istiod.test'], ttlMs: 600_000 });
  const pair = { cert_chain: Buffer.from(istiod.chain), private_key: Buffer.from(istiod.key) };
  const secured = (clientCertificate: boolean) =>
    ServerCredentials.createSsl(Buffer.from(ca.rootPem), [pair], clientCertificate);
  const authority = new IstioCaServer(ca, { tokens: new Map([['token', ID]]), credentials: secured(false) });
  const controlPlane = new AdsServer({ credentials: secured(true) });
  t.after(() => {
    authority.stop();
    controlPlane.kill();
  });
  const portOf = (target: string): number => Number(target.split(':').at(-1));
  const [none = {}] = NONE;
  controlPlane.setResources(CLUSTER, new Map([['none', message(CLUSTER, none)]]));
  const listener = message(LISTENER, httpsListener('in', BOTH, 'none'));
  controlPlane.setResources(LISTENER, new Map([['in', listener]]));
  const named = [{ san_type: 'DNS', matcher: { exact: 'istiod.test' } }];
  const bootstrap = adsBootstrap(portOf(await controlPlane.listen()), {
    clusters: [
      tlsCluster('ca', portOf(await authority.listen()), {
        validation_context: { trusted_ca: { filename: roots }, match_typed_subject_alt_names: named },
      }),
    ],
  });
  const {
    static_resources: { clusters: [xds, ...others] = [] },
  } = bootstrap as { static_resources: { clusters?: object[] } };
  const { transport_socket } = tlsCluster('x', 1, BOTH) as { transport_socket: object };
  const proxy = await new Tollway(
    t,
    {
      ...bootstrap,
      node: {
        id: 'node',
        cluster: 'payment',
        metadata: { TOLLWAY_IDENTITY: { istio_ca: { cluster: 'ca', token_path: token, spiffe_id: ID } } },
      },
      admin: { address: address(0) },
      static_resources: { clusters: [{ ...xds, transport_socket }, ...others] },
    },
    ['--concurrency', '1'],
  ).live();
  assert.ok('status' in (await once1(await proxy.port('in'), caller)));
  assert.equal(authority.requests.length, 1);
  assert.equal(await proxy.stat('control_plane.connected_state'), 1);
});

test('the SPIFFE Workload API: SVIDs and bundles by name, renewed under load', async (t) => {
  const partner = new DevCa({ now: Date.now, trustDomain: 'partner' });
  const leafOf = (): IssuedLeaf => ca.issue({ spiffeId: ID, ttlMs: 600_000 });
  const server = new WorkloadApiServer();
  const first = leafOf();
  const federated_bundles = { 'spiffe://partner': derOf(partner.rootPem) };
  server.svids = { svids: [svid(ID, first, ca)], federated_bundles };
  const socket = join(folderOf(t), 'agent.sock');
  await server.listen(`unix:${socket}`);
  t.after(() => server.stop());
  const named = {
    tls_certificate_sds_secret_configs: [sds(ID, FROM_AGENT)],
    validation_context_sds_secret_config: sds('spiffe://partner', FROM_AGENT),
  };
  const proxy = await new Tollway(
    t,
    {
      node: { metadata: { TOLLWAY_IDENTITY: { spiffe_workload_api: { socket: `unix://${socket}` } } } },
      admin: { address: address(0) },
      static_resources: {
        listeners: [httpsListener('in', BOTH, 'none'), httpsListener('partners', named, 'none')],
        clusters: NONE,
      },
    },
    ['--concurrency', '1'],
  ).live();
  const [port, partners] = [await proxy.port('in'), await proxy.port('partners')];
  const stranger = { leaf: partner.issue({ spiffeId: 'spiffe://partner/a', ttlMs: 600_000 }), roots: ca.rootPem };
  assert.ok('status' in (await once1(partners, stranger)), 'the bundle of the other trust domain');
  assert.ok('error' in (await once1(port, stranger)), 'which is not ours');
  assert.ok('error' in (await once1(partners, caller)));
  const kept = new KeptCaller(port, caller, '/here');
  kept.run();
  const second = leafOf();
  server.sendSvids({ svids: [svid(ID, second, ca)], federated_bundles });
  await eventually('new connections see the new one', async () => {
    const answers = [await once1(port, caller), await once1(partners, stranger)];
    return answers.every((one) => 'serial' in one && one.serial === second.serial) ? true : undefined;
  });
  server.stop();
  await eventually('it is told', async () => (await proxy.stat('identity.update_failure')) || undefined);
  assert.ok('status' in (await once1(port, caller)), 'what came last serves');
  await kept.stop();
  assert.deepEqual(kept.failures, []);
  assert.equal(kept.connections, 1);
});

test('the secrets that cert-manager mounts, swapped as a whole under load', async (t) => {
  const issue = (): IssuedLeaf => ca.issue({ dnsNames: ['payment.pay.svc'], ttlMs: 600_000 });
  const filesOf = ({ chain, key }: IssuedLeaf) => ({ 'tls.crt': chain, 'tls.key': key, 'ca.crt': ca.rootPem });
  const mount = new Mount(join(folderOf(t), 'mount'), filesOf(issue()));
  const files = {
    certificate_chain: mount.at('tls.crt'),
    private_key: mount.at('tls.key'),
    trusted_ca: mount.at('ca.crt'),
  };
  const proxy = await new Tollway(
    t,
    {
      node: { metadata: { TOLLWAY_IDENTITY: { files } } },
      admin: { address: address(0) },
      static_resources: { listeners: [httpsListener('in', BOTH, 'none')], clusters: NONE },
    },
    ['--concurrency', '1'],
  ).live();
  const port = await proxy.port('in');
  const kept = new KeptCaller(port, caller, '/here');
  kept.run();
  for (let round = 0; round < 3; round++) {
    const leaf = issue();
    mount.swap(filesOf(leaf));
    await eventually('new connections see the new one', async () => {
      const answer = await once1(port, caller);
      assert.ok('serial' in answer, JSON.stringify(answer));
      return answer.serial === leaf.serial ? true : undefined;
    });
  }
  mount.swap({ ...filesOf(issue()), 'tls.key': issue().key });
  await eventually('a pair that does not fit is refused', async () =>
    (await proxy.stat('identity.update_rejected')) ? true : undefined,
  );
  assert.ok('status' in (await once1(port, caller)));
  await kept.stop();
  assert.deepEqual(kept.failures, []);
  assert.equal(kept.connections, 1);
});

test('the development authority signs for itself', async (t) => {
  const proxy = await new Tollway(
    t,
    {
      node: { metadata: { TOLLWAY_IDENTITY: { development_ca: { spiffe_id: ID } } } },
      admin: { address: address(0) },
      static_resources: {
        clusters: NONE,
        listeners: [httpsListener('in', { tls_certificate_sds_secret_configs: [sds('default', FROM_AGENT)] }, 'none')],
      },
    },
    ['--concurrency', '1'],
  ).live();
  assert.equal(await proxy.stat('identity.valid'), 1);
  const { certificates } = JSON.parse((await proxy.admin('/certs')).body);
  assert.equal(certificates[0]?.cert_chain[0]?.subject_alt_names[0]?.uri, ID);
});

test('a source that is misspelt ends the start, with path and line', async (t) => {
  const istio_ca = { cluster: 'ca', tokenpath: '/t' };
  const proxy = new Tollway(t, { node: { metadata: { TOLLWAY_IDENTITY: { istio_ca } } } });
  assert.equal((await proxy.ended).code, 1);
  assert.match(proxy.stderr, /yaml:\d+:\d+: node\.metadata\.TOLLWAY_IDENTITY\.istio_ca\.tokenpath is not known/);
});
