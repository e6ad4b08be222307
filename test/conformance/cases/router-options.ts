import { type Case, http, ROUTER, type Suite, typeUrl } from '../harness/case.ts';
import { type Exchange, get, http2, on, post } from '../harness/client.ts';
import { request } from '../harness/http2-client.ts';
import { reply } from '../harness/upstream.ts';

const router = (more: object) => [
  { ...ROUTER, typed_config: { '@type': typeUrl('envoy.extensions.filters.http.router.v3.Router'), ...more } },
];
const INTERNAL = {
  use_remote_address: true,
  internal_address_config: { cidr_ranges: [{ address_prefix: '127.0.0.0', prefix_len: 8 }] },
};
const CHECKED = [
  'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-max-retries',
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
];
const late = { ...reply(200, 'late'), afterMs: 500 };
const waits = (exchange: Exchange, listener: string, takesMs: readonly [number, number]): Omit<Case, 'name'> => ({
  client: on(listener, exchange),
  upstreams: { a: [late] },
  takesMs,
});
const EXPECTED = 'x-envoy-expected-rq-timeout-ms';
const ASKED = 'x-envoy-upstream-rq-timeout-ms';

/** The router's own options, and the timeouts that callers ask for. */
export const suite: Suite = {
  name: 'options of the router',
  upstreams: ['a'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'] },
    manager: INTERNAL,
    variants: {
      external: {
        internal_address_config: { cidr_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }] },
        http_filters: router({ respect_expected_rq_timeout: true }),
      },
      respecting: { http_filters: router({ respect_expected_rq_timeout: true }) },
      silent: { http_filters: router({ respect_expected_rq_timeout: true, suppress_envoy_headers: true }) },
      strict: { http_filters: router({ strict_check_headers: CHECKED }) },
      'strict-one': { http_filters: router({ strict_check_headers: ['x-envoy-max-retries'] }) },
    },
    routes: [
      { match: { prefix: '/short' }, route: { cluster: 'a', timeout: '0.2s' } },
      {
        match: { prefix: '/try' },
        route: { cluster: 'a', retry_policy: { retry_on: '5xx', per_try_timeout: '0.2s', num_retries: 0 } },
      },
      { match: { prefix: '/direct' }, direct_response: { status: 200 } },
      { match: { prefix: '/' }, route: { cluster: 'a' } },
    ],
  }),
  cases: [
    {
      name: 'an expected time that nobody respects',
      ...waits(get('/a', { [EXPECTED]: '100' }), 'ingress', [400, 1200]),
    },
    { name: 'an expected time', ...waits(get('/a', { [EXPECTED]: '100' }), 'respecting', [80, 400]) },
    {
      name: 'an expected time longer than the route',
      ...waits(get('/short', { [EXPECTED]: '3000' }), 'respecting', [400, 1200]),
    },
    {
      name: 'an expected time beside the one asked for',
      ...waits(get('/a', { [EXPECTED]: '100', [ASKED]: '3000' }), 'respecting', [80, 400]),
    },
    { name: 'no expected time, but one asked for', ...waits(get('/a', { [ASKED]: '100' }), 'respecting', [80, 400]) },
    {
      name: 'an expected time that is no number',
      ...waits(get('/short', { [EXPECTED]: 'soon' }), 'respecting', [150, 400]),
    },
    {
      name: 'an expected time that is no number beside one asked for',
      ...waits(get('/short', { [EXPECTED]: 'soon', [ASKED]: '3000' }), 'respecting', [150, 400]),
    },
    { name: 'an expected time of 0', ...waits(get('/short', { [EXPECTED]: '0' }), 'respecting', [400, 1200]) },
    {
      name: 'an expected time of an external caller',
      ...waits(get('/a', { [EXPECTED]: '100' }), 'external', [400, 1200]),
    },
    {
      name: 'an expected time and no fields of Envoy',
      ...waits(get('/a', { [EXPECTED]: '100' }), 'silent', [80, 400]),
    },
    {
      name: 'an expected time of gRPC',
      ...waits(
        http2([request(1, 'POST', '/a', { [EXPECTED]: '100', 'content-type': 'application/grpc' }, 'x')]),
        'respecting',
        [80, 400],
      ),
    },
    {
      name: 'a time per try',
      ...waits(
        get('/a', {
          'x-envoy-upstream-rq-per-try-timeout-ms': '100',
          'x-envoy-retry-on': '5xx',
          'x-envoy-max-retries': '1',
        }),
        'ingress',
        [150, 600],
      ),
    },
    {
      name: 'a time per try and no retry',
      ...waits(get('/a', { 'x-envoy-upstream-rq-per-try-timeout-ms': '100' }), 'ingress', [80, 1200]),
    },
    {
      name: 'a time per try longer than the whole',
      ...waits(get('/short', { 'x-envoy-upstream-rq-per-try-timeout-ms': '3000' }), 'ingress', [150, 450]),
    },
    {
      name: "a time per try over the route's",
      ...waits(get('/try', { 'x-envoy-upstream-rq-per-try-timeout-ms': '50' }), 'ingress', [40, 190]),
    },
    ...[
      [ASKED, 'soon'],
      [ASKED, '-1'],
      [ASKED, ' 5 '],
      [ASKED, '5000'],
      [ASKED, '0'],
      [ASKED, '5.5'],
      ['x-envoy-upstream-rq-per-try-timeout-ms', 'soon'],
      ['x-envoy-upstream-rq-per-try-timeout-ms', '5000'],
      ['x-envoy-max-retries', 'many'],
      ['x-envoy-max-retries', '2'],
      ['x-envoy-retry-on', 'whenever'],
      ['x-envoy-retry-on', '5xx,whenever'],
      ['x-envoy-retry-on', '5xx, reset'],
      ['x-envoy-retry-on', '409'],
      ['x-envoy-retry-grpc-on', '5xx'],
      ['x-envoy-retry-grpc-on', 'cancelled,unavailable'],
    ].flatMap(([name, value]): Case[] => [
      { name: `strictly: ${name}: ${value}`, client: on('strict', get('/a', { [name as string]: value as string })) },
      {
        name: `not so strictly: ${name}: ${value}`,
        client: on('strict-one', get('/a', { [name as string]: value as string })),
      },
    ]),
    {
      name: 'strictly: two that are wrong',
      client: on('strict', get('/a', { [ASKED]: 'soon', 'x-envoy-max-retries': 'many' })),
    },
    { name: 'strictly: a body', client: on('strict', post('/a', 'x', { [ASKED]: 'soon' })) },
    {
      name: 'strictly: gRPC',
      client: on(
        'strict',
        http2([request(1, 'POST', '/a', { [ASKED]: 'soon', 'content-type': 'application/grpc' }, 'x')]),
      ),
    },
    { name: 'strictly: a direct response', client: on('strict', get('/direct', { [ASKED]: 'soon' })) },
    { name: 'strictly: an empty value', client: on('strict', get('/a', { [ASKED]: '' })) },
  ],
};
