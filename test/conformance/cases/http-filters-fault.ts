import { accessLog, http, LOG_FORMAT, ROUTER, type Suite, typeUrl } from '../harness/case.ts';
import { get, on, post } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const NAME = 'envoy.filters.http.fault';
const fault = (config: object) => ({
  '@type': typeUrl('envoy.extensions.filters.http.fault.v3.HTTPFault'),
  ...config,
});
const injecting = (config: object) => ({ http_filters: [{ name: NAME, typed_config: fault(config) }, ROUTER] });
const here = (config: object) => ({ typed_per_filter_config: { [NAME]: fault(config) } });
const ALL = { numerator: 100 };
const delay = (seconds: number) => ({ delay: { fixed_delay: `${seconds}s`, percentage: ALL } });
const abort = (status: number) => ({ abort: { http_status: status, percentage: ALL } });
const GRPC = { 'content-type': 'application/grpc', te: 'trailers' };
const CALLER = { 'x-envoy-downstream-service-cluster': 'shop' };

/** Faults of the configuration, of the request's headers and of the runtime. */
export const suite: Suite = {
  name: 'http-filters fault',
  upstreams: ['a', 'b'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], b: ['b'] },
    routes: [
      { match: { path: '/delay' }, route: { cluster: 'a' }, ...here(delay(0.2)) },
      { match: { path: '/abort' }, route: { cluster: 'a' }, ...here(abort(503)) },
      { match: { path: '/both' }, route: { cluster: 'a' }, ...here({ ...delay(0.2), ...abort(418) }) },
      { match: { path: '/grpc' }, route: { cluster: 'a' }, ...here({ abort: { grpc_status: 8, percentage: ALL } }) },
      { match: { path: '/never' }, route: { cluster: 'a' }, ...here({ abort: { http_status: 503 } }) },
      { match: { path: '/zero' }, route: { cluster: 'a' }, ...here({ abort: { http_status: 503, percentage: {} } }) },
      {
        match: { path: '/headers' },
        route: { cluster: 'a' },
        ...here({ ...abort(503), headers: [{ name: 'x-a', string_match: { exact: '1' } }, { name: 'x-b' }] }),
      },
      {
        match: { path: '/nodes' },
        route: { cluster: 'a' },
        ...here({ ...abort(503), downstream_nodes: ['n1', 'n2'] }),
      },
      { match: { path: '/cluster-a' }, route: { cluster: 'a' }, ...here({ ...abort(503), upstream_cluster: 'a' }) },
      { match: { path: '/cluster-b' }, route: { cluster: 'b' }, ...here({ ...abort(503), upstream_cluster: 'a' }) },
      { match: { path: '/none-active' }, route: { cluster: 'a' }, ...here({ ...abort(503), max_active_faults: 0 }) },
      { match: { path: '/one-active' }, route: { cluster: 'a' }, ...here({ ...delay(0.2), max_active_faults: 1 }) },
      {
        match: { path: '/uncounted' },
        route: { cluster: 'a' },
        ...here({ ...abort(503), disable_downstream_cluster_stats: true }),
      },
      {
        match: { path: '/metadata' },
        route: { cluster: 'a' },
        ...here({ ...abort(503), filter_metadata: { why: 'drill' } }),
      },
      {
        match: { path: '/slow' },
        route: { cluster: 'a' },
        ...here({ response_rate_limit: { fixed_limit: { limit_kbps: 2 }, percentage: ALL } }),
      },
      {
        match: { path: '/slow-direct' },
        direct_response: { status: 200, body: { inline_string: 'd'.repeat(1024) } },
        ...here({ response_rate_limit: { fixed_limit: { limit_kbps: 2 }, percentage: ALL } }),
      },
      {
        match: { path: '/slow-by-header' },
        route: { cluster: 'a' },
        ...here({ response_rate_limit: { header_limit: {}, percentage: ALL } }),
      },
      {
        match: { path: '/own-keys' },
        route: { cluster: 'a' },
        ...here({
          ...abort(503),
          delay: { fixed_delay: '5s', percentage: ALL },
          delay_percent_runtime: 'own.delay',
          abort_percent_runtime: 'own.abort',
          abort_http_status_runtime: 'own.status',
        }),
      },
      {
        match: { path: '/own-fraction' },
        route: { cluster: 'a' },
        ...here({ ...abort(503), abort_percent_runtime: 'own.fraction' }),
      },
      {
        match: { path: '/own-duration' },
        route: { cluster: 'a' },
        ...here({ ...delay(3), delay_duration_runtime: 'own.duration' }),
      },
      {
        match: { path: '/own-grpc' },
        route: { cluster: 'a' },
        ...here({ abort: { grpc_status: 8, percentage: ALL }, abort_grpc_status_runtime: 'own.grpc' }),
      },
      {
        match: { path: '/own-maximum' },
        route: { cluster: 'a' },
        ...here({ ...abort(503), max_active_faults_runtime: 'own.maximum' }),
      },
      { match: { path: '/redirect' }, redirect: { path_redirect: '/to' }, ...here(abort(503)) },
      { match: { prefix: '/' }, route: { cluster: 'a' } },
    ],
    manager: {
      access_log: [accessLog({ json_format: { ...LOG_FORMAT, metadata: `%DYNAMIC_METADATA(${NAME})%` } })],
      ...injecting({
        delay: { header_delay: {}, percentage: ALL },
        abort: { header_abort: {}, percentage: ALL },
      }),
    },
    variants: {
      all: injecting(abort(503)),
      ten: injecting({
        delay: { header_delay: {}, percentage: { numerator: 0 } },
        abort: { header_abort: {}, percentage: { numerator: 0 } },
      }),
    },
    more: {
      layered_runtime: {
        layers: [
          {
            name: 'static',
            static_layer: {
              own: {
                delay: 0,
                abort: 100,
                status: 599,
                duration: 150,
                grpc: 3,
                maximum: 0,
                fraction: { numerator: 0, denominator: 'TEN_THOUSAND' },
              },
              fault: { http: { shop: { abort: { abort_percent: 0 } }, club: { abort: { http_status: 507 } } } },
            },
          },
        ],
      },
    },
  }),
  cases: [
    { name: 'none', client: get('/') },
    { name: 'a delay', client: get('/delay'), takesMs: [190, 700] },
    { name: 'a delay of a body', client: post('/delay', 'money'), takesMs: [190, 700] },
    { name: 'an abort', client: get('/abort') },
    { name: 'an abort of a body', client: post('/abort', 'money') },
    { name: 'a delay and an abort', client: get('/both'), takesMs: [190, 700] },
    { name: 'a status of gRPC', client: post('/grpc', 'x', GRPC) },
    { name: 'a status of gRPC for plain HTTP', client: get('/grpc') },
    { name: 'an abort of gRPC by a status of HTTP', client: post('/abort', 'x', GRPC) },
    { name: 'without a percentage', client: get('/never') },
    { name: 'a percentage of 0', client: get('/zero') },
    { name: 'all headers match', client: get('/headers', { 'x-a': '1', 'x-b': '' }) },
    { name: 'a header does not match', client: get('/headers', { 'x-a': '1' }) },
    { name: 'a node', client: get('/nodes', { 'x-envoy-downstream-service-node': 'n2' }) },
    { name: 'another node', client: get('/nodes', { 'x-envoy-downstream-service-node': 'n3' }) },
    { name: 'no node', client: get('/nodes') },
    { name: 'the cluster', client: get('/cluster-a') },
    { name: 'another cluster', client: get('/cluster-b') },
    { name: 'none may be active', client: get('/none-active') },
    {
      name: 'one may be active',
      client: [get('/one-active'), get('/one-active')],
      together: true,
    },
    { name: 'metadata', client: get('/metadata') },
    { name: 'a redirect', client: get('/redirect') },
    {
      name: 'counted by the caller',
      client: [get('/delay', CALLER), get('/both', { 'x-envoy-downstream-service-cluster': 'bank' })],
    },
    { name: 'not counted by the caller', client: get('/uncounted', { 'x-envoy-downstream-service-cluster': 'bank' }) },
    { name: 'the runtime on the caller: never', client: get('/abort', CALLER) },
    {
      name: 'the runtime on the caller: another status',
      client: get('/abort', { 'x-envoy-downstream-service-cluster': 'club' }),
    },
    { name: 'the runtime: keys of its own', client: get('/own-keys') },
    { name: 'the runtime: a fraction', client: get('/own-fraction') },
    { name: 'the runtime: a duration', client: get('/own-duration'), takesMs: [140, 900] },
    { name: 'the runtime: a status of gRPC', client: post('/own-grpc', 'x', GRPC) },
    { name: 'the runtime: how many may be active', client: get('/own-maximum') },
    { name: 'delay by header', client: get('/', { 'x-envoy-fault-delay-request': '200' }), takesMs: [190, 700] },
    {
      name: 'delay by header that is none',
      client: get('/', { 'x-envoy-fault-delay-request': 'long' }),
      takesMs: [0, 150],
    },
    {
      name: 'delay by header, never',
      client: get('/', { 'x-envoy-fault-delay-request': '900', 'x-envoy-fault-delay-request-percentage': '0' }),
      takesMs: [0, 500],
    },
    {
      name: 'delay by header, a percentage above the configured',
      client: on(
        'ten',
        get('/', { 'x-envoy-fault-delay-request': '900', 'x-envoy-fault-delay-request-percentage': '100' }),
      ),
      takesMs: [0, 500],
    },
    { name: 'abort by header', client: get('/', { 'x-envoy-fault-abort-request': '429' }) },
    { name: 'abort by header, out of range', client: get('/', { 'x-envoy-fault-abort-request': '700' }) },
    {
      name: 'abort by header, never',
      client: get('/', { 'x-envoy-fault-abort-request': '429', 'x-envoy-fault-abort-request-percentage': '0' }),
    },
    { name: 'abort by header with gRPC', client: post('/', 'x', { ...GRPC, 'x-envoy-fault-abort-grpc-request': '9' }) },
    {
      name: 'abort by header, both ways',
      client: get('/', { 'x-envoy-fault-abort-request': '429', 'x-envoy-fault-abort-grpc-request': '9' }),
    },
    {
      name: 'a slow response',
      client: get('/slow'),
      upstreams: { a: [reply(200, 'x'.repeat(1024))] },
      takesMs: [350, 1200],
    },
    {
      name: 'a slow response with its length at the end',
      client: get('/slow'),
      upstreams: {
        a: [
          {
            do: 'send',
            bytes: `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n200\r\n${'y'.repeat(512)}\r\n0\r\n\r\n`,
          },
        ],
      },
      takesMs: [120, 900],
    },
    { name: 'a slow direct response', client: get('/slow-direct'), takesMs: [350, 1200] },
    { name: 'a slow response without a body', client: get('/slow', {}, 'HEAD') },
    {
      name: 'a slow response by header',
      client: get('/slow-by-header', { 'x-envoy-fault-throughput-response': '2' }),
      upstreams: { a: [reply(200, 'x'.repeat(1024))] },
      takesMs: [350, 1200],
    },
    { name: 'a slow response by header that is none', client: get('/slow-by-header'), takesMs: [0, 300] },
    {
      name: 'a slow response by header, never',
      client: get('/slow-by-header', {
        'x-envoy-fault-throughput-response': '1',
        'x-envoy-fault-throughput-response-percentage': '0',
      }),
      upstreams: { a: [reply(200, 'x'.repeat(1024))] },
      takesMs: [0, 300],
    },
    { name: 'the filter’s own', client: on('all', get('/')) },
    { name: 'a route in place of the filter’s own', client: on('all', get('/cluster-b')) },
  ],
};
