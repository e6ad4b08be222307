import { counts, http, refused, type Suite } from '../harness/case.ts';
import { get, raw } from '../harness/client.ts';
import type { Answer } from '../harness/upstream.ts';

const send = (bytes: string): readonly Answer[] => [{ do: 'send', bytes }];
const GET = 'GET / HTTP/1.1\nhost: x.test\n';
const BARE = 'a bare LF ends a line for some readers and not for others (RFC 9112 §2.2)';
const POST = 'POST / HTTP/1.1\nhost: x.test\n';

/** Requests and responses that break HTTP/1.1, or that two readers could read in two ways. */
export const suite: Suite = {
  name: 'http/1.1 smuggling',
  upstreams: ['a'],
  listener: 'ingress',
  bootstrap: http({ clusters: { a: ['a'] }, routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }] }),
  statsDiffer: counts(
    'six requests that Envoy serves are refused, and one whose body is broken in its first bytes is not begun upstream',
    {
      'cluster.a.upstream_cx_http1_total': [8, 6],
      'cluster.a.upstream_cx_total': [8, 6],
      'cluster.a.upstream_rq_200': [11, 5],
      'cluster.a.upstream_rq_2xx': [11, 5],
      'cluster.a.upstream_rq_cancelled': [1, 0],
      'cluster.a.upstream_rq_completed': [14, 8],
      'cluster.a.upstream_rq_pending_total': [8, 6],
      'cluster.a.upstream_rq_total': [16, 8],
      'http.ingress.downstream_cx_protocol_error': [29, 35],
      'http.ingress.downstream_rq_2xx': [11, 5],
      'http.ingress.downstream_rq_4xx': [27, 33],
      'http.ingress.downstream_rq_response_before_rq_complete': [29, 35],
      'http.ingress.downstream_rq_rx_reset': [30, 36],
      'http.ingress.rq_total': [17, 12],
      'listener.<address>.http.ingress.downstream_rq_2xx': [11, 5],
      'listener.<address>.http.ingress.downstream_rq_4xx': [27, 33],
    },
  ),
  cases: [
    { name: 'no Host', client: raw('GET / HTTP/1.1\n\n') },
    { name: 'an empty Host', client: raw('GET / HTTP/1.1\nhost:\n\n') },
    {
      name: 'two Hosts',
      client: raw(`${GET}host: y.test\n\n`),
      differs: refused('which of two hosts is meant is for nobody to choose (RFC 9112 §3.2 wants 400)'),
    },
    {
      name: 'Content-Length with Transfer-Encoding',
      client: raw(`${POST}content-length: 3\ntransfer-encoding: chunked\n\n0\n\n`),
    },
    { name: 'two different Content-Lengths', client: raw(`${POST}content-length: 3\ncontent-length: 4\n\nabcd`) },
    { name: 'two equal Content-Lengths', client: raw(`${POST}content-length: 3\ncontent-length: 3\n\nabc`) },
    { name: 'a list as Content-Length', client: raw(`${POST}content-length: 3, 3\n\nabc`) },
    { name: 'a signed Content-Length', client: raw(`${POST}content-length: +3\n\nabc`) },
    { name: 'a Content-Length that is no number', client: raw(`${POST}content-length: x\n\n`) },
    { name: 'a Content-Length beyond 64 bits', client: raw(`${POST}content-length: 99999999999999999999\n\n`) },
    { name: 'Transfer-Encoding: gzip, chunked', client: raw(`${POST}transfer-encoding: gzip, chunked\n\n0\n\n`) },
    { name: 'Transfer-Encoding: identity', client: raw(`${POST}transfer-encoding: identity\n\n`) },
    {
      name: 'two Transfer-Encodings',
      client: raw(`${POST}transfer-encoding: identity\ntransfer-encoding: chunked\n\n0\n\n`),
    },
    { name: 'Transfer-Encoding with a tab', client: raw(`${POST}transfer-encoding:\tchunked\n\n0\n\n`) },
    { name: 'white space before the colon', client: raw(`${GET}x-a : 1\n\n`) },
    {
      name: 'a folded field',
      client: raw(`${GET}x-a: 1\n 2\n\n`),
      differs: refused('a folded line is one field to some and two to others (RFC 9112 §5.2 allows 400)'),
    },
    {
      name: 'a bare LF',
      client: { send: ['GET / HTTP/1.1\nhost: x.test\n\n'], withinMs: 1_500 },
      differs: refused(BARE),
    },
    {
      name: 'a bare LF between fields',
      client: { send: ['GET / HTTP/1.1\r\nhost: x.test\nx-a: 1\r\n\r\n'], withinMs: 1_500 },
      differs: refused(BARE),
    },
    {
      name: 'a bare CR in a value',
      client: { send: ['GET / HTTP/1.1\r\nhost: x.test\r\nx-a: 1\r2\r\n\r\n'], withinMs: 1_500 },
      differs: refused('a bare CR ends a line for some readers (RFC 9112 §2.2)'),
    },
    { name: 'a NUL in a value', client: { send: ['GET / HTTP/1.1\r\nhost: x.test\r\nx-a: 1\0\r\n\r\n'] } },
    { name: 'an empty field name', client: raw(`${GET}: 1\n\n`) },
    { name: 'a field without a colon', client: raw(`${GET}x-a\n\n`) },
    { name: 'a field name with a space', client: raw(`${GET}x a: 1\n\n`) },
    { name: 'a chunk size that is no number', client: raw(`${POST}transfer-encoding: chunked\n\nxyz\nabc\n0\n\n`) },
    { name: 'a chunk size with 0x', client: raw(`${POST}transfer-encoding: chunked\n\n0x3\nabc\n0\n\n`) },
    {
      name: 'a chunk size beyond 64 bits',
      client: raw(`${POST}transfer-encoding: chunked\n\nfffffffffffffffff\nabc\n0\n\n`),
    },
    {
      name: 'a chunk longer than it says',
      client: raw(`${POST}transfer-encoding: chunked\n\n3\nabcd\n0\n\n`),
      differs: refused('bytes behind a chunk are data to some and a chunk size to others'),
    },
    { name: 'an unknown version', client: raw('GET / HTTP/1.2\nhost: x.test\n\n') },
    { name: 'HTTP/2.0 in an HTTP/1 request line', client: raw('GET / HTTP/2.0\nhost: x.test\n\n') },
    { name: 'no version', client: raw('GET /\n\n', { withinMs: 1_500 }) },
    { name: 'a method with a bad character', client: raw('GE(T / HTTP/1.1\nhost: x.test\n\n') },
    { name: 'a space in the target', client: raw('GET /a b HTTP/1.1\nhost: x.test\n\n') },
    { name: 'a star with GET', client: raw('GET * HTTP/1.1\nhost: x.test\n\n') },
    { name: 'CONNECT with a path', client: raw('CONNECT /x HTTP/1.1\nhost: x.test\n\n') },
    { name: 'an absolute target without a host', client: raw('GET http:///x HTTP/1.1\nhost: x.test\n\n') },
    { name: 'garbage', client: { send: ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'], withinMs: 1_500 } },
    { name: 'fields beyond the limit of size', client: get('/', { 'x-big': 'x'.repeat(70_000) }) },
    {
      name: 'fields beyond the limit of number',
      client: raw(`${GET}${Array.from({ length: 120 }, (_, at) => `x-${at}: 1\n`).join('')}\n`),
    },
    { name: 'a response with a bad status line', client: get('/'), upstreams: { a: send('HTTP/1.1 abc\r\n\r\n') } },
    {
      name: 'a response with two lengths',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab') },
    },
    {
      name: 'a response with a length and chunks',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n') },
    },
    {
      name: 'a response with a bad chunk',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n') },
    },
    {
      name: 'bytes after a response',
      client: [get('/'), get('/')],
      upstreams: {
        a: send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil'),
      },
    },
  ],
};
