/** What is sent again and what is not: counted at the upstream. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUFFER } from '../../proxy/filters/http/buffer/buffer.ts';
import { flagText } from '../../proxy/observe/access-log/flags.ts';
import type { RetryPolicy, RouteAction } from '../../xds-client/model/route.ts';
import { limited } from '../cluster/support.ts';
import {
  deadPort,
  get,
  hostOf,
  managerConfig,
  opened,
  post,
  response,
  retryPolicy,
  send,
  start,
  startProxy,
  type TestProxy,
  toCluster,
  Upstream,
} from '../http-connection-manager/support.ts';
import { until } from '../upstream/support.ts';

const KEY_ALLOWED = { metadata: { 'tollway.retry': { idempotency_key: true } } };

async function startRetrying(
  answer: ConstructorParameters<typeof Upstream>[0],
  retry: RetryPolicy,
  parts: Parameters<typeof toCluster>[2] = {},
  changes: Partial<RouteAction> = {},
): Promise<{ proxy: TestProxy; upstream: Upstream }> {
  return start({ routes: hostOf(toCluster('c', { retry, ...changes }, parts)) }, answer);
}

/** Fails the first `failures` requests and answers the rest. */
function failing(failures: number, status = 503) {
  return (_request: string, _socket: unknown, count: number) =>
    count <= failures ? response(status, 'failed') : response(200);
}

test('a GET that got a 503 is tried again', async () => {
  const { proxy, upstream } = await startRetrying(failing(1), retryPolicy(['5xx']));
  const reply = await send(proxy.port, get('/'));
  assert.equal(reply.status, 200);
  assert.equal(upstream.requests.length, 2);
  assert.equal(proxy.stat('cluster.c.upstream_rq_retry'), 1);
  assert.equal(proxy.stat('cluster.c.upstream_rq_retry_success'), 1);
  assert.equal(proxy.stat('cluster.c.retry.upstream_rq_503'), 1);
  assert.equal(proxy.stat('cluster.c.upstream_rq_200'), 1);
  const [info] = proxy.log;
  assert.equal(info?.attemptCount, 2);
  assert.equal(info?.attempts?.[0]?.decision, 'retried on 5xx: GET is idempotent');
});

test('a POST that the application answered with 503 is not sent twice', async () => {
  const { proxy, upstream } = await startRetrying(failing(1), retryPolicy(['5xx', 'gateway-error', 'reset']));
  const reply = await send(proxy.port, post('/pay', 'amount=5'));
  assert.deepEqual([reply.status, reply.body], [503, 'failed']);
  assert.equal(upstream.requests.length, 1);
  assert.match(proxy.log[0]?.attempts?.[0]?.decision ?? '', /^not retried: the application answered/);
});

test('a POST whose connection ended without an answer is not sent twice', async () => {
  const { proxy, upstream } = await startRetrying(
    (_request, socket) => {
      socket.destroy();
      return undefined;
    },
    retryPolicy(['5xx', 'reset', 'connect-failure']),
  );
  const reply = await send(proxy.port, post('/pay', 'amount=5'));
  assert.equal(reply.status, 503);
  assert.equal(upstream.requests.length, 1);
  const attempt = proxy.log[0]?.attempts?.[0];
  assert.equal(attempt?.class, 'unknown');
  assert.match(attempt?.decision ?? '', /POST is not idempotent/);
});

test('a POST with an idempotency key is sent again where the route allows it, with the same body', async () => {
  const { proxy, upstream } = await startRetrying(failing(1), retryPolicy(['5xx']), KEY_ALLOWED);
  const reply = await send(proxy.port, post('/pay', 'amount=5', 'idempotency-key: "k1"\r\n'));
  assert.equal(reply.status, 200);
  assert.equal(upstream.requests.length, 2);
  for (const request of upstream.requests) assert.match(request, /\r\n\r\namount=5$/);
});

test('a POST with an idempotency key is not sent again where the route does not allow it', async () => {
  const { proxy, upstream } = await startRetrying(failing(1), retryPolicy(['5xx']));
  await send(proxy.port, post('/pay', 'amount=5', 'idempotency-key: "k1"\r\n'));
  assert.equal(upstream.requests.length, 1);
});

test('a POST that no byte was sent of is tried at another endpoint', async () => {
  const { proxy, upstream } = await startRetrying(failing(0), retryPolicy(['connect-failure'], { numRetries: 3 }));
  proxy.setCluster('c', [await deadPort(), upstream.port]);
  for (let i = 0; i < 4; i++) {
    const reply = await send(proxy.port, post('/pay', 'amount=5'));
    assert.equal(reply.status, 200);
  }
  assert.equal(upstream.requests.length, 4);
  const refused = proxy.log.flatMap((info) => info.attempts ?? []);
  assert.ok(refused.length > 0);
  for (const attempt of refused) assert.equal(attempt.outcome === '200' || attempt.class === 'not-sent', true);
});

test('a body that outgrew the replay buffer goes out once, whole', async () => {
  const { proxy, upstream } = await startRetrying(failing(1), retryPolicy(['5xx']), {
    ...KEY_ALLOWED,
    perRequestBufferLimitBytes: 10,
  });
  const body = 'x'.repeat(5000);
  const reply = await send(proxy.port, post('/pay', body, 'idempotency-key: k\r\n'));
  assert.equal(reply.status, 503);
  assert.equal(upstream.requests.length, 1);
  assert.equal(upstream.requests[0]?.endsWith(`\r\n\r\n${body}`), true);
  assert.equal(proxy.stat('cluster.c.retry_or_shadow_abandoned'), 1);
});

test('a body that a filter holds is kept for its retry, however large the listener’s limit', async () => {
  const extension = { name: BUFFER.name, typeUrl: BUFFER.typeUrl, config: { maxRequestBytes: 3_000_000 } };
  const upstream = await new Upstream(failing(1)).listen();
  const proxy = await startProxy({
    routes: hostOf(toCluster('c', { retry: retryPolicy(['5xx']) }, KEY_ALLOWED)),
    filters: [BUFFER],
    manager: { httpFilters: [{ name: BUFFER.name, disabled: false, extension }, ...managerConfig().httpFilters] },
  });
  opened.push(upstream, proxy);
  proxy.setCluster('c', [upstream.port]);
  const body = 'x'.repeat(2_000_000);
  const reply = await send(proxy.port, post('/pay', body, 'idempotency-key: k\r\n'));
  assert.equal(reply.status, 200);
  assert.equal(upstream.requests.length, 2);
  assert.equal(upstream.requests[1]?.endsWith(`\r\n\r\n${body}`), true);
});

test('after the last retry the answer goes through, marked URX', async () => {
  const { proxy, upstream } = await startRetrying(failing(9), retryPolicy(['5xx'], { numRetries: 2 }));
  const reply = await send(proxy.port, get('/'));
  assert.equal(reply.status, 503);
  assert.equal(upstream.requests.length, 3);
  assert.equal(flagText(proxy.log[0]?.flags ?? 0), 'URX');
  assert.equal(proxy.stat('cluster.c.upstream_rq_retry_limit_exceeded'), 1);
});

test('a cluster without retries to give gives none, and takes back what it gave', async () => {
  const { proxy, upstream } = await startRetrying(failing(1), retryPolicy(['5xx']));
  proxy.setCluster('c', [upstream.port], { thresholds: limited({ maxRetries: 0 }) });
  assert.equal((await send(proxy.port, get('/'))).status, 503);
  assert.equal(flagText(proxy.log[0]?.flags ?? 0), 'UO');
  assert.equal(proxy.stat('cluster.c.upstream_rq_retry_overflow'), 1);
  proxy.setCluster('c', [upstream.port], { thresholds: limited({ maxRetries: 1 }) });
  const again = await startRetrying(failing(1), retryPolicy(['5xx']));
  again.proxy.setCluster('c', [again.upstream.port], { thresholds: limited({ maxRetries: 1 }) });
  for (let i = 0; i < 3; i++) assert.equal((await send(again.proxy.port, get('/'))).status, 200);
});

test('a per-try timeout tries again, and its end is 504 with its own details', async () => {
  const { proxy, upstream } = await startRetrying(() => undefined, retryPolicy(['5xx'], { perTryTimeoutMs: 20 }));
  const reply = await send(proxy.port, get('/'));
  assert.deepEqual([reply.status, reply.body], [504, 'upstream request timeout']);
  assert.equal(upstream.requests.length, 2);
  const [info] = proxy.log;
  assert.equal(flagText(info?.flags ?? 0), 'URX,UT');
  assert.equal(info?.responseCodeDetails, 'upstream_per_try_timeout');
  assert.equal(proxy.stat('cluster.c.upstream_rq_per_try_timeout'), 2);
});

test('a per-try timeout of a POST is an unknown outcome: no second one', async () => {
  const { proxy, upstream } = await startRetrying(
    () => undefined,
    retryPolicy(['5xx', 'reset'], { perTryTimeoutMs: 20 }),
  );
  assert.equal((await send(proxy.port, post('/pay', 'amount=5'))).status, 504);
  assert.equal(upstream.requests.length, 1);
});

test('nothing is tried again once the response has begun', async () => {
  const { proxy, upstream } = await startRetrying(
    (_request, socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc', () => socket.destroy());
      return undefined;
    },
    retryPolicy(['5xx', 'reset']),
  );
  const reply = await send(proxy.port, get('/'));
  assert.equal(reply.closed, true);
  assert.equal(upstream.requests.length, 1);
});

test('the attempt count goes to the upstream and to the downstream where the virtual host asks', async () => {
  const { proxy, upstream } = await startRetrying(failing(1), retryPolicy(['5xx']));
  const config = hostOf(toCluster('c', { retry: retryPolicy(['5xx']) }));
  const [host] = config.virtualHosts;
  assert.ok(host !== undefined);
  proxy.setRoutes({
    ...config,
    virtualHosts: [{ ...host, includeRequestAttemptCount: true, includeAttemptCountInResponse: true }],
  });
  const reply = await send(proxy.port, get('/'));
  assert.equal(reply.headers['x-envoy-attempt-count'], '2');
  assert.match(upstream.requests[0] ?? '', /x-envoy-attempt-count: 1\r\n/);
  assert.match(upstream.requests[1] ?? '', /x-envoy-attempt-count: 2\r\n/);
});

test('a downstream that leaves during the wait ends the request', async () => {
  const { proxy, upstream } = await startRetrying(
    failing(9),
    retryPolicy(['5xx'], { backoff: { baseMs: 60_000, maxMs: 60_000 }, numRetries: 5 }),
  );
  const { Client } = await import('../http-connection-manager/support.ts');
  const client = new Client(proxy.port);
  client.write(get('/'));
  await until(() => proxy.stat('cluster.c.upstream_rq_retry') === 1, 'the retry is planned');
  client.close();
  await until(() => proxy.log.length === 1, 'the request ended');
  assert.equal(upstream.requests.length, 1);
  assert.equal(proxy.stat('http.in.downstream_rq_active'), 0);
});

test("a stream that outlives its cluster's limit is ended, and tried again only where that does no harm", async () => {
  const { proxy, upstream } = await start(
    { routes: hostOf(toCluster('c', { retry: retryPolicy(['reset']) })) },
    (request) => (request.startsWith('GET /once') && upstream.requests.length > 1 ? response(200) : undefined),
  );
  proxy.setCluster('c', [upstream.port], { common: { ...managerConfig().common, maxStreamDurationMs: 40 } });
  assert.equal((await send(proxy.port, get('/once'))).status, 200);
  assert.equal(upstream.requests.length, 2);
  const reply = await send(proxy.port, post('/pay', 'amount=5'));
  assert.deepEqual([reply.status, reply.body], [504, 'upstream max stream duration reached']);
  assert.equal(upstream.requests.length, 3);
  assert.equal(flagText(proxy.log[1]?.flags ?? 0), 'UMSDR');
  assert.equal(proxy.stat('cluster.c.upstream_rq_max_duration_reached'), 2);
});
