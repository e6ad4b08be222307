import { http, type Suite } from '../harness/case.ts';
import { get, on } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const add = (key: string, value: string, append_action?: string, more: object = {}) => ({
  header: { key, value },
  ...(append_action === undefined ? {} : { append_action }),
  ...more,
});
const everyLevel = (name: string) => ({
  request_headers_to_add: [
    add('x-level', name),
    add('x-over', name, 'OVERWRITE_IF_EXISTS_OR_ADD'),
    add('x-absent', name, 'ADD_IF_ABSENT'),
    add('x-exists', name, 'OVERWRITE_IF_EXISTS'),
  ],
  request_headers_to_remove: [`x-not-${name}`],
  response_headers_to_add: [
    add('x-level', name),
    add('x-over', name, 'OVERWRITE_IF_EXISTS_OR_ADD'),
    add('x-absent', name, 'ADD_IF_ABSENT'),
    add('x-exists', name, 'OVERWRITE_IF_EXISTS'),
  ],
  response_headers_to_remove: [`x-not-${name}`],
});
const levels = {
  ...everyLevel('config'),
  internal_only_headers: ['X-Inside'],
  virtual_hosts: [
    {
      name: 'all',
      domains: ['*'],
      ...everyLevel('host'),
      routes: [
        {
          match: { path: '/levels' },
          ...everyLevel('route'),
          route: {
            weighted_clusters: { clusters: [{ name: 'a', weight: 1, ...everyLevel('weighted') }] },
          },
        },
        {
          match: { path: '/direct-values' },
          response_headers_to_add: [
            add('x-number', '%RESPONSE_CODE%'),
            add('x-details', '%RESPONSE_CODE_DETAILS%'),
            add('x-flags', '%RESPONSE_FLAGS%'),
            add('x-route', '%REQ(:PATH)%'),
          ],
          direct_response: { status: 201, body: { inline_string: 'made' } },
        },
        {
          match: { path: '/refused-values' },
          response_headers_to_add: [
            add('x-number', '%RESPONSE_CODE%'),
            add('x-details', '%RESPONSE_CODE_DETAILS%'),
            add('x-flags', '%RESPONSE_FLAGS%'),
            add('x-cluster', '%UPSTREAM_CLUSTER%'),
            add('content-type', 'text/html', 'OVERWRITE_IF_EXISTS_OR_ADD'),
            add('x-length', '%RESP(content-length)%'),
          ],
          route: { cluster: 'refused' },
        },
        { match: { path: '/moved' }, direct_response: { status: 308 } },
        {
          match: { path: '/taken-out' },
          response_headers_to_remove: ['location'],
          redirect: { path_redirect: '/elsewhere' },
        },
        { match: { path: '/direct' }, ...everyLevel('route'), direct_response: { status: 200 } },
        { match: { path: '/redirect' }, ...everyLevel('route'), redirect: { host_redirect: 'other.test' } },
        { match: { path: '/refused' }, ...everyLevel('route'), route: { cluster: 'refused' } },
        { match: { path: '/nowhere' }, ...everyLevel('route'), route: { cluster: 'missing' } },
        {
          match: { path: '/values' },
          route: { cluster: 'a', prefix_rewrite: '/new', host_rewrite_literal: 'new.test' },
          request_headers_to_add: [
            add('x-path', '%REQ(:PATH)%'),
            add('x-path-before', '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%'),
            add('x-authority', '%REQ(:AUTHORITY)%'),
            add('x-client', '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'),
            add('x-none', '%REQ(x-nothing)%'),
            add('x-none-kept', '%REQ(x-nothing)%', undefined, { keep_empty_value: true }),
            add('x-some', '[%REQ(x-nothing)%]'),
            add('x-empty', ''),
            add('x-empty-kept', '', undefined, { keep_empty_value: true }),
            add('x-empty-over', '', 'OVERWRITE_IF_EXISTS_OR_ADD'),
            add('x-percent', '100%%'),
            add('x-route', '%ROUTE_NAME%'),
            add('x-cluster', '%UPSTREAM_CLUSTER%'),
            add('x-number', '%RESPONSE_CODE%'),
            add('x-twice', '%REQ(x-many)%'),
            add('x-secret', '%REQ(authorization)%'),
          ],
          response_headers_to_add: [
            add('x-back', '%REQ(x-many)%'),
            add('x-endpoint', '%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'),
            add('x-flags', '%RESPONSE_FLAGS%'),
            add('x-details', '%RESPONSE_CODE_DETAILS%'),
            add('x-type', '%RESP(content-type)%'),
            add('x-cluster', '%UPSTREAM_CLUSTER%'),
            add('content-type', 'text/other', 'OVERWRITE_IF_EXISTS'),
            add('server', 'mine', 'OVERWRITE_IF_EXISTS_OR_ADD'),
          ],
          response_headers_to_remove: ['set-cookie', 'x-envoy-upstream-service-time', 'date'],
        },
        {
          match: { path: '/removed' },
          route: { cluster: 'a' },
          request_headers_to_remove: ['x-many', 'X-Forwarded-Proto', 'x-request-id', 'user-agent'],
        },
        { match: { prefix: '/' }, route: { cluster: 'a' } },
      ],
    },
  ],
};

const OLD = {
  'x-level': 'old',
  'x-over': 'old',
  'x-absent': 'old',
  'x-exists': 'old',
  'x-not-config': '1',
  'x-not-host': '1',
  'x-not-route': '1',
  'x-not-weighted': '1',
  'x-inside': 'secret',
};
const MANY =
  'GET /values?q=1 HTTP/1.1\r\nhost: x.test\r\nx-many: one\r\nx-many: two\r\nx-empty-over: old\r\nauthorization: Bearer t\r\n\r\n';

/** Header changes of every level, on requests, answers and local replies. */
export const suite: Suite = {
  name: 'header changes',
  upstreams: ['a', 'refused'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], refused: ['refused'] },
    routes: { ...levels, validate_clusters: false },
    manager: { internal_address_config: { cidr_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }] } },
    variants: {
      specific: {
        route_config: {
          name: 'routes',
          ...levels,
          validate_clusters: false,
          most_specific_header_mutations_wins: true,
        },
      },
    },
  }),
  cases: [
    ...['ingress', 'specific'].flatMap((listener) => [
      { name: `${listener}: nothing is there`, client: on(listener, get('/levels')) },
      {
        name: `${listener}: everything is there`,
        client: on(listener, get('/levels', OLD)),
        upstreams: { a: [reply(200, 'ok', OLD)] },
      },
      { name: `${listener}: a direct response`, client: on(listener, get('/direct')) },
      { name: `${listener}: a redirect`, client: on(listener, get('/redirect')) },
      { name: `${listener}: no such cluster`, client: on(listener, get('/nowhere')) },
    ]),
    { name: 'a refused connection', client: get('/refused'), upstreams: { refused: 'refuse-connections' as const } },
    {
      name: 'a direct response that says where',
      client: [
        get('/moved?q=1'),
        get('/moved', { host: 'x.test:81', 'x-forwarded-proto': 'https' }),
        get('/taken-out'),
      ],
    },
    { name: 'values of a direct response', client: get('/direct-values') },
    {
      name: 'values of a refused connection',
      client: get('/refused-values'),
      upstreams: { refused: 'refuse-connections' as const },
    },
    { name: 'an internal caller keeps its own', client: get('/levels', { ...OLD, 'x-forwarded-for': '10.0.0.1' }) },
    {
      name: 'values',
      client: { send: [MANY] },
      upstreams: {
        a: [
          {
            do: 'send' as const,
            bytes:
              'HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-type: text/plain\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n',
          },
        ],
      },
    },
    { name: 'removed', client: { send: [MANY.replace('/values', '/removed')] } },
  ],
};
