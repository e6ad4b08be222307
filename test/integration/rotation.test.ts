import assert from 'node:assert/strict';
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DevCa, type IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { AdsServer } from '../../deploy/local/control-plane/ads-server.ts';
import type { ClientAnswer } from '../../deploy/local/control-plane/ads-session.ts';
import { eventually, ProxyProcess } from './proxy-process.ts';
import { Endpoint, KeptCaller, once1 } from './tls-callers.ts';
import {
  adsBootstrap,
  CLUSTER,
  certificateSecret,
  FROM_ADS,
  httpsListener,
  LISTENER,
  message,
  SECRET,
  sds,
  staticCluster,
  tlsCluster,
  trustSecret,
} from './tls-config.ts';

const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const other = new DevCa({ now: Date.now, trustDomain: 'td' });
const issue = (by = ca): IssuedLeaf => by.issue({ spiffeId: 'spiffe://td/ns/pay/sa/payment', ttlMs: 600_000 });
const caller = { leaf: issue(), roots: ca.rootPem };

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

/** Kubernetes' way: the files are links into `..data`, itself a link that is swapped. */
class Mount {
  readonly #folder: string;
  #version = 0;

  constructor(folder: string, leaf: IssuedLeaf) {
    this.#folder = folder;
    mkdirSync(folder);
    this.swap(leaf);
    for (const name of ['tls.crt', 'tls.key']) symlinkSync(join('..data', name), join(folder, name));
  }

  swap(leaf: Pick<IssuedLeaf, 'chain' | 'key'>): void {
    this.#version++;
    const version = `..v${this.#version}`;
    mkdirSync(join(this.#folder, version));
    writeFileSync(join(this.#folder, version, 'tls.crt'), leaf.chain);
    writeFileSync(join(this.#folder, version, 'tls.key'), leaf.key);
    symlinkSync(version, join(this.#folder, '..data_tmp'));
    renameSync(join(this.#folder, '..data_tmp'), join(this.#folder, '..data'));
  }

  get certificate(): object {
    const at = (name: string) => ({ filename: join(this.#folder, name) });
    return { certificate_chain: at('tls.crt'), private_key: at('tls.key') };
  }
}

/** A proxy that terminates mTLS with SDS secrets and goes on to an endpoint over mTLS with a pair in files. */
async function start(t: TestContext) {
  const [server, client] = [issue(), issue()];
  const endpoint = new Endpoint(t, issue(), ca.rootPem);
  const controlPlane = new ControlPlane(t);
  const proxy = new ProxyProcess(t);
  const mount = new Mount(join(proxy.folder, 'mount'), client);
  controlPlane.set(
    SECRET,
    certificateSecret('default', server),
    trustSecret('ROOTCA', ca.rootPem),
    trustSecret('UPSTREAM', ca.rootPem),
  );
  controlPlane.set(
    CLUSTER,
    tlsCluster('app', await endpoint.listen(), {
      tls_certificates: [mount.certificate],
      validation_context_sds_secret_config: sds('UPSTREAM'),
    }),
  );
  const inbound = {
    tls_certificate_sds_secret_configs: [sds('default')],
    validation_context_sds_secret_config: sds('ROOTCA'),
  };
  controlPlane.set(LISTENER, httpsListener('in', inbound, 'app'));
  await proxy.start(adsBootstrap(await controlPlane.listen(), {}));
  const port = await proxy.port('in');
  /** New connections to the proxy are shown this certificate. */
  const shows = (leaf: IssuedLeaf): Promise<unknown> =>
    eventually('new connections see the new certificate', async () => {
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
    mount.swap(client);
    await shows(server);
    await eventually('the files are in use', async () =>
      (await proxy.certificates()).some(
        ({ cert_chain: [leaf] }) => leaf?.serial_number === client.serial.toLowerCase(),
      ),
    );
    // as many at once as need connections that are not there yet
    const before = endpoint.callers.length;
    const extra = Array.from({ length: before + 1 }, () => once1(port, caller, '/slow'));
    await eventually('all of them wait at the endpoint', () => endpoint.held === extra.length);
    assert.ok(endpoint.callers.length > before);
    assert.deepEqual(new Set(endpoint.callers.slice(before)), new Set([client.serial.toLowerCase()]));
    endpoint.letGo();
    for (const answer of await Promise.all(extra)) assert.ok('status' in answer && answer.status === 200);
  }
  const answered = callers.map(({ answers }) => answers);
  await eventually('all callers go on', () => callers.every(({ answers }, i) => answers > (answered[i] ?? 0)));
  for (const each of callers) await each.stop();
  assert.deepEqual(
    callers.map(({ failures, connections }) => ({ failures, connections })),
    callers.map(() => ({ failures: [], connections: 1 })),
  );
  assert.equal(endpoint.closed, 0, 'connections to the endpoint stay');
  assert.equal(await proxy.stat('cluster.app.upstream_cx_destroy'), 0);
  assert.equal(await proxy.stat('sds.default.update_success'), 4);
});

test('a changed bundle judges new callers, and those that are connected go on', async (t) => {
  const { controlPlane, port } = await start(t);
  const stranger = { leaf: issue(other), roots: ca.rootPem };
  const kept = new KeptCaller(port, caller, '/');
  assert.equal(await kept.ask(), 200);
  assert.ok('error' in (await once1(port, stranger)), 'not known yet');
  controlPlane.set(SECRET, trustSecret('ROOTCA', ca.rootPem, other.rootPem));
  await eventually('the new authority is known', async () => 'status' in (await once1(port, stranger)));
  assert.ok('status' in (await once1(port, caller)), 'and the old one as well');
  controlPlane.set(SECRET, trustSecret('ROOTCA', other.rootPem));
  await eventually('the old authority is not known any more', async () => 'error' in (await once1(port, caller)));
  assert.ok('status' in (await once1(port, stranger)));
  assert.equal(await kept.ask(), 200);
  assert.equal(kept.connections, 1);
  await kept.stop();
});

test('connections verified under an old bundle carry no new request, and finish what they carry', async (t) => {
  const { endpoint, controlPlane, port, proxy } = await start(t);
  const slow = once1(port, caller, '/slow');
  const kept = new KeptCaller(port, caller, '/');
  assert.equal(await kept.ask(), 200);
  await eventually('the slow request is at the endpoint', () => endpoint.held === 1);
  assert.equal(endpoint.callers.length, 2);
  controlPlane.set(SECRET, trustSecret('UPSTREAM', ca.rootPem, other.rootPem));
  await eventually('requests go over a new connection', async () => {
    assert.equal(await kept.ask(), 200);
    return endpoint.callers.length === 3;
  });
  endpoint.letGo();
  assert.deepEqual(await slow.then((answer) => 'status' in answer && answer.status), 200);
  await eventually('both connections of the old bundle are gone', () => endpoint.closed === 2);

  // the endpoint's authority is taken away: nothing is sent to it any more, and what is under way finishes
  const last = once1(port, caller, '/slow');
  await eventually('the last request is at the endpoint', () => endpoint.held === 1);
  controlPlane.set(SECRET, trustSecret('UPSTREAM', other.rootPem));
  await eventually('the endpoint is not trusted any more', async () => (await kept.ask()) === 503);
  await eventually('it is counted', async () => (await proxy.stat('cluster.app.ssl.fail_verify_error')) > 0);
  endpoint.letGo();
  assert.deepEqual(await last.then((answer) => 'status' in answer && answer.status), 200);
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
  const nack = await eventually('the push is refused', () => controlPlane.answers.find(({ kind }) => kind === 'nack'));
  assert.match(JSON.stringify(nack), /private key does not belong to the certificate/);
  mount.swap({ chain: stray.chain, key: 'not a key' });
  await eventually('the files are refused', async () => (await proxy.stat('tls_files.key_rotation_failed')) === 1);
  assert.equal(await proxy.stat('sds.default.update_rejected'), 1);
  assert.match(proxy.output, /TLS material cannot be used, the last good one stays: the private key does not parse/);
  const serials = (await proxy.certificates()).flatMap(({ cert_chain }) => cert_chain.map((one) => one.serial_number));
  assert.deepEqual(new Set(serials), new Set([server, client].map(({ serial }) => serial.toLowerCase())));
  await shows(server);
  assert.equal(await kept.ask(), 200);
  for (const { key } of [server, client, stray]) assert.ok(!proxy.output.includes(key.slice(40, 80)));
  await kept.stop();
});

test('a removed listener lets its secrets go, and gets them again when it comes back', async (t) => {
  const { controlPlane, proxy } = await start(t);
  const inbound = { tls_certificate_sds_secret_configs: [sds('second')] };
  const leaf = issue();
  const isShown = async (): Promise<boolean> =>
    (await proxy.certificates()).some(({ cert_chain: [own] }) => own?.serial_number === leaf.serial.toLowerCase());
  controlPlane.set(SECRET, certificateSecret('second', leaf));
  for (let round = 0; round < 2; round++) {
    controlPlane.set(LISTENER, httpsListener('second', inbound, 'app'));
    await eventually('the listener serves', async () => (await proxy.get('/listeners')).includes('second::'));
    assert.ok(await isShown());
    const answer = await once1(await proxy.port('second'), { leaf: undefined, roots: ca.rootPem });
    assert.ok('serial' in answer && answer.serial === leaf.serial.toLowerCase(), JSON.stringify(answer));
    controlPlane.remove(LISTENER, 'second');
    await eventually('the certificate is not in use any more', async () => !(await isShown()));
    assert.equal(await proxy.get('/stats?filter=^sds.second'), '');
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
  await eventually('the hasty one listens', async () => (await proxy.get('/listeners')).includes('hasty::'));
  assert.equal(await proxy.stat('sds.later.init_fetch_timeout'), 1);
  assert.equal(await proxy.stat('sds.late.init_fetch_timeout'), 0);
  const anonymous = { leaf: undefined, roots: ca.rootPem };
  assert.ok('error' in (await once1(await proxy.port('hasty'), anonymous)), 'there is nothing to shake hands with');
  assert.ok(!(await proxy.get('/listeners')).includes('patient::'));
  controlPlane.set(SECRET, certificateSecret('late', issue()), certificateSecret('later', issue()));
  await eventually('the patient one listens', async () => (await proxy.get('/listeners')).includes('patient::'));
  for (const listener of ['patient', 'hasty']) {
    const port = await proxy.port(listener);
    await eventually(`${listener} serves`, async () => 'status' in (await once1(port, anonymous)));
  }
});

test('secrets of the bootstrap and of a file serve, and the file rotates', async (t) => {
  const [fixed, first, second] = [issue(), issue(), issue()];
  const proxy = new ProxyProcess(t);
  const path = join(proxy.folder, 'sds.yaml');
  const write = (leaf: IssuedLeaf): void => {
    const resources = [{ '@type': SECRET, ...certificateSecret('default', leaf) }];
    writeFileSync(`${path}.new`, JSON.stringify({ resources }));
    renameSync(`${path}.new`, path);
  };
  write(first);
  const fromFile = { path_config_source: { path }, resource_api_version: 'V3' };
  await proxy.start({
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
  await eventually('the new one is shown', async () => (await shown('filed')) === second.serial.toLowerCase());
  assert.equal(await shown('fixed'), fixed.serial.toLowerCase());
});
