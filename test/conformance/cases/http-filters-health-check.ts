import { accessLog, counts, http, LOG_FORMAT, ROUTER, type Suite, typeUrl } from '../harness/case.ts';
import { type Exchange, get, on, post } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const NAME = 'envoy.filters.http.health_check';
const checking = (config: object) => ({
  http_filters: [
    {
      name: NAME,
      typed_config: {
        '@type': typeUrl('envoy.extensions.filters.http.health_check.v3.HealthCheck'),
        headers: [{ name: ':path', string_match: { exact: '/healthz' } }],
        ...config,
      },
    },
    ROUTER,
  ],
});
const least = (cluster_min_healthy_percentages: object) =>
  checking({ pass_through_mode: false, cluster_min_healthy_percentages });
const check = get('/healthz');
/** The workers have been told by then. */
const told = (exchange: Exchange): Exchange => ({ ...exchange, send: [60, ...exchange.send] });
const CHUNKED = 'POST /healthz HTTP/1.1\r\nhost: conformance.test\r\ntransfer-encoding: chunked\r\n\r\n';
const members = (...health: string[]) => ({
  endpoints: [],
  load_assignment: {
    cluster_name: 'x',
    endpoints: [
      {
        lb_endpoints: health.map((health_status, index) => ({
          health_status,
          endpoint: { address: { socket_address: { address: `127.0.0.${index + 1}`, port_value: 9 } } },
        })),
      },
    ],
  },
});

/** Checks of the server's health: answered here or by the upstream, and what the rest of the traffic is told. */
export const suite: Suite = {
  name: 'http-filters health_check',
  upstreams: ['a'],
  listener: 'ingress',
  bootstrap: http({
    clusters: {
      a: ['a'],
      empty: members(),
      half: members('HEALTHY', 'UNHEALTHY'),
      degraded: members('DEGRADED', 'UNHEALTHY', 'DEGRADED'),
    },
    routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }],
    manager: { ...checking({ pass_through_mode: false }), drain_timeout: '0.05s' },
    variants: {
      through: checking({ pass_through_mode: true }),
      cached: checking({ pass_through_mode: true, cache_time: '60s' }),
      'enough-half': least({ half: { value: 50 } }),
      'little-half': least({ half: { value: 51 } }),
      'part-half': least({ half: { value: 50.9 } }),
      'enough-degraded': least({ degraded: { value: 66 } }),
      'little-degraded': least({ degraded: { value: 67 } }),
      'none-needed': least({ empty: { value: 0 } }),
      'none-there': least({ empty: { value: 1 } }),
      unknown: least({ nowhere: { value: 1 } }),
      several: checking({
        pass_through_mode: false,
        headers: [{ name: ':path', string_match: { exact: '/healthz' } }, { name: 'x-check' }],
      }),
      any: checking({ pass_through_mode: false, headers: [] }),
      logged: {
        ...checking({ pass_through_mode: false }),
        access_log: [accessLog({ json_format: LOG_FORMAT }, { filter: { not_health_check_filter: {} } })],
      },
      traced: { ...checking({ pass_through_mode: true }), tracing: {} },
    },
    more: { node: { id: 'n', cluster: 'payment' } },
  }),
  statsDiffer: counts('whether to trace is decided, and counted, before a filter knows a request for a check', {
    'http.traced.tracing.not_traceable': [1, 0],
    'http.traced.tracing.random_sampling': [1, 2],
  }),
  cases: [
    { name: 'a check', client: check },
    { name: 'a check with a body', client: post('/healthz', 'are you well') },
    {
      name: 'a check with a body in pieces',
      client: { send: [CHUNKED, 30, '3\r\nabc\r\n', 30, '3\r\ndef\r\n0\r\n\r\n'] },
    },
    { name: 'no check', client: get('/') },
    { name: 'a check by HEAD', client: get('/healthz', {}, 'HEAD') },
    { name: 'through', client: on('through', check) },
    {
      name: 'through, and the upstream is not well',
      client: on('through', check),
      upstreams: { a: [reply(503, 'no')] },
    },
    { name: 'through, and the upstream is away', client: on('through', check), upstreams: { a: 'refuse-connections' } },
    { name: 'through, no check', client: on('through', get('/')) },
    {
      name: 'cached',
      client: [on('cached', check), on('cached', check), on('cached', get('/')), on('cached', post('/healthz', 'x'))],
      upstreams: { a: [reply(404, 'no', { 'x-envoy-degraded': '' }), reply(200)] },
    },
    ...[
      'enough-half',
      'little-half',
      'part-half',
      'enough-degraded',
      'little-degraded',
      'none-needed',
      'none-there',
      'unknown',
    ].map((listener) => ({ name: `clusters: ${listener}`, client: on(listener, check) })),
    { name: 'two headers', client: on('several', get('/healthz', { 'x-check': '1' })) },
    { name: 'one header of two', client: on('several', check) },
    { name: 'no headers: everything is a check', client: on('any', get('/')) },
    { name: 'out of the log', client: [on('logged', check), on('logged', get('/'))], logLines: 1 },
    { name: 'traced', client: [on('traced', check), on('traced', get('/'))] },
    { name: 'failing: a check', admin: ['/healthcheck/fail'], client: told(check) },
    { name: 'failing: no check', client: get('/') },
    { name: 'failing: through', client: on('through', check) },
    { name: 'failing: through, no check', client: on('through', get('/')) },
    { name: 'failing: cached', client: on('cached', check) },
    { name: 'failing: clusters', client: on('enough-half', check) },
    { name: 'well again', admin: ['/healthcheck/ok'], client: [told(check), get('/')] },
  ],
};
