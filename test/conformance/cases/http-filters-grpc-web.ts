import { countedApart, http, httpOptions, type Suite, typeUrl } from '../harness/case.ts';
import { type Exchange, get, http2, post } from '../harness/client.ts';
import { request } from '../harness/http2-client.ts';
import { reply } from '../harness/upstream.ts';

const FILTER = {
  name: 'envoy.filters.http.grpc_web',
  typed_config: { '@type': typeUrl('envoy.extensions.filters.http.grpc_web.v3.GrpcWeb') },
};
const PATH = '/pay.Settlement/Report';
const BINARY = { 'content-type': 'application/grpc-web' };
const TEXT = { 'content-type': 'application/grpc-web-text', accept: 'application/grpc-web-text' };
const MESSAGE = '\0\0\0\0\x03abc';
const base64 = (text: string) => Buffer.from(text, 'latin1').toString('base64');

/** An answer of gRPC: frames, then trailers. */
function grpc(body: string, trailers: string, type = 'application/grpc', status = 200) {
  const chunk = body === '' ? '' : `${body.length.toString(16)}\r\n${body}\r\n`;
  return {
    do: 'send' as const,
    bytes: `HTTP/1.1 ${status} OK\r\ntransfer-encoding: chunked\r\ncontent-type: ${type}\r\n\r\n${chunk}0\r\n${trailers}\r\n`,
  };
}

const OK = grpc(`${MESSAGE}\0\0\0\0\x01d`, 'grpc-status: 0\r\ngrpc-message: fine\r\n');

function inPieces(text: string, pieces: readonly number[], fields: object): Exchange {
  const head = Object.entries({ host: 'conformance.test', 'content-length': text.length, ...fields });
  const send: (string | number)[] = [
    `POST ${PATH} HTTP/1.1\r\n${head.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
  ];
  let at = 0;
  for (const size of [...pieces, text.length]) {
    send.push(30, text.slice(at, at + size));
    at += size;
  }
  return { send };
}

/** What browsers speak, to gRPC upstreams and to others. */
export const suite: Suite = {
  name: 'http-filters grpc-web',
  upstreams: ['one', 'two'],
  upstreamHttp2: ['two'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { one: ['one'], two: { endpoints: ['two'], ...httpOptions({}, { http2_protocol_options: {} }) } },
    filters: [FILTER],
    routes: [
      { match: { path: '/direct' }, direct_response: { status: 403, body: { inline_string: 'not here' } } },
      { match: { prefix: '/one' }, route: { cluster: 'one' } },
      { match: { prefix: '/gone' }, route: { cluster_header: 'x-cluster' } },
      { match: { prefix: '/' }, route: { cluster: 'two' } },
    ],
  }),
  statsDiffer: countedApart('text that breaks in its first piece does not reach an upstream; Envoy’s HTTP/2 library', [
    'cluster.two.http2.nghttp2_upstream_connections',
    'cluster.two.http2.tx_reset',
    'cluster.two.upstream_rq_total',
    'cluster.two.upstream_rq_tx_reset',
    'http.ingress.downstream_rq_response_before_rq_complete',
    'http.ingress.downstream_rq_rx_reset',
  ]),
  cases: [
    { name: 'a call', client: post(PATH, MESSAGE, BINARY), upstreams: { two: [OK] } },
    {
      name: 'a call with its other content type',
      client: post(PATH, MESSAGE, { 'content-type': 'application/grpc-web+proto', te: 'gzip' }),
      upstreams: { two: [OK] },
    },
    { name: 'a call in text', client: post(PATH, base64(MESSAGE), TEXT), upstreams: { two: [OK] } },
    {
      name: 'a call in text, answered in binary',
      client: post(PATH, base64(MESSAGE), { ...TEXT, accept: '*/*' }),
      upstreams: { two: [OK] },
    },
    {
      name: 'a call in binary, answered in text',
      client: post(PATH, MESSAGE, { ...BINARY, accept: 'application/grpc-web-text+proto' }),
      upstreams: { two: [OK] },
    },
    {
      name: 'text in pieces of any size',
      client: inPieces(base64(MESSAGE), [1, 2, 3, 5], TEXT),
      upstreams: { two: [OK] },
    },
    { name: 'text that is cut off', client: post(PATH, 'aGVsbG8', TEXT) },
    { name: 'text that is no base64', client: post(PATH, '####', TEXT) },
    { name: 'no body', client: get(PATH, BINARY, 'POST'), upstreams: { two: [OK] } },
    {
      name: 'an error in trailers',
      client: post(PATH, MESSAGE, BINARY),
      upstreams: { two: [grpc('', 'grpc-status: 5\r\n')] },
    },
    {
      name: 'trailers alone',
      client: [post(PATH, MESSAGE, BINARY), post(PATH, base64(MESSAGE), TEXT)],
      upstreams: {
        two: [reply(200, '', { 'content-type': 'application/grpc', 'grpc-status': '7', 'grpc-message': 'no' })],
      },
    },
    {
      name: 'answers that are no gRPC',
      client: [post(PATH, MESSAGE, BINARY), post(PATH, base64(MESSAGE), TEXT)],
      upstreams: { two: [reply(404, 'no such ~ 100%\n', { 'content-type': 'text/plain' })] },
    },
    ...[400, 401, 403, 429, 500, 502, 503, 200].map((status) => ({
      name: `an answer that is no gRPC: ${status}`,
      client: post(PATH, MESSAGE, BINARY),
      upstreams: { two: [reply(status, 'no', { 'content-type': 'text/plain' })] },
    })),
    {
      name: 'an answer that is no gRPC, without a body',
      client: post(PATH, MESSAGE, BINARY),
      upstreams: { two: [reply(503, '')] },
    },
    {
      name: 'an answer that is no gRPC, with trailers',
      client: post(PATH, MESSAGE, BINARY),
      upstreams: { two: [grpc('no', 'checksum: 1\r\n', 'text/plain', 500)] },
    },
    {
      name: 'an answer that is gRPC in type but not in status',
      client: post(PATH, MESSAGE, BINARY),
      upstreams: { two: [reply(503, 'no', { 'content-type': 'application/grpc' })] },
    },
    ...[
      'application/grpc+json',
      'application/grpcx',
      'application/grpc; a=b',
      'application/grpc-web',
      'application/grpc-web; a=b',
      'application/grpc-web-text',
    ].map((type) => ({
      name: `an answer of ${type}`,
      client: post(PATH, MESSAGE, BINARY),
      upstreams: { two: [reply(200, MESSAGE, { 'content-type': type })] },
    })),
    ...['application/grpc', 'application/grpc-web; a=b', 'application/grpc-web+json', 'Application/grpc-web'].map(
      (type) => ({
        name: `a request of ${type}`,
        client: post(PATH, MESSAGE, { 'content-type': type }),
        upstreams: { two: [OK] },
      }),
    ),
    {
      name: 'an upstream of HTTP/1.1',
      client: post('/one/Method', MESSAGE, BINARY),
      upstreams: { one: [reply(200, MESSAGE, { 'content-type': 'application/grpc', 'grpc-status': '0' })] },
    },
    {
      name: 'paths that are no method',
      client: [post('/x', MESSAGE, BINARY), post('/a/b/c?d', MESSAGE, BINARY)],
      upstreams: { two: [OK] },
    },
    { name: 'a path with a query', client: post(`${PATH}?a=b`, MESSAGE, BINARY), upstreams: { two: [OK] } },
    { name: 'a direct response', client: [post('/direct', MESSAGE, BINARY), post('/direct', base64(MESSAGE), TEXT)] },
    { name: 'no cluster', client: post('/gone/x', MESSAGE, BINARY) },
    { name: 'an upstream that resets', client: post(PATH, MESSAGE, BINARY), upstreams: { two: [{ do: 'reset' }] } },
    {
      name: 'from HTTP/2',
      client: http2([request(1, 'POST', PATH, BINARY, MESSAGE), request(3, 'POST', PATH, TEXT, base64(MESSAGE))], 2),
      upstreams: { two: [OK] },
    },
    {
      name: 'from HTTP/2, no gRPC',
      client: http2([request(1, 'POST', PATH, BINARY, MESSAGE)]),
      upstreams: { two: [reply(404, 'no', { 'content-type': 'text/plain' })] },
    },
  ],
};
