import { accessLog, type Case, countedApart, http, httpOptions, LOG_FORMAT, type Suite } from '../harness/case.ts';
import { get, http2, on, post } from '../harness/client.ts';
import { data, headers, request } from '../harness/http2-client.ts';
import { reply } from '../harness/upstream.ts';

const GRPC = { 'content-type': 'application/grpc', te: 'trailers' };
const TYPE = { 'content-type': 'application/grpc' };
const CONDITIONS = { cancelled: 1, 'deadline-exceeded': 4, 'resource-exhausted': 8, internal: 13, unavailable: 14 };
const STATUSES = [200, 201, 301, 400, 401, 403, 404, 408, 409, 413, 429, 431, 499, 500, 501, 502, 503, 504];

const to = (prefix: string, more: object = {}, cluster = 'a') => ({ match: { prefix }, route: { cluster, ...more } });
const retrying = (retry_on: string, more: object = {}) => ({ retry_policy: { retry_on, num_retries: 1, ...more } });
const failed = (code: number | string, status = 200) => reply(status, '', { ...TYPE, 'grpc-status': String(code) });
const GOOD = reply(200, 'second', { ...TYPE, 'grpc-status': '0' });
const slow = { ...GOOD, afterMs: 900 };
const trailers = (code: number, message = '') => ({
  do: 'send' as const,
  bytes: `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: application/grpc\r\n\r\n2\r\nhi\r\n0\r\ngrpc-status: ${code}\r\n${message === '' ? '' : `grpc-message: ${message}\r\n`}\r\n`,
});
const cut = {
  do: 'send' as const,
  early: 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\ncontent-type: application/grpc\r\n\r\nhalf',
  bytes: '',
};
const call = (path: string, more: { readonly [name: string]: string } = {}) =>
  http2([request(1, 'POST', path, { ...GRPC, ...more }, 'x')]);
/** A call by GET may be repeated by Tollway too. */
const again = (path: string, more: { readonly [name: string]: string } = {}) => get(path, { ...TYPE, ...more });
const FIRST_FAILS = (code: number | string, status = 200) => ({ upstreams: { a: [failed(code, status), GOOD] } });

/** gRPC as the connection manager and the router know it: local replies, deadlines, retries, what logs say. */
export const suite: Suite = {
  name: 'gRPC calls',
  upstreams: ['a', 'two'],
  upstreamHttp2: ['two'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], two: { endpoints: ['two'], ...httpOptions({}, { http2_protocol_options: {} }) } },
    manager: {
      access_log: [
        accessLog({
          json_format: {
            ...LOG_FORMAT,
            grpc: '%GRPC_STATUS%',
            camel: '%GRPC_STATUS(CAMEL_STRING)%',
            snake: '%GRPC_STATUS(SNAKE_STRING)%',
            number: '%GRPC_STATUS_NUMBER%',
          },
        }),
      ],
    },
    variants: {
      internal: {
        internal_address_config: { cidr_ranges: [{ address_prefix: '127.0.0.0', prefix_len: 8 }] },
        use_remote_address: true,
      },
      short: { common_http_protocol_options: { max_stream_duration: '0.2s' } },
      idle: { stream_idle_timeout: '0.2s' },
      mapped: {
        local_reply_config: {
          mappers: [
            {
              filter: {
                status_code_filter: { comparison: { op: 'EQ', value: { default_value: 404, runtime_key: 'x' } } },
              },
              status_code: 503,
              body: { inline_string: 'mapped' },
            },
          ],
          body_format: { json_format: { text: '%LOCAL_REPLY_BODY%', code: '%RESPONSE_CODE%' } },
        },
      },
    },
    routes: [
      ...STATUSES.map((status) => ({
        match: { path: `/status/${status}` },
        direct_response: { status, body: { inline_string: `${status} 100% ü~\n` } },
      })),
      { match: { path: '/empty' }, direct_response: { status: 503 } },
      { match: { path: '/moved' }, redirect: { path_redirect: '/elsewhere' } },
      ...Object.keys(CONDITIONS).map((name) => to(`/retry/${name}`, retrying(name))),
      to('/retry-all', retrying(Object.keys(CONDITIONS).join(','))),
      to('/retry-5xx', retrying('5xx')),
      to('/retry-two', retrying('unavailable'), 'two'),
      to('/max/', { max_stream_duration: { max_stream_duration: '0.3s' } }),
      to('/header-max', { max_stream_duration: { grpc_timeout_header_max: '0.3s' } }),
      to('/header-any', { max_stream_duration: { grpc_timeout_header_max: '0s' } }),
      to('/offset', { max_stream_duration: { grpc_timeout_header_max: '0s', grpc_timeout_header_offset: '0.2s' } }),
      to('/old-max', { max_grpc_timeout: '0.3s' }),
      to('/old-any', { max_grpc_timeout: '0s' }),
      to('/old-offset', { max_grpc_timeout: '0s', grpc_timeout_offset: '0.2s' }),
      to('/old-and-new', { max_grpc_timeout: '0.1s', max_stream_duration: { grpc_timeout_header_max: '0.4s' } }),
      to('/timeout', { timeout: '0.2s' }),
      to('/try', { timeout: '2s', ...retrying('5xx', { per_try_timeout: '0.2s', num_retries: 0 }) }),
      to('/two', {}, 'two'),
      { match: { prefix: '/nothing' }, route: { cluster_header: 'x-cluster' } },
      to('/a'),
    ],
    more: {},
  }),
  cases: [
    ...STATUSES.map((status): Case => ({ name: `a local reply of ${status}`, client: call(`/status/${status}`) })),
    { name: 'a local reply over HTTP/1.1', client: post('/status/503', 'x', TYPE) },
    { name: 'a local reply without a body', client: call('/empty') },
    { name: 'a redirect of the proxy', client: call('/moved') },
    ...['+proto', '-web', '-web+proto', '; charset=utf-8', 'x', ';a'].map(
      (more): Case => ({
        name: `a local reply to application/grpc${more}`,
        client: http2([request(1, 'POST', '/status/503', { 'content-type': `application/grpc${more}` }, 'x')]),
      }),
    ),
    {
      name: 'a local reply to another type',
      client: http2([request(1, 'POST', '/status/503', { 'content-type': 'application/json' }, 'x')]),
    },
    { name: 'no route', client: call('/nowhere') },
    { name: 'a mapped local reply', client: on('mapped', call('/nowhere')) },
    { name: 'a local reply in a format', client: on('mapped', call('/status/503')) },
    { name: 'a cluster that is not there', client: call('/nothing', { 'x-cluster': 'none' }) },
    { name: 'an upstream that refuses connections', client: call('/a'), upstreams: { a: 'refuse-connections' } },
    { name: 'an upstream that closes', client: call('/a'), upstreams: { a: [{ do: 'close' }] } },
    {
      name: 'an upstream that closes in its answer',
      client: call('/a'),
      upstreams: { a: [{ do: 'close', afterBytes: cut.early }] },
    },
    { name: 'an upstream that resets the stream', client: call('/two'), upstreams: { two: [{ do: 'reset' }] } },
    {
      name: 'an upstream that says no gRPC',
      client: call('/a'),
      upstreams: { a: [reply(503, 'sorry', { 'content-type': 'text/html' })] },
    },
    { name: 'status in trailers', client: call('/two'), upstreams: { two: [trailers(0)] } },
    { name: 'an error in trailers', client: call('/two'), upstreams: { two: [trailers(9, 'no%20money')] } },
    { name: 'an error in trailers of HTTP/1.1', client: call('/a'), upstreams: { a: [trailers(9)] } },
    { name: 'an error in trailers alone', client: call('/two'), upstreams: { two: [failed(5)] } },
    { name: 'a status of its own', client: call('/two'), upstreams: { two: [failed(99)] } },
    { name: 'a status that is no number', client: call('/two'), upstreams: { two: [failed('x')] } },
    {
      name: 'an error before the stream of requests ends',
      client: http2([
        headers(
          1,
          [
            [':method', 'POST'],
            [':scheme', 'http'],
            [':path', '/status/503'],
            [':authority', 'conformance.test'],
            ['content-type', 'application/grpc'],
          ],
          false,
        ),
        60,
        data(1, 'late'),
      ]),
    },
    ...Object.entries(CONDITIONS).flatMap(([name, code]): Case[] => [
      { name: `retried: ${name}`, client: again(`/retry/${name}`), ...FIRST_FAILS(code) },
      {
        name: `retried by the caller: ${name}`,
        client: on('internal', again('/a', { 'x-envoy-retry-grpc-on': name })),
        ...FIRST_FAILS(code),
      },
    ]),
    { name: 'not retried: another status', client: again('/retry-all'), ...FIRST_FAILS(3) },
    { name: 'not retried: unknown', client: again('/retry-all'), ...FIRST_FAILS(2) },
    { name: 'not retried: OK', client: again('/retry-all'), ...FIRST_FAILS(0) },
    { name: 'not retried: status in trailers', client: again('/retry-all'), upstreams: { a: [trailers(14), GOOD] } },
    {
      name: 'retried: in trailers alone of HTTP/2',
      client: again('/retry-two'),
      upstreams: { two: [failed(14), GOOD] },
    },
    {
      name: 'not retried: in trailers of HTTP/2',
      client: again('/retry-two'),
      upstreams: { two: [trailers(14), GOOD] },
    },
    { name: 'a 503 with a status of gRPC', client: again('/retry-all'), ...FIRST_FAILS(14, 503) },
    { name: 'a 503 without one', client: again('/retry-all'), upstreams: { a: [reply(503), GOOD] } },
    { name: '5xx does not take a status of gRPC', client: again('/retry-5xx'), ...FIRST_FAILS(14) },
    { name: 'no gRPC call, but a status of gRPC', client: get('/retry-all'), ...FIRST_FAILS(14) },
    {
      name: 'a condition among others',
      client: on('internal', again('/a', { 'x-envoy-retry-grpc-on': 'x, unavailable ,5xx' })),
      ...FIRST_FAILS(14),
    },
    {
      name: "gRPC's words in x-envoy-retry-on",
      client: on('internal', again('/a', { 'x-envoy-retry-on': 'unavailable' })),
      ...FIRST_FAILS(14),
    },
    {
      name: "HTTP's words in x-envoy-retry-grpc-on",
      client: on('internal', again('/a', { 'x-envoy-retry-grpc-on': '5xx' })),
      upstreams: { a: [reply(503), GOOD] },
    },
    {
      name: 'retries of the caller run out',
      client: on('internal', again('/a', { 'x-envoy-retry-grpc-on': 'unavailable', 'x-envoy-max-retries': '2' })),
      upstreams: { a: [failed(14)] },
    },
    {
      name: 'a call by POST',
      client: call('/retry-all'),
      ...FIRST_FAILS(14),
      differs: {
        why: 'a call that was answered may have been processed: without a key it is not sent twice',
        at: {
          'client[0].responses[0].*': { envoy: '*', tollway: '*' },
          'upstreams.a[1]': { envoy: '*', tollway: undefined },
          'accessLog[0].*': { envoy: '*', tollway: '*' },
        },
      },
    },
    {
      name: 'longer than the route lets it',
      client: call('/max/', { 'grpc-timeout': '5S' }),
      upstreams: { a: [slow] },
      takesMs: [250, 700],
    },
    {
      name: 'the caller has less time',
      client: call('/header-max', { 'grpc-timeout': '100m' }),
      upstreams: { a: [slow] },
      takesMs: [80, 280],
    },
    {
      name: 'the caller asks for more than there is',
      client: call('/header-max', { 'grpc-timeout': '10S' }),
      upstreams: { a: [slow] },
      takesMs: [250, 700],
    },
    { name: 'the caller does not say', client: call('/header-max'), upstreams: { a: [slow] }, takesMs: [800, 1500] },
    {
      name: 'microseconds',
      client: call('/header-any', { 'grpc-timeout': '200000u' }),
      upstreams: { a: [slow] },
      takesMs: [150, 600],
    },
    {
      name: 'nanoseconds',
      client: call('/header-any', { 'grpc-timeout': '99999999n' }),
      upstreams: { a: [slow] },
      takesMs: [80, 400],
    },
    { name: 'no time at all', client: call('/header-any', { 'grpc-timeout': '0m' }), upstreams: { a: [slow] } },
    { name: 'hours', client: call('/header-any', { 'grpc-timeout': '99999999H' }) },
    { name: 'too many digits', client: call('/header-any', { 'grpc-timeout': '100000000m' }) },
    {
      name: 'less an offset',
      client: call('/offset', { 'grpc-timeout': '400m' }),
      upstreams: { a: [slow] },
      takesMs: [150, 380],
    },
    {
      name: 'the old field: the caller has less time',
      client: call('/old-max', { 'grpc-timeout': '100m' }),
      upstreams: { a: [slow] },
      takesMs: [80, 280],
    },
    {
      name: 'the old field: the caller asks for more',
      client: call('/old-max', { 'grpc-timeout': '10S' }),
      upstreams: { a: [slow] },
      takesMs: [250, 700],
    },
    {
      name: 'the old field: the caller does not say',
      client: call('/old-max'),
      upstreams: { a: [slow] },
      takesMs: [250, 700],
    },
    {
      name: 'the old field: any',
      client: call('/old-any', { 'grpc-timeout': '150m' }),
      upstreams: { a: [slow] },
      takesMs: [120, 400],
    },
    { name: 'the old field: any, and the caller does not say', client: call('/old-any') },
    {
      name: 'the old field: not for other requests',
      client: http2([request(1, 'POST', '/old-max', { 'grpc-timeout': '100m' }, 'x')]),
      upstreams: { a: [slow] },
      takesMs: [800, 1500],
    },
    {
      name: 'the old offset',
      client: call('/old-offset', { 'grpc-timeout': '400m' }),
      upstreams: { a: [slow] },
      takesMs: [150, 380],
    },
    {
      name: 'the old offset is all there is',
      client: call('/old-offset', { 'grpc-timeout': '100m' }),
      upstreams: { a: [slow] },
      takesMs: [80, 280],
    },
    {
      name: 'old and new',
      client: call('/old-and-new', { 'grpc-timeout': '300m' }),
      upstreams: { a: [slow] },
      takesMs: [250, 600],
    },
    {
      name: 'longer than the connection manager lets it',
      client: on('short', call('/a', { 'grpc-timeout': '5S' })),
      upstreams: { a: [slow] },
      takesMs: [150, 600],
    },
    {
      name: 'longer than the connection manager lets it, in its answer',
      client: on('short', call('/a')),
      upstreams: { a: [cut] },
    },
    { name: 'a call that stands still', client: on('idle', call('/a')), upstreams: { a: [slow] }, takesMs: [150, 600] },
    {
      name: "longer than the route's timeout",
      client: call('/timeout'),
      upstreams: { a: [slow] },
      takesMs: [150, 600],
    },
    { name: "longer than the route's timeout, in its answer", client: call('/timeout'), upstreams: { a: [cut] } },
    { name: 'longer than a try', client: call('/try'), upstreams: { a: [slow] }, takesMs: [150, 600] },
    {
      name: 'an alternative for the timeout',
      client: on('internal', call('/timeout', { 'x-envoy-upstream-rq-timeout-alt-response': '1' })),
      upstreams: { a: [slow] },
    },
    {
      name: 'a timeout of the caller',
      client: on('internal', call('/a', { 'x-envoy-upstream-rq-timeout-ms': '200' })),
      upstreams: { a: [slow] },
      takesMs: [150, 600],
    },
    {
      name: 'a timeout of the caller over the old field',
      client: on('internal', call('/old-max', { 'x-envoy-upstream-rq-timeout-ms': '500', 'grpc-timeout': '100m' })),
      upstreams: { a: [slow] },
      takesMs: [400, 800],
    },
    {
      name: 'what the upstream is told',
      client: on('internal', call('/old-any', { 'x-envoy-expected-rq-timeout-ms': '5', 'grpc-timeout': '5S' })),
    },
  ],
  statsDiffer: countedApart('one call by POST is not sent a second time', [
    ...['200', '2xx', 'completed'].map((name) => `cluster.a.retry.upstream_rq_${name}`),
    ...['retry', 'retry_backoff_exponential', 'retry_success', 'total'].map((name) => `cluster.a.upstream_rq_${name}`),
    'cluster.two.http2.nghttp2_upstream_connections',
  ]),
};
