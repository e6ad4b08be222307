import { counts, type Difference, http, refused, type Suite } from '../harness/case.ts';
import { get, on, post, raw } from '../harness/client.ts';
import type { Answer } from '../harness/upstream.ts';

const send = (bytes: string, thenClose = false): readonly Answer[] => [{ do: 'send', bytes, thenClose }];
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const GET = 'GET / HTTP/1.1\nhost: x.test\n';
const POST = 'POST / HTTP/1.1\nhost: x.test\n';

const HALF = 'POST / HTTP/1.1\r\nhost: x.test\r\ncontent-length: 11\r\n\r\n';
const UPGRADE = get('/', {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
});
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n';
const ANY = { envoy: '*', tollway: '*' };
/** Envoy passes the response on; Tollway calls it a protocol error. */
const badResponse = (start: string, why: string): Difference => ({
  why,
  at: {
    'client[0].responses[0].start': { envoy: start, tollway: 'HTTP/1.1 502 Bad Gateway' },
    'client[0].responses[0].headers.*': ANY,
    'client[0].responses[0].body': ANY,
    ...(start.includes(' 101 ') ? { 'client[0].responses[0].framing': ANY } : {}),
    'accessLog[0].*': ANY,
  },
});

/** Envoy resets the other direction when one ends. */
const HALF_CLOSED: Difference = {
  why: 'each direction of a tunnel ends by itself, as on TCP: its end is no reset',
  at: {
    'accessLog[0].details': { envoy: '*', tollway: 'via_upstream' },
    'accessLog[0].flags': { envoy: /^(DC|UC)$/, tollway: '-' },
  },
};

/** What RFC 9112 allows and few send, at the edges of messages and connections. */
export const suite: Suite = {
  name: 'http/1.1 edges',
  upstreams: ['a'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'] },
    routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }],
    variants: {
      few: { common_http_protocol_options: { max_headers_count: 5 } },
      small: { max_request_headers_kb: 1 },
      nowhere: { route_config: { name: 'nowhere' } },
      old: { http_protocol_options: { accept_http_10: true } },
      sockets: { upgrade_configs: [{ upgrade_type: 'websocket' }] },
      proxying: { proxy_100_continue: true },
    },
  }),
  statsDiffer: counts(
    'two requests and two responses that Envoy takes are refused, and the end of a tunnel is no reset',
    {
      'cluster.a.upstream_cx_http1_total': [12, 14],
      'cluster.a.upstream_cx_protocol_error': [3, 5],
      'cluster.a.upstream_cx_total': [12, 14],
      'cluster.a.upstream_rq_101': [4, 3],
      'cluster.a.upstream_rq_1xx': [7, 6],
      'cluster.a.upstream_rq_200': [39, 38],
      'cluster.a.upstream_rq_2xx': [41, 40],
      'cluster.a.upstream_rq_502': [3, 5],
      'cluster.a.upstream_rq_5xx': [3, 5],
      'cluster.a.upstream_rq_pending_total': [12, 14],
      'cluster.a.upstream_rq_total': [51, 50],
      'http.ingress.downstream_cx_protocol_error': [8, 10],
      'http.ingress.downstream_rq_1xx': [2, 1],
      'http.ingress.downstream_rq_2xx': [35, 33],
      'http.ingress.downstream_rq_4xx': [9, 10],
      'http.ingress.downstream_rq_5xx': [3, 5],
      'http.ingress.downstream_rq_response_before_rq_complete': [12, 13],
      'http.ingress.downstream_rq_rx_reset': [10, 11],
      'http.ingress.downstream_rq_ws_on_non_ws_route': [1, 0],
      'http.ingress.rq_total': [40, 39],
      'http.sockets.downstream_rq_rx_reset': [6, 4],
      'http.sockets.downstream_rq_tx_reset': [1, 0],
      'listener.<address>.http.ingress.downstream_rq_1xx': [2, 1],
      'listener.<address>.http.ingress.downstream_rq_2xx': [35, 33],
      'listener.<address>.http.ingress.downstream_rq_4xx': [9, 10],
      'listener.<address>.http.ingress.downstream_rq_5xx': [3, 5],
    },
  ),
  cases: [
    { name: 'an empty line before a request', client: raw(`\n${GET}\n`) },
    { name: 'two empty lines before a request', client: raw(`\n\n${GET}\n`) },
    { name: 'an empty line between requests', client: raw(`${GET}\n\n${GET}\n`, { responses: 2 }) },
    { name: 'a request behind one that closes', client: raw(`${GET}connection: close\n\n${GET}\n`) },
    { name: 'a request behind a refused one', client: raw(`${GET}x a: 1\n\n${GET}\n`) },
    { name: 'a GET with a body', client: get('/', {}, 'GET', 'body') },
    { name: 'a POST without a length', client: raw(`${POST}\n`) },
    { name: 'a DELETE without a length', client: get('/', {}, 'DELETE') },
    { name: 'a method in lower case', client: get('/', {}, 'get') },
    { name: 'a method that nobody registered', client: get('/', {}, 'PAY') },
    { name: 'trailers', client: raw(`${POST}transfer-encoding: chunked\ntrailer: x-t\n\n3\nabc\n0\nx-t: 1\n\n`) },
    { name: 'chunks with capital digits', client: raw(`${POST}transfer-encoding: chunked\n\nA\n0123456789\n0\n\n`) },
    { name: 'chunks with leading zeros', client: raw(`${POST}transfer-encoding: chunked\n\n0003\nabc\n000\n\n`) },
    {
      name: 'a length with a leading zero',
      client: raw(`${POST}content-length: 03\n\nabc`),
      differs: {
        why: 'a leading zero is octal to some readers: the number goes out in its one spelling',
        at: { 'upstreams.a[0].headers[0]': { envoy: 'content-length: 03', tollway: 'content-length: 3' } },
      },
    },
    { name: 'Chunked with a capital', client: raw(`${POST}transfer-encoding: Chunked\n\n0\n\n`) },
    { name: 'a field of the limit', client: on('few', raw(`${GET}a: 1\nb: 1\nc: 1\nd: 1\n\n`)) },
    { name: 'a field beyond the limit', client: on('few', raw(`${GET}a: 1\nb: 1\nc: 1\nd: 1\ne: 1\n\n`)) },
    { name: 'fields of less than the size', client: on('small', get('/', { 'x-big': 'x'.repeat(900) })) },
    { name: 'fields of more than the size', client: on('small', get('/', { 'x-big': 'x'.repeat(1100) })) },
    { name: 'a target of more than the size', client: on('small', get(`/${'x'.repeat(1100)}`)) },
    { name: 'bytes above ASCII in a value', client: raw(`${GET}x-a: caf\xc3\xa9\n\n`) },
    { name: 'bytes above ASCII in the path', client: raw('GET /caf\xc3\xa9 HTTP/1.1\nhost: x.test\n\n') },
    { name: 'bytes above ASCII in a name', client: raw(`${GET}x-\xc3\xa9: 1\n\n`) },
    { name: 'a Host with a space', client: raw('GET / HTTP/1.1\nhost: x test\n\n') },
    { name: 'a Host with a slash', client: raw('GET / HTTP/1.1\nhost: x/test\n\n') },
    {
      name: 'a Host with user information',
      client: raw('GET / HTTP/1.1\nhost: u@x.test\n\n'),
      differs: refused('user information is how a host is made to look like another (RFC 9110 §4.2.4)'),
    },
    { name: 'a Host that the target contradicts', client: raw('GET http://y.test/ HTTP/1.1\nhost: x.test\n\n') },
    { name: 'an https target on plaintext', client: raw('GET https://y.test/ HTTP/1.1\nhost: x.test\n\n') },
    {
      name: 'CONNECT with a length',
      client: raw('CONNECT x.test:443 HTTP/1.1\nhost: x.test\ncontent-length: 3\n\nabc'),
    },
    {
      name: 'an upgrade with a body',
      client: raw(`${POST}connection: upgrade\nupgrade: websocket\ncontent-length: 3\n\nabc`),
      differs: {
        why: 'what is body and what is the new protocol is for nobody to guess',
        at: {
          'client[0].responses[0].start': { envoy: 'HTTP/1.1 403 Forbidden', tollway: 'HTTP/1.1 400 Bad Request' },
          'client[0].responses[0].headers.*': ANY,
          'client[0].responses[0].body': { envoy: '', tollway: 'Bad Request' },
          'accessLog[0].*': ANY,
        },
      },
    },
    {
      name: 'an upgrade to h2c',
      client: get('/', {
        connection: 'upgrade, http2-settings',
        upgrade: 'h2c',
        'http2-settings': 'AAMAAABkAAQCAAAAAAIAAAAA',
      }),
    },
    { name: 'an Upgrade without Connection', client: get('/', { upgrade: 'websocket' }) },
    {
      name: 'an answer before the request is whole',
      client: { send: [`${HALF}half`], withinMs: 1_500 },
      upstreams: { a: [{ do: 'send', early: OK, bytes: '' }] },
    },
    {
      name: 'an answer that begins before the request is whole',
      client: { send: [`${HALF}half`, 60, ' a word'], withinMs: 1_500 },
      upstreams: { a: [{ do: 'send', early: OK.slice(0, -1), bytes: 'k' }] },
    },
    {
      name: 'an answer without a length before the request is whole',
      client: { send: [`${HALF}half`, 60, ' a word'], withinMs: 1_500 },
      upstreams: {
        a: [
          {
            do: 'send',
            early: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n',
            bytes: '1\r\nk\r\n0\r\n\r\n',
          },
        ],
      },
    },
    {
      name: 'an upgrade',
      client: on('sockets', { ...UPGRADE, withinMs: 1_500 }),
      upstreams: { a: send(`${SWITCH}hello`) },
      differs: HALF_CLOSED,
    },
    {
      name: 'an upgrade whose upstream ends',
      client: on('sockets', { ...UPGRADE, withinMs: 1_500 }),
      upstreams: { a: send(`${SWITCH}hello`, true) },
      differs: HALF_CLOSED,
    },
    {
      name: 'an upgrade whose client ends',
      client: on('sockets', { send: [...UPGRADE.send, 60], halfClose: true, withinMs: 1_500 }),
      upstreams: { a: send(`${SWITCH}hello`) },
      differs: HALF_CLOSED,
    },
    {
      name: 'an upgrade that the upstream refuses',
      client: on('sockets', { ...UPGRADE, withinMs: 1_500 }),
      upstreams: { a: send('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno') },
    },
    {
      name: 'an upgrade that the upstream answers',
      client: on('sockets', { ...UPGRADE, withinMs: 1_500 }),
      differs: {
        why: 'an upstream that passes the Upgrade over answers the request as it is: the client gets the answer',
        at: {
          'client[0].responses[0].headers.*': ANY,
          'client[0].responses[0].body': { envoy: '', tollway: 'a' },
          'accessLog[0].details': { envoy: 'websocket_handshake_unsuccessful', tollway: 'via_upstream' },
          'accessLog[0].sent': { envoy: 0, tollway: 1 },
        },
      },
    },
    {
      name: 'an upgrade to something else',
      client: on('sockets', get('/', { connection: 'upgrade', upgrade: 'foo' })),
    },
    { name: 'Expect of something else', client: post('/', 'ab', { expect: 'miracles' }) },
    { name: 'Expect without a body', client: get('/', { expect: '100-continue' }) },
    { name: 'Expect that goes on', client: on('proxying', post('/', 'ab', { expect: '100-continue' })) },
    {
      name: 'a 100 that goes on',
      client: on('proxying', get('/')),
      upstreams: { a: send(`HTTP/1.1 100 Continue\r\n\r\n${OK}`) },
    },
    {
      name: 'a 103 that goes on',
      client: on('proxying', get('/')),
      upstreams: { a: send(`HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${OK}`) },
      differs: {
        why: 'Tollway knows the name of 103',
        at: { 'client[0].responses[0].start': { envoy: 'HTTP/1.1 103 Unknown', tollway: 'HTTP/1.1 103 Early Hints' } },
      },
    },
    {
      name: 'an unasked 101',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n') },
      differs: badResponse(
        'HTTP/1.1 101 Switching Protocols',
        'a client that asked for no other protocol would be left with one',
      ),
    },
    { name: 'a 102', client: get('/'), upstreams: { a: send(`HTTP/1.1 102 Processing\r\n\r\n${OK}`) } },
    {
      name: 'a response of HTTP/1.0',
      client: get('/'),
      upstreams: { a: send('HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok') },
    },
    {
      name: 'a response of HTTP/1.0 that says keep-alive',
      client: get('/'),
      upstreams: { a: send('HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok') },
    },
    {
      name: 'a response without a reason',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok') },
    },
    {
      name: 'a response with trailers',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n') },
    },
    {
      name: 'a 204 with a length',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n') },
    },
    {
      name: 'a 204 with chunks',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n') },
    },
    {
      name: 'a 205',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n') },
    },
    {
      name: 'a chunked answer to HEAD',
      client: get('/', {}, 'HEAD'),
      upstreams: { a: send('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n') },
    },
    { name: 'HEAD without a route', client: on('nowhere', get('/', {}, 'HEAD')) },
    {
      name: 'HEAD of HTTP/1.0',
      client: on('old', raw('HEAD / HTTP/1.0\nhost: x.test\n\n', { head: true })),
      upstreams: { a: send('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n') },
    },
    {
      name: 'a status of 600',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 600 What\r\ncontent-length: 2\r\n\r\nok') },
    },
    {
      name: 'a status of 99',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 099 What\r\ncontent-length: 2\r\n\r\nok') },
    },
    {
      name: 'a response that ends in its head',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 200 OK\r\ncontent-le', true) },
    },
    {
      name: 'a response with a bare LF',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 200 OK\ncontent-length: 2\n\nok') },
      differs: badResponse(
        'HTTP/1.1 200 OK',
        'a bare LF ends a line for some readers and not for others (RFC 9112 §2.2)',
      ),
    },
    {
      name: 'a response with an empty body until close',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 200 OK\r\n\r\n', true) },
    },
    {
      name: 'a response with a hop field',
      client: get('/'),
      upstreams: {
        a: send(
          'HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\ncontent-length: 2\r\n\r\nok',
        ),
      },
      differs: {
        why: 'a field that Connection names is of this hop (RFC 9110 §7.6.1)',
        at: { 'client[0].responses[0].headers[4]': { envoy: 'x-hop: 1', tollway: undefined } },
      },
    },
  ],
};
