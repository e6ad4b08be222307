import { countedApart, type Difference, http, httpOptions, type Suite, typeUrl } from '../harness/case.ts';
import { get, http2, post } from '../harness/client.ts';
import { data, headers, request } from '../harness/http2-client.ts';
import { reply } from '../harness/upstream.ts';

const NAME = 'envoy.filters.http.buffer';
const HTTP = 'envoy.extensions.filters.http.buffer.v3';
const filter = (bytes: number, more: object = {}) => ({
  name: NAME,
  typed_config: { '@type': typeUrl(`${HTTP}.Buffer`), max_request_bytes: bytes },
  ...more,
});
const here = (config: object) => ({
  typed_per_filter_config: { [NAME]: { '@type': typeUrl(`${HTTP}.BufferPerRoute`), ...config } },
});
const chunked = (path: string, chunks: readonly string[], trailers = '') => ({
  send: [
    `POST ${path} HTTP/1.1\r\nhost: conformance.test\r\ntransfer-encoding: chunked\r\n\r\n`,
    ...chunks.flatMap((chunk) => [20, `${chunk.length.toString(16)}\r\n${chunk}\r\n`]),
    20,
    `0\r\n${trailers}\r\n`,
  ],
});
/** More is announced than comes. */
const begun = (path: string, bytes: number, host = 'conformance.test') => ({
  send: [`POST ${path} HTTP/1.1\r\nhost: ${host}\r\ncontent-length: ${bytes + 500}\r\n\r\n${size(bytes)}`],
});
const size = (bytes: number) => 'x'.repeat(bytes);

const to = (path: string): [string, string][] => [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', path],
  [':authority', 'conformance.test'],
];

const READ: Difference = {
  why: 'a request that was read to its end leaves its connection as it was',
  at: { 'client[0].*': { envoy: '*', tollway: '*' } },
};
const AT_ONCE: Difference = {
  why: 'what comes in one piece is held to the limit too',
  at: {
    'client[0].responses[0].start': { envoy: 'HTTP/2 200', tollway: 'HTTP/2 413' },
    'client[0].responses[0].headers.*': { envoy: '*', tollway: '*' },
    'client[0].responses[0].body': { envoy: 'a', tollway: 'Payload Too Large' },
    'upstreams.a[0]': { envoy: '*', tollway: undefined },
    'accessLog[0].*': { envoy: '*', tollway: '*' },
  },
};

/** Whole requests: their length, and what is too much. */
export const suite: Suite = {
  name: 'http-filters buffer',
  upstreams: ['a', 'two'],
  upstreamHttp2: ['two'],
  listener: 'ingress',
  bootstrap: http({
    clusters: {
      a: ['a'],
      two: { endpoints: ['two'], ...httpOptions({}, { http2_protocol_options: {} }) },
    },
    filters: [filter(100)],
    routes: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          ...here({ buffer: { max_request_bytes: 200 } }),
          routes: [
            { match: { prefix: '/off' }, route: { cluster: 'a' }, ...here({ disabled: true }) },
            { match: { prefix: '/small' }, route: { cluster: 'a' }, ...here({ buffer: { max_request_bytes: 10 } }) },
            { match: { prefix: '/large' }, route: { cluster: 'a' }, ...here({ buffer: { max_request_bytes: 9000 } }) },
            {
              match: { prefix: '/retried' },
              route: { cluster: 'a', retry_policy: { retry_on: '5xx' } },
              ...here({ buffer: { max_request_bytes: 9000 } }),
            },
            {
              match: { prefix: '/foreign' },
              route: { cluster: 'a' },
              typed_per_filter_config: {
                [NAME]: { '@type': typeUrl('envoy.extensions.filters.http.cors.v3.CorsPolicy'), max_age: '1' },
              },
            },
            { match: { prefix: '/two' }, route: { cluster: 'two' } },
            { match: { prefix: '/' }, route: { cluster: 'a' } },
          ],
        },
        {
          name: 'own',
          domains: ['own.test'],
          routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }],
        },
      ],
    },
    manager: { http_protocol_options: { enable_trailers: true } },
    listener: { per_connection_buffer_limit_bytes: 4000 },
  }),
  statsDiffer: countedApart('the two cases above, and what Envoy’s HTTP/2 library counts', [
    'cluster.a.upstream_rq_200',
    'cluster.a.upstream_rq_2xx',
    'cluster.a.upstream_rq_completed',
    'cluster.a.upstream_rq_total',
    'cluster.two.http2.nghttp2_upstream_connections',
    'http.ingress.downstream_flow_control_paused_reading_total',
    'http.ingress.downstream_flow_control_resumed_reading_total',
    'http.ingress.downstream_rq_2xx',
    'http.ingress.downstream_rq_4xx',
    'http.ingress.downstream_rq_response_before_rq_complete',
    'http.ingress.downstream_rq_rx_reset',
    'http.ingress.downstream_rq_too_large',
    'http.ingress.rq_total',
    'listener.<address>.http.ingress.downstream_rq_2xx',
    'listener.<address>.http.ingress.downstream_rq_4xx',
  ]),
  cases: [
    { name: 'a request without a body', client: get('/') },
    { name: 'a body with its length', client: post('/', size(50)) },
    { name: 'an empty body', client: post('/', '') },
    { name: 'a chunked body gets its length', client: chunked('/', ['abc', 'defg']) },
    { name: 'a chunked body without a byte', client: chunked('/', []) },
    { name: 'a chunked body with trailers', client: chunked('/', ['abc'], 'checksum: 1\r\n') },
    { name: 'exactly as much as may be', client: post('/', size(200)) },
    { name: 'one byte more than may be', client: begun('/', 201) },
    {
      name: 'more in pieces than may be',
      client: {
        send: [
          'POST / HTTP/1.1\r\nhost: conformance.test\r\ntransfer-encoding: chunked\r\n\r\n',
          20,
          `64\r\n${size(100)}\r\n`,
          20,
          `65\r\n${size(101)}\r\n`,
        ],
      },
    },
    { name: 'a route of its own limit', client: begun('/small', 11) },
    {
      name: 'the filter’s own limit',
      client: [post('/', size(100), { host: 'own.test' }), begun('/', 101, 'own.test')],
    },
    { name: 'too much, all of it there', client: post('/', size(201)), differs: READ },
    {
      name: 'a route’s configuration of another filter',
      client: [post('/foreign', size(100)), begun('/foreign', 101)],
    },
    { name: 'a route without it', client: [chunked('/off', [size(300)]), post('/off', size(5000))] },
    {
      name: 'more than the listener’s limit, as the route says',
      client: [post('/large', size(8000)), begun('/large', 9500)],
    },
    { name: 'toward HTTP/2', client: chunked('/two', ['abc']) },
    {
      name: 'from HTTP/2',
      // One after the other: which of two at once is logged first is chance.
      client: ['/x', '/two'].map((path) => http2([request(1, 'POST', path, {}, 'abc')])),
    },
    { name: 'too much from HTTP/2', client: http2([headers(1, to('/x'), false), data(1, size(201), false)]) },
    {
      name: 'too much from HTTP/2 at its end',
      client: http2([request(1, 'POST', '/x', {}, size(201))]),
      differs: AT_ONCE,
    },
    { name: 'an answer with an error', client: post('/', size(20)), upstreams: { a: [reply(500, 'no')] } },
    ...[3000, 8000].map((bytes) => ({
      name: `a retry of ${bytes} bytes`,
      client: get('/retried', {}, 'PUT', size(bytes)),
      upstreams: { a: [reply(503, 'no'), reply(200, 'yes')] },
    })),
    {
      name: 'expect',
      client: {
        send: [
          `POST / HTTP/1.1\r\nhost: conformance.test\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n`,
          50,
          'abc',
        ],
      },
    },
  ],
};
