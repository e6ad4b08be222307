/** What the router answers by itself, in Envoy's words, and what it forwards. Bodies and details compared with Envoy 1.40. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagText } from '../../proxy/observe/access-log/flags.ts';
import { limited } from '../cluster/support.ts';
import {
  Client,
  deadPort,
  get,
  hostOf,
  opened,
  type ProxyOptions,
  post,
  response,
  send,
  startProxy,
  type TestProxy,
  toCluster,
  Upstream,
} from '../http-connection-manager/support.ts';
import { configuration, match, redirect, route, virtualHost } from '../route/build.ts';
import { until } from '../upstream/support.ts';

async function proxyTo(
  upstream: Upstream | undefined,
  changes: Parameters<typeof toCluster>[1] = {},
  manager: ProxyOptions['manager'] = {},
): Promise<TestProxy> {
  const proxy = await startProxy({ routes: hostOf(toCluster('c', changes)), manager });
  opened.push(proxy);
  if (upstream !== undefined) {
    opened.push(upstream);
    proxy.setCluster('c', [upstream.port]);
  }
  return proxy;
}

async function told(proxy: TestProxy) {
  await until(() => proxy.log.length > 0, 'the request was logged');
  const info = proxy.log[0];
  assert.ok(info !== undefined);
  return { flags: flagText(info.flags), details: info.responseCodeDetails, attempts: info.attemptCount, info };
}

test('a request goes to the upstream and its response comes back, with what the proxy adds', async () => {
  const upstream = await new Upstream(() => response(200, 'paid', 'x-app: 1\r\n')).listen();
  const proxy = await proxyTo(upstream);
  const reply = await send(proxy.port, get('/pay?amount=5', 'x-foo: bar\r\n'));
  assert.equal(reply.status, 200);
  assert.equal(reply.body, 'paid');
  assert.equal(reply.headers['x-app'], '1');
  assert.equal(reply.headers.server, 'tollway');
  assert.match(reply.headers['x-envoy-upstream-service-time'] ?? '', /^\d+$/);
  assert.match(reply.headers.date ?? '', /GMT$/);
  const [request] = upstream.requests;
  assert.match(request ?? '', /^GET \/pay\?amount=5 HTTP\/1.1\r\nhost: payment.test\r\n/);
  assert.match(request ?? '', /x-forwarded-proto: http\r\n/);
  assert.match(request ?? '', /x-envoy-expected-rq-timeout-ms: 15000\r\n/);
  assert.match(request ?? '', /x-request-id: 00000000-0000-4000-8000-000000000001\r\n/);
  const { flags, details } = await told(proxy);
  assert.deepEqual([flags, details], ['-', 'via_upstream']);
  assert.equal(proxy.stat('http.in.downstream_rq_2xx'), 1);
  assert.equal(proxy.stat('listener.127.0.0.1_0.http.in.downstream_rq_2xx'), 1);
  assert.equal(proxy.stat('cluster.c.upstream_rq_200'), 1);
  assert.equal(proxy.stat('cluster.c.external.upstream_rq_2xx'), 1);
  assert.equal(proxy.stat('cluster.c.upstream_rq_total'), 1);
  assert.equal(proxy.stat('http.in.downstream_rq_active'), 0);
});

test('a body goes through both ways, whatever its pieces', async () => {
  const upstream = await new Upstream((request) =>
    response(200, request.slice(request.indexOf('\r\n\r\n') + 4)),
  ).listen();
  const proxy = await proxyTo(upstream);
  const body = 'x'.repeat(200_000);
  const reply = await send(proxy.port, post('/echo', body));
  assert.equal(reply.body.length, body.length);
  assert.equal(reply.body, body);
});

test('no route is 404 NR', async () => {
  const proxy = await startProxy({ routes: configuration([virtualHost('v', ['other.test'], [])]) });
  opened.push(proxy);
  const reply = await send(proxy.port, get('/'));
  assert.deepEqual([reply.status, reply.body], [404, '']);
  const { flags, details } = await told(proxy);
  assert.deepEqual([flags, details], ['NR', 'route_not_found']);
  assert.equal(proxy.stat('http.in.no_route'), 1);
});

test('a cluster that is not there is 503 NC, or the status that the route wants', async () => {
  const proxy = await proxyTo(undefined);
  assert.equal((await send(proxy.port, get('/'))).status, 503);
  const { flags, details } = await told(proxy);
  assert.deepEqual([flags, details], ['NC', 'cluster_not_found']);
  proxy.setRoutes(hostOf(toCluster('c', { clusterNotFoundStatus: 404 })));
  assert.equal((await send(proxy.port, get('/'))).status, 404);
});

test('a cluster without endpoints is 503 UH', async () => {
  const proxy = await proxyTo(undefined);
  proxy.setCluster('c', []);
  const reply = await send(proxy.port, get('/'));
  assert.deepEqual([reply.status, reply.body], [503, 'no healthy upstream']);
  const { flags, details } = await told(proxy);
  assert.deepEqual([flags, details], ['UH', 'no_healthy_upstream']);
  assert.equal(proxy.stat('cluster.c.upstream_rq_503'), 1);
});

test('an endpoint that refuses connections is 503 UF', async () => {
  const proxy = await proxyTo(undefined);
  proxy.setCluster('c', [await deadPort()]);
  const reply = await send(proxy.port, get('/'));
  assert.equal(reply.status, 503);
  assert.equal(
    reply.body,
    'upstream connect error or disconnect/reset before headers. reset reason: remote connection failure',
  );
  const { flags, details, info } = await told(proxy);
  assert.equal(flags, 'UF');
  assert.equal(
    details,
    'upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}',
  );
  assert.equal(info.attempts?.[0]?.class, 'not-sent');
  assert.equal(info.maybeProcessed, false);
});

test('an upstream that ends the connection is 503 UC', async () => {
  const upstream = await new Upstream((_request, socket) => {
    socket.destroy();
    return undefined;
  }).listen();
  const proxy = await proxyTo(upstream);
  const reply = await send(proxy.port, get('/'));
  assert.equal(reply.status, 503);
  assert.match(reply.body, /reset reason: connection termination$/);
  const { flags, info } = await told(proxy);
  assert.equal(flags, 'UC');
  assert.equal(info.attempts?.[0]?.class, 'unknown');
});

test('a full cluster is 503 UO and says that it is overloaded', async () => {
  const proxy = await startProxy({ routes: hostOf(toCluster('c')) });
  opened.push(proxy);
  proxy.setCluster('c', [await deadPort()], { thresholds: limited({ maxPendingRequests: 0, maxRequests: 0 }) });
  const reply = await send(proxy.port, get('/'));
  assert.equal(reply.status, 503);
  assert.equal(reply.headers['x-envoy-overloaded'], 'true');
  assert.match(reply.body, /reset reason: overflow$/);
  const { flags, details } = await told(proxy);
  assert.deepEqual([flags, details], ['UO', 'upstream_reset_before_response_started{overflow}']);
});

test('an upstream that takes too long is 504 UT', async () => {
  const upstream = await new Upstream(() => undefined).listen();
  const proxy = await proxyTo(upstream, { timeoutMs: 30 });
  const reply = await send(proxy.port, get('/'));
  assert.deepEqual([reply.status, reply.body], [504, 'upstream request timeout']);
  const { flags, details } = await told(proxy);
  assert.deepEqual([flags, details], ['UT', 'response_timeout']);
  assert.equal(proxy.stat('cluster.c.upstream_rq_timeout'), 1);
});

test('an internal caller may ask for 204 when the upstream takes too long', async () => {
  const upstream = await new Upstream(() => undefined).listen();
  const proxy = await proxyTo(
    upstream,
    { timeoutMs: 30 },
    {
      useRemoteAddress: true,
      internalAddressRanges: [{ address: '127.0.0.0', prefixLength: 8 }],
    },
  );
  const client = new Client(proxy.port);
  opened.push(client);
  client.write(get('/', 'x-envoy-upstream-rq-timeout-alt-response: 1\r\n'));
  await until(() => client.text.includes('\r\n\r\n'), 'an answer came');
  assert.match(client.text, /^HTTP\/1.1 204 /);
  assert.doesNotMatch(upstream.requests[0] ?? '', /alt-response/);
  assert.equal(proxy.stat('cluster.c.upstream_rq_204'), 1);
});

test('an upstream that breaks the protocol is 502', async () => {
  const upstream = await new Upstream(() => 'HELLO\r\n\r\n').listen();
  const proxy = await proxyTo(upstream);
  const reply = await send(proxy.port, get('/'));
  assert.equal(reply.status, 502);
  assert.equal((await told(proxy)).flags, 'UPE');
});

test('an upstream that ends in the middle of its response ends the downstream connection', async () => {
  const upstream = await new Upstream((_request, socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc', () => socket.destroy());
    return undefined;
  }).listen();
  const proxy = await proxyTo(upstream);
  const reply = await send(proxy.port, get('/'));
  assert.equal(reply.closed, true);
  assert.equal(reply.body, 'abc');
  const { flags, details } = await told(proxy);
  assert.deepEqual([flags, details], ['UPE', 'upstream_reset_after_response_started{protocol_error}']);
});

test('a redirect and a direct response are answered here', async () => {
  const proxy = await startProxy({
    routes: hostOf(
      route('r', match('/old'), { action: redirect({ httpsRedirect: true, path: '/new' }) }),
      route('d', match('/'), {
        action: { kind: 'direct-response', status: 418, bodyBase64: Buffer.from('hello').toString('base64') },
      }),
    ),
  });
  opened.push(proxy);
  const moved = await send(proxy.port, get('/old'));
  assert.deepEqual([moved.status, moved.headers.location], [301, 'https://payment.test/new']);
  const direct = await send(proxy.port, get('/x'));
  assert.deepEqual([direct.status, direct.body, direct.headers['content-type']], [418, 'hello', 'text/plain']);
  assert.equal((await told(proxy)).details, 'direct_response');
});

test('path and host are rewritten and the originals kept', async () => {
  const upstream = await new Upstream(() => response(200)).listen();
  const proxy = await proxyTo(upstream, { prefixRewrite: '/v2/', hostRewrite: { kind: 'literal', value: 'new.test' } });
  await send(proxy.port, get('/a?b=1'));
  const [request] = upstream.requests;
  assert.match(request ?? '', /^GET \/v2\/a\?b=1 HTTP\/1.1\r\nhost: new.test\r\n/);
  assert.match(request ?? '', /x-envoy-original-path: \/a\?b=1\r\n/);
  assert.match(request ?? '', /x-envoy-original-host: payment.test\r\n/);
});

test('auto host rewrite takes the name of the endpoint', async () => {
  const upstream = await new Upstream(() => response(200)).listen();
  const proxy = await proxyTo(upstream, { hostRewrite: { kind: 'auto' } });
  await send(proxy.port, get('/'));
  assert.match(upstream.requests[0] ?? '', /\r\nhost: settlement.test\r\n/);
});

test('a response that comes before the request is whole goes through, and the connections end', async () => {
  const upstream = await new Upstream(() => undefined).listen();
  const proxy = await proxyTo(upstream);
  const { Client } = await import('../http-connection-manager/support.ts');
  const client = new Client(proxy.port);
  opened.push(client);
  client.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc');
  await until(() => upstream.sockets.size === 1, 'the upstream is connected');
  const [socket] = upstream.sockets;
  socket?.write(response(403, 'no'));
  const reply = await client.reply();
  assert.deepEqual([reply.status, reply.body], [403, 'no']);
  await until(() => client.ended && upstream.sockets.size === 0, 'both connections are closed');
  assert.equal(proxy.stat('http.in.downstream_rq_response_before_rq_complete'), 1);
});

test('the downstream that goes away takes the upstream request with it', async () => {
  const upstream = await new Upstream(() => undefined).listen();
  const proxy = await proxyTo(upstream);
  const { Client } = await import('../http-connection-manager/support.ts');
  const client = new Client(proxy.port);
  client.write(get('/'));
  await until(() => upstream.requests.length === 1, 'the request arrived');
  client.close();
  await until(() => upstream.sockets.size === 0, 'the upstream connection is closed');
  const { flags, details } = await told(proxy);
  assert.deepEqual([flags, details], ['DC', 'downstream_remote_disconnect']);
  assert.equal(proxy.stat('http.in.downstream_rq_rx_reset'), 1);
});

test('routes change under a connection without a new one', async () => {
  const first = await new Upstream(() => response(200, 'one')).listen();
  const second = await new Upstream(() => response(200, 'two')).listen();
  opened.push(second);
  const proxy = await proxyTo(first);
  proxy.setCluster('d', [second.port]);
  const { Client } = await import('../http-connection-manager/support.ts');
  const client = new Client(proxy.port);
  opened.push(client);
  client.write(get('/'));
  assert.equal((await client.reply()).body, 'one');
  proxy.setRoutes(hostOf(toCluster('d')));
  client.write(get('/'));
  assert.equal((await client.reply()).body, 'two');
  assert.equal(proxy.connections.length, 1);
});
