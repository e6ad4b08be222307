import {
  accessLog,
  counts,
  type Difference,
  http,
  httpOptions,
  LOG_FORMAT,
  ROUTER,
  type Suite,
  typeUrl,
} from '../harness/case.ts';
import { get, http2, on, post } from '../harness/client.ts';
import { data, headers, request } from '../harness/http2-client.ts';
import { reply } from '../harness/upstream.ts';

const NAME = 'envoy.filters.http.grpc_stats';
const counting = (config: object) => ({
  http_filters: [
    {
      name: NAME,
      typed_config: { '@type': typeUrl('envoy.extensions.filters.http.grpc_stats.v3.FilterConfig'), ...config },
    },
    ROUTER,
  ],
});
const GRPC = { 'content-type': 'application/grpc', te: 'trailers' };
/** A message of gRPC: flags, length, bytes. */
const message = (text: string) => `\0\0\0\0${String.fromCharCode(text.length)}${text}`;
const STREAM = { 'content-type': 'application/connect+proto' };
/** Connect's last frame of a stream. */
const ending = (json: string) => `\x02\0\0\0${String.fromCharCode(json.length)}${json}`;
const answer = (body: string, trailers: string, type = 'application/grpc', fields = '') => ({
  do: 'send' as const,
  bytes:
    `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: ${type}\r\n${fields}\r\n` +
    `${body === '' ? '' : `${body.length.toString(16)}\r\n${body}\r\n`}0\r\n${trailers}\r\n`,
});
const connect = (body: string) => answer(body, '', STREAM['content-type']);
const ok = answer(message('one'), 'grpc-status: 0\r\n');
const call = (path: string, fields: { readonly [name: string]: string } = GRPC, body = message('ask')) =>
  http2([request(1, 'POST', path, fields, body)]);
/** Envoy takes a stream of Connect that says its version for a unary call too. */
const TWICE: Difference = {
  why: 'a stream of Connect is counted once, and its messages are in the filter state',
  at: {
    'accessLog[0].text': { envoy: '0,0', tollway: '1,1' },
    'accessLog[0].typed.request_message_count': { envoy: undefined, tollway: '1' },
    'accessLog[0].typed.response_message_count': { envoy: undefined, tollway: '1' },
    'accessLog[0].within': {
      envoy: 'state {}',
      tollway: 'state {"requestMessageCount":"1","responseMessageCount":"1"}',
    },
  },
};
const pieces = [
  headers(
    1,
    [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', '/pay.Ledger/Book'],
      [':authority', 'conformance.test'],
      ['content-type', 'application/grpc'],
    ],
    false,
  ),
  data(1, '\0\0\0', false),
  20,
  data(1, '\0\x03a', false),
  20,
  data(1, `bc${message('')}${message('xyz')}\0`, true),
];

/** Calls of gRPC and their messages, counted below the cluster. */
export const suite: Suite = {
  name: 'http-filters grpc_stats',
  upstreams: ['a', 'plain'],
  upstreamHttp2: ['a'],
  listener: 'ingress',
  bootstrap: http({
    clusters: {
      a: { endpoints: ['a'], ...httpOptions({}, { http2_protocol_options: {} }) },
      named: { endpoints: ['a'], alt_stat_name: 'other', ...httpOptions({}, { http2_protocol_options: {} }) },
      plain: ['plain'],
    },
    routes: [
      { match: { prefix: '/pay.Ledger/Direct' }, direct_response: { status: 200, body: { inline_string: 'direct' } } },
      { match: { prefix: '/pay.Ledger/Named' }, route: { cluster: 'named' } },
      { match: { prefix: '/pay.Ledger/Plain' }, route: { cluster: 'plain' } },
      { match: { prefix: '/' }, route: { cluster: 'a' } },
    ],
    manager: {
      access_log: [
        accessLog({
          json_format: {
            ...LOG_FORMAT,
            typed: `%FILTER_STATE(${NAME})%`,
            text: `%FILTER_STATE(${NAME}:PLAIN)%`,
            asked: `%FILTER_STATE(${NAME}:FIELD:request_message_count)%`,
            got: `%FILTER_STATE(${NAME}:FIELD:response_message_count)%`,
            nothing: `%FILTER_STATE(${NAME}:FIELD:nothing)%`,
            within: `state %FILTER_STATE(${NAME})%`,
            other: '%FILTER_STATE(other)%',
            upstream: `%UPSTREAM_FILTER_STATE(${NAME})%`,
          },
        }),
      ],
      ...counting({ stats_for_all_methods: true, emit_filter_state: true, enable_upstream_stats: true }),
    },
    variants: {
      none: counting({}),
      istio: counting({ emit_filter_state: true, stats_for_all_methods: false }),
      list: counting({
        individual_method_stats_allowlist: { services: [{ name: 'pay.Ledger', method_names: ['Book', 'Read'] }] },
      }),
      replaced: counting({ stats_for_all_methods: true, replace_dots_in_grpc_service_name: true }),
    },
  }),
  statsDiffer: counts(
    'names are not what an upstream likes; streams of Connect are counted once; the codec is our own',
    {
      'cluster.a.grpc.pay.Ledger.Book.-1': [1, 2],
      'cluster.a.grpc.pay.Ledger.Book.soon': [1, 0],
      'cluster.a.grpc.pay.Ledger.Stream.success': [3, 2],
      'cluster.a.grpc.pay.Ledger.Stream.total': [3, 2],
      'cluster.a.http2.nghttp2_upstream_connections': [1, 0],
      'cluster.other.http2.nghttp2_upstream_connections': [1, 0],
    },
  ),
  cases: [
    { name: 'a call', client: call('/pay.Ledger/Book'), upstreams: { a: [ok] } },
    {
      name: 'messages in pieces',
      client: http2(pieces),
      upstreams: { a: [answer(`${message('a')}${message('b')}${message('')}`, 'grpc-status: 0\r\n')] },
    },
    { name: 'a failure', client: call('/pay.Ledger/Book'), upstreams: { a: [answer('', 'grpc-status: 5\r\n')] } },
    {
      name: 'trailers only',
      client: call('/pay.Ledger/Book'),
      upstreams: { a: [reply(200, '', { 'content-type': 'application/grpc', 'grpc-status': '7' })] },
    },
    {
      name: 'a status that is none',
      client: call('/pay.Ledger/Book'),
      upstreams: { a: [answer('', 'grpc-status: soon\r\n')] },
    },
    {
      name: 'a status above all',
      client: call('/pay.Ledger/Book'),
      upstreams: { a: [answer('', 'grpc-status: 17\r\n')] },
    },
    {
      name: 'a negative status',
      client: call('/pay.Ledger/Book'),
      upstreams: { a: [answer('', 'grpc-status: -1\r\n')] },
    },
    { name: 'no status', client: call('/pay.Ledger/Book'), upstreams: { a: [answer(message('x'), 'x-other: 5\r\n')] } },
    { name: 'an answer that is not gRPC', client: call('/pay.Ledger/Book'), upstreams: { a: [reply(503, 'no')] } },
    {
      name: 'an answer of gRPC with 400',
      client: call('/pay.Ledger/Book'),
      upstreams: {
        a: [{ do: 'send', bytes: 'HTTP/1.1 400 Bad\r\ncontent-type: application/grpc\r\ngrpc-status: 3\r\n\r\n' }],
      },
    },
    { name: 'a reset', client: call('/pay.Ledger/Book'), upstreams: { a: [{ do: 'reset' }] } },
    { name: 'a direct response', client: call('/pay.Ledger/Direct') },
    {
      name: 'a content type with a suffix',
      client: call('/pay.Ledger/Json', { ...GRPC, 'content-type': 'application/grpc+proto' }),
      upstreams: { a: [ok] },
    },
    {
      name: 'a content type with a parameter',
      client: call('/pay.Ledger/Parameter', { ...GRPC, 'content-type': 'application/grpc; a=b' }),
      upstreams: { a: [answer(message('one'), 'grpc-status: 0\r\n', 'application/grpc; charset=utf-8')] },
    },
    {
      name: 'gRPC-Web',
      client: call('/pay.Ledger/Web', { 'content-type': 'application/grpc-web' }),
      upstreams: { a: [ok] },
    },
    {
      name: 'Connect, unary',
      client: call('/pay.Ledger/Unary', { 'content-type': 'application/proto', 'connect-protocol-version': '1' }, 'x'),
      upstreams: { a: [reply(200, 'y', { 'content-type': 'application/proto' })] },
    },
    {
      name: 'Connect, unary, by GET',
      client: get('/pay.Ledger/Get?connect=v1&encoding=proto', { 'connect-protocol-version': '1' }),
      upstreams: { a: [reply(200, 'y', { 'content-type': 'application/proto' })] },
    },
    {
      name: 'Connect, streaming',
      client: call('/pay.Ledger/Stream', {
        'content-type': 'application/connect+proto',
        'connect-protocol-version': '1',
      }),
      upstreams: { a: [answer(`${message('one')}\x02\0\0\0\x02{}`, '', 'application/connect+proto')] },
      differs: TWICE,
    },
    {
      name: 'Connect, streaming, without a version',
      client: call('/pay.Ledger/Stream', { 'content-type': 'application/connect+proto' }),
      upstreams: { a: [answer(`${message('one')}\x02\0\0\0\x02{}`, '', 'application/connect+proto')] },
    },
    {
      name: 'Connect, streaming, an error at the end',
      client: call('/pay.Ledger/Error', STREAM),
      upstreams: { a: [connect(`${message('one')}${ending('{"error":{"code":"not_found"}}')}`)] },
    },
    {
      name: 'Connect, streaming, an error without a code',
      client: call('/pay.Ledger/Codeless', STREAM),
      upstreams: { a: [connect(`${message('one')}${ending('{"error":{}}')}`)] },
    },
    {
      name: 'Connect, streaming, an end that is no JSON',
      client: call('/pay.Ledger/Malformed', STREAM),
      upstreams: { a: [connect(`${message('one')}${ending('{"err')}`)] },
    },
    {
      name: 'Connect, streaming, without an end',
      client: call('/pay.Ledger/Endless', STREAM),
      upstreams: { a: [connect(message('one'))] },
    },
    {
      name: 'Connect, streaming, answered with an error',
      client: call('/pay.Ledger/Refused', STREAM),
      upstreams: { a: [reply(503, 'no')] },
    },
    {
      name: 'Connect, unary, answered with an error',
      client: call('/pay.Ledger/Unary', { 'content-type': 'application/proto', 'connect-protocol-version': '1' }, 'x'),
      upstreams: { a: [reply(404, '{"code":"not_found"}', { 'content-type': 'application/json' })] },
    },
    { name: 'no gRPC', client: post('/pay.Ledger/None', 'body') },
    { name: 'a path of one part', client: call('/Book'), upstreams: { a: [ok] } },
    { name: 'a path of three parts', client: call('/pay.Ledger/Book/more'), upstreams: { a: [ok] } },
    { name: 'a path with empty parts and a query', client: call('//pay.Ledger//Empty/?a=/b'), upstreams: { a: [ok] } },
    { name: 'a cluster with a name for its statistics', client: call('/pay.Ledger/Named'), upstreams: { a: [ok] } },
    {
      name: 'gRPC over HTTP/1.1',
      client: post('/pay.Ledger/Plain', message('ask'), GRPC),
      upstreams: { plain: [reply(200, message('x'), { 'content-type': 'application/grpc', 'grpc-status': '0' })] },
    },
    {
      name: 'bytes that are no frames',
      client: call('/pay.Ledger/Garbage', GRPC, '\xff\xff\xff\xff\xff\xff\xff'),
      upstreams: { a: [answer('garbage that is no frame', 'grpc-status: 0\r\n')] },
    },
    { name: 'no names', client: on('none', call('/pay.Ledger/Book')), upstreams: { a: [ok] } },
    {
      name: 'no names, a path of three parts',
      client: on('none', call('/pay.Ledger/Book/more')),
      upstreams: { a: [ok] },
    },
    { name: 'as Istio has it', client: on('istio', call('/pay.Ledger/Book')), upstreams: { a: [ok] } },
    {
      name: 'as Istio has it, a path of three parts',
      client: on('istio', call('/pay.Ledger/Book/more')),
      upstreams: { a: [ok] },
    },
    { name: 'on the list', client: on('list', call('/pay.Ledger/Read')), upstreams: { a: [ok] } },
    { name: 'a service that is not on the list', client: on('list', call('/pay.Other/Read')), upstreams: { a: [ok] } },
    { name: 'a method that is not on the list', client: on('list', call('/pay.Ledger/Write')), upstreams: { a: [ok] } },
    { name: 'dots replaced', client: on('replaced', call('/pay.v1.Ledger/Re.ad')), upstreams: { a: [ok] } },
  ],
};
