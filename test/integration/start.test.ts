/** How a process starts, and how it does not. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import {
  answering,
  ask,
  bootstrapOf,
  clusterTo,
  eventually,
  folderOf,
  forwarding,
  httpListener,
  occupiedPort,
  Tollway,
} from './tollway.ts';

test('a static bootstrap serves', async (t) => {
  const proxy = await new Tollway(t, bootstrapOf([httpListener('in', 0, [answering('hello')])])).live();
  const reply = await ask({ port: await proxy.port('in') });
  assert.equal(reply.status, 200);
  assert.equal(reply.body, 'hello');
  assert.equal(await proxy.stat('server.live'), 1);
  assert.equal(await proxy.stat('listener_manager.listener_create_success'), 1);
});

const good = bootstrapOf([httpListener('in', 0, [forwarding('a')])], [clusterTo('a', 1)]);
const spoilt = (from: string, to: string): string => {
  const text = JSON.stringify(good, null, 1);
  assert.ok(text.includes(from), from);
  return text.replace(from, to);
};

for (const [what, bootstrap, message] of [
  [
    'an unknown field',
    spoilt('"connect_timeout"', '"connect_timeut"'),
    /bootstrap\.yaml:\d+:\d+: static_resources\.clusters\[0\]\.connect_timeut is not a field of envoy\.config\.cluster/,
  ],
  [
    'a wrong type',
    spoilt('"port_value": 1', '"port_value": "many"'),
    /bootstrap\.yaml:\d+:\d+: static_resources\.clusters\[0\]\.load_assignment.*port_value/,
  ],
  [
    'an unknown extension',
    spoilt('envoy.extensions.filters.http.router.v3.Router', 'acme.Router'),
    /bootstrap\.yaml:\d+:\d+: static_resources\.listeners\[0\].*http_filters\[0\].*acme\.Router/,
  ],
  [
    'a route to nowhere',
    spoilt('"cluster": "a"', '"cluster": "b"'),
    /bootstrap\.yaml:\d+:\d+: static_resources\.listeners\[0\].*routes\[0\]\.route.*unknown cluster 'b'/,
  ],
] as const) {
  test(`${what} is an error with path and line, and nothing listens`, async (t) => {
    const proxy = new Tollway(t, bootstrap);
    assert.equal((await proxy.ended).code, 1);
    assert.match(proxy.stderr, message);
    assert.equal(proxy.hasAdmin, false);
    const line = Number(/bootstrap\.yaml:(\d+)/.exec(proxy.stderr)?.[1]);
    const named = bootstrap.split('\n')[line - 1] ?? '';
    assert.match(named, /connect_timeut|many|acme\.Router|typed_config|"route": \{/, `line ${line} is ${named}`);
  });
}

test('a port in use is named, and the process ends', async (t) => {
  const port = await occupiedPort(t);
  const proxy = new Tollway(t, bootstrapOf([httpListener('in', port, [answering('x')])]));
  assert.equal((await proxy.ended).code, 1);
  assert.match(proxy.stderr, new RegExp(`listener \\\\"in\\\\".*127\\.0\\.0\\.1:${port}.*in use`));
});

test('an admin port in use is named, and the process ends', async (t) => {
  const port = await occupiedPort(t);
  const admin = { address: { socket_address: { address: '127.0.0.1', port_value: port } } };
  const proxy = new Tollway(t, { admin, static_resources: { listeners: [httpListener('in', 0, [answering('x')])] } });
  assert.equal((await proxy.ended).code, 1);
  assert.match(proxy.stderr, new RegExp(`admin interface cannot listen on 127\\.0\\.0\\.1:${port}`));
});

test('--mode validate says whether the bootstrap is good, and binds nothing', async (t) => {
  const port = await occupiedPort(t);
  const fine = new Tollway(t, bootstrapOf([httpListener('in', port, [answering('x')])]), ['--mode', 'validate']);
  assert.equal((await fine.ended).code, 0, fine.stderr);
  assert.match(fine.stdout, /configuration '.*bootstrap\.yaml' OK/);
  const bad = new Tollway(t, spoilt('"connect_timeout"', '"connect_timeut"'), ['--mode', 'validate']);
  assert.equal((await bad.ended).code, 1);
  assert.match(bad.stderr, /connect_timeut/);
});

test('without a configured access log a line of JSON a request goes to standard output', async (t) => {
  const proxy = await new Tollway(t, bootstrapOf([httpListener('in', 0, [answering('x')])])).live();
  await ask({ port: await proxy.port('in'), path: '/pay?card=4111111111111111' });
  const line = await eventually('a line is written', () =>
    proxy.stdout.split('\n').find((one) => one.includes('/pay')),
  );
  const entry = JSON.parse(line) as { readonly [key: string]: unknown };
  assert.equal(entry.response_code ?? entry.status, 200, line);
  assert.doesNotMatch(line, /4111111111111111/);
});

test('a port that the kernel chooses is one port for two workers', async (t) => {
  const bootstrap = bootstrapOf([httpListener('in', 0, [answering('x')])]);
  const proxy = await new Tollway(t, bootstrap, ['--concurrency', '2']).live();
  const port = await proxy.port('in');
  const open: Socket[] = [];
  for (let i = 0; i < 32; i++) open.push(connect(port, '127.0.0.1').on('error', () => undefined));
  t.after(() => {
    for (const socket of open) socket.destroy();
  });
  const accepted = (worker: number) => proxy.stat(`listener.127.0.0.1_0.worker_${worker}.downstream_cx_total`);
  await eventually('both workers have accepted', async () => {
    const [first = 0, second = 0] = [await accepted(0), await accepted(1)];
    return first > 0 && second > 0 && first + second === open.length ? true : undefined;
  });
  assert.equal(await proxy.stat('listener_manager.listener_create_success'), 2);
});

test('flags of Envoy that change nothing are named once in the log', async (t) => {
  const bootstrap = bootstrapOf([httpListener('in', 0, [answering('x')])]);
  const proxy = await new Tollway(t, bootstrap, ['--disable-hot-restart', '--base-id', '3']).live();
  const lines = await eventually('they are named', () => {
    const found = proxy.stderr.split('\n').filter((line) => line.includes('changes nothing'));
    return found.length === 0 ? undefined : found;
  });
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /--base-id.*--disable-hot-restart|--disable-hot-restart.*--base-id/);
});

/** Writes what the main thread loads, a line a module, to standard error. */
const LISTING = `
  import { registerHooks } from 'node:module';
  registerHooks({ load: (url, context, next) => (process.stderr.write(url + '\\n'), next(url, context)) });
`;

test('a static bootstrap is read without what it does not need', (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'bootstrap.yaml');
  const hook = join(folder, 'listing.mjs');
  writeFileSync(file, JSON.stringify(good));
  writeFileSync(hook, LISTING);
  const start = resolve(import.meta.dirname, '../../proxy/main.ts');
  const args = ['--import', hook, start, '-c', file, '--mode', 'validate'];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assert.match(stderr, /proxy\/app\.ts/);
  for (const costly of ['@grpc', 'protobufjs', 'opentelemetry', 'node-forge', 'pino', 'data-plane', 'undici']) {
    assert.doesNotMatch(stderr, new RegExp(costly), `${costly} is loaded`);
  }
});
