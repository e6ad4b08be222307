/** Databases through two proxies with mTLS between them: real servers, real clients, nothing configured for the protocol. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { DevCa, type IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { missing, type Output, postgres, redis, run } from './real-servers.ts';
import { address, bootstrapOf, clusterTo, eventually, Tollway } from './tollway.ts';

const TYPE = 'type.googleapis.com/envoy.extensions';
const CLIENT = 'spiffe://td/ns/pay/sa/client';
const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const leaves = { server: 'spiffe://td/ns/pay/sa/server', client: CLIENT, stranger: 'spiffe://td/ns/other/sa/stranger' };

function tls(context: 'Downstream' | 'Upstream', { chain, key }: IssuedLeaf, more: object = {}): object {
  const common_tls_context = {
    tls_certificates: [{ certificate_chain: { inline_string: chain }, private_key: { inline_string: key } }],
    validation_context: { trusted_ca: { inline_string: ca.rootPem } },
  };
  const typed_config = {
    '@type': `${TYPE}.transport_sockets.tls.v3.${context}TlsContext`,
    common_tls_context,
    ...more,
  };
  return { name: 'envoy.transport_sockets.tls', typed_config };
}

const issue = (of: keyof typeof leaves): IssuedLeaf => ca.issue({ spiffeId: leaves[of] });
const filter = (name: string, type: string, config: object): object => ({
  name: `envoy.filters.network.${name}`,
  typed_config: { '@type': `${TYPE}.filters.network.${type}`, ...config },
});
const inspector = (name: string, message: string): object => ({
  name: `envoy.filters.listener.${name}`,
  typed_config: { '@type': `${TYPE}.filters.listener.${name}.v3.${message}` },
});

/** Toward the database: the other side has to be the client, as Istio's AuthorizationPolicy says it. */
function inbound(database: number): object {
  const rules = {
    action: 'ALLOW',
    policies: {
      'ns[pay]-policy[database]-rule[0]': {
        permissions: [{ any: true }],
        principals: [{ authenticated: { principal_name: { exact: CLIENT } } }],
      },
    },
  };
  const chain = {
    transport_socket: tls('Downstream', issue('server'), { require_client_certificate: true }),
    filters: [
      filter('rbac', 'rbac.v3.RBAC', { stat_prefix: 'tcp.', rules }),
      filter('tcp_proxy', 'tcp_proxy.v3.TcpProxy', { stat_prefix: 'inbound', cluster: 'database' }),
    ],
  };
  const listeners = [{ name: 'inbound', stat_prefix: 'inbound', address: address(0), filter_chains: [chain] }];
  return bootstrapOf(listeners, [clusterTo('database', database)]);
}

/** From the applications: one who may, and a stranger. What they speak is for the inspectors to find out. */
function outbound(port: number): object {
  const names = ['client', 'stranger'] as const;
  const listeners = names.map((name) => ({
    name,
    stat_prefix: name,
    address: address(0),
    listener_filters: [inspector('tls_inspector', 'TlsInspector'), inspector('http_inspector', 'HttpInspector')],
    filter_chains: [{ filters: [filter('tcp_proxy', 'tcp_proxy.v3.TcpProxy', { stat_prefix: name, cluster: name })] }],
  }));
  const clusters = names.map((name) => clusterTo(name, port, { transport_socket: tls('Upstream', issue(name)) }));
  return bootstrapOf(listeners, clusters);
}

interface Between {
  readonly server: Tollway;
  readonly client: number;
  readonly stranger: number;
}

async function sidecars(t: TestContext, database: number): Promise<Between> {
  const server = await new Tollway(t, inbound(database)).live();
  const caller = await new Tollway(t, outbound(await server.port('inbound'))).live();
  return { server, client: await caller.port('client'), stranger: await caller.port('stranger') };
}

async function allGone({ server }: Between): Promise<void> {
  await eventually('every connection is gone', async () =>
    (await server.stat('listener.inbound.downstream_cx_active')) === 0 ? true : undefined,
  );
}

function psql(port: number, sql: string): Promise<Output> {
  const where = `host=127.0.0.1 port=${port} user=pay dbname=postgres connect_timeout=10`;
  return run('psql', ['--no-psqlrc', '--quiet', '--tuples-only', '--no-align', '-v', 'ON_ERROR_STOP=1', where], sql);
}

test('PostgreSQL: payments come back as they were stored', {
  skip: missing('postgres', 'initdb', 'psql'),
}, async (t) => {
  const between = await sidecars(t, await postgres(t));
  const rows = 20_000;
  const stored = await psql(
    between.client,
    `create table payment (id int primary key, amount numeric not null, note text);
     begin; insert into payment select i, i * 1.01, repeat('x', 200) from generate_series(1, ${rows}) i; commit;
     copy payment to stdout;`,
  );
  assert.equal(stored.stderr, '');
  const lines = stored.stdout.trimEnd().split('\n');
  assert.equal(lines.length, rows);
  assert.equal(lines.at(-1), `${rows}\t${(rows * 1.01).toFixed(2)}\t${'x'.repeat(200)}`);
  const together = await Promise.all(
    Array.from({ length: 8 }, (_, i) => psql(between.client, `select sum(id) from payment where id % 8 = ${i};`)),
  );
  const sum = together.reduce((all, { stdout }) => all + Number(stdout), 0);
  assert.equal(sum, (rows * (rows + 1)) / 2);
  assert.equal(await between.server.stat('listener.inbound.ssl.handshake'), 9);
  assert.equal(await between.server.stat('tcp.rbac.allowed'), 9);
  await allGone(between);
});

test('PostgreSQL: a notification comes to a session that waits', {
  skip: missing('postgres', 'initdb', 'psql'),
}, async (t) => {
  const { client } = await sidecars(t, await postgres(t));
  const listening = psql(client, "listen settled; select pg_sleep(1); notify nothing; select 'heard';");
  const told = await psql(client, "select pg_sleep(0.3); notify settled, '4711';");
  assert.equal(told.stderr, '');
  const heard = await listening;
  assert.match(heard.stdout, /Asynchronous notification "settled" with payload "4711"/);
});

test('PostgreSQL: who is not the client does not come to the server', {
  skip: missing('postgres', 'initdb', 'psql'),
}, async (t) => {
  const between = await sidecars(t, await postgres(t));
  const refused = await psql(between.stranger, 'select 1;');
  assert.equal(refused.ok, false);
  assert.equal(refused.stdout, '');
  assert.equal(await between.server.stat('tcp.rbac.denied'), 1);
  assert.equal(await between.server.stat('cluster.database.upstream_cx_total'), 0);
  assert.equal((await psql(between.client, 'select 1;')).stdout, '1\n', 'and the next one is served');
  await allGone(between);
});

const cli = (port: number, args: readonly string[], input = ''): Promise<Output> =>
  run('redis-cli', ['-h', '127.0.0.1', '-p', String(port), ...args], input);

test('Redis: pipelines, large values and messages to subscribers', {
  skip: missing('redis-server', 'redis-cli'),
}, async (t) => {
  const between = await sidecars(t, await redis(t));
  const count = 20_000;
  const commands = Array.from({ length: count }, (_, i) => `SET payment:${i} ${i * 7}\r\n`).join('');
  const piped = await cli(between.client, ['--pipe'], commands);
  assert.match(piped.stdout, new RegExp(`errors: 0, replies: ${count}`));
  assert.equal((await cli(between.client, ['GET', `payment:${count - 1}`])).stdout, `${(count - 1) * 7}\n`);
  const large = 'p'.repeat(5 * 1024 * 1024);
  assert.equal((await cli(between.client, ['-x', 'SET', 'large'], large)).stdout, 'OK\n');
  assert.equal((await cli(between.client, ['GET', 'large'])).stdout, `${large}\n`);
  const blocked = cli(between.client, ['BLPOP', 'queue', '20']);
  await eventually('somebody waits for the queue', async () =>
    /blocked_clients:1/.test((await cli(between.client, ['INFO', 'clients'])).stdout) ? true : undefined,
  );
  assert.equal((await cli(between.client, ['RPUSH', 'queue', 'payment-4711'])).stdout, '1\n');
  assert.equal((await blocked).stdout, 'queue\npayment-4711\n');
  await allGone(between);
});

test('Redis: who is not the client does not come to the server', {
  skip: missing('redis-server', 'redis-cli'),
}, async (t) => {
  const between = await sidecars(t, await redis(t));
  const refused = await cli(between.stranger, ['PING']);
  assert.doesNotMatch(refused.stdout, /PONG/);
  assert.equal(await between.server.stat('cluster.database.upstream_cx_total'), 0);
  assert.equal((await cli(between.client, ['PING'])).stdout, 'PONG\n');
});
