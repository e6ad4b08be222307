import { countedApart, type Difference, http, httpOptions, type Suite } from '../harness/case.ts';
import { get, http2, on, post } from '../harness/client.ts';
import { data, frame, headers, request, reset } from '../harness/http2-client.ts';
import { reply } from '../harness/upstream.ts';

const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const toHttp2 = (...endpoints: string[]) => ({ endpoints, ...httpOptions({}, { http2_protocol_options: {} }) });
const TRAILERS = {
  do: 'send' as const,
  bytes:
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: application/grpc\r\n\r\n2\r\nhi\r\n0\r\ngrpc-status: 0\r\n\r\n',
};
type Fields = [string, string][];
const to = (method: string, path: string): Fields => [
  [':method', method],
  [':scheme', 'http'],
  [':path', path],
  [':authority', 'conformance.test'],
];
const HEAD = to('GET', '/one');
const TOLD: Difference = {
  why: "a connection that ends for its client's fault is told so by GOAWAY (RFC 9113 §5.4.1)",
  at: { 'client[0].rest': { envoy: '', tollway: 'GOAWAY 1 ' } },
};
const WITH_KEY: Fields = [...to('CONNECT', '/one'), [':protocol', 'websocket'], ['sec-websocket-key', 'theirs']];
const ANY = { envoy: '*', tollway: '*' };
const GRPC = { 'content-type': 'application/grpc', te: 'trailers' };
const retry = { retry_policy: { retry_on: 'refused-stream', num_retries: 1 } };

const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, 'v']));

/** HTTP/2 on either side: messages as they pass, what is malformed, and what becomes of resets. */
export const suite: Suite = {
  name: 'HTTP/2',
  upstreams: ['one', 'two'],
  upstreamHttp2: ['two'],
  listener: 'ingress',
  bootstrap: http({
    clusters: {
      one: ['one'],
      two: toHttp2('two'),
      same: {
        endpoints: ['one'],
        typed_extension_protocol_options: {
          [OPTIONS]: { '@type': `type.googleapis.com/${OPTIONS}`, use_downstream_protocol_config: {} },
        },
      },
    },
    routes: [
      { match: { prefix: '/one' }, route: { cluster: 'one' } },
      { match: { prefix: '/two' }, route: { cluster: 'two' } },
      { match: { prefix: '/retry' }, route: { cluster: 'two', ...retry } },
      { match: { prefix: '/same' }, route: { cluster: 'same' } },
      { match: { prefix: '/direct' }, direct_response: { status: 200, body: { inline_string: 'direct' } } },
    ],
    variants: {
      lenient: { http2_protocol_options: { override_stream_error_on_invalid_http_message: true } },
      connect: { http2_protocol_options: { allow_connect: true }, upgrade_configs: [{ upgrade_type: 'websocket' }] },
      small: { max_request_headers_kb: 2 },
      idle: { stream_idle_timeout: '0.2s' },
      'one-stream': { http2_protocol_options: { max_concurrent_streams: 1 } },
      'one-request': { common_http_protocol_options: { max_requests_per_connection: 1 } },
      hints: { proxy_100_continue: true },
      drops: { common_http_protocol_options: { headers_with_underscores_action: 'DROP_HEADER' } },
      rejects: { common_http_protocol_options: { headers_with_underscores_action: 'REJECT_REQUEST' } },
    },
  }),
  cases: [
    { name: 'GET to HTTP/1.1', client: http2([request(1, 'GET', '/one/a?b=c', { 'x-a': '1' })]) },
    { name: 'POST to HTTP/1.1', client: http2([request(1, 'POST', '/one', {}, 'money')]) },
    { name: 'POST with a length', client: http2([request(1, 'POST', '/one', { 'content-length': '5' }, 'money')]) },
    { name: 'HEAD to HTTP/1.1', client: http2([request(1, 'HEAD', '/one')]) },
    { name: 'GET to HTTP/2', client: http2([request(1, 'GET', '/two/a?b=c', { 'x-a': '1' })]) },
    { name: 'POST to HTTP/2', client: http2([request(1, 'POST', '/two', {}, 'money')]) },
    { name: 'HTTP/1.1 to HTTP/2', client: get('/two/a', { 'x-a': '1', te: 'trailers' }) },
    { name: 'POST from HTTP/1.1 to HTTP/2', client: post('/two', 'money') },
    { name: 'HEAD from HTTP/1.1 to HTTP/2', client: get('/two', {}, 'HEAD') },
    { name: 'as the downstream speaks', client: get('/same') },
    {
      name: 'two streams of one connection',
      client: http2([request(1, 'GET', '/one/1'), 30, request(3, 'GET', '/two/3')], 2),
    },
    {
      name: 'trailers of a gRPC response',
      client: http2([request(1, 'POST', '/two', GRPC, 'x')]),
      upstreams: { two: [TRAILERS] },
    },
    {
      name: 'trailers of a request',
      client: http2([headers(1, to('POST', '/two'), false), data(1, 'x', false), headers(1, [['x-sum', 'abc']], true)]),
    },
    {
      name: 'an answer before the request ends',
      client: http2([headers(1, to('POST', '/direct'), false), 60, data(1, 'late')]),
    },
    {
      name: 'a response that is cut off',
      client: http2([request(1, 'GET', '/one')]),
      upstreams: { one: [{ do: 'close', afterBytes: 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf' }] },
    },
    {
      name: 'more fields than are let in',
      client: http2([request(1, 'GET', '/one', many(101)), 40, request(3, 'GET', '/direct')], 2),
      logLines: 2,
    },
    {
      name: 'more bytes of fields than are let in',
      client: on('small', http2([request(1, 'GET', '/one', { 'x-a': 'a'.repeat(3000) })])),
      logLines: 1,
    },
    {
      name: 'less body than announced',
      client: on(
        'lenient',
        http2([headers(1, [...to('POST', '/one'), ['content-length', '9']], false), 60, data(1, 'x')]),
      ),
    },
    ...[
      ['less', 'x', true],
      ['more', 'xxxxxxxxxxxx', false],
    ].flatMap(([what, text, end]) =>
      ['ingress', 'lenient'].map((listener) => ({
        name: `${what as string} body than announced: ${listener}, and others go on`,
        client: on(
          listener,
          http2(
            [
              headers(1, [...to('POST', '/one'), ['content-length', '9']], false),
              60,
              data(1, text as string, end as boolean),
              60,
              request(3, 'GET', '/direct'),
            ],
            2,
          ),
        ),
        logLines: 2,
      })),
    ),
    ...['ingress', 'lenient'].map((listener) => ({
      name: `no body, but announced: ${listener}, and others go on`,
      client: on(
        listener,
        http2(
          [headers(1, [...to('POST', '/one'), ['content-length', '9']], true), 60, request(3, 'GET', '/direct')],
          2,
        ),
      ),
      ...(listener === 'ingress' ? { differs: TOLD } : {}),
      logLines: 2,
    })),
    {
      name: 'a stream that idles before its response',
      client: on('idle', http2([request(1, 'GET', '/one/hang')])),
      upstreams: { one: [{ do: 'hang' }] },
    },
    {
      name: 'a stream that idles in its request',
      client: on('idle', http2([headers(1, to('POST', '/one'), false)])),
    },
    {
      name: 'a stream that idles in its response',
      client: on('idle', http2([request(1, 'GET', '/one')])),
      upstreams: {
        one: [{ do: 'send', early: 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf', bytes: '' }],
      },
    },
    {
      name: 'one stream more than is let in',
      client: on('one-stream', http2([request(1, 'GET', '/one/hang'), 40, request(3, 'GET', '/direct')])),
      upstreams: { one: [{ do: 'hang' }] },
      logLines: 1,
      differs: {
        why: 'the stream is refused, and may be sent again; the connection and its other streams go on',
        at: {
          'client[0].responses[0]': { envoy: undefined, tollway: '*' },
          'client[0].end': { envoy: 'closed', tollway: 'open' },
          'accessLog[0].details': {
            envoy: 'codec_error:The_user_callback_function_failed',
            tollway: 'downstream_remote_disconnect',
          },
          'accessLog[0].flags': { envoy: 'DPE', tollway: 'DC' },
        },
      },
    },
    {
      name: 'the last request of a connection',
      client: on('one-request', http2([request(1, 'GET', '/one')])),
    },
    {
      name: 'a websocket to HTTP/2',
      client: on(
        'connect',
        http2([
          headers(1, [...to('CONNECT', '/two'), [':protocol', 'websocket'], ['sec-websocket-version', '13']], false),
          60,
          data(1, 'ping'),
        ]),
      ),
    },
    {
      name: 'a websocket to HTTP/1.1',
      client: on('connect', http2([headers(1, WITH_KEY, false), 60, data(1, 'ping')])),
      upstreams: {
        one: [
          {
            do: 'send',
            bytes: 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\npong',
            thenClose: true,
          },
        ],
      },
      differs: {
        why: "the upstream's FIN ends its half of the tunnel and is no reset",
        at: {
          'client[0].responses[0].start': { envoy: 'HTTP/2 200 RST_STREAM 10', tollway: 'HTTP/2 200' },
          'accessLog[0].details': {
            envoy: 'upstream_reset_after_response_started{connection_termination}',
            tollway: 'via_upstream',
          },
          'accessLog[0].flags': { envoy: 'UC', tollway: '-' },
        },
      },
    },
    {
      name: 'a websocket to HTTP/1.1 that answers it as another request',
      client: on('connect', http2([headers(1, WITH_KEY, false)])),
      differs: {
        why: 'to the client a 200 is its tunnel: the answer would be read as frames of the new protocol',
        at: {
          'client[0].responses[0].start': { envoy: 'HTTP/2 200', tollway: 'HTTP/2 502' },
          'client[0].responses[0].headers.*': ANY,
          'client[0].responses[0].body': ANY,
          'accessLog[0].*': ANY,
        },
      },
    },
    {
      name: 'a websocket to HTTP/1.1 without a key',
      client: on('connect', http2([headers(1, WITH_KEY.slice(0, -1), false)])),
      upstreams: { one: [reply(404)] },
      differs: {
        why: 'extended CONNECT has no key, and no server over HTTP/1.1 does without (RFC 6455 §4.2.1)',
        at: { 'upstreams.one[0].headers.*': ANY },
      },
    },
    {
      name: 'a websocket that no upgrade is configured for',
      client: on('connect', http2([headers(1, [...to('CONNECT', '/one'), [':protocol', 'other']], false)])),
    },
    {
      name: 'CONNECT that nobody asked for',
      client: http2([
        headers(
          1,
          [
            [':method', 'CONNECT'],
            [':authority', 'a.test:80'],
          ],
          false,
        ),
      ]),
    },
    {
      name: 'Expect',
      client: http2([request(1, 'POST', '/one', { expect: '100-continue' }, 'money')]),
    },
    {
      name: 'early hints',
      client: on('hints', http2([request(1, 'GET', '/one')])),
      upstreams: {
        one: [
          {
            do: 'send',
            bytes: 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx',
          },
        ],
      },
    },
    { name: 'OPTIONS *', client: http2([headers(1, to('OPTIONS', '*'), true)]), logLines: 1 },
    { name: 'a fragment', client: http2([request(1, 'GET', '/direct#x')]) },
    { name: 'a method of its own', client: http2([request(1, 'PAY', '/two')]) },
    { name: 'a direct response', client: http2([request(1, 'GET', '/direct')]) },
    { name: 'no route', client: http2([request(1, 'GET', '/nothing')]) },
    { name: 'a gRPC call without route', client: http2([request(1, 'POST', '/nothing', GRPC, 'x')]) },
    {
      name: 'cookies in crumbs',
      client: http2([headers(1, [...HEAD, ['cookie', 'a=1'], ['cookie', 'b=2']], true)]),
    },
    {
      name: 'Host in place of the authority',
      client: http2([headers(1, [...HEAD.slice(0, 3), ['host', 'h.test']], true)]),
    },
    {
      name: 'an upstream that refuses the stream',
      client: http2([request(1, 'GET', '/two')]),
      upstreams: { two: [{ do: 'close' }] },
    },
    {
      name: 'a refused stream that may be retried',
      client: http2([request(1, 'POST', '/retry', {}, 'once')]),
      upstreams: { two: [{ do: 'close' }, reply(200, 'again')] },
    },
    {
      name: 'an upstream that resets the stream',
      client: http2([request(1, 'GET', '/two')]),
      upstreams: { two: [{ do: 'reset' }] },
    },
    {
      name: 'an HTTP/1.1 upstream that closes',
      client: http2([request(1, 'GET', '/one')]),
      upstreams: { one: [{ do: 'close' }] },
    },
    {
      name: 'a client that resets its stream, and goes on',
      client: http2([request(1, 'GET', '/one/hang'), 60, reset(1, 8), 30, request(3, 'GET', '/direct')]),
      upstreams: { one: [{ do: 'hang' }] },
      logLines: 2,
    },
    {
      name: 'a websocket that is not configured',
      client: http2([headers(1, [[':method', 'CONNECT'], ...HEAD.slice(1), [':protocol', 'websocket']], false)], 0),
      logLines: 1,
      differs: TOLD,
    },
    { name: 'underscores dropped', client: on('drops', http2([request(1, 'GET', '/one', { x_a: '1' })])) },
    {
      name: 'underscores refused',
      client: on('rejects', http2([request(1, 'GET', '/one', { x_a: '1' })])),
      logLines: 1,
    },
    {
      name: 'PING and an unknown frame',
      client: http2([frame(6, 0, 0, Buffer.alloc(8)), frame(99, 0, 0), request(1, 'GET', '/direct')]),
    },
    ...[
      ['an upper-case name', [...HEAD, ['X-A', '1']]],
      ['connection', [...HEAD, ['connection', 'close']]],
      ['TE with codings', [...HEAD, ['te', 'gzip']]],
      ['no authority', HEAD.slice(0, 3)],
      ['no path', HEAD.filter(([name]) => name !== ':path')],
      ['a relative path', HEAD.map(([name, value]) => [name, name === ':path' ? 'one' : value])],
      ['an unknown pseudo-field', [...HEAD, [':x', '1']]],
      ['a line end in a value', [...HEAD, ['x-a', '1\r\nx-b: 2']]],
    ].flatMap(([name, fields]) => {
      const frames = [headers(1, fields as Fields, true), 40, request(3, 'GET', '/direct')];
      return [
        { name: `malformed: ${name as string}`, client: http2(frames, 0), logLines: 1, differs: TOLD },
        { name: `malformed, lenient: ${name as string}`, client: on('lenient', http2(frames, 2)), logLines: 2 },
      ];
    }),
  ],
  statsDiffer: countedApart("the codec is Tollway's own; what differs on purpose above is counted as it is", [
    // A 200 that is no 101 is a 502.
    ...['cx_protocol_error', 'rq_502', 'rq_5xx', 'rq_completed'].map((name) => `cluster.one.upstream_${name}`),
    ...['http.connect', 'listener.<address>.http.connect'].flatMap((prefix) => [
      `${prefix}.downstream_rq_2xx`,
      `${prefix}.downstream_rq_5xx`,
    ]),
    'cluster.two.http2.nghttp2_upstream_connections',
    // The upstream never said that it takes extended CONNECT: nothing is sent to it.
    'cluster.two.http2.rx_reset',
    'http.connect.downstream_rq_tx_reset',
    'http.one-stream.downstream_cx_protocol_error',
  ]),
};
