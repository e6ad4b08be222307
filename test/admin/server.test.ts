import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { after, test } from 'node:test';
import { daysUntilFirstExpiry } from '../../proxy/admin/pages/certs.ts';
import { AdminServer, type AdminServerOptions } from '../../proxy/admin/server.ts';
import type { AdminSources } from '../../proxy/admin/sources.ts';
import { dumped, NOTHING, sources } from './sources.ts';

const fixture = (name: string): string =>
  readFileSync(new URL(`../fixtures/envoy-admin/${name}`, import.meta.url), 'utf8');

const servers: AdminServer[] = [];
after(() => Promise.all(servers.map((server) => server.close())));

interface Reply {
  readonly status: number;
  readonly headers: { readonly [name: string]: string | string[] | undefined };
  readonly body: string;
}

type Ask = (
  path: string,
  options?: { method?: string; headers?: { [name: string]: string }; body?: string },
) => Promise<Reply>;

async function started(from: AdminSources, options: AdminServerOptions = {}): Promise<Ask> {
  const server = new AdminServer(from, options);
  servers.push(server);
  const address = await server.listen({ kind: 'socket', host: '127.0.0.1', port: 0 });
  assert.ok(address.kind === 'socket' && address.port > 0);
  const { port } = address;
  return (path, { method = 'GET', headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      });
      sent.on('error', reject);
      sent.end(body);
    });
}

test('tells readiness as Envoy does, and fails it on request', async () => {
  const ask = await started(sources());
  const ready = await ask('/ready');
  assert.deepEqual([ready.status, ready.body], [200, 'LIVE\n']);
  assert.equal(ready.headers['content-type'], 'text/plain; charset=UTF-8');
  assert.equal(ready.headers['cache-control'], 'no-cache, max-age=0');
  assert.equal(ready.headers['x-content-type-options'], 'nosniff');
  assert.deepEqual((await ask('/healthcheck/fail', { method: 'POST' })).body, 'OK\n');
  const failing = await ask('/ready');
  assert.deepEqual([failing.status, failing.body], [503, 'DRAINING\n']);
  await ask('/healthcheck/ok', { method: 'POST' });
  assert.equal((await ask('/ready')).status, 200);
});

test('wants POST for what changes something', async () => {
  const calls: string[] = [];
  const ask = await started(sources(calls));
  for (const path of [
    '/healthcheck/fail',
    '/drain_listeners',
    '/quitquitquit',
    '/reset_counters',
    '/logging',
    '/runtime_modify',
    '/reopen_logs',
  ]) {
    const reply = await ask(path);
    assert.deepEqual([reply.status, reply.body], [405, 'Method GET not allowed, POST required.'], path);
  }
  assert.deepEqual(calls, []);
});

test('names its commands for a path that it does not know', async () => {
  const ask = await started(sources());
  const reply = await ask('/nope');
  assert.equal(reply.status, 404);
  assert.match(reply.body, /^invalid path\. admin commands are:\n {2}\/: /);
  assert.match(reply.body, / {2}\/quitquitquit \(POST\): exit the server\n/);
  const help = await ask('/help');
  assert.ok(reply.body.endsWith(help.body));
  assert.match((await ask('/')).body, /<a href="server_info">/);
});

test('shows clusters as Envoy shows the same clusters', async () => {
  const ask = await started(sources());
  const text = await ask('/clusters');
  const sorted = (body: string): string[] => body.split('\n').sort();
  assert.deepEqual(sorted(text.body), sorted(fixture('clusters.txt')));
  const json = await ask('/clusters?format=json');
  assert.equal(json.headers['content-type'], 'application/json');
  assert.deepEqual(JSON.parse(json.body), JSON.parse(fixture('clusters.json')));
  const one = await ask('/clusters?format=json&filter=^tls');
  assert.equal(JSON.parse(one.body).cluster_statuses.length, 1);
});

test('shows listeners as Envoy shows the same listeners', async () => {
  const ask = await started(sources());
  assert.equal((await ask('/listeners')).body, 'main::127.0.0.1:28910\n');
  assert.equal((await ask('/listeners?format=json')).body, fixture('listeners.json'));
});

test('shows certificates as Envoy shows the same certificates', async () => {
  const pem = fixture('certificate.pem');
  const now = Date.parse('2026-11-21T12:12:48Z');
  const from = { ...sources(), certificates: () => [{ ca: { path: 'c.pem', pem }, chains: [{ path: 'c.pem', pem }] }] };
  const ask = await started(from, { now: () => now });
  assert.equal((await ask('/certs')).body, fixture('certs.json'));
  assert.equal(daysUntilFirstExpiry([pem, 'junk'], now), 29);
  assert.equal(daysUntilFirstExpiry(['junk'], now), undefined);
  const none = await started({
    ...sources(),
    certificates: () => [{ ca: undefined, chains: [{ path: 'x', pem: 'junk' }] }],
  });
  assert.deepEqual(JSON.parse((await none('/certs')).body), { certificates: [{ ca_cert: [], cert_chain: [] }] });
});

test('has every member of Envoy in server_info', async () => {
  const ask = await started(sources());
  const ours = JSON.parse((await ask('/server_info')).body);
  const theirs = JSON.parse(fixture('server-info.json'));
  assert.deepEqual(Object.keys(ours), Object.keys(theirs));
  const missing = Object.keys(theirs.command_line_options).filter((name) => !(name in ours.command_line_options));
  assert.deepEqual(missing, []);
  assert.equal(ours.uptime_current_epoch, '10s');
  assert.equal(ours.command_line_options.concurrency, 2);
});

test('dumps configuration in the shape of Envoy', async () => {
  const theirs = JSON.parse(fixture('config-dump.json'));
  const list = (type: string, field: string): { [key: string]: unknown }[] =>
    theirs.configs.find((config: { '@type': string }) => config['@type'].endsWith(`.${type}`))[field] ?? [];
  const from = (type: string, field: string, member: string) =>
    list(type, field).map((element) =>
      dumped(
        (element[member] as { name: string }).name,
        element.last_updated as string,
        element[member] as { name: string },
        {
          versionInfo: (element.version_info as string | undefined) ?? '',
        },
      ),
    );
  const ask = await started(
    sources([], {
      clusters: { ...NOTHING, static: from('ClustersConfigDump', 'static_clusters', 'cluster') },
      listeners: { ...NOTHING, static: from('ListenersConfigDump', 'static_listeners', 'listener') },
      routes: {
        versionInfo: '',
        static: from('RoutesConfigDump', 'static_route_configs', 'route_config'),
        dynamic: from('RoutesConfigDump', 'dynamic_route_configs', 'route_config'),
      },
    }),
  );
  assert.deepEqual(JSON.parse((await ask('/config_dump')).body), theirs);
  const named = JSON.parse((await ask('/config_dump?resource=static_clusters&name_regex=^app$')).body);
  assert.equal(named.configs.length, 1);
  assert.equal(named.configs[0]['@type'], 'type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster');
  const masked = JSON.parse((await ask('/config_dump?mask=bootstrap.node.id')).body);
  assert.deepEqual(masked, {
    configs: [
      { '@type': 'type.googleapis.com/envoy.admin.v3.BootstrapConfigDump', bootstrap: { node: { id: 'node-1' } } },
    ],
  });
  const elements = JSON.parse((await ask('/config_dump?resource=static_listeners&mask=listener.name')).body);
  assert.equal(elements.configs[0].listener.name, 'outbound');
  assert.equal(elements.configs[0].last_updated, undefined);
  const unknown = await ask('/config_dump?resource=nope');
  assert.deepEqual([unknown.status, unknown.body], [404, 'nope not found in config dump']);
  assert.equal((await ask('/config_dump?name_regex=%5B')).status, 400);
  assert.equal((await ask('/config_dump?resource=static_listeners&mask=nothing')).status, 400);
});

test('shows versions, states and refusals of dynamic resources', async () => {
  const at = '2026-11-21T12:00:00.000Z';
  const error = { details: 'routes: no such cluster', versionInfo: '9', lastUpdateAttempt: Date.parse(at) };
  const ask = await started(
    sources([], {
      clusters: {
        versionInfo: '7',
        static: [],
        dynamic: [
          dumped('a', at, { name: 'a' }, { versionInfo: '7' }),
          dumped('b', at, { name: 'b' }, { versionInfo: '7', state: 'warming' }),
        ],
      },
      listeners: {
        versionInfo: '8',
        static: [],
        dynamic: [
          dumped('l', at, { name: 'l' }, { versionInfo: '8', error }),
          dumped('l', at, { name: 'l' }, { versionInfo: '9', state: 'warming' }),
          dumped('refused', at, null, { resource: undefined, error }),
        ],
      },
    }),
  );
  const { configs } = JSON.parse((await ask('/config_dump')).body);
  assert.equal(configs[1].version_info, '7');
  assert.equal(configs[1].dynamic_active_clusters[0].cluster.name, 'a');
  assert.equal(configs[1].dynamic_warming_clusters[0].cluster.name, 'b');
  const [listener, refused] = configs[2].dynamic_listeners;
  assert.equal(listener.active_state.version_info, '8');
  assert.equal(listener.warming_state.version_info, '9');
  assert.equal(listener.error_state.details, 'routes: no such cluster');
  assert.deepEqual(Object.keys(refused), ['name', 'error_state']);
});

test('takes secrets out of every dump', async () => {
  const at = '2026-11-21T12:00:00.000Z';
  const secret = {
    name: 's',
    tls_certificate: {
      certificate_chain: { inline_string: 'PUBLIC' },
      private_key: { inline_bytes: 'S0VZ' },
      password: { inline_string: 'HUSH' },
    },
  };
  const ask = await started(
    sources([], {
      bootstrap: {
        resource: () => ({ initial_metadata: [{ key: 'authorization', value: 'Bearer TOKEN' }] }),
        lastUpdated: 0,
      },
      secrets: { ...NOTHING, dynamic: [dumped('s', at, secret)] },
    }),
  );
  const { body } = await ask('/config_dump');
  assert.match(body, /PUBLIC/);
  for (const hidden of ['S0VZ', 'HUSH', 'TOKEN']) assert.ok(!body.includes(hidden), hidden);
  const parsed = JSON.parse(body).configs.at(-1).dynamic_active_secrets[0];
  assert.equal(parsed.secret.tls_certificate.private_key.inline_bytes, 'W3JlZGFjdGVkXQ==');
  assert.equal(parsed.secret.tls_certificate.password.inline_string, '[redacted]');
});

test('serves statistics in the three formats, filtered', async () => {
  const from = sources();
  from.stats.counter('cluster.pay.upstream_rq_total').add(3);
  from.stats.gauge('server.live').set(1);
  from.stats.counter('never');
  const ask = await started(from);
  assert.equal((await ask('/stats')).body, 'cluster.pay.upstream_rq_total: 3\nnever: 0\nserver.live: 1\n');
  assert.equal((await ask('/stats?usedonly&filter=^cluster')).body, 'cluster.pay.upstream_rq_total: 3\n');
  assert.equal((await ask('/stats?filter=pay.up&invert_filter&type=Counters')).body, 'never: 0\n');
  assert.deepEqual(JSON.parse((await ask('/stats?format=json&filter=never')).body), {
    stats: [{ name: 'never', value: 0 }],
  });
  const metric =
    '# TYPE envoy_cluster_upstream_rq_total counter\nenvoy_cluster_upstream_rq_total{envoy_cluster_name="pay"} 3\n';
  assert.equal((await ask('/stats/prometheus?filter=pay')).body, metric);
  assert.equal((await ask('/stats?format=prometheus&filter=pay')).body, metric);
  assert.deepEqual(await ask('/stats?filter=%5Bbad').then(({ status, body }) => [status, body]), [
    400,
    'Invalid re2 regex: missing closing ]: `[bad`\n',
  ]);
  assert.equal((await ask('/stats?format=bogus')).status, 400);
  assert.equal((await ask('/stats?histogram_buckets=bogus')).status, 400);
  assert.equal((await ask('/stats?type=Bogus')).status, 400);
  await ask('/reset_counters', { method: 'POST' });
  assert.match((await ask('/stats')).body, /rq_total: 0/);
});

test('drains, reopens logs and changes the runtime as asked, also by form', async () => {
  const calls: string[] = [];
  const ask = await started(sources(calls));
  await ask('/drain_listeners?graceful&inboundonly', { method: 'POST' });
  await ask('/reopen_logs', { method: 'POST' });
  await ask('/runtime_modify', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'a.b=5',
  });
  assert.deepEqual(calls, [
    'drain {"graceful":true,"skipExit":false,"inboundOnly":true}',
    'reopen',
    'runtime [["a.b","5"]]',
  ]);
  assert.deepEqual(JSON.parse((await ask('/runtime')).body), {
    layers: ['s', 'admin'],
    entries: { 'a.b': { final_value: '3', layer_values: ['3', ''] } },
  });
});

test('quits once, after the answer', async () => {
  const calls: string[] = [];
  const ask = await started(sources(calls));
  assert.equal((await ask('/quitquitquit', { method: 'POST' })).body, 'OK\n');
  const end = performance.now() + 2000;
  while (calls.length === 0 && performance.now() < end) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(calls, ['quit']);
});

test('changes log levels, all or nothing', async () => {
  const ask = await started(sources());
  const post = (path: string): Promise<Reply> => ask(path, { method: 'POST' });
  assert.equal((await post('/logging')).body, 'active loggers:\n  http: info\n  router: info\n\n');
  assert.match((await post('/logging?http=debug')).body, /http: debug\n {2}router: info/);
  assert.match((await post('/logging?level=error')).body, /http: error\n {2}router: error/);
  const bad = await post('/logging?paths=http:debug,nope:info');
  assert.equal(bad.status, 400);
  assert.match(bad.body, /^error: unknown logger name\n/);
  assert.match(bad.body, /http: error/);
  assert.match((await post('/logging?level=loud')).body, /^error: unknown logger level\n/);
});

test('shows what is not supported', async () => {
  const ask = await started(sources());
  assert.deepEqual(JSON.parse((await ask('/unsupported')).body), {
    unsupported: [{ field: 'envoy.x.Y.z', count: 2, reason: 'not yet', where: ['listener main: z'] }],
  });
});

test('refuses web pages of other sites and names that point here, never tools', async () => {
  const calls: string[] = [];
  const ask = await started(sources(calls));
  const status = async (headers: { [name: string]: string }): Promise<number> =>
    (await ask('/quitquitquit', { method: 'POST', headers })).status;
  assert.equal(await status({ 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }), 403);
  assert.equal(await status({ origin: 'https://evil.example' }), 403);
  assert.equal(await status({ host: 'evil.example', 'sec-fetch-site': 'same-origin' }), 403);
  assert.equal(
    (await ask('/config_dump', { headers: { host: 'evil.example', 'sec-fetch-site': 'none' } })).status,
    403,
  );
  assert.deepEqual(calls, []);
  assert.equal((await ask('/ready', { headers: { host: 'payment.default.svc:15000' } })).status, 200);
  assert.equal((await ask('/ready', { headers: { host: 'localhost:15000', 'sec-fetch-site': 'none' } })).status, 200);
});

test('answers 500 for a page that throws and goes on', async () => {
  const told: string[] = [];
  const from = sources();
  const ask = await started(
    {
      ...from,
      listeners: () => {
        throw new Error('broken');
      },
    },
    { onError: (path, message) => told.push(`${path} ${message}`) },
  );
  assert.equal((await ask('/listeners')).status, 500);
  assert.deepEqual(told, ['/listeners broken']);
  assert.equal((await ask('/ready')).status, 200);
});

test('refuses a body beyond its bound', async () => {
  const ask = await started(sources());
  const reply = await ask('/reset_counters', { method: 'POST', body: 'x'.repeat(100_000) }).catch(() => undefined);
  assert.ok(reply === undefined || reply.status === 413);
  assert.equal((await ask('/ready')).status, 200);
});

test('says which address it could not bind', async () => {
  const first = new AdminServer(sources());
  servers.push(first);
  const address = await first.listen({ kind: 'socket', host: '127.0.0.1', port: 0 });
  await assert.rejects(
    new AdminServer(sources()).listen(address),
    /admin: cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/,
  );
});
