import { type Case, countedApart, type Difference, http, httpOptions, type Suite } from '../harness/case.ts';
import { type Exchange, http2, on } from '../harness/client.ts';
import { data, headers } from '../harness/http2-client.ts';
import { reply } from '../harness/upstream.ts';

const LISTENERS = ['ingress', 'proxying'];
/** A body that is sent some time after the head, whether or not a 100 came. */
const later = (fields: string, body = 'money', path = '/a', version = '1.1'): Exchange => ({
  send: [`POST ${path} HTTP/${version}\r\nhost: x.test\r\ncontent-length: 5\r\n${fields}\r\n`, 120, body],
});
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const both = (name: string, client: Exchange, more: Omit<Case, 'name' | 'client'> = {}): Case[] =>
  LISTENERS.map((listener) => ({ name: `${listener}: ${name}`, client: on(listener, client), ...more }));
const stream = (path: string): Buffer =>
  headers(
    1,
    [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', 'x.test'],
      ['expect', '100-continue'],
    ],
    false,
  );

const any = { envoy: '*', tollway: '*' };
const differs = (why: string, ...paths: readonly string[]): { readonly differs: Difference } => ({
  differs: { why, at: Object.fromEntries(paths.map((path) => [path, any])) },
});

/** Expect and 100: answered here, or passed on where the configuration says so (RFC 9110 §10.1.1). */
export const suite: Suite = {
  name: 'expectations',
  upstreams: ['a', 'two'],
  upstreamHttp2: ['two'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], two: { endpoints: ['two'], ...httpOptions({}, { http2_protocol_options: {} }) } },
    manager: { http_protocol_options: { accept_http_10: true } },
    variants: { proxying: { proxy_100_continue: true } },
    routes: [
      { match: { prefix: '/direct' }, direct_response: { status: 403, body: { inline_string: 'no' } } },
      { match: { prefix: '/two' }, route: { cluster: 'two' } },
      { match: { prefix: '/retried' }, route: { cluster: 'a', retry_policy: { retry_on: '5xx', num_retries: 1 } } },
      { match: { prefix: '/a' }, route: { cluster: 'a' } },
    ],
  }),
  cases: [
    ...both('the body waits', later('expect: 100-continue\r\n')),
    ...both('in capitals', later('Expect: 100-CONTINUE\r\n')),
    ...both('with more beside it', later('expect: 100-continue, x\r\n')),
    {
      name: 'ingress: twice',
      client: on('ingress', later('expect: 100-continue\r\nexpect: 100-continue\r\n')),
      ...differs(
        'an expectation that is said twice is the same one',
        'client[0].responses[0].*',
        'client[0].responses[1]',
        'upstreams.a[0].*',
      ),
    },
    {
      name: 'proxying: twice',
      client: on('proxying', later('expect: 100-continue\r\nexpect: 100-continue\r\n')),
      ...differs('fields go on as they came', 'upstreams.a[0].*'),
    },
    ...both('something else', later('expect: gold\r\n')),
    ...both('empty', later('expect: \r\n')),
    {
      name: 'ingress: of HTTP/1.0',
      client: on('ingress', later('expect: 100-continue\r\n', 'money', '/a', '1.0')),
      ...differs('HTTP/1.0 knows no 1xx (RFC 9110 §15.2)', 'client[0].responses[0].*', 'client[0].responses[1]'),
    },
    { name: 'proxying: of HTTP/1.0', client: on('proxying', later('expect: 100-continue\r\n', 'money', '/a', '1.0')) },
    ...both('no route', later('expect: 100-continue\r\n', 'money', '/nowhere')),
    ...both('a direct response', later('expect: 100-continue\r\n', 'money', '/direct')),
    ...both('to HTTP/2', later('expect: 100-continue\r\n', 'money', '/two')),
    ...both('the upstream continues', later('expect: 100-continue\r\n'), {
      upstreams: { a: [{ do: 'send', early: CONTINUE, bytes: OK }] },
    }),
    {
      name: 'ingress: the upstream continues twice',
      client: on('ingress', later('expect: 100-continue\r\n')),
      upstreams: { a: [{ do: 'send', early: CONTINUE + CONTINUE, bytes: OK }] },
    },
    {
      name: 'proxying: the upstream continues twice',
      client: on('proxying', later('expect: 100-continue\r\n')),
      upstreams: { a: [{ do: 'send', early: CONTINUE + CONTINUE, bytes: OK }] },
      ...differs('each 1xx is passed on (RFC 9110 §15.2)', 'client[0].responses[1].*', 'client[0].responses[2]'),
    },
    ...both('the upstream continues unasked', later(''), {
      upstreams: { a: [{ do: 'send', early: CONTINUE, bytes: OK }] },
    }),
    ...both('the upstream answers at once', later('expect: 100-continue\r\n'), {
      upstreams: {
        a: [{ do: 'send', early: 'HTTP/1.1 417 Expectation Failed\r\ncontent-length: 2\r\n\r\nno', bytes: '' }],
      },
    }),
    {
      name: 'ingress: the upstream continues and closes',
      client: on('ingress', later('expect: 100-continue\r\n')),
      upstreams: { a: [{ do: 'close', afterBytes: CONTINUE }] },
      ...differs('a 100 is no response yet', 'accessLog[0].details'),
    },
    {
      name: 'proxying: the upstream continues and closes',
      client: on('proxying', later('expect: 100-continue\r\n')),
      upstreams: { a: [{ do: 'close', afterBytes: CONTINUE }] },
      ...differs('a 100 is no response yet', 'accessLog[0].details'),
    },
    ...both(
      'after a retry',
      { ...later('expect: 100-continue\r\n', 'money', '/retried') },
      {
        upstreams: { a: [reply(404), reply(200, 'again')] },
      },
    ),
    ...both('in chunks', {
      send: [
        'POST /a HTTP/1.1\r\nhost: x.test\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n',
        100,
        '2\r\nab\r\n0\r\n\r\n',
      ],
    }),
    ...both('no body', {
      send: ['POST /a HTTP/1.1\r\nhost: x.test\r\ncontent-length: 0\r\nexpect: 100-continue\r\n\r\n'],
    }),
    ...both('from HTTP/2', http2([stream('/a'), 100, data(1, 'money')])),
    ...both('from HTTP/2 to HTTP/2', http2([stream('/two'), 100, data(1, 'money')])),
    ...both('from HTTP/2, and the upstream continues', http2([stream('/a'), 100, data(1, 'money')]), {
      upstreams: { a: [{ do: 'send', early: CONTINUE, bytes: OK }] },
    }),
  ],
  statsDiffer: countedApart('what differs on purpose above is counted as it is', [
    ...['100', '1xx', '503', '5xx', 'completed'].map((name) => `cluster.a.upstream_rq_${name}`),
    'cluster.two.http2.nghttp2_upstream_connections',
    ...['http.proxying', 'listener.<address>.http.proxying'].flatMap((prefix) =>
      ['1xx', 'completed'].map((name) => `${prefix}.downstream_rq_${name}`),
    ),
  ]),
};
