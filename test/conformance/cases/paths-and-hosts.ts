import { counts, http, refused, type Suite } from '../harness/case.ts';
import { get, on, raw } from '../harness/client.ts';

const PATHS: readonly string[] = [
  '/a/../b',
  '/a/./b',
  '/../b',
  '/a//b///c',
  '//a',
  '/a/%2e%2e/b',
  '/a%2fb',
  '/a%5Cb',
  '/a\\b',
  '/%61%62?q=%2f//..',
  '/a%zz',
  '/a?x=//y/../z',
  '/a;p=1/../b',
  '/%00',
  '/a#fragment',
];
const HOSTS: readonly string[] = [
  'x.test:80',
  'x.test:8080',
  'x.test.',
  'x.test.:80',
  'X.Test',
  '[::1]:80',
  '[::1]',
  'x.test:',
  'other.test:443',
];
const of = (listener: string, paths: readonly string[]) =>
  paths.map((path) => ({ name: `${listener}: ${path}`, client: on(listener, get(path)) }));
const hosts = (listener: string) =>
  HOSTS.map((host) => ({ name: `${listener}: host ${host}`, client: on(listener, get('/', { host })) }));

/** What becomes of a path and a host before the route is chosen. */
export const suite: Suite = {
  name: 'paths and hosts',
  upstreams: ['a'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'] },
    routes: {
      virtual_hosts: [
        {
          name: 'bare',
          domains: ['x.test'],
          routes: [{ name: 'bare', match: { prefix: '/' }, route: { cluster: 'a' } }],
        },
        {
          name: 'port',
          domains: ['x.test:8080'],
          routes: [{ name: 'port', match: { prefix: '/' }, route: { cluster: 'a' } }],
        },
        { name: 'all', domains: ['*'], routes: [{ name: 'all', match: { prefix: '/' }, route: { cluster: 'a' } }] },
      ],
    },
    variants: {
      normal: { normalize_path: true },
      merge: { merge_slashes: true },
      both: { normalize_path: true, merge_slashes: true },
      reject: { normalize_path: true, path_with_escaped_slashes_action: 'REJECT_REQUEST' },
      redirect: { normalize_path: true, path_with_escaped_slashes_action: 'UNESCAPE_AND_REDIRECT' },
      forward: { normalize_path: true, path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD' },
      'any-port': { strip_any_host_port: true },
      'own-port': { strip_matching_host_port: true },
      'no-dot': { strip_trailing_host_dot: true },
      'dot-and-port': { strip_trailing_host_dot: true, strip_any_host_port: true },
      'ignore-port': {
        route_config: {
          name: 'ignore',
          ignore_port_in_host_matching: true,
          virtual_hosts: [
            {
              name: 'bare',
              domains: ['x.test'],
              routes: [{ name: 'bare', match: { prefix: '/' }, route: { cluster: 'a' } }],
            },
            { name: 'all', domains: ['*'], routes: [{ name: 'all', match: { prefix: '/' }, route: { cluster: 'a' } }] },
          ],
        },
      },
      drop: { common_http_protocol_options: { headers_with_underscores_action: 'DROP_HEADER' } },
      refuse: { common_http_protocol_options: { headers_with_underscores_action: 'REJECT_REQUEST' } },
      old: { http_protocol_options: { accept_http_10: true, default_host_for_http_10: 'x.test' } },
      'no-absolute': { http_protocol_options: { allow_absolute_url: false } },
      proper: { http_protocol_options: { header_key_format: { proper_case_words: {} } } },
      preserve: {
        http_protocol_options: {
          header_key_format: {
            stateful_formatter: {
              name: 'preserve_case',
              typed_config: {
                '@type':
                  'type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig',
              },
            },
          },
        },
      },
    },
  }),
  statsDiffer: counts('the HTTP/1.0 request with chunks is refused', {
    'cluster.a.upstream_rq_200': [112, 111],
    'cluster.a.upstream_rq_2xx': [112, 111],
    'cluster.a.upstream_rq_completed': [112, 111],
    'cluster.a.upstream_rq_total': [112, 111],
    'http.old.downstream_cx_protocol_error': [0, 1],
    'http.old.downstream_rq_2xx': [5, 4],
    'http.old.downstream_rq_4xx': [0, 1],
    'http.old.downstream_rq_response_before_rq_complete': [0, 1],
    'http.old.downstream_rq_rx_reset': [0, 1],
    'http.old.rq_total': [5, 4],
    'listener.<address>.http.old.downstream_rq_2xx': [5, 4],
    'listener.<address>.http.old.downstream_rq_4xx': [0, 1],
  }),
  cases: [
    ...of('ingress', PATHS),
    ...of('normal', PATHS),
    ...of('merge', PATHS.slice(0, 6)),
    ...of('both', PATHS),
    ...of('reject', PATHS.slice(5, 10)),
    ...of('redirect', PATHS.slice(5, 10)),
    ...of('forward', PATHS.slice(5, 10)),
    ...hosts('ingress'),
    ...hosts('any-port'),
    ...hosts('own-port'),
    ...hosts('no-dot'),
    ...hosts('dot-and-port').slice(2, 4),
    ...hosts('ignore-port'),
    { name: 'underscores are allowed', client: get('/', { x_a: '1' }) },
    { name: 'underscores are dropped', client: on('drop', get('/', { x_a: '1', 'x-b': '2' })) },
    { name: 'underscores are refused', client: on('refuse', get('/', { x_a: '1' })) },
    { name: 'HTTP/1.0', client: on('old', raw('GET / HTTP/1.0\nhost: y.test\n\n')) },
    { name: 'HTTP/1.0 without a host', client: on('old', raw('GET / HTTP/1.0\n\n')) },
    { name: 'HTTP/1.0 keep-alive', client: on('old', raw('GET / HTTP/1.0\nconnection: keep-alive\n\n')) },
    {
      name: 'HTTP/1.0 with chunks',
      client: on('old', raw('POST / HTTP/1.0\ntransfer-encoding: chunked\n\n0\n\n')),
      differs: refused('HTTP/1.0 has no chunks: RFC 9112 §6.1 calls such a message faulty', 'HTTP/1.0 200 OK'),
    },
    {
      name: 'HTTP/1.0 gets no chunks',
      client: on('old', raw('GET / HTTP/1.0\n\n')),
      upstreams: {
        a: [{ do: 'send', bytes: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n' }],
      },
    },
    {
      name: 'absolute targets are not taken',
      client: on('no-absolute', raw('GET http://y.test/p HTTP/1.1\nhost: x.test\n\n')),
    },
    { name: 'an absolute target of another scheme', client: raw('GET ftp://y.test/p HTTP/1.1\nhost: x.test\n\n') },
    { name: 'an absolute target without a path', client: raw('GET http://y.test HTTP/1.1\nhost: x.test\n\n') },
    { name: 'a target that is no path', client: raw('GET a/b HTTP/1.1\nhost: x.test\n\n') },
    { name: 'a question mark for a path', client: raw('GET ?q HTTP/1.1\nhost: x.test\n\n') },
  ],
};
