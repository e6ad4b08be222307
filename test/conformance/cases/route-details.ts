import { http, type Suite } from '../harness/case.ts';
import { get } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const to = (path: string, redirect: object) => ({ match: { prefix: path }, redirect });
const regex = (pattern: string, substitution: string) => ({ pattern: { regex: pattern }, substitution });
/** Requests with such headers go to `a`, all others to `b`. */
const matched = (name: string, ...headers: object[]) => ({
  match: { path: `/m/${name}`, headers },
  route: { cluster: 'a' },
});

const MATCHES: { readonly [name: string]: readonly object[] } = {
  exact: [{ name: 'x', string_match: { exact: 'One' } }],
  ignoring: [{ name: 'x', string_match: { exact: 'one', ignore_case: true } }],
  prefix: [{ name: 'x', string_match: { prefix: 'On' } }],
  suffix: [{ name: 'x', string_match: { suffix: 'ne' } }],
  contains: [{ name: 'x', string_match: { contains: 'n' } }],
  regex: [{ name: 'x', string_match: { safe_regex: { regex: 'O.*,?.*' } } }],
  range: [{ name: 'n', range_match: { start: -5, end: 10 } }],
  present: [{ name: 'x', present_match: true }],
  absent: [{ name: 'x', present_match: false }],
  inverted: [{ name: 'x', string_match: { exact: 'One' }, invert_match: true }],
  'missing-is-empty': [{ name: 'x', string_match: { exact: '' }, treat_missing_header_as_empty: true }],
  'missing-is-not': [
    { name: 'x', string_match: { exact: 'One' }, invert_match: true, treat_missing_header_as_empty: true },
  ],
  host: [{ name: 'host', string_match: { prefix: 'x.' } }],
  authority: [{ name: ':authority', string_match: { prefix: 'x.' } }],
  scheme: [{ name: ':scheme', string_match: { exact: 'http' } }],
  path: [{ name: ':path', string_match: { suffix: '?q=1' } }],
};
const WITH: { readonly [name: string]: { readonly [header: string]: string } } = {
  one: { x: 'One', n: '9' },
  other: { x: 'one', n: '10' },
  empty: { x: '', n: '-5' },
  nothing: { n: '5x' },
};

/** Redirects, rewrites and matches in their details. */
export const suite: Suite = {
  name: 'route details',
  upstreams: ['a', 'b'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], b: ['b'] },
    routes: [
      to('/r/host', { host_redirect: 'new.test' }),
      to('/r/path', { path_redirect: '/new' }),
      to('/r/query', { path_redirect: '/new?own=1' }),
      to('/r/strip', { path_redirect: '/new', strip_query: true }),
      to('/r/prefix', { prefix_rewrite: '/new' }),
      to('/r/regex', { regex_rewrite: regex('^/r/([a-z]+)/([0-9]+)', '/\\2/\\1') }),
      to('/r/https', { https_redirect: true }),
      to('/r/scheme', { scheme_redirect: 'HTTPS' }),
      to('/r/port', { port_redirect: 8443 }),
      to('/r/all', { https_redirect: true, host_redirect: 'n.test', port_redirect: 81, response_code: 'SEE_OTHER' }),
      to('/r/307', { response_code: 'TEMPORARY_REDIRECT' }),
      to('/r/308', { path_redirect: '/x', response_code: 'PERMANENT_REDIRECT' }),
      {
        match: { prefix: '/h/regex' },
        route: { cluster: 'a', host_rewrite_path_regex: regex('^/h/regex/(\\w+).*$', '\\1.test') },
      },
      {
        match: { prefix: '/h/both' },
        route: { cluster: 'a', prefix_rewrite: '/p', host_rewrite_path_regex: regex('^/h/both/(\\w+).*$', '\\1.test') },
      },
      { match: { prefix: '/CASE', case_sensitive: false }, route: { cluster: 'a', prefix_rewrite: '/lower' } },
      { match: { path: '/Exact', case_sensitive: false }, route: { cluster: 'a', prefix_rewrite: '/e' } },
      { match: { path_separated_prefix: '/sep/arated' }, route: { cluster: 'a', prefix_rewrite: '/s' } },
      { match: { safe_regex: { regex: '/re/[a-c]+' } }, route: { cluster: 'a', prefix_rewrite: '/rewritten' } },
      {
        match: {
          path: '/q',
          query_parameters: [
            { name: 'a', string_match: { exact: '1' } },
            { name: 'b', present_match: true },
          ],
        },
        route: { cluster: 'a' },
      },
      {
        match: { path: '/never', runtime_fraction: { default_value: { numerator: 0 } } },
        route: { cluster: 'a' },
      },
      {
        match: { path: '/runtime-never', runtime_fraction: { default_value: { numerator: 100 }, runtime_key: 'none' } },
        route: { cluster: 'a' },
      },
      {
        match: { path: '/runtime-always', runtime_fraction: { default_value: {}, runtime_key: 'deep.whole' } },
        route: { cluster: 'a' },
      },
      {
        match: { path: '/runtime-percent', runtime_fraction: { default_value: {}, runtime_key: 'percent' } },
        route: { cluster: 'a' },
      },
      {
        match: { path: '/always', runtime_fraction: { default_value: { numerator: 100 } } },
        route: { cluster: 'a' },
      },
      { match: { path: '/grpc', grpc: {} }, route: { cluster: 'a' } },
      {
        match: { path: '/by-header' },
        route: { cluster_header: 'x-cluster', cluster_not_found_response_code: 'INTERNAL_SERVER_ERROR' },
      },
      {
        match: { path: '/weighted' },
        route: {
          weighted_clusters: {
            header_name: 'x-random',
            clusters: [
              { name: 'a', weight: 40 },
              { name: 'b', weight: 60, host_rewrite_literal: 'weighted.test' },
            ],
          },
        },
      },
      {
        match: { path: '/weighted-both' },
        request_headers_to_add: [{ header: { key: 'x-authority', value: '%REQ(:AUTHORITY)%' } }],
        route: {
          host_rewrite_literal: 'route.test',
          append_x_forwarded_host: true,
          weighted_clusters: { clusters: [{ name: 'b', weight: 1, host_rewrite_literal: 'weighted.test' }] },
        },
      },
      {
        match: { path: '/weighted-forwarded' },
        request_headers_to_add: [{ header: { key: 'x-authority', value: '%REQ(:AUTHORITY)%' } }],
        route: {
          append_x_forwarded_host: true,
          weighted_clusters: { clusters: [{ name: 'b', weight: 1, host_rewrite_literal: 'weighted.test' }] },
        },
      },
      ...Object.entries(MATCHES).map(([name, headers]) => matched(name, ...headers)),
      { match: { prefix: '/' }, route: { cluster: 'b' } },
    ],
    more: {
      layered_runtime: {
        layers: [
          {
            name: 'static',
            static_layer: {
              none: 0,
              percent: 100,
              deep: { whole: { numerator: 10_000, denominator: 'TEN_THOUSAND' } },
            },
          },
        ],
      },
    },
  }),
  cases: [
    ...[
      ...['/r/host/x?q=1', '/r/path/x?q=1', '/r/query?q=1', '/r/strip?q=1', '/r/prefix/x?q=1', '/r/regex/12?q=1'],
      ...['/r/https/x', '/r/scheme', '/r/port', '/r/all?q=1', '/r/307?q=1', '/r/308?q=1'],
    ].flatMap((path) => [
      { name: `redirect ${path}`, client: get(path) },
      { name: `redirect ${path} of a host with a port`, client: get(path, { host: 'x.test:80' }) },
      {
        name: `redirect ${path} of https`,
        client: get(path, { host: 'x.test:443', 'x-forwarded-proto': 'https' }),
      },
    ]),
    ...[
      ...['/h/regex/pay/x?q=1', '/h/regex/', '/h/both/pay?q=1', '/case/x?Q=1', '/exact?q', '/EXACT', '/sep/arated'],
      ...['/sep/arated/x', '/sep/aratedx', '/re/abc?q=1', '/re/abcd', '/q?a=1&b', '/q?b=&a=1', '/q?a=1', '/q?a=%31&b'],
      ...['/runtime-never', '/runtime-always', '/runtime-percent'],
      ...['/q?a=2&a=1&b', '/never', '/always', '/grpc', '/by-header', '/weighted-both', '/weighted-forwarded'],
    ].map((path) => ({ name: path, client: get(path) })),
    { name: 'gRPC', client: get('/grpc', { 'content-type': 'application/grpc+proto' }, 'POST') },
    { name: 'not gRPC', client: get('/grpc', { 'content-type': 'application/grpc-web' }, 'POST') },
    { name: 'the cluster of a header', client: get('/by-header', { 'x-cluster': 'a' }) },
    { name: 'the cluster of a header that is not there', client: get('/by-header', { 'x-cluster': 'none' }) },
    ...['0', '39', '40', '139', '1000000000000'].map((random) => ({
      name: `weights by ${random}`,
      client: get('/weighted', { 'x-random': random }),
      upstreams: { a: [reply(200)], b: [reply(200)] },
    })),
    ...Object.keys(MATCHES).flatMap((name) =>
      Object.entries(WITH).map(([what, headers]) => ({
        name: `header ${name}: ${what}`,
        client: get(`/m/${name}?q=1`, headers),
      })),
    ),
    {
      name: 'header regex: several values',
      client: { send: ['GET /m/regex HTTP/1.1\r\nhost: x.test\r\nx: One\r\nx: two\r\n\r\n'] },
    },
    {
      name: 'header exact: several values',
      client: { send: ['GET /m/exact HTTP/1.1\r\nhost: x.test\r\nx: One\r\nx: two\r\n\r\n'] },
    },
  ],
};
