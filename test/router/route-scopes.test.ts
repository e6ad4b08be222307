/** What virtual clusters and named routes count, and what retries and responses are told of them. Compared with Envoy 1.40. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route, VirtualHost } from '../../xds-client/model/route.ts';
import {
  deadPort,
  get,
  hostOf,
  post,
  response,
  retryPolicy,
  send,
  start,
  toCluster,
} from '../http-connection-manager/support.ts';
import { configuration, match, NO_CHANGES, route, virtualHost } from '../route/build.ts';

const READS: Partial<VirtualHost> = {
  virtualClusters: [
    {
      name: 'reads',
      headers: [
        {
          name: ':method',
          match: { kind: 'string', string: { kind: 'exact', value: 'GET', ignoreCase: false } },
          invert: false,
          treatMissingAsEmpty: false,
        },
      ],
    },
  ],
};
const counted = (parts: Partial<VirtualHost>, ...routes: readonly Route[]) =>
  configuration([virtualHost('v', ['*'], routes, { ...READS, ...parts })]);

test('a virtual cluster counts the attempts and answers of its requests, the others stand together', async () => {
  const { proxy } = await start(
    { routes: counted({}, toCluster('c', {}, { statPrefix: 'named' })) },
    (_request, _socket, count) => response(count === 1 ? 503 : 200),
  );
  await send(proxy.port, get('/'));
  await send(proxy.port, get('/'));
  await send(proxy.port, post('/', 'x'));
  const stat = (name: string) => proxy.stat(`vhost.v.${name}`);
  assert.equal(stat('vcluster.reads.upstream_rq_total'), 2);
  assert.equal(stat('vcluster.reads.upstream_rq_503'), 1);
  assert.equal(stat('vcluster.reads.upstream_rq_5xx'), 1);
  assert.equal(stat('vcluster.reads.upstream_rq_completed'), 2);
  assert.equal(stat('vcluster.other.upstream_rq_total'), 1);
  assert.equal(stat('route.named.upstream_rq_total'), 3);
  assert.deepEqual(
    proxy.log.map((info) => info.virtualClusterName),
    ['reads', 'reads', undefined],
  );
});

test('what a new table does not have any more is not counted any more, what it has goes on', async () => {
  const named = (name: string) => virtualHost(name, [`${name}.test`], [toCluster('c', {}, { statPrefix: 'r' })], READS);
  const { proxy } = await start({ routes: configuration([named('stays'), named('goes')]) });
  const ask = (host: string) => send(proxy.port, `GET / HTTP/1.1\r\nhost: ${host}.test\r\n\r\n`);
  assert.deepEqual([(await ask('stays')).status, (await ask('goes')).status], [200, 200]);
  const names = ['vcluster.reads.upstream_rq_total', 'vcluster.reads.upstream_rq_200', 'route.r.upstream_rq_total'];
  const of = (host: string) => names.map((name) => proxy.mesh.stats.get(`vhost.${host}.${name}`));
  assert.deepEqual(
    [of('stays'), of('goes')],
    [
      [1, 1, 1],
      [1, 1, 1],
    ],
  );
  proxy.setRoutes(configuration([named('stays'), named('comes')]));
  await ask('stays');
  assert.deepEqual(of('stays'), [2, 2, 2]);
  assert.deepEqual(of('goes'), [undefined, undefined, undefined]);
  assert.equal(of('comes')[0], 0, 'named before its first request');
  proxy.setRoutes(undefined);
  await ask('stays');
  assert.deepEqual(of('stays'), [undefined, undefined, undefined]);
});

test('a virtual cluster counts every try in its total, and none that found no connection', async () => {
  const retry = retryPolicy(['5xx'], { numRetries: 2 });
  const { proxy } = await start({ routes: counted({ retry }, toCluster('c')) }, (_request, _socket, count) =>
    response(count === 1 ? 503 : 200),
  );
  await send(proxy.port, get('/'));
  const stat = (name: string) => proxy.stat(`vhost.v.vcluster.reads.upstream_rq_${name}`);
  assert.deepEqual([stat('total'), stat('retry'), stat('retry_success'), stat('completed')], [2, 1, 1, 1]);
  proxy.setCluster('c', [await deadPort()]);
  await send(proxy.port, get('/'));
  assert.equal(stat('total'), 2);
  assert.equal(stat('503'), 1);
});

test('a retry says whether a timeout was the reason, a first attempt says nothing', async () => {
  const retry = retryPolicy(['5xx'], { numRetries: 2, perTryTimeoutMs: 40 });
  const routes = configuration([
    virtualHost('v', ['*'], [toCluster('c')], { retry, includeIsTimeoutRetryHeader: true }),
  ]);
  const { proxy, upstream } = await start({ routes }, (_request, _socket, count) => {
    if (count === 1) return response(503);
    return count === 2 ? undefined : response(200);
  });
  assert.equal((await send(proxy.port, get('/'))).status, 200);
  const said = upstream.requests.map((request) => /x-envoy-is-timeout-retry: (\w+)/.exec(request)?.[1]);
  assert.deepEqual(said, [undefined, 'false', 'true']);
});

test('a response header may hold the status that the upstream gave', async () => {
  const add = { name: 'x-code', value: '%RESPONSE_CODE%', action: 'append-or-add', keepEmptyValue: false } as const;
  const routes = hostOf(toCluster('c', {}, { headers: { ...NO_CHANGES, responseAdd: [add] } }));
  const { proxy } = await start({ routes }, () => response(201));
  assert.equal((await send(proxy.port, get('/'))).headers['x-code'], '201');
});

test("a weighted cluster's host goes first and silently, the route rewrites what it left", async () => {
  const weighted = {
    name: 'c',
    weight: 1,
    headers: NO_CHANGES,
    hostRewrite: 'weighted.test',
    metadataMatch: undefined,
    perFilterConfig: {},
  };
  const cluster = { kind: 'weighted', clusters: [weighted], totalWeight: 1, headerName: undefined } as const;
  const { proxy, upstream } = await start({ routes: hostOf(toCluster('c', { cluster })) });
  await send(proxy.port, get('/'));
  assert.match(upstream.requests[0] ?? '', /host: weighted\.test\r\n/);
  assert.doesNotMatch(upstream.requests[0] ?? '', /x-envoy-original-host/);
  proxy.setRoutes(hostOf(toCluster('c', { cluster, hostRewrite: { kind: 'literal', value: 'route.test' } })));
  await send(proxy.port, get('/'));
  assert.match(upstream.requests[1] ?? '', /host: route\.test\r\n/);
  assert.match(upstream.requests[1] ?? '', /x-envoy-original-host: weighted\.test\r\n/);
});

test('a direct response that was made or moved says where', async () => {
  const { proxy } = await start({
    routes: hostOf(
      route('made', match('/made'), { action: { kind: 'direct-response', status: 201, bodyBase64: '' } }),
      route('here', match('/'), { action: { kind: 'direct-response', status: 200, bodyBase64: '' } }),
    ),
  });
  assert.equal((await send(proxy.port, get('/made?q=1'))).headers.location, 'http://payment.test/made?q=1');
  assert.equal((await send(proxy.port, get('/here'))).headers.location, undefined);
});
