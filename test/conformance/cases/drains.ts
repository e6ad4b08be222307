import { type Case, countedApart, type Difference, http, httpOptions, type Suite } from '../harness/case.ts';
import { type Exchange, get, http2, on, post, raw } from '../harness/client.ts';
import { data, headers, request } from '../harness/http2-client.ts';
import { reply } from '../harness/upstream.ts';

const FAIL = ['/healthcheck/fail'];
const OK = ['/healthcheck/ok'];
const slow = { ...reply(200, 'late'), afterMs: 200 };
const lingering = (exchange: Exchange): Exchange => ({ ...exchange, lingerMs: 700 });
const OPEN = headers(
  1,
  [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', '/a'],
    [':authority', 'conformance.test'],
  ],
  false,
);

const SOON: { readonly differs: Difference } = {
  differs: {
    why: 'a connection that was told to close ends with that response (RFC 9112 §9.6)',
    at: { 'client[0].end': { envoy: 'open', tollway: 'closed' } },
  },
};

/** Connections of a server that says it is not well: each ends with its next response. */
export const suite: Suite = {
  name: 'drains',
  upstreams: ['a', 'two'],
  upstreamHttp2: ['two'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], two: { endpoints: ['two'], ...httpOptions({}, { http2_protocol_options: {} }) } },
    manager: { drain_timeout: '0.2s', upgrade_configs: [{ upgrade_type: 'ws' }] },
    routes: [
      { match: { prefix: '/direct' }, direct_response: { status: 200, body: { inline_string: 'direct' } } },
      { match: { prefix: '/two' }, route: { cluster: 'two' } },
      { match: { prefix: '/' }, route: { cluster: 'a' } },
    ],
    variants: {
      http1: { codec_type: 'HTTP1' },
      old: { http_protocol_options: { accept_http_10: true } },
    },
  }),
  cases: (
    [
      { name: 'well: HTTP/1.1 stays', client: get('/a') },
      { name: 'well: HTTP/2 stays', client: lingering(http2([request(1, 'GET', '/a')])) },
      { ...SOON, name: 'not well: an answer of the upstream', client: get('/a') },
      { ...SOON, name: 'not well: a direct response', client: get('/direct') },
      { ...SOON, name: 'not well: no route', client: get('/a', { host: '' }) },
      { ...SOON, name: 'not well: HEAD', client: get('/a', {}, 'HEAD') },
      { ...SOON, name: 'not well: a body', client: post('/a', 'money') },
      {
        differs: {
          why: 'what comes behind a response that says close is not read (RFC 9112 §9.6)',
          at: {
            ...SOON.differs.at,
            'client[0].responses[1]': { envoy: '*', tollway: undefined },
            'upstreams.a[1]': { envoy: '*', tollway: undefined },
            'accessLog[1]': { envoy: '*', tollway: undefined },
          },
        },
        name: 'not well: a request behind another',
        client: raw('GET /a HTTP/1.1\nhost: x.test\n\nGET /a HTTP/1.1\nhost: x.test\n\n'),
      },
      { ...SOON, name: 'not well: a request that is answered late', client: get('/a'), upstreams: { a: [slow] } },
      {
        ...SOON,
        name: 'not well: HTTP/1.0',
        client: on('old', raw('GET /a HTTP/1.0\nhost: x.test\nconnection: keep-alive\n\n')),
      },
      {
        differs: {
          why: 'a FIN ends its half of a tunnel and is no reset',
          at: {
            'accessLog[0].details': { envoy: '*', tollway: '*' },
            'accessLog[0].flags': { envoy: '*', tollway: '*' },
          },
        },
        name: 'not well: an upgrade',
        client: { ...get('/a', { connection: 'Upgrade', upgrade: 'ws' }), withinMs: 600 },
        upstreams: {
          a: [{ do: 'send', bytes: 'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ws\r\n\r\n' }],
        },
      },
      { name: 'not well: HTTP/2', client: lingering(http2([request(1, 'GET', '/a')])) },
      { name: 'not well: HTTP/2, a direct response', client: lingering(http2([request(1, 'GET', '/direct')])) },
      {
        name: 'not well: HTTP/2, a second stream at once',
        client: lingering(http2([request(1, 'GET', '/a'), 60, request(3, 'GET', '/a')], 2)),
      },
      {
        name: 'not well: HTTP/2, a stream under way',
        client: lingering(http2([request(1, 'GET', '/a'), request(3, 'GET', '/two')], 2)),
        upstreams: { a: [slow] },
      },
      {
        name: 'not well: HTTP/2, a stream that is still sent',
        client: lingering(http2([request(3, 'GET', '/direct'), OPEN, 350, data(1, 'x')].slice(1), 1)),
      },
      {
        name: 'not well: a new connection that sends nothing',
        client: { send: [], responses: 0, withinMs: 500 },
        logLines: 0,
      },
      { name: 'well again: HTTP/2 stays', client: lingering(http2([request(1, 'GET', '/a')])) },
      { name: 'well again: HTTP/1.1 stays', client: get('/a') },
    ] as readonly Case[]
  ).map((one) => ({ ...one, posts: one.name.startsWith('not well') ? FAIL : OK })),
  statsDiffer: countedApart("one request is not read, one FIN is no reset; the codec of HTTP/2 is Tollway's own", [
    ...['200', '2xx', 'completed', 'total'].map((name) => `cluster.a.upstream_rq_${name}`),
    'cluster.two.http2.nghttp2_upstream_connections',
    ...['2xx', 'completed', 'http1_total', 'rx_reset', 'total'].map((name) => `http.ingress.downstream_rq_${name}`),
    'http.ingress.rq_total',
    ...['2xx', 'completed'].map((name) => `listener.<address>.http.ingress.downstream_rq_${name}`),
  ]),
};
