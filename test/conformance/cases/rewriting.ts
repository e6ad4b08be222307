import { http, type Suite } from '../harness/case.ts';
import { get } from '../harness/client.ts';

const add = (key: string, value: string, append_action?: string) => ({
  header: { key, value },
  ...(append_action === undefined ? {} : { append_action }),
});

/** What changes on the way: path, host, headers. */
export const suite: Suite = {
  name: 'rewriting',
  upstreams: ['a', 'b'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], b: ['b'] },
    routes: {
      request_headers_to_add: [add('x-level', 'config')],
      response_headers_to_add: [add('x-level', 'config')],
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          request_headers_to_add: [add('x-level', 'host')],
          response_headers_to_remove: ['x-secret'],
          routes: [
            { match: { prefix: '/prefix' }, route: { cluster: 'a', prefix_rewrite: '/p' } },
            { match: { prefix: '/root/' }, route: { cluster: 'a', prefix_rewrite: '/' } },
            {
              match: { prefix: '/regex' },
              route: {
                cluster: 'a',
                regex_rewrite: { pattern: { regex: '/([a-z]+)/([0-9]+)' }, substitution: '/\\2/\\1' },
              },
            },
            { match: { path: '/host' }, route: { cluster: 'a', host_rewrite_literal: 'other.test' } },
            { match: { path: '/host-header' }, route: { cluster: 'a', host_rewrite_header: 'x-host' } },
            {
              match: { path: '/xfh' },
              route: { cluster: 'a', host_rewrite_literal: 'other.test', append_x_forwarded_host: true },
            },
            {
              match: { path: '/headers' },
              request_headers_to_add: [
                add('x-append', 'new'),
                add('x-overwrite', 'new', 'OVERWRITE_IF_EXISTS_OR_ADD'),
                add('x-absent', 'new', 'ADD_IF_ABSENT'),
                add('x-exists', 'new', 'OVERWRITE_IF_EXISTS'),
                add('x-op', 'to %REQ(:AUTHORITY)% by %PROTOCOL%'),
              ],
              request_headers_to_remove: ['x-gone'],
              response_headers_to_add: [add('x-code', '%RESPONSE_CODE%'), add('x-append', 'new')],
              route: { cluster: 'a' },
            },
            {
              match: { path: '/weighted' },
              route: {
                weighted_clusters: {
                  clusters: [
                    {
                      name: 'b',
                      weight: 100,
                      request_headers_to_add: [add('x-level', 'weighted')],
                      response_headers_to_add: [add('x-level', 'weighted')],
                    },
                    { name: 'a', weight: 0 },
                  ],
                },
              },
            },
            { match: { prefix: '/' }, route: { cluster: 'a' } },
          ],
        },
      ],
    },
  }),
  cases: [
    { name: 'a prefix', client: get('/prefix/x?q=1') },
    { name: 'a prefix to the root', client: get('/root/x') },
    { name: 'a pattern', client: get('/regex/12?q=1') },
    { name: 'the host', client: get('/host') },
    { name: 'the host by a header', client: get('/host-header', { 'x-host': 'asked.test' }) },
    { name: 'the host by a header that is absent', client: get('/host-header') },
    { name: 'the host with x-forwarded-host', client: get('/xfh') },
    {
      name: 'headers of every action',
      client: get('/headers', {
        'x-append': 'old',
        'x-overwrite': 'old',
        'x-absent': 'old',
        'x-exists': 'old',
        'x-gone': '1',
      }),
    },
    { name: 'headers that were not there', client: get('/headers') },
    {
      name: 'response headers',
      client: get('/headers'),
      upstreams: {
        a: [
          {
            do: 'send',
            bytes:
              'HTTP/1.1 201 Made\r\ncontent-length: 2\r\nx-append: old\r\nx-secret: 1\r\nserver: app\r\nx-envoy-upstream-service-time: 7\r\n\r\nok',
          },
        ],
      },
    },
    { name: 'a weighted cluster with headers', client: get('/weighted') },
    {
      name: 'connection fields are not passed on',
      client: get('/x', {
        connection: 'keep-alive, x-hop',
        'x-hop': '1',
        'keep-alive': 'timeout=5',
        'proxy-connection': 'keep-alive',
        te: 'trailers',
      }),
    },
    {
      name: 'x-forwarded-for is passed on',
      client: get('/x', { 'x-forwarded-for': '10.1.2.3', 'x-forwarded-proto': 'https' }),
    },
    { name: 'x-request-id is kept', client: get('/x', { 'x-request-id': '6b2d8fa2-1f4e-4a8c-9d0e-111111111111' }) },
    {
      name: 'x-envoy fields of the caller',
      client: get('/x', {
        'x-envoy-original-path': '/evil',
        'x-envoy-internal': 'true',
        'x-envoy-decorator-operation': 'op',
      }),
    },
  ],
};
