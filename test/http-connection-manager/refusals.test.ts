/** Requests that are refused before a route is looked for, and what logs and counters say of them. As Envoy 1.40. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { ResponseFlag } from '../../proxy/http/stream-info.ts';
import { until } from '../upstream/support.ts';
import { Client, ends, get, managerConfig, opened, response, send, start } from './support.ts';

const { common, http1 } = managerConfig();

test('a head that does not end in time is answered and counted, and is no protocol error', async () => {
  const { proxy } = await start({ manager: { requestHeadersTimeoutMs: 30 } });
  const reply = await send(proxy.port, 'GET / HTTP/1.1\r\nhost: a\r\n');
  assert.deepEqual([reply.status, reply.body, reply.headers.connection], [408, 'request header timeout', 'close']);
  assert.deepEqual(ends(proxy), [['-', 'request_header_timeout']]);
  assert.equal(proxy.stat('http.in.downstream_rq_header_timeout'), 1);
  assert.equal(proxy.stat('http.in.downstream_rq_total'), 1);
  assert.equal(proxy.stat('http.in.downstream_cx_protocol_error'), 0);
});

test('a request without a host is logged with what was read of it', async () => {
  const { proxy } = await start();
  const reply = await send(proxy.port, 'GET /p HTTP/1.1\r\n\r\n');
  assert.deepEqual([reply.status, reply.body, reply.headers.connection], [400, '', 'close']);
  assert.deepEqual(ends(proxy), [['-', 'missing_host_header']]);
  assert.deepEqual([proxy.log[0]?.request.method, proxy.log[0]?.request.path], ['GET', '/p']);
  assert.equal(proxy.stat('http.in.downstream_cx_protocol_error'), 0);
  assert.equal(proxy.stat('http.in.downstream_rq_response_before_rq_complete'), 0);
});

test('a path with a fragment is refused as one that cannot be normalised', async () => {
  const { proxy, upstream } = await start();
  const reply = await send(proxy.port, get('/a#b'));
  assert.deepEqual([reply.status, reply.body, reply.headers.connection], [400, '', 'close']);
  assert.deepEqual(ends(proxy), [['-', 'path_normalization_failed']]);
  assert.equal(proxy.log[0]?.request.path, '/a#b');
  assert.equal(proxy.stat('http.in.downstream_rq_failed_path_normalization'), 1);
  assert.equal(upstream.requests.length, 0);
});

test('a target that is no path has no route, and its connection goes on', async () => {
  const { proxy } = await start({ manager: { http1: { ...http1, allowAbsoluteUrl: false } } });
  const client = new Client(proxy.port);
  opened.push(client);
  for (const target of ['OPTIONS *', 'GET http://b.test/p']) {
    client.write(`${target} HTTP/1.1\r\nhost: a\r\n\r\n`);
    assert.equal((await client.reply()).status, 404, target);
  }
  client.write(get('/'));
  assert.equal((await client.reply()).status, 200);
  assert.deepEqual(ends(proxy).slice(0, 2), [
    ['-', 'absolute_path_rejected'],
    ['-', 'absolute_path_rejected'],
  ]);
  assert.equal(proxy.stat('http.in.downstream_rq_non_relative_path'), 2);
});

test('a bad request ends its connection though it was read whole', async () => {
  const { proxy } = await start({ manager: { normalizePath: true } });
  const client = new Client(proxy.port);
  client.write(get('/%00'));
  const reply = await client.reply();
  assert.deepEqual([reply.status, reply.headers.connection], [400, 'close']);
  await until(() => client.ended, 'the connection ended');
  assert.equal(proxy.log[0]?.request.path, '/%00');
});

test('a normalised path is the one that is matched, sent and logged', async () => {
  const { proxy, upstream } = await start({ manager: { normalizePath: true, mergeSlashes: true } });
  await send(proxy.port, get('/a/..//b'));
  assert.match(upstream.requests[0] ?? '', /^GET \/b HTTP/);
  assert.deepEqual([proxy.log[0]?.request.path, proxy.log[0]?.originalPath], ['/b', '/b']);
});

test('an answer before the end of its request counts as one, and as a reset', async () => {
  const { proxy } = await start({ routes: undefined });
  const reply = await send(proxy.port, 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab');
  assert.deepEqual([reply.status, reply.headers.connection], [404, 'close']);
  assert.equal(proxy.stat('http.in.downstream_rq_response_before_rq_complete'), 1);
  assert.equal(proxy.stat('http.in.downstream_rq_rx_reset'), 1);
});

test('an answer of the upstream before the end of its request says close', async () => {
  const upstream = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write(response(200, 'early')));
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { proxy } = await start();
  opened.push(upstream);
  proxy.setCluster('c', [(upstream.address() as AddressInfo).port]);
  const reply = await send(proxy.port, 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab');
  assert.deepEqual([reply.status, reply.body, reply.headers.connection], [200, 'early', 'close']);
  assert.equal(reply.headers['x-envoy-upstream-service-time'], undefined);
});

test('an upgrade that is allowed is counted while it lasts', async () => {
  const upgrades = [{ type: 'websocket', enabled: true, filters: [] }];
  const { proxy } = await start({ manager: { upgrades } }, () => 'HTTP/1.1 101 x\r\nupgrade: websocket\r\n\r\n');
  const client = new Client(proxy.port);
  opened.push(client);
  client.write(get('/', 'connection: upgrade\r\nupgrade: websocket\r\n'));
  assert.equal((await client.reply()).status, 101);
  assert.equal(proxy.stat('http.in.downstream_cx_upgrades_active'), 1);
  client.close();
  await until(() => proxy.stat('http.in.downstream_cx_upgrades_active') === 0, 'the tunnel ended');
  assert.equal(proxy.stat('http.in.downstream_cx_upgrades_total'), 1);
});

test('a refused upgrade is one of the cluster that its route names', async () => {
  const { proxy } = await start();
  await send(proxy.port, get('/', 'connection: upgrade\r\nupgrade: websocket\r\n'));
  assert.equal(proxy.log[0]?.cluster, 'c');
});

test('the upstream tells the client nothing before its answer, unless it may', async () => {
  const answer = () => `HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${response(200)}`;
  const { proxy } = await start({}, answer);
  assert.equal((await send(proxy.port, get('/'))).status, 200);
  assert.equal(proxy.stat('cluster.c.upstream_rq_103'), 1);
  assert.equal(proxy.stat('http.in.downstream_rq_1xx'), 0);
  const open = await start({ manager: { proxy100Continue: true } }, answer);
  const client = new Client(open.proxy.port);
  opened.push(client);
  client.write(get('/'));
  assert.equal((await client.reply()).status, 103);
  assert.equal((await client.reply()).status, 200);
  assert.equal(open.proxy.stat('http.in.downstream_rq_1xx'), 1);
});

test('a gRPC call that lasts too long is told that its deadline is over', async () => {
  const { proxy } = await start({ manager: { common: { ...common, maxStreamDurationMs: 30 } } }, () => undefined);
  const reply = await send(proxy.port, get('/s/M', 'content-type: application/grpc\r\n'));
  assert.deepEqual([reply.status, reply.headers['grpc-status']], [200, '4']);
});

test('an old connection serves what was on its way, says close, and ends', async () => {
  const { proxy } = await start({
    manager: { common: { ...common, maxConnectionDurationMs: 30 }, drainTimeoutMs: 60_000 },
  });
  const client = new Client(proxy.port);
  client.write(get('/'));
  assert.equal((await client.reply()).headers.connection, undefined);
  await until(() => proxy.stat('http.in.downstream_cx_max_duration_reached') === 1, 'the connection grew old');
  client.write(get('/'));
  const reply = await client.reply();
  assert.deepEqual([reply.status, reply.headers.connection], [200, 'close']);
  await until(() => client.ended, 'the connection ended');
  assert.equal(proxy.stat('http.in.downstream_cx_drain_close'), 0);
});

test('a request that crosses the end of its connection is not served', async () => {
  const { proxy, upstream } = await start();
  const client = new Client(proxy.port);
  client.write(get('/'));
  assert.equal((await client.reply()).status, 200);
  client.write(get('/late'));
  proxy.connections[0]?.drain();
  await until(() => client.ended, 'the connection ended');
  assert.equal(upstream.requests.length, 1);
  assert.equal(proxy.stat('http.in.downstream_rq_total'), 1);
});

test('an idle connection that nobody uses ends after the time to drain', async () => {
  const { proxy } = await start({ manager: { common: { ...common, idleTimeoutMs: 30 }, drainTimeoutMs: 30 } });
  const client = new Client(proxy.port);
  client.write(get('/'));
  assert.equal((await client.reply()).status, 200);
  await until(() => client.ended, 'the connection ended');
  assert.equal(proxy.stat('http.in.downstream_cx_idle_timeout'), 1);
});

test('a connection whose certificates end serves its first request too, and says close', async () => {
  const { proxy } = await start({ manager: { drainTimeoutMs: 60_000 } });
  const client = new Client(proxy.port);
  opened.push(client);
  await until(() => proxy.connections.length === 1, 'it is open');
  proxy.connections[0]?.retire();
  client.write(get('/'));
  const reply = await client.reply();
  assert.deepEqual([reply.status, reply.headers.connection], [200, 'close']);
  await until(() => client.ended, 'the connection ended');
});

test('what is cut off with its certificates says so in its log', async () => {
  const { proxy, upstream } = await start({}, () => undefined);
  const client = new Client(proxy.port);
  opened.push(client);
  client.write(get('/'));
  await until(() => upstream.requests.length === 1, 'it is under way');
  proxy.connections[0]?.retire();
  proxy.connections[0]?.cut('connection_certificate_expired');
  await until(() => client.ended, 'the connection ended');
  const [info] = proxy.log;
  assert.deepEqual(
    [info?.flags, info?.responseCodeDetails],
    [ResponseFlag.DurationTimeout, 'connection_certificate_expired'],
  );
  assert.equal(proxy.stat('http.in.downstream_cx_destroy_local_active_rq'), 1);
});

test('HTTP/1.0 is told of no 100, and none is counted', async () => {
  const { proxy, upstream } = await start({ manager: { http1: { ...http1, acceptHttp10: true } } });
  const head = 'POST / HTTP/1.0\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n';
  const reply = await send(proxy.port, `${head}ab`);
  assert.equal(reply.status, 200);
  assert.equal(proxy.stat('http.in.downstream_rq_1xx'), 0);
  assert.doesNotMatch(upstream.requests[0] ?? '', /^expect:/im);
});
