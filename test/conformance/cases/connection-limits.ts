import { type Case, countedApart, http, httpOptions, type Suite } from '../harness/case.ts';
import { type Exchange, get, http2, on, post, raw } from '../harness/client.ts';
import { headers, request } from '../harness/http2-client.ts';
import { reply } from '../harness/upstream.ts';

const H2 = { http2_protocol_options: {} };
const two = (common: object) => ({ endpoints: ['two'], ...httpOptions(common, H2) });
const one = (common: object, http1: object = {}) => ({
  endpoints: ['a'],
  ...httpOptions(common, { http_protocol_options: http1 }),
});
const PRESERVE = {
  header_key_format: {
    stateful_formatter: {
      name: 'preserve_case',
      typed_config: {
        '@type':
          'type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig',
      },
    },
  },
};
const PROPER = { header_key_format: { proper_case_words: {} } };
const slow = { ...reply(200, 'late'), afterMs: 400 };
const cut = { do: 'send' as const, early: 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf', bytes: '' };
const each = (count: number, exchange: Exchange): readonly Exchange[] =>
  Array.from({ length: count }, () => ({ ...exchange, lingerMs: 10 }));
const post1 = headers(
  1,
  [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', '/a'],
    [':authority', 'conformance.test'],
  ],
  false,
);

const any = { envoy: '*', tollway: '*' };

/** How long connections and streams may live, and how many requests they may carry, by protocol and side. */
export const suite: Suite = {
  name: 'limits of connections',
  upstreams: ['a', 'two'],
  upstreamHttp2: ['two'],
  listener: 'ingress',
  bootstrap: http({
    clusters: {
      a: ['a'],
      two: two({}),
      'two-once': two({ max_requests_per_connection: 1 }),
      'two-twice': two({ max_requests_per_connection: 2 }),
      'two-idle': two({ idle_timeout: '0.2s' }),
      'two-short': two({ max_connection_duration: '0.2s' }),
      'two-stream': two({ max_stream_duration: '0.2s' }),
      'one-short': one({ max_connection_duration: '0.2s' }),
      'one-stream': one({ max_stream_duration: '0.2s' }),
      'one-headers': one({ max_headers_count: 3 }),
      'two-headers': two({ max_headers_count: 3 }),
      proper: one({}, PROPER),
      preserved: one({}, PRESERVE),
    },
    routes: [
      ...[
        'two-once',
        'two-twice',
        'two-idle',
        'two-short',
        'two-stream',
        'one-short',
        'one-stream',
        'one-headers',
        'two-headers',
        'proper',
        'preserved',
        'two',
      ].map((cluster) => ({ match: { path: `/${cluster}` }, route: { cluster } })),
      {
        match: { path: '/retried-stream' },
        route: { cluster: 'one-stream', retry_policy: { retry_on: '5xx,reset', num_retries: 1 } },
      },
      { match: { path: '/own-stream' }, route: { cluster: 'a', max_stream_duration: { max_stream_duration: '0.2s' } } },
      { match: { path: '/endless' }, route: { cluster: 'a', max_stream_duration: { max_stream_duration: '0s' } } },
      { match: { prefix: '/direct' }, direct_response: { status: 200, body: { inline_string: 'direct' } } },
      { match: { prefix: '/' }, route: { cluster: 'a' } },
    ],
    variants: {
      'two-requests': { common_http_protocol_options: { max_requests_per_connection: 2 }, drain_timeout: '0.1s' },
      'short-life': { common_http_protocol_options: { max_connection_duration: '0.2s' }, drain_timeout: '0.1s' },
      idle: { common_http_protocol_options: { idle_timeout: '0.2s' }, drain_timeout: '0.1s' },
      'short-streams': { common_http_protocol_options: { max_stream_duration: '0.2s' } },
      'one-stream': { http2_protocol_options: { max_concurrent_streams: 2 } },
      proper: { http_protocol_options: PROPER },
      preserved: { http_protocol_options: PRESERVE },
      'few-headers': { common_http_protocol_options: { max_headers_count: 3 } },
      'http1-only': { codec_type: 'HTTP1' },
      'http2-only': { codec_type: 'HTTP2' },
    },
  }),
  cases: [
    {
      name: 'HTTP/2 in: the last requests of a connection',
      client: {
        ...on(
          'two-requests',
          http2([request(1, 'GET', '/a'), 30, request(3, 'GET', '/a'), 30, request(5, 'GET', '/a')], 2),
        ),
        lingerMs: 400,
      },
      logLines: 2,
    },
    {
      name: 'HTTP/2 in: a connection that lived long enough',
      client: { ...on('short-life', http2([request(1, 'GET', '/a')])), lingerMs: 700 },
    },
    {
      name: 'HTTP/2 in: a connection that lived long enough, with a stream',
      client: { ...on('short-life', http2([request(1, 'GET', '/a')])), lingerMs: 500 },
      upstreams: { a: [slow] },
    },
    {
      name: 'HTTP/1.1 in: a connection that lived long enough, with a request',
      client: { ...on('short-life', get('/a')), lingerMs: 500 },
      upstreams: { a: [slow] },
    },
    {
      name: 'HTTP/2 in: an idle connection',
      client: { ...on('idle', http2([request(1, 'GET', '/a')])), lingerMs: 700 },
    },
    {
      name: 'HTTP/2 in: a connection that never had a stream',
      client: { ...on('idle', http2([], 0)), withinMs: 900 },
      logLines: 0,
    },
    {
      name: 'HTTP/2 in: a stream that takes too long',
      client: on('short-streams', http2([request(1, 'GET', '/a')])),
      upstreams: { a: [slow] },
    },
    { name: 'HTTP/2 in: a stream that takes too long to be sent', client: on('short-streams', http2([post1])) },
    {
      name: 'HTTP/2 in: a stream that takes too long to be answered',
      client: on('short-streams', http2([request(1, 'GET', '/a')])),
      upstreams: { a: [cut] },
    },
    {
      name: 'HTTP/2 in: others go on',
      client: on('short-streams', http2([request(1, 'GET', '/a/slow'), 250, request(3, 'GET', '/direct')], 2)),
      upstreams: { a: [slow] },
    },
    { name: 'the route gives less time', client: get('/own-stream'), upstreams: { a: [slow] } },
    {
      name: 'the route gives less time than the body takes',
      client: { send: ['POST /own-stream HTTP/1.1\r\nhost: x.test\r\ncontent-length: 4\r\n\r\nab', 400, 'cd'] },
    },
    { name: 'the route gives more time', client: on('short-streams', get('/endless')), upstreams: { a: [slow] } },
    { name: 'HTTP/2 out: one request a connection', client: each(2, get('/two-once')) },
    { name: 'HTTP/2 out: two requests a connection', client: each(3, get('/two-twice')) },
    {
      name: 'HTTP/2 out: an idle connection',
      client: [get('/two-idle'), { ...get('/two-idle'), send: [400, ...get('/two-idle').send] }],
    },
    {
      name: 'HTTP/2 out: a connection that lived long enough',
      client: [get('/two-short'), { ...get('/two-short'), send: [400, ...get('/two-short').send] }],
    },
    {
      name: 'HTTP/1.1 out: a connection that lived long enough',
      client: [get('/one-short'), { ...get('/one-short'), send: [400, ...get('/one-short').send] }],
    },
    {
      name: 'HTTP/1.1 out: a connection that lived long enough, with a request',
      client: get('/one-short'),
      upstreams: { a: [slow] },
    },
    { name: 'HTTP/1.1 out: a stream that takes too long', client: get('/one-stream'), upstreams: { a: [slow] } },
    {
      name: 'HTTP/1.1 out: a stream that takes too long, in its answer',
      client: get('/one-stream'),
      upstreams: { a: [cut] },
    },
    {
      name: 'HTTP/1.1 out: a stream that takes too long, and is tried again',
      client: get('/retried-stream'),
      upstreams: { a: [slow, reply(200, 'again')] },
    },
    {
      name: 'HTTP/2 out: a stream that takes too long',
      client: get('/two-stream'),
      upstreams: { two: [{ do: 'hang' }] },
    },
    {
      name: 'HTTP/1.1 out: more fields than are let in',
      client: get('/one-headers'),
      upstreams: { a: [reply(200, 'x', { 'x-a': '1', 'x-b': '2', 'x-c': '3' })] },
    },
    {
      name: 'HTTP/1.1 out: as many fields as are let in',
      client: get('/one-headers'),
      upstreams: { a: [reply(200, 'x', { 'x-a': '1', 'x-b': '2' })] },
    },
    {
      differs: {
        why: 'too much of a response is the fault of the upstream, in either protocol',
        at: { 'client[0].responses[0].*': any, 'accessLog[0].*': any },
      },
      name: 'HTTP/2 out: more fields than are let in',
      client: get('/two-headers'),
      upstreams: { two: [reply(200, 'x', { 'x-a': '1', 'x-b': '2', 'x-c': '3', 'x-d': '4' })] },
    },
    {
      name: 'HTTP/1.1 in: more fields than are let in',
      client: on('few-headers', get('/a', { 'x-a': '1', 'x-b': '2', 'x-c': '3' })),
    },
    {
      name: 'HTTP/1.1 in: as many fields as are let in',
      client: on('few-headers', get('/a', { 'x-a': '1', 'x-b': '2' })),
    },
    ...['proper', 'preserved'].flatMap((name): Case[] => [
      {
        name: `names in: ${name}`,
        client: on(name, get('/a', { 'X-MiXed-Name': '1', 'x-lower': '2' })),
        upstreams: { a: [reply(200, 'x', { 'X-MiXed-Answer': '1', 'x-lower-answer': '2' })] },
      },
      {
        name: `names out: ${name}`,
        client: get(`/${name}`, { 'X-MiXed-Name': '1', 'x-lower': '2' }),
        upstreams: { a: [reply(200, 'x', { 'X-MiXed-Answer': '1' })] },
      },
      {
        name: `names in and out: ${name}`,
        client: on(name, get(`/${name}`, { 'X-MiXed-Name': '1', 'x-lower': '2', 'X-FORWARDED-PROTO': 'https' })),
        upstreams: { a: [reply(200, 'x', { 'X-MiXed-Answer': '1', DATE: 'today' })] },
      },
      { name: `names of a local reply: ${name}`, client: on(name, get('/direct')) },
      { name: `names with a body: ${name}`, client: on(name, post(`/${name}`, 'x', { 'Content-Type': 'text/plain' })) },
    ]),
    {
      name: 'HTTP/2 where HTTP/1.1 is spoken',
      client: { ...on('http1-only', http2([request(1, 'GET', '/a')], 0)), withinMs: 600 },
      logLines: 1,
    },
    {
      differs: {
        why: 'the server says its settings first, and why it goes (RFC 9113 §3.4, §5.4.1)',
        at: { 'client[0].rest': any },
      },
      name: 'HTTP/1.1 where HTTP/2 is spoken',
      client: on('http2-only', { ...get('/a'), responses: 0, withinMs: 600 }),
      logLines: 0,
    },
    {
      name: 'nothing that is HTTP',
      client: { send: ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'], withinMs: 600 },
      logLines: 1,
    },
    {
      differs: {
        why: 'without all of the preface it is no HTTP/2, and is answered in HTTP/1.1',
        at: {
          'client[0].responses[0]': { envoy: undefined, tollway: '*' },
          'accessLog[0]': { envoy: undefined, tollway: '*' },
        },
      },
      name: 'the beginning of HTTP/2 and then something else',
      client: raw('PRI * HTTP/2.0\n\nnonsense\n\n', { withinMs: 600 }),
      logLines: 1,
    },
  ],
  statsDiffer: countedApart("the codecs are Tollway's own; what differs on purpose above is counted as it is", [
    ...['two-headers', 'two-idle', 'two-once', 'two-short', 'two-stream', 'two-twice'].map(
      (cluster) => `cluster.${cluster}.http2.nghttp2_upstream_connections`,
    ),
    ...['502', '503', 'rx_reset'].map((name) => `cluster.two-headers.upstream_rq_${name}`),
    // Envoy takes its own end of such a connection for the upstream's fault.
    ...['two-once', 'two-twice'].map((cluster) => `cluster.${cluster}.upstream_cx_protocol_error`),
    ...['http1', 'http2'].map((protocol) => `http.ingress.downstream_cx_${protocol}_total`),
    ...['4xx', 'completed', 'http1_total', 'response_before_rq_complete', 'rx_reset', 'total'].map(
      (name) => `http.ingress.downstream_rq_${name}`,
    ),
    ...['4xx', 'completed'].map((name) => `listener.<address>.http.ingress.downstream_rq_${name}`),
  ]),
};
