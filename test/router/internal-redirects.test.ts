/** Redirects of the upstream that are followed here. What each ends as beside Envoy is in test/conformance/. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseLocation } from '../../proxy/filters/http/router/internal-redirect.ts';
import type { InternalRedirect } from '../../xds-client/model/route.ts';
import {
  Client,
  ends,
  get,
  hostOf,
  opened,
  post,
  response,
  send,
  start,
  toCluster,
} from '../http-connection-manager/support.ts';
import { until } from '../upstream/support.ts';

const policy = (changes: Partial<InternalRedirect> = {}): InternalRedirect => ({
  maxRedirects: 3,
  codes: [302, 303, 307],
  predicates: [],
  allowCrossScheme: false,
  headersToCopy: [],
  ...changes,
});
const following = (changes: Partial<InternalRedirect> = {}) => ({
  routes: hostOf(toCluster('c', { internalRedirect: policy(changes) })),
});
const moved = (status: number, path: string) => response(status, '', `location: http://payment.test${path}\r\n`);
const lines = (request: string | undefined) => (request ?? '').split('\r\n');

describe('a location', () => {
  for (const [location, wanted] of [
    ['http://a.test/b?c#d', { scheme: 'http', authority: 'a.test', path: '/b?c' }],
    ['HTTPS://a.test:81', { scheme: 'https', authority: 'a.test:81', path: '/' }],
    ['http://[::1]:80/', { scheme: 'http', authority: '[::1]:80', path: '/' }],
    ['http://a.test?b', { scheme: 'http', authority: 'a.test', path: '/?b' }],
    ['/b', undefined],
    ['//a.test/b', undefined],
    ['http:///b', undefined],
    ['http://user:secret@a.test/', undefined],
    ['http://a.test/b c', undefined],
    ['', undefined],
  ] as const) {
    test(`"${location}" is ${wanted === undefined ? 'none' : JSON.stringify(wanted)}`, () => {
      assert.deepEqual(parseLocation(location), wanted);
    });
  }
});

test('a body is sent to where a 307 leads, once, and the caller sees one answer', async () => {
  const { proxy, upstream } = await start(following(), (_request, _socket, count) =>
    count === 1 ? moved(307, '/there') : response(200, 'paid'),
  );
  const reply = await send(proxy.port, post('/pay', 'amount=5'));
  assert.deepEqual([reply.status, reply.body], [200, 'paid']);
  assert.deepEqual(
    upstream.requests.map((request) => [lines(request)[0], lines(request).at(-1)]),
    [
      ['POST /pay HTTP/1.1', 'amount=5'],
      ['POST /there HTTP/1.1', 'amount=5'],
    ],
  );
  assert.deepEqual(ends(proxy), [
    ['-', 'internal_redirect'],
    ['-', 'via_upstream'],
  ]);
  assert.equal(proxy.stat('http.in.downstream_rq_active'), 0);
});

test('a 303 asks for what a POST made, and does not make it again', async () => {
  const { proxy, upstream } = await start(following(), (_request, _socket, count) =>
    count === 1 ? moved(303, '/receipt') : response(200, 'receipt'),
  );
  assert.equal((await send(proxy.port, post('/pay', 'amount=5'))).body, 'receipt');
  assert.equal(lines(upstream.requests[1])[0], 'GET /receipt HTTP/1.1');
  assert.equal(lines(upstream.requests[1]).at(-1), '');
});

test('a request that goes round in circles ends with the redirect', async () => {
  const { proxy, upstream } = await start(following(), () => moved(302, '/again'));
  assert.equal((await send(proxy.port, get('/'))).status, 302);
  assert.equal(upstream.requests.length, 4);
  assert.equal(proxy.stat('http.in.passthrough_internal_redirect_too_many_redirects'), 1);
  assert.equal(proxy.stat('cluster.c.upstream_internal_redirect_succeeded_total'), 3);
});

test('a caller that leaves ends the request that a redirect has begun', async () => {
  const { proxy, upstream } = await start(following(), (_request, _socket, count) =>
    count === 1 ? moved(302, '/hang') : undefined,
  );
  const client = new Client(proxy.port);
  opened.push(client);
  client.write(get('/'));
  await until(() => upstream.requests.length === 2, 'the redirect was followed');
  client.close();
  await until(() => proxy.log.length === 2, 'the second request ended');
  assert.deepEqual(ends(proxy)[1], ['DC', 'downstream_remote_disconnect']);
  assert.equal(proxy.stat('http.in.downstream_rq_active'), 0);
});

test('a redirect that is refused leaves the response as it was', async () => {
  const { proxy, upstream } = await start(
    following({ predicates: [{ kind: 'allow-listed-routes', names: ['other'] }] }),
    () => moved(302, '/there'),
  );
  const reply = await send(proxy.port, get('/', 'x-own: 1\r\n'));
  assert.deepEqual([reply.status, reply.headers.location], [302, 'http://payment.test/there']);
  assert.equal(upstream.requests.length, 1);
  assert.equal(proxy.stat('http.in.passthrough_internal_redirect_predicate'), 1);
});
