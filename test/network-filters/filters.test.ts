import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, test } from 'node:test';
import type { ExtensionFilterFactory, Refusal } from '../../proxy/filters/network/contract.ts';
import { DIRECT_RESPONSE } from '../../proxy/filters/network/direct-response/direct-response.ts';
import { ECHO } from '../../proxy/filters/network/echo/echo.ts';
import { RBAC } from '../../proxy/filters/network/rbac/rbac.ts';
import { SNI_CLUSTER } from '../../proxy/filters/network/sni-cluster/sni-cluster.ts';
import { NETWORK_FILTERS } from '../../proxy/registry.ts';
import type { NetworkRbacConfig } from '../../xds-client/model/filters/network.ts';
import type { RbacRules } from '../../xds-client/model/rbac.ts';
import { connectionInfo, FakeWorkers } from './support.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A connection to the terminal filter. */
async function dial(factory: ExtensionFilterFactory, config: object): Promise<Socket> {
  const { context } = new FakeWorkers().worker();
  const instance = factory.buildTerminal?.(JSON.parse(JSON.stringify(config)), context);
  assert.ok(instance);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const connection = instance.accept(socket, connectionInfo());
    cleanups.push(() => connection.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  cleanups.push(() => {
    client.destroy();
    server.close();
  });
  return client;
}

async function read(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

test('every network filter is found by its type', () => {
  for (const [typeUrl, load] of NETWORK_FILTERS) {
    const factory = load();
    assert.equal(factory.typeUrl, typeUrl);
    assert.notEqual(factory.buildTerminal === undefined, factory.buildConnectionFilter === undefined, typeUrl);
  }
});

test('echo: more than any buffer holds comes back whole, and the end after it', async () => {
  const client = await dial(ECHO, {});
  const sent = Buffer.alloc(3 * 1024 * 1024, 'payment ');
  client.end(sent);
  assert.ok((await read(client)).equals(sent));
});

test('direct response: the answer, then the end, whatever the caller still says', async () => {
  const client = await dial(DIRECT_RESPONSE, { base64: Buffer.from('closed today').toString('base64') });
  client.on('error', () => undefined);
  client.write(Buffer.alloc(256 * 1024));
  assert.equal((await read(client)).toString(), 'closed today');
});

test('sni_cluster: the server name is the cluster, and without one the configuration says it', () => {
  const filter = SNI_CLUSTER.buildConnectionFilter?.({}, new FakeWorkers().worker().context);
  const callbacks = { continue: () => undefined, close: () => undefined };
  const named = connectionInfo({ requestedServerName: 'db.pay' });
  const nameless = connectionInfo();
  assert.equal(filter?.onNewConnection(named, callbacks), 'continue');
  assert.equal(filter?.onNewConnection(nameless, callbacks), 'continue');
  assert.equal(named.tcpCluster, 'db.pay');
  assert.equal(nameless.tcpCluster, undefined);
});

const ANY = [{ kind: 'any' }] as const;
const everybody = (action: RbacRules['action'], name = 'p'): RbacRules => ({
  action,
  policies: [{ name, permissions: ANY, principals: ANY }],
});

function guard(changes: Partial<NetworkRbacConfig>) {
  const workers = new FakeWorkers();
  const worker = workers.worker();
  const config: NetworkRbacConfig = { statPrefix: 'tcp.', shadowStatPrefix: '', delayDenyMs: 0, ...changes };
  const filter = RBAC.buildConnectionFilter?.(JSON.parse(JSON.stringify(config)), worker.context);
  assert.ok(filter);
  const refusals: Refusal[] = [];
  const knock = (info = connectionInfo()) =>
    filter.onNewConnection(info, { continue: () => assert.fail(), close: (why) => void refusals.push(why) });
  return { ...worker, workers, filter, refusals, knock };
}

test('rbac: lets in and counts', () => {
  const { knock, stats, refusals } = guard({ rules: everybody('allow') });
  assert.equal(knock(), 'continue');
  assert.deepEqual([stats.get('tcp.rbac.allowed'), stats.get('tcp.rbac.denied')], [1, 0]);
  assert.deepEqual(refusals, []);
});

test('rbac: refuses with the policy in the details, without white space', () => {
  const { knock, stats, refusals } = guard({ rules: everybody('deny', 'no one at all') });
  assert.equal(knock(), 'close');
  assert.deepEqual(refusals, [{ details: 'rbac_access_denied_matched_policy[no_one_at_all]' }]);
  assert.deepEqual([stats.get('tcp.rbac.allowed'), stats.get('tcp.rbac.denied')], [0, 1]);
});

test('rbac: what no policy allows is refused by none', () => {
  const { knock, refusals } = guard({ rules: { action: 'allow', policies: [] } });
  assert.equal(knock(), 'close');
  assert.deepEqual(refusals, [{ details: 'rbac_access_denied_matched_policy[none]' }]);
});

test('rbac: shadow rules count and decide nothing', () => {
  const { knock, stats } = guard({ shadowRules: everybody('deny'), shadowStatPrefix: 'trial_' });
  assert.equal(knock(), 'continue');
  assert.equal(stats.get('tcp.rbac.trial_shadow_denied'), 1);
  assert.equal(stats.get('tcp.rbac.allowed'), 0);
});

test('rbac: a refused connection is kept waiting, unless it leaves', () => {
  const { knock, filter, refusals, workers, wheel } = guard({ rules: everybody('deny'), delayDenyMs: 300 });
  const leaves = connectionInfo();
  assert.equal(knock(), 'wait');
  assert.equal(knock(leaves), 'wait');
  filter.onClose?.(leaves);
  workers.time += 299;
  wheel.advance();
  assert.equal(refusals.length, 0);
  workers.time += 30;
  wheel.advance();
  assert.equal(refusals.length, 1);
});
