import {
  accessLog,
  countedApart,
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

const NAME = 'envoy.filters.http.header_mutation';
const HTTP = 'envoy.extensions.filters.http.header_mutation.v3';
const append = (key: string, value: string, append_action?: string, more: object = {}) => ({
  append: { header: { key, value }, ...(append_action === undefined ? {} : { append_action }), ...more },
});
const removeOnMatch = (key_matcher: object) => ({ remove_on_match: { key_matcher } });
const query = (key: string, value: string, action?: string) => ({
  append: { record: { key, value }, ...(action === undefined ? {} : { action }) },
});
const filter = (mutations: object, more: object = {}) => ({
  name: NAME,
  typed_config: { '@type': typeUrl(`${HTTP}.HeaderMutation`), mutations, ...more },
});
const only = (mutations: object, more: object = {}) => ({ http_filters: [filter(mutations, more), ROUTER] });
const here = (mutations: object) => ({
  typed_per_filter_config: { [NAME]: { '@type': typeUrl(`${HTTP}.HeaderMutationPerRoute`), mutations } },
});
const level = (name: string) => ({
  request_mutations: [append('x-level', name), append('x-over', name, 'OVERWRITE_IF_EXISTS_OR_ADD')],
  response_mutations: [append('x-level', name), append('x-over', name, 'OVERWRITE_IF_EXISTS_OR_ADD')],
});
const own = {
  request_mutations: [
    append('x-add', 'one'),
    append('x-add', 'two'),
    append('x-absent', 'absent', 'ADD_IF_ABSENT'),
    append('x-exists', 'exists', 'OVERWRITE_IF_EXISTS'),
    append('x-over', 'own', 'OVERWRITE_IF_EXISTS_OR_ADD'),
    append('X-Upper', 'Case'),
    append('x-made', '1'),
    append('x-made', '2', 'OVERWRITE_IF_EXISTS'),
    append('x-gone', '1'),
    { remove: 'x-gone' },
    { remove: 'X-Old' },
    removeOnMatch({ prefix: 'x-secret-' }),
    removeOnMatch({ exact: 'X-Cased', ignore_case: true }),
    removeOnMatch({ safe_regex: { regex: 'x-[0-9]+' } }),
    append('x-path', '%REQ(:PATH)%'),
    append('x-seen', '%REQ(x-made)%'),
    append('x-none', '%REQ(x-nothing)%'),
    append('x-none-kept', '%REQ(x-nothing)%', undefined, { keep_empty_value: true }),
    append('x-percent', '100%%'),
    append('x-route', '%ROUTE_NAME%'),
    append('x-host', '%REQ(:AUTHORITY)%'),
  ],
  response_mutations: [
    append('x-answer', '%RESPONSE_CODE%'),
    append('x-asked', '%REQ(x-add)%'),
    append('x-type', '%RESP(content-type)%'),
    append('server', 'mine', 'OVERWRITE_IF_EXISTS'),
    append('x-details', '%RESPONSE_CODE_DETAILS%'),
    { remove: 'x-inside' },
    removeOnMatch({ prefix: 'x-secret-' }),
  ],
};
const SENT = {
  'x-add': 'zero',
  'x-absent': 'there',
  'x-exists': 'there',
  'x-over': 'there',
  'x-old': '1',
  'x-secret-a': '1',
  'x-secret-b': '2',
  'x-cased': '1',
  'x-17': '1',
  'x-17a': '1',
};
const BYTES: Difference = {
  why: 'a parameter that no step touches keeps its bytes',
  at: {
    'upstreams.a[0].*': { envoy: '*', tollway: '*' },
    'accessLog[0].*': { envoy: '*', tollway: '*' },
  },
};
const queries = {
  query_parameter_mutations: [
    query('add', 'one'),
    query('absent', 'new', 'ADD_IF_ABSENT'),
    query('exists', 'new', 'OVERWRITE_IF_EXISTS'),
    query('over', 'a b&c=%REQ(x-v)%', 'OVERWRITE_IF_EXISTS_OR_ADD'),
    { remove: 'gone' },
  ],
};
const trailers = {
  request_trailers_mutations: [append('x-added', '%REQ(x-v)%'), { remove: 'x-gone' }],
  response_trailers_mutations: [
    append('x-added', '%RESPONSE_CODE%'),
    { remove: 'x-gone' },
    append('x-seen', '%TRAILER(x-there)%'),
  ],
};
const routes = [
  {
    match: { prefix: '/weighted' },
    ...here(level('route')),
    route: {
      weighted_clusters: { clusters: [{ name: 'a', weight: 1, ...here(level('weighted')) }] },
    },
  },
  { match: { prefix: '/level' }, route: { cluster: 'a' }, ...here(level('route')) },
  { match: { prefix: '/direct' }, direct_response: { status: 200 }, ...here(level('route')) },
  { name: 'queries', match: { prefix: '/query' }, route: { cluster: 'a' }, ...here(queries) },
  {
    name: 'emptied',
    match: { prefix: '/emptied' },
    route: { cluster: 'a' },
    ...here({ query_parameter_mutations: [{ remove: 'gone' }, { remove: 'a b' }] }),
  },
  { match: { prefix: '/trailers' }, route: { cluster: 'two' }, ...here(trailers) },
  { match: { prefix: '/two' }, route: { cluster: 'two' } },
  { match: { prefix: '/redirect' }, redirect: { path_redirect: '/x' } },
  { match: { prefix: '/refused' }, route: { cluster: 'refused' } },
  {
    name: 'changed',
    match: { prefix: '/', headers: [{ name: 'x-made', string_match: { exact: '2' } }] },
    route: { cluster: 'two' },
  },
  { name: 'rest', match: { prefix: '/rest' }, route: { cluster: 'a' } },
];

/** Headers, trailers and query parameters that a filter changes. */
export const suite: Suite = {
  name: 'http-filters header mutation',
  upstreams: ['a', 'two', 'refused'],
  upstreamHttp2: ['two'],
  listener: 'ingress',
  bootstrap: http({
    clusters: {
      a: ['a'],
      refused: ['refused'],
      two: { endpoints: ['two'], ...httpOptions({}, { http2_protocol_options: {} }) },
    },
    filters: [filter(own)],
    routes: {
      ...here(level('table')),
      virtual_hosts: [{ name: 'all', domains: ['*'], ...here(level('host')), routes }],
    },
    variants: {
      'most-specific': only({}, { most_specific_header_mutations_wins: true }),
      'no-length': only({ request_mutations: [{ remove: 'content-length' }] }),
    },
    manager: {
      access_log: [accessLog({ json_format: { ...LOG_FORMAT, made: '%REQ(x-made)%', answer: '%RESP(x-answer)%' } })],
    },
  }),
  statsDiffer: countedApart('what Envoy’s HTTP/2 library counts', ['cluster.two.http2.nghttp2_upstream_connections']),
  cases: [
    { name: 'nothing is there', client: get('/rest') },
    { name: 'everything is there', client: get('/rest', SENT) },
    {
      name: 'an answer is changed',
      client: get('/rest'),
      upstreams: {
        a: [reply(201, 'ok', { 'x-inside': '1', 'x-secret-a': '1', 'content-type': 'text/plain', 'x-answer': 'old' })],
      },
    },
    { name: 'the route was chosen before', client: get('/other') },
    { name: 'levels', client: get('/level') },
    { name: 'levels with a weighted cluster', client: get('/weighted') },
    { name: 'a direct response', client: get('/direct') },
    { name: 'a redirect', client: get('/redirect') },
    { name: 'a refused connection', client: get('/refused'), upstreams: { refused: 'refuse-connections' as const } },
    { name: 'levels, the most specific last', client: on('most-specific', get('/weighted')) },
    ...[
      '/query',
      '/query?',
      '/query?add=zero&absent=old&exists=old&over=old&gone=1',
      '/query?z=1&add=zero&a=2&add=more&gone=1&gone=2&Z=3',
      '/query?exists=1&exists=2&y=a+b&empty=&bare&=noname&bad=%zz&half=%2',
      "/query?over=1&a=2&over=3&s=/:@!$'()*,;~-._&q=a=b",
      '/query?a&&b&',
      '/emptied?gone=1',
      '/emptied?gone=1&z=2&a=1',
      '/emptied?a%20b=1&c=2',
    ].map((path) => ({ name: `query ${path}`, client: get(path, { 'x-v': 'v/1' }) })),
    ...['/query?x=%20%41', '/query?amp=1%262=3', '/query?u=%E2%82%AC', '/query?%61dd=2'].map((path) => ({
      name: `query ${path}`,
      client: get(path, { 'x-v': 'v/1' }),
      differs: BYTES,
    })),
    {
      name: 'trailers',
      client: http2([
        headers(
          1,
          [
            [':method', 'POST'],
            [':scheme', 'http'],
            [':path', '/trailers'],
            [':authority', 'conformance.test'],
            ['x-v', 'v'],
          ],
          false,
        ),
        data(1, 'x', false),
        headers(
          1,
          [
            ['x-gone', '1'],
            ['x-there', '2'],
          ],
          true,
        ),
      ]),
      upstreams: {
        two: [
          {
            do: 'send' as const,
            bytes:
              'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-gone: 1\r\nx-there: 2\r\n\r\n',
          },
        ],
      },
    },
    { name: 'without a length', client: on('no-length', post('/rest', 'body')) },
    { name: 'from HTTP/2 to HTTP/2', client: http2([request(1, 'GET', '/two', SENT)]) },
  ],
};
