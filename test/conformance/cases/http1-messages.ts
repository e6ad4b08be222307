import { http, type Suite } from '../harness/case.ts';
import { get, post, raw } from '../harness/client.ts';
import { type Answer, reply } from '../harness/upstream.ts';

const send = (bytes: string): readonly Answer[] => [{ do: 'send', bytes }];
const CHUNKED = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n';

/** Framing of messages that keep to RFC 9112. */
export const suite: Suite = {
  name: 'http/1.1 messages',
  upstreams: ['a'],
  listener: 'ingress',
  bootstrap: http({ clusters: { a: ['a'] }, routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }] }),
  cases: [
    { name: 'a GET', client: get('/') },
    {
      name: 'a HEAD',
      client: get('/', {}, 'HEAD'),
      upstreams: { a: send('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n') },
    },
    { name: 'a POST with Content-Length', client: post('/', 'twelve bytes') },
    { name: 'a POST with an empty body', client: post('/', '') },
    {
      name: 'a chunked POST',
      client: raw('POST / HTTP/1.1\nhost: x.test\ntransfer-encoding: chunked\n\n5\nhello\n6;ext=1\n world\n0\n\n'),
    },
    {
      name: 'a chunked POST in pieces',
      client: {
        send: [
          'POST / HTTP/1.1\r\nhost: x.test\r\ntransfer-encoding: chunk',
          20,
          'ed\r\n\r\n5\r',
          20,
          '\nhel',
          20,
          'lo\r\n0\r\n\r',
          20,
          '\n',
        ],
      },
    },
    { name: 'a chunked response', client: get('/'), upstreams: { a: send(CHUNKED) } },
    {
      name: 'a response that ends with its connection',
      client: get('/'),
      upstreams: { a: [{ do: 'send', bytes: 'HTTP/1.1 200 OK\r\n\r\nto the end', thenClose: true }] },
    },
    { name: 'a 204', client: get('/'), upstreams: { a: send('HTTP/1.1 204 No Content\r\n\r\n') } },
    {
      name: 'a 304 with a length',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 304 Not Modified\r\ncontent-length: 100\r\netag: "x"\r\n\r\n') },
    },
    {
      name: 'two requests in one write',
      client: raw('GET /1 HTTP/1.1\nhost: x.test\n\nGET /2 HTTP/1.1\nhost: x.test\n\n', { responses: 2 }),
    },
    { name: 'a request that closes', client: get('/', { connection: 'close' }) },
    {
      name: 'a response that closes its upstream connection',
      client: get('/'),
      upstreams: { a: [reply(200, 'bye', { connection: 'close' })] },
    },
    { name: 'HTTP/1.0 is not accepted', client: raw('GET / HTTP/1.0\nhost: x.test\n\n') },
    { name: 'an absolute target', client: raw('GET http://other.test/path?q HTTP/1.1\nhost: x.test\n\n') },
    { name: 'fields in capitals', client: raw('GET / HTTP/1.1\nHOST: x.test\nX-Custom: Value\n\n') },
    { name: 'a field twice', client: raw('GET / HTTP/1.1\nhost: x.test\nx-a: 1\nx-a: 2\n\n') },
    {
      name: 'white space around a value',
      client: raw('GET / HTTP/1.1\nhost: x.test\nx-a:   padded  \t\nx-empty:\n\n'),
    },
    { name: 'OPTIONS *', client: raw('OPTIONS * HTTP/1.1\nhost: x.test\n\n') },
    { name: 'CONNECT without a route', client: raw('CONNECT x.test:443 HTTP/1.1\nhost: x.test:443\n\n') },
    { name: 'an unknown method', client: get('/', {}, 'PROPFIND') },
    { name: 'an upgrade that is not configured', client: get('/', { connection: 'upgrade', upgrade: 'websocket' }) },
    {
      name: 'Expect: 100-continue',
      client: {
        send: ['POST / HTTP/1.1\r\nhost: x.test\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n', 50, 'ok'],
      },
    },
    {
      name: 'a 100 of the upstream',
      client: get('/'),
      upstreams: { a: send('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok') },
    },
    {
      name: 'a 103 of the upstream',
      client: get('/'),
      upstreams: {
        a: send('HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'),
      },
    },
  ],
};
