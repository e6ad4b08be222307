import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DevCa, type IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { AdsServer } from '../../deploy/local/control-plane/ads-server.ts';
import type { ClientAnswer } from '../../deploy/local/control-plane/ads-session.ts';
import { Mount } from './mount.ts';
import { Endpoint, KeptCaller, once1 } from './tls-callers.ts';
import {
  adsBootstrap,
  CLUSTER,
  certificateSecret,
  FROM_ADS,
  httpsListener,
  LISTENER,
  message,
  pipeCluster,
  SECRET,
  sds,
  staticCluster,
  tlsCluster,
  trustSecret,
} from './tls-config.ts';
import { address, eventually, folderOf, occupiedPort, Tollway } from './tollway.ts';

const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const other = new DevCa({ now: Date.now, trustDomain: 'td' });
const issue = (by = ca): IssuedLeaf => by.issue({ spiffeId: 'spiffe://td/ns/pay/sa/payment', ttlMs: 600_000 });
const caller = { leaf: issue(), roots: ca.rootPem };

/** Waits until it is there and not false. What goes wrong meanwhile counts: not one request may fail. */
async function until<T>(what: string, found: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  const outcome = await eventually<{ readonly value: T } | { readonly thrown: unknown }>(what, async () => {
    try {
      const value = await found();
      return value === undefined || value === false ? undefined : { value };
    } catch (thrown) {
      return { thrown };
    }
  });
  if ('thrown' in outcome) throw outcome.thrown;
  return outcome.value;
}

interface CertificateRow {
  readonly cert_chain: readonly { readonly serial_number: string }[];
}

/** Serials of the certificates that `/certs` shows. */
async function serialsOf(proxy: Tollway): Promise<string[]> {
  const rows: readonly CertificateRow[] = JSON.parse((await proxy.admin('/certs')).body).certificates;
  return rows.flatMap(({ cert_chain }) => cert_chain.map(({ serial_number }) => serial_number));
}

/** Serving, with an admin interface on a free port. */
function launched(t: TestContext, bootstrap: object): Promise<Tollway> {
  return new Tollway(t, { ...bootstrap, admin: { address: address(0) } }, ['--concurrency', '1']).live();
}

/** A control plane whose resources are changed by name. */
class ControlPlane {
  readonly answers: ClientAnswer[] = [];
  readonly #server: AdsServer;
  readonly #resources = new Map<string, Map<string, ReturnType<typeof message>>>();

  constructor(t: TestContext) {
    this.#server = new AdsServer({ onAnswer: (answer) => this.answers.push(answer) });
    t.after(() => this.#server.kill());
  }

  async listen(): Promise<number> {
    return Number((await this.#server.listen()).split(':').at(-1));
  }

  set(typeUrl: string, ...resources: object[]): void {
    const held = this.#resources.get(typeUrl) ?? new Map();
    this.#resources.set(typeUrl, held);
    for (const resource of resources) held.set(String(Reflect.get(resource, 'name')), message(typeUrl, resource));
    this.#server.setResources(typeUrl, new Map(held));
  }

  remove(typeUrl: string, name: string): void {
    this.#resources.get(typeUrl)?.delete(name);
    this.#server.setResources(typeUrl, new Map(this.#resources.get(typeUrl)));
  }
}

/** cert-manager's names. */
function pair({ chain, key }: Pick<IssuedLeaf, 'chain' | 'key'>) {
  return { 'tls.crt': chain, 'tls.key': key };
}

/** A proxy that terminates mTLS with SDS secrets and goes on to an endpoint over mTLS with a pair in files. */
async function start(t: TestContext) {
  const [server, client] = [issue(), issue()];
  const endpoint = new Endpoint(t, issue(), ca.rootPem);
  const controlPlane = new ControlPlane(t);
  const mount = new Mount(join(folderOf(t), 'mount'), pair(client));
  const file = (filename: string) => ({ filename });
  controlPlane.set(
    SECRET,
    certificateSecret('default', server),
    trustSecret('ROOTCA', ca.rootPem),
    trustSecret('UPSTREAM', ca.rootPem),
  );
  controlPlane.set(
    CLUSTER,
    tlsCluster('app', await endpoint.listen(), {
      tls_certificates: [{ certificate_chain: file(mount.at('tls.crt')), private_key: file(mount.at('tls.key')) }],
      validation_context_sds_secret_config: sds('UPSTREAM'),
    }),
  );
  const inbound = {
    tls_certificate_sds_secret_configs: [sds('default')],
    validation_context_sds_secret_config: sds('ROOTCA'),
  };
  controlPlane.set(LISTENER, httpsListener('in', inbound, 'app'));
  const proxy = await launched(t, adsBootstrap(await controlPlane.listen(), {}));
  const port = await proxy.port('in');
  /** New connections to the proxy are shown this certificate. */
  const shows = (leaf: IssuedLeaf): Promise<unknown> =>
    until('new connections see the new certificate', async () => {
      const answer = await once1(port, caller);
      assert.ok('status' in answer, JSON.stringify(answer));
      return answer.serial === leaf.serial.toLowerCase();
    });
  return { endpoint, controlPlane, proxy, mount, port, server, client, shows };
}

test('certificates rotate under load: no request fails and no connection is dropped', async (t) => {
  const { endpoint, controlPlane, proxy, mount, port, shows } = await start(t);
  const callers = Array.from({ length: 6 }, () => new KeptCaller(port, caller, '/'));
  for (const each of callers) each.run();
  for (let round = 0; round < 3; round++) {
    const [server, client] = [issue(), issue()];
    controlPlane.set(SECRET, certificateSecret('default', server));
    mount.swap(pair(client));
    await shows(server);
    await until('the files are in use', async () => (await serialsOf(proxy)).includes(client.serial.toLowerCase()));
    // as many at once as need connections that are not there yet
    const before = endpoint.callers.length;
    const extra = Array.from({ length: before + 1 }, () => once1(port, caller, '/slow'));
    await until('all of them wait at the endpoint', () => endpoint.held === extra.length);
    assert.ok(endpoint.callers.length > before);
    assert.deepEqual(new Set(endpoint.callers.slice(before)), new Set([client.serial.toLowerCase()]));
    endpoint.letGo();
    for (const answer of await Promise.all(extra)) assert.ok('status' in answer && answer.status === 200);
  }
  const answered = callers.map(({ answers }) => answers);
  await until('all callers go on', () => callers.every(({ answers }, i) => answers > (answered[i] ?? 0)));
  for (const each of callers) await each.stop();
  assert.deepEqual(
    callers.map(({ failures, connections }) => ({ failures, connections })),
    callers.map(() => ({ failures: [], connections: 1 })),
  );
  assert.equal(endpoint.closed, 0, 'connections to the endpoint stay');
  assert.equal(await proxy.stat('cluster.app.upstream_cx_destroy'), 0);
  assert.equal(await proxy.stat('sds.default.update_success'), 4);
});

test('an authority that comes ends nothing, and callers of one that goes end with an answer', async (t) => {
  const { controlPlane, port, proxy } = await start(t);
  const stranger = { leaf: issue(other), roots: ca.rootPem };
  const kept = new KeptCaller(port, caller, '/');
  assert.equal(await kept.ask(), 200);
  assert.ok('error' in (await once1(port, stranger)), 'not known yet');
  controlPlane.set(SECRET, trustSecret('ROOTCA', ca.rootPem, other.rootPem));
  await until('the new authority is known', async () => 'status' in (await once1(port, stranger)));
  assert.ok('status' in (await once1(port, caller)), 'and the old one as well');
  const strange = new KeptCaller(port, stranger, '/');
  assert.equal(await strange.ask(), 200);
  controlPlane.set(SECRET, trustSecret('ROOTCA', other.rootPem));
  await until('its caller is to end', async () => (await proxy.stat('listener.in.ssl.connection_distrusted')) === 1);
  assert.ok('error' in (await once1(port, caller)), 'the old authority is not known any more');
  assert.equal(await kept.ask(), 200, 'what was on its way is answered');
  assert.equal(kept.connections, 1);
  await assert.rejects(kept.ask(), 'and nothing after it');
  assert.equal(await strange.ask(), 200);
  assert.equal(strange.connections, 1);
  assert.equal(await proxy.stat('listener.in.ssl.connection_distrusted'), 1);
  for (const each of [kept, strange]) await each.stop();
});

test('endpoints of an authority that goes get no new request, and finish what they carry', async (t) => {
  const { endpoint, controlPlane, port, proxy } = await start(t);
  const kept = new KeptCaller(port, caller, '/');
  assert.equal(await kept.ask(), 200);
  const last = once1(port, caller, '/slow');
  await until('the slow request is at the endpoint', () => endpoint.held === 1);
  const updated = await proxy.stat('cluster.app.client_ssl_socket_factory.ssl_context_update_by_sds');
  assert.ok(updated !== undefined);
  controlPlane.set(SECRET, trustSecret('UPSTREAM', ca.rootPem, other.rootPem));
  await until(
    'the bundle is in use',
    async () => (await proxy.stat('cluster.app.client_ssl_socket_factory.ssl_context_update_by_sds')) === updated + 1,
  );
  assert.equal(await kept.ask(), 200);
  assert.equal(endpoint.callers.length, 2, 'over the connections that are there');

  controlPlane.set(SECRET, trustSecret('UPSTREAM', other.rootPem));
  await until('the idle connection is gone, with no request in between', () => endpoint.closed === 1);
  assert.equal(await kept.ask(), 503);
  assert.ok(((await proxy.stat('cluster.app.ssl.fail_verify_error')) ?? 0) > 0);
  endpoint.letGo();
  assert.deepEqual(await last.then((answer) => 'status' in answer && answer.status), 200);
  await until('the busy one is gone after it', () => endpoint.closed >= 2);
  assert.equal(await proxy.stat('cluster.app.ssl.connection_distrusted'), 2);
  assert.equal(await proxy.stat('cluster.app.ssl.connection_cut'), 0);
  // until it shows a certificate of the new one
  endpoint.showsFromNowOn(issue(other), ca.rootPem);
  assert.equal(await kept.ask(), 200);
  await kept.stop();
});

test('material that cannot serve changes nothing and is told', async (t) => {
  const { controlPlane, mount, port, proxy, server, client, shows } = await start(t);
  const kept = new KeptCaller(port, caller, '/');
  assert.equal(await kept.ask(), 200);
  const stray = issue();
  controlPlane.set(SECRET, certificateSecret('default', { chain: stray.chain, key: issue().key }));
  const nack = await until('the push is refused', () => controlPlane.answers.find(({ kind }) => kind === 'nack'));
  assert.match(JSON.stringify(nack), /private key does not belong to the certificate/);
  mount.swap(pair({ chain: stray.chain, key: 'not a key' }));
  await until('the files are refused', async () => (await proxy.stat('tls_files.key_rotation_failed')) === 1);
  assert.equal(await proxy.stat('sds.default.update_rejected'), 1);
  const output = proxy.stdout + proxy.stderr;
  assert.match(output, /TLS material cannot be used, the last good one stays: the private key does not parse/);
  const serials = await serialsOf(proxy);
  assert.deepEqual(new Set(serials), new Set([server, client].map(({ serial }) => serial.toLowerCase())));
  await shows(server);
  assert.equal(await kept.ask(), 200);
  for (const { key } of [server, client, stray]) assert.ok(!output.includes(key.slice(40, 80)));
  await kept.stop();
});

test('a listener that stays because its successor cannot serve keeps its secrets rotating', async (t) => {
  const { controlPlane, proxy, shows } = await start(t);
  const successor = httpsListener('in', { tls_certificate_sds_secret_configs: [sds('second')] }, 'app');
  controlPlane.set(SECRET, certificateSecret('second', issue()));
  const created = await proxy.stat('listener_manager.listener_create_success');
  controlPlane.set(LISTENER, { ...successor, address: address(await occupiedPort(t)) });
  await until('it is refused', () => controlPlane.answers.some(({ kind }) => kind === 'nack'));
  for (let round = 0; round < 2; round++) {
    const leaf = issue();
    controlPlane.set(SECRET, certificateSecret('default', leaf));
    await shows(leaf);
  }
  assert.equal(await proxy.stat('listener_manager.listener_create_success'), created);
  await until('what the successor needed is let go', async () => (await serialsOf(proxy)).length === 2);
});

test('a removed listener lets its secrets go, and gets them again when it comes back', async (t) => {
  const { controlPlane, proxy } = await start(t);
  const inbound = { tls_certificate_sds_secret_configs: [sds('second')] };
  const leaf = issue();
  const isShown = async (): Promise<boolean> => (await serialsOf(proxy)).includes(leaf.serial.toLowerCase());
  controlPlane.set(SECRET, certificateSecret('second', leaf));
  for (let round = 0; round < 2; round++) {
    controlPlane.set(LISTENER, httpsListener('second', inbound, 'app'));
    await until('the listener serves', async () => (await proxy.admin('/listeners')).body.includes('second::'));
    assert.ok(await isShown());
    const answer = await once1(await proxy.port('second'), { leaf: undefined, roots: ca.rootPem });
    assert.ok('serial' in answer && answer.serial === leaf.serial.toLowerCase(), JSON.stringify(answer));
    controlPlane.remove(LISTENER, 'second');
    await until('the certificate is not in use any more', async () => !(await isShown()));
    assert.equal((await proxy.admin('/stats?filter=^sds.second')).body, '');
  }
});

test('a listener waits for its secret as long as the source says, and takes it when it comes', async (t) => {
  const { controlPlane, proxy } = await start(t);
  const hasty = { ...FROM_ADS, initial_fetch_timeout: '0.3s' };
  controlPlane.set(
    LISTENER,
    httpsListener('patient', { tls_certificate_sds_secret_configs: [sds('late')] }, 'app'),
    httpsListener('hasty', { tls_certificate_sds_secret_configs: [sds('later', hasty)] }, 'app'),
  );
  await until('the hasty one listens', async () => (await proxy.admin('/listeners')).body.includes('hasty::'));
  assert.equal(await proxy.stat('sds.later.init_fetch_timeout'), 1);
  assert.equal(await proxy.stat('sds.late.init_fetch_timeout'), 0);
  const anonymous = { leaf: undefined, roots: ca.rootPem };
  assert.ok('error' in (await once1(await proxy.port('hasty'), anonymous)), 'there is nothing to shake hands with');
  assert.ok(!(await proxy.admin('/listeners')).body.includes('patient::'));
  controlPlane.set(SECRET, certificateSecret('late', issue()), certificateSecret('later', issue()));
  await until('the patient one listens', async () => (await proxy.admin('/listeners')).body.includes('patient::'));
  for (const listener of ['patient', 'hasty']) {
    const port = await proxy.port(listener);
    await until(`${listener} serves`, async () => 'status' in (await once1(port, anonymous)));
  }
});

test('secrets of the bootstrap and of a file serve, and the file rotates', async (t) => {
  const [fixed, first, second] = [issue(), issue(), issue()];
  const path = join(folderOf(t), 'sds.yaml');
  const write = (leaf: IssuedLeaf): void => {
    const resources = [{ '@type': SECRET, ...certificateSecret('default', leaf) }];
    writeFileSync(`${path}.new`, JSON.stringify({ resources }));
    renameSync(`${path}.new`, path);
  };
  write(first);
  const fromFile = { path_config_source: { path }, resource_api_version: 'V3' };
  const proxy = await launched(t, {
    static_resources: {
      // one name, two sources
      secrets: [certificateSecret('default', fixed)],
      clusters: [staticCluster('none', 1)],
      listeners: [
        httpsListener('fixed', { tls_certificate_sds_secret_configs: [{ name: 'default' }] }, 'none'),
        httpsListener('filed', { tls_certificate_sds_secret_configs: [sds('default', fromFile)] }, 'none'),
      ],
    },
  });
  const shown = async (listener: string): Promise<string | false> => {
    const answer = await once1(await proxy.port(listener), { leaf: undefined, roots: ca.rootPem });
    return 'serial' in answer && answer.serial;
  };
  assert.equal(await shown('fixed'), fixed.serial.toLowerCase());
  assert.equal(await shown('filed'), first.serial.toLowerCase());
  write(second);
  await until('the new one is shown', async () => (await shown('filed')) === second.serial.toLowerCase());
  assert.equal(await shown('fixed'), fixed.serial.toLowerCase());
});

test('an agent on a UNIX socket hands secrets out, is not needed to go on, and is asked soon after it is back', async (t) => {
  const [first, second, third] = [issue(), issue(), issue()];
  const path = join(folderOf(t), 'agent.sock');
  let streams = 0;
  const newAgent = (): AdsServer => new AdsServer({ onStreams: () => streams++ });
  let agent = newAgent();
  t.after(() => agent.kill());
  const hands = (leaf: IssuedLeaf): void =>
    agent.setResources(
      SECRET,
      new Map([
        ['default', message(SECRET, certificateSecret('default', leaf))],
        ['ROOTCA', message(SECRET, trustSecret('ROOTCA', ca.rootPem))],
      ]),
    );
  hands(first);
  await agent.listen(`unix:${path}`);
  const from = {
    api_config_source: {
      api_type: 'GRPC',
      transport_api_version: 'V3',
      grpc_services: [{ envoy_grpc: { cluster_name: 'sds-grpc' } }],
    },
    resource_api_version: 'V3',
    initial_fetch_timeout: '0s',
  };
  const common = {
    tls_certificate_sds_secret_configs: [sds('default', from)],
    validation_context_sds_secret_config: sds('ROOTCA', from),
  };
  const proxy = await launched(t, {
    node: { id: 'node', cluster: 'payment' },
    static_resources: {
      clusters: [pipeCluster('sds-grpc', path), staticCluster('none', 1)],
      listeners: [httpsListener('in', common, 'none')],
    },
  });
  const port = await proxy.port('in');
  const shown = async (): Promise<string> => {
    const answer = await once1(port, caller);
    assert.ok('serial' in answer, JSON.stringify(answer));
    return answer.serial;
  };
  assert.equal(await shown(), first.serial.toLowerCase());
  hands(second);
  await until('the new one is shown', async () => (await shown()) === second.serial.toLowerCase());
  agent.kill();
  // often enough for the pauses between tries to have grown
  await until('the agent is missed', async () => ((await proxy.stat('sds.default.update_failure')) ?? 0) > 5);
  assert.equal(await shown(), second.serial.toLowerCase());
  agent = newAgent();
  hands(third);
  streams = 0;
  const back = Date.now();
  await agent.listen(`unix:${path}`);
  await until('it is asked', () => streams > 0);
  const tookMs = Date.now() - back;
  assert.ok(tookMs < 1_500, `asked after ${tookMs} ms`);
  await until('what it has now is shown', async () => (await shown()) === third.serial.toLowerCase());
});
