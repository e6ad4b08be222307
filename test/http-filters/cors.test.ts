import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CORS } from '../../proxy/filters/http/cors/cors.ts';
import type { HeaderMap, RequestHead } from '../../proxy/http/headers.ts';
import { compileRoutes } from '../../proxy/route/table.ts';
import type { Route } from '../../xds-client/model/route.ts';
import { accepted, ROUTES, routed } from '../decode/decoding.ts';
import { head, headers } from '../observe/stream-info.ts';
import { action, configuration, match, route, virtualHost } from '../route/build.ts';
import { routeConfig } from './decoding.ts';
import { FilterRun, type RunOptions } from './support.ts';

const POLICY = 'envoy.extensions.filters.http.cors.v3.CorsPolicy';
const SHOP = 'https://shop.test';
type Policy = { readonly [field: string]: unknown };

const full: Policy = {
  allow_origin_string_match: [{ exact: SHOP }],
  allow_methods: 'GET',
  allow_headers: 'x-one',
  expose_headers: 'x-shown',
  max_age: '600',
  allow_credentials: true,
};

function asks(origin: string, fields: { readonly [name: string]: string } = {}): RequestHead {
  return { ...head({ origin, 'access-control-request-method': 'PUT', ...fields }), method: 'OPTIONS' };
}

function matchedTo(parts: Partial<Route> = {}) {
  const config = configuration([virtualHost('v', ['*'], [route('r', match('/'), { action: action(), ...parts })])]);
  const decision = compileRoutes(config).match(head({}), undefined, 0);
  assert.ok(decision !== undefined);
  return { decision, choice: undefined };
}

/** `policies`: the most specific first. */
function run(request: RequestHead, policies: readonly Policy[], options: RunOptions = {}): FilterRun {
  const perRoute = policies.map((policy) => routeConfig(POLICY, policy));
  const it = new FilterRun([{ factory: CORS, perRoute }], { head: request, route: matchedTo(), ...options });
  it.request();
  return it;
}

function answered(it: FilterRun): FilterRun {
  it.respond({ status: 200, headers: headers({ 'access-control-allow-origin': 'its own' }) });
  return it;
}

const lines = (of: HeaderMap | undefined) => of?.names.map((name, i) => `${name}: ${of.values[i]}`).sort();

test('a preflight of an allowed origin is answered here', () => {
  const it = run(asks(SHOP), [full]);
  assert.deepEqual(it.toUpstream, []);
  assert.deepEqual(it.toDownstream, ['head 200 end']);
  assert.equal(it.info.responseCodeDetails, 'cors_response');
  assert.deepEqual(lines(it.responseHead?.headers), [
    'access-control-allow-credentials: true',
    'access-control-allow-headers: x-one',
    'access-control-allow-methods: GET',
    `access-control-allow-origin: ${SHOP}`,
    'access-control-expose-headers: x-shown',
    'access-control-max-age: 600',
  ]);
  assert.equal(it.stat('http.test.cors.origin_valid'), 1);
});

test('a preflight from elsewhere goes on, or is answered without its origin', () => {
  const on = run(asks('https://evil.test'), [full]);
  assert.deepEqual(on.toUpstream, ['head OPTIONS /ready end']);
  assert.equal(on.stat('http.test.cors.origin_invalid'), 1);
  const here = run(asks('https://evil.test'), [{ ...full, forward_not_matching_preflights: false }]);
  assert.deepEqual(here.toDownstream, ['head 200 end']);
  assert.equal(here.responseHead?.headers.has('access-control-allow-origin'), false);
});

test('an answer allows the origin that asked, whatever the upstream says', () => {
  const it = answered(run(head({ origin: SHOP }), [full]));
  assert.deepEqual(lines(it.responseHead?.headers), [
    'access-control-allow-credentials: true',
    `access-control-allow-origin: ${SHOP}`,
    'access-control-expose-headers: x-shown',
  ]);
  const other = answered(run(head({ origin: 'https://evil.test' }), [full]));
  assert.deepEqual(lines(other.responseHead?.headers), ['access-control-allow-origin: its own']);
});

test('what a policy leaves out the next less specific one says', () => {
  const it = run(asks(SHOP), [{ allow_headers: '*', max_age: '1' }, { allow_methods: '*' }, full]);
  assert.deepEqual(lines(it.responseHead?.headers), [
    'access-control-allow-credentials: true',
    'access-control-allow-headers: ',
    'access-control-allow-methods: PUT',
    `access-control-allow-origin: ${SHOP}`,
    'access-control-expose-headers: x-shown',
    'access-control-max-age: 1',
  ]);
  const none = run(asks(SHOP), [{ allow_credentials: false }, full]);
  assert.equal(none.responseHead?.headers.has('access-control-allow-credentials'), false);
});

test('any origin is allowed where the policy takes any', () => {
  for (const match of [{ exact: '*' }, { safe_regex: { regex: '.*' } }]) {
    const it = answered(run(head({ origin: 'null' }), [{ allow_origin_string_match: [match] }]));
    assert.deepEqual(lines(it.responseHead?.headers), ['access-control-allow-origin: null']);
  }
});

test('a private network is allowed to a preflight that asks for it', () => {
  const policy = { ...full, allow_private_network_access: true };
  const name = 'access-control-allow-private-network';
  const asked = run(asks(SHOP, { 'access-control-request-private-network': 'true' }), [policy]);
  assert.equal(asked.responseHead?.headers.get(name), 'true');
  assert.equal(run(asks(SHOP), [policy]).responseHead?.headers.has(name), false);
  const unasked = run(asks(SHOP, { 'access-control-request-private-network': 'true' }), [full]);
  assert.equal(unasked.responseHead?.headers.has(name), false);
});

test('a share of requests is held to the policy, another only counted', () => {
  const half = (runtime_key?: string) => ({
    default_value: { numerator: 50 },
    ...(runtime_key ? { runtime_key } : {}),
  });
  const off = run(asks(SHOP), [{ ...full, filter_enabled: half() }], { random: () => 0.5 });
  assert.deepEqual([off.toUpstream.length, off.stat('http.test.cors.origin_valid')], [1, 0]);
  const on = run(asks(SHOP), [{ ...full, filter_enabled: half() }], { random: () => 0.49 });
  assert.deepEqual(on.toUpstream, []);
  const shadow = { ...full, filter_enabled: half('enabled'), shadow_enabled: half('shadow') };
  const counted = run(asks(SHOP), [shadow], { random: () => 0.5, runtime: { enabled: 0, shadow: 100 } });
  assert.deepEqual([counted.toUpstream.length, counted.stat('http.test.cors.origin_valid')], [1, 1]);
  assert.equal(answered(counted).responseHead?.headers.get('access-control-allow-origin'), 'its own');
});

test('without an origin, a policy or an upstream nothing is done', () => {
  for (const origin of [undefined, '']) {
    const it = run(head(origin === undefined ? {} : { origin }), [full]);
    assert.equal(answered(it).responseHead?.headers.get('access-control-allow-origin'), 'its own');
  }
  assert.deepEqual(run(asks(SHOP), []).toUpstream, ['head OPTIONS /ready end']);
  const redirects = matchedTo({ action: { kind: 'direct-response', status: 200, bodyBase64: '' } });
  assert.deepEqual(run(asks(SHOP), [full], { route: redirects }).toUpstream, ['head OPTIONS /ready end']);
  const it = new FilterRun([{ factory: CORS }], { head: asks(SHOP) });
  it.request();
  assert.deepEqual(it.toUpstream, ['head OPTIONS /ready end']);
});

test('the deprecated policies of a route and its host count where no filter configuration is', () => {
  const table = accepted(
    ROUTES,
    routed(
      { match: { prefix: '/' }, route: { cluster: 'c', cors: { allow_methods: 'PATCH' } } },
      { cors: { ...full, allow_methods: 'HEAD' } },
    ),
  );
  const decision = compileRoutes(table).match(head({}), undefined, 0);
  assert.ok(decision !== undefined);
  const matched = { decision, choice: undefined };
  const old = run(asks(SHOP), [], { route: matched });
  assert.equal(old.responseHead?.headers.get('access-control-allow-methods'), 'PATCH');
  assert.equal(old.responseHead?.headers.get('access-control-max-age'), '600');
  const typed = run(asks(SHOP), [{ ...full, allow_methods: '' }], { route: matched });
  assert.equal(typed.responseHead?.headers.has('access-control-allow-methods'), false);
});
