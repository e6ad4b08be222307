import { countedApart, http, loopback, ONE_RETRY_APART, type Suite } from '../harness/case.ts';
import { get, on, post } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const retry = (retry_on: string, more: object = {}) => ({
  retry_policy: {
    retry_on,
    num_retries: 2,
    retry_back_off: { base_interval: '0.001s', max_interval: '0.002s' },
    ...more,
  },
});
const ANOTHER = [
  {
    name: 'envoy.retry_host_predicates.previous_hosts',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
    },
  },
];
const KEY = { 'idempotency-key': 'k-1' };
const endpoint = (upstream: string) => ({ endpoint: { address: loopback(`{{${upstream}}}`) } });

/** Which endpoint a retry asks, what a retry must not repeat, and what it sends. */
export const suite: Suite = {
  name: 'retries in detail',
  upstreams: ['a', 'b', 'refused'],
  listener: 'ingress',
  bootstrap: http({
    clusters: {
      a: ['a'],
      small: { endpoints: ['a'], per_connection_buffer_limit_bytes: 1024 },
      refused: ['refused'],
      // The first endpoint is refused; the second serves.
      priorities: {
        endpoints: [],
        load_assignment: {
          cluster_name: 'priorities',
          endpoints: [{ lb_endpoints: [endpoint('a'), endpoint('b')] }],
        },
      },
    },
    routes: [
      { match: { path: '/5xx' }, route: { cluster: 'a', ...retry('5xx') } },
      {
        match: { path: '/another' },
        route: {
          cluster: 'priorities',
          ...retry('5xx', { retry_host_predicate: ANOTHER, host_selection_retry_max_attempts: 5, num_retries: 1 }),
        },
      },
      { match: { path: '/limit' }, per_request_buffer_limit_bytes: 100, route: { cluster: 'a', ...retry('5xx') } },
      { match: { path: '/before' }, route: { cluster: 'a', ...retry('reset-before-request,connect-failure') } },
      {
        match: { path: '/only-get' },
        route: {
          cluster: 'a',
          ...retry('5xx', { retriable_request_headers: [{ name: ':method', string_match: { exact: 'GET' } }] }),
        },
      },
      { match: { path: '/reset-after' }, route: { cluster: 'a', ...retry('reset,5xx') } },
      { match: { path: '/unavailable' }, route: { cluster: 'a', ...retry('unavailable,cancelled') } },
      {
        match: { path: '/after' },
        route: {
          cluster: 'a',
          ...retry('5xx', {
            rate_limited_retry_back_off: {
              reset_headers: [{ name: 'retry-after', format: 'SECONDS' }],
              max_interval: '2s',
            },
          }),
        },
      },
      { match: { path: '/none' }, route: { cluster: 'a', ...retry('5xx', { num_retries: 0 }) } },
      { match: { path: '/refused-post' }, route: { cluster: 'refused', ...retry('connect-failure') } },
    ],
    variants: { 'without-log': { access_log: [] } },
  }),
  cases: [
    {
      name: 'a PUT is sent again with its body',
      client: get('/5xx', {}, 'PUT', 'the body'),
      upstreams: { a: [reply(503), reply(200, 'second')] },
    },
    {
      name: 'a DELETE is sent again',
      client: get('/5xx', {}, 'DELETE'),
      upstreams: { a: [reply(503), reply(200, 'second')] },
    },
    {
      name: 'a PATCH that was answered is not sent again',
      client: get('/5xx', {}, 'PATCH', 'change'),
      upstreams: { a: [reply(503, 'no'), reply(200, 'second')] },
      differs: {
        why: 'a PATCH is not idempotent and its outcome is unknown: it is not sent twice',
        at: {
          'client[0].responses[0].*': { envoy: '*', tollway: '*' },
          'upstreams.a[1]': { envoy: '*', tollway: undefined },
          'accessLog[0].*': { envoy: '*', tollway: '*' },
        },
      },
    },
    {
      name: 'a POST to an endpoint that refuses the connection',
      client: post('/refused-post', 'pay'),
      upstreams: { refused: 'refuse-connections' },
    },
    {
      // Which one is asked first is chance: both see one request.
      name: 'another endpoint is asked',
      client: on('without-log', get('/another')),
      upstreams: { a: [reply(503, 'x')], b: [reply(503, 'x')] },
      logLines: 0,
    },
    {
      name: 'a body beyond the limit is not kept for a retry',
      client: get('/limit', {}, 'PUT', 'x'.repeat(500)),
      upstreams: { a: [reply(503, 'no'), reply(200, 'second')] },
    },
    {
      name: 'a request header forbids it',
      client: get('/only-get', {}, 'PUT', 'x'),
      upstreams: { a: [reply(503, 'no'), reply(200, 'second')] },
    },
    {
      name: 'a request header allows it',
      client: get('/only-get'),
      upstreams: { a: [reply(503), reply(200, 'second')] },
    },
    {
      name: 'an answer that has begun is not asked for again',
      client: get('/reset-after'),
      upstreams: { a: [{ do: 'close', afterBytes: 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf' }] },
    },
    {
      name: 'gRPC: unavailable',
      client: get('/unavailable', { 'content-type': 'application/grpc' }),
      upstreams: { a: [reply(200, '', { 'grpc-status': '14' }), reply(200, 'second', { 'grpc-status': '0' })] },
    },
    {
      name: 'the upstream says how long to wait',
      client: get('/after'),
      upstreams: { a: [reply(503, '', { 'retry-after': '1' }), reply(200, 'second')] },
      takesMs: [950, 2_500],
    },
    { name: 'no retries are given', client: get('/none'), upstreams: { a: [reply(503, 'no'), reply(200, 'second')] } },
    { name: 'a request with a key', client: post('/5xx', 'pay', KEY), upstreams: { a: [reply(200, 'first')] } },
  ],
  statsDiffer: countedApart('one PATCH is not sent a second time', ONE_RETRY_APART),
};
