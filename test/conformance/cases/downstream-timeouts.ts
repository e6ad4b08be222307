import { http, type Suite } from '../harness/case.ts';
import { type Exchange, get, on, post } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const HEAD = 'GET / HTTP/1.1\r\nhost: x.test\r\n';
const BODY = 'POST / HTTP/1.1\r\nhost: x.test\r\ncontent-length: 10\r\n\r\nhalf';
const only = (...send: readonly (string | number)[]): Exchange => ({ send });
/** The proxy heeds x-envoy- headers of internal callers alone. */
const INTERNAL = { 'x-forwarded-for': '10.0.0.1' };
const HANG = { a: [{ do: 'hang' }] } as const;
const half = (ms: number) => `HTTP/1.1 200 OK\r\ncontent-length: 8\r\nx-wait: ${ms}\r\n\r\nhalf`;

/** How long each part of a stream may take, and what the caller is told. */
export const suite: Suite = {
  name: 'timeouts of streams',
  upstreams: ['a'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'] },
    routes: [
      { match: { path: '/route-idle' }, route: { cluster: 'a', idle_timeout: '0.2s', timeout: '0s' } },
      {
        match: { path: '/route-duration' },
        route: { cluster: 'a', max_stream_duration: { max_stream_duration: '0.2s' } },
      },
      { match: { path: '/short' }, route: { cluster: 'a', timeout: '0.2s' } },
      { match: { path: '/none' }, route: { cluster: 'a', timeout: '0s' } },
      {
        match: { path: '/grpc' },
        route: { cluster: 'a', max_stream_duration: { max_stream_duration: '5s', grpc_timeout_header_max: '2s' } },
      },
      {
        match: { path: '/grpc-short' },
        route: { cluster: 'a', max_stream_duration: { max_stream_duration: '0.9s', grpc_timeout_header_max: '0.2s' } },
      },
      {
        match: { path: '/grpc-offset' },
        route: {
          cluster: 'a',
          max_stream_duration: {
            max_stream_duration: '5s',
            grpc_timeout_header_max: '2s',
            grpc_timeout_header_offset: '0.7s',
          },
        },
      },
      { match: { path: '/grpc-route' }, route: { cluster: 'a', max_grpc_timeout: '1s' } },
      { match: { prefix: '/' }, route: { cluster: 'a' } },
    ],
    manager: { internal_address_config: { cidr_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }] } },
    variants: {
      headers: { request_headers_timeout: '0.2s' },
      request: { request_timeout: '0.2s' },
      idle: { stream_idle_timeout: '0.2s', upgrade_configs: [{ upgrade_type: 'websocket' }] },
      connection: { common_http_protocol_options: { idle_timeout: '0.2s' } },
      duration: { common_http_protocol_options: { max_stream_duration: '0.2s' } },
    },
  }),
  cases: [
    { name: 'request headers that do not end', client: on('headers', only(HEAD)), takesMs: [180, 900] },
    { name: 'request headers in time', client: on('headers', only(HEAD, 50, '\r\n')) },
    { name: 'a request that does not end', client: on('request', only(BODY)), takesMs: [180, 900] },
    {
      name: 'a request in time, an answer after the timeout',
      client: on('request', get('/')),
      upstreams: { a: [{ ...reply(200, 'late'), afterMs: 300 }] },
    },
    { name: 'a request that stands still', client: on('idle', only(BODY)), takesMs: [180, 900] },
    { name: 'an answer that does not come', client: on('idle', get('/none')), upstreams: HANG, takesMs: [180, 900] },
    {
      name: 'an answer that stands still',
      client: on('idle', { ...get('/none'), withinMs: 1_500 }),
      upstreams: { a: [{ do: 'send', bytes: half(1) }] },
    },
    {
      name: 'a stream that takes too long',
      client: on('duration', get('/none')),
      upstreams: HANG,
      takesMs: [180, 900],
    },
    {
      name: 'an answer that takes too long',
      client: on('duration', { ...get('/none'), withinMs: 1_500 }),
      upstreams: { a: [{ do: 'send', bytes: half(1) }] },
    },
    { name: 'the route has its own idle timeout', client: get('/route-idle'), upstreams: HANG, takesMs: [180, 900] },
    { name: 'the route has its own duration', client: get('/route-duration'), upstreams: HANG, takesMs: [180, 900] },
    {
      name: 'the route timeout does not run while the request is sent',
      client: only('POST /short HTTP/1.1\r\nhost: x.test\r\ncontent-length: 4\r\n\r\nab', 400, 'cd'),
    },
    {
      name: 'the route timeout cuts an answer off',
      client: { ...get('/short'), withinMs: 1_500 },
      upstreams: { a: [{ do: 'send', bytes: half(1) }] },
    },
    {
      name: 'x-envoy-upstream-rq-timeout-ms',
      client: get('/', { ...INTERNAL, 'x-envoy-upstream-rq-timeout-ms': '150' }),
      upstreams: HANG,
      takesMs: [130, 700],
    },
    {
      name: 'x-envoy-upstream-rq-timeout-ms that is no number',
      client: get('/', { ...INTERNAL, 'x-envoy-upstream-rq-timeout-ms': 'soon' }),
    },
    {
      name: 'x-envoy-upstream-rq-timeout-ms of an external caller',
      client: get('/short', { 'x-envoy-upstream-rq-timeout-ms': '900' }),
      upstreams: HANG,
      takesMs: [180, 700],
    },
    {
      name: 'x-envoy-upstream-rq-per-try-timeout-ms with a retry',
      client: get('/', {
        ...INTERNAL,
        'x-envoy-upstream-rq-timeout-ms': '2000',
        'x-envoy-upstream-rq-per-try-timeout-ms': '120',
        'x-envoy-retry-on': '5xx',
        'x-envoy-max-retries': '1',
      }),
      upstreams: { a: [{ do: 'hang' }, reply(200, 'second')] },
    },
    {
      name: 'an alternative status for the timeout',
      client: get('/', {
        ...INTERNAL,
        'x-envoy-upstream-rq-timeout-ms': '120',
        'x-envoy-upstream-rq-timeout-alt-response': '1',
      }),
      upstreams: HANG,
    },
    {
      name: 'a second request whose headers do not end',
      client: on('headers', { send: [`${HEAD}\r\n`, 60, HEAD], responses: 2 }),
      takesMs: [230, 900],
    },
    {
      name: 'a request that trickles',
      client: on('idle', only(BODY, 120, 'a', 120, 'bc', 120, 'def')),
    },
    {
      name: 'a request that trickles beyond its time',
      client: on('request', only(BODY, 80, 'a', 80, 'b', 200)),
      takesMs: [180, 900],
    },
    {
      name: 'a connection without life while its request is answered',
      client: on('connection', get('/none')),
      upstreams: { a: [{ ...reply(200, 'late'), afterMs: 400 }] },
    },
    {
      name: 'a tunnel that stands still',
      client: on('idle', { ...get('/none', { connection: 'Upgrade', upgrade: 'websocket' }), lingerMs: 600 }),
      upstreams: {
        a: [
          {
            do: 'send',
            bytes: 'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n',
          },
        ],
      },
    },
    {
      name: 'a timeout of 0 by header',
      client: get('/short', { ...INTERNAL, 'x-envoy-upstream-rq-timeout-ms': '0' }),
      upstreams: { a: [{ ...reply(200, 'late'), afterMs: 300 }] },
    },
    {
      name: 'a deadline of gRPC beyond the maximum',
      client: post('/grpc-short', '', { 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '9S' }),
      upstreams: HANG,
      takesMs: [180, 900],
    },
    {
      name: 'a deadline of gRPC that is none',
      client: post('/grpc-short', '', { 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': 'soon' }),
      upstreams: HANG,
      takesMs: [850, 1_500],
    },
    {
      name: 'no deadline of gRPC',
      client: post('/grpc-short', '', { 'content-type': 'application/grpc', te: 'trailers' }),
      upstreams: HANG,
      takesMs: [850, 1_500],
    },
    {
      name: 'a deadline of gRPC less an offset',
      client: post('/grpc-offset', '', { 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '900m' }),
      upstreams: HANG,
      takesMs: [180, 600],
    },
    {
      name: 'a deadline of gRPC that the offset uses up',
      client: post('/grpc-offset', '', { 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '600m' }),
      upstreams: HANG,
      takesMs: [0, 300],
    },
    {
      name: 'a deadline of gRPC as the route timeout',
      client: post('/grpc-route', '', { 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '200m' }),
      upstreams: HANG,
      takesMs: [180, 600],
    },
    {
      name: 'a deadline of gRPC',
      client: post('/grpc', '', { 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '150m' }),
      upstreams: HANG,
      takesMs: [130, 700],
    },
  ],
};
