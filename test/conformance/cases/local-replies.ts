import { http, type Suite } from '../harness/case.ts';
import { get, on } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const equals = (value: number) => ({
  status_code_filter: { comparison: { op: 'EQ', value: { default_value: value, runtime_key: 'reply' } } },
});

/** How the proxy's own answers are shaped, and the rules of TLS that make some of them. */
export const suite: Suite = {
  name: 'local replies',
  upstreams: ['a', 'refused'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], refused: ['refused'] },
    routes: {
      virtual_hosts: [
        {
          name: 'tls',
          domains: ['tls.test'],
          require_tls: 'ALL',
          routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }],
        },
        {
          name: 'external-tls',
          domains: ['external.test'],
          require_tls: 'EXTERNAL_ONLY',
          routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }],
        },
        {
          name: 'counted',
          domains: ['counted.test'],
          virtual_clusters: [
            {
              name: 'payments',
              headers: [
                { name: ':path', string_match: { prefix: '/pay' } },
                { name: ':method', string_match: { exact: 'GET' } },
              ],
            },
          ],
          routes: [
            { match: { path: '/pay/none' }, direct_response: { status: 404 } },
            { match: { prefix: '/' }, route: { cluster: 'a' }, stat_prefix: 'everything' },
          ],
        },
        {
          name: 'all',
          domains: ['*'],
          routes: [
            { match: { path: '/refused' }, route: { cluster: 'refused' } },
            { match: { path: '/teapot' }, direct_response: { status: 418, body: { inline_string: 'short' } } },
            { match: { path: '/a' }, route: { cluster: 'a' } },
          ],
        },
      ],
    },
    manager: { internal_address_config: { cidr_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }] } },
    variants: {
      mapped: {
        local_reply_config: {
          mappers: [
            {
              filter: equals(404),
              status_code: 410,
              body: { inline_string: 'gone for %REQ(:PATH)%' },
              headers_to_add: [{ header: { key: 'x-mapped', value: '%RESPONSE_CODE%' } }],
            },
            {
              filter: equals(418),
              body_format_override: {
                text_format_source: { inline_string: '<p>%LOCAL_REPLY_BODY% %RESPONSE_CODE%</p>' },
                content_type: 'text/html',
              },
            },
            { filter: { response_flag_filter: { flags: ['UF'] } }, status_code: 599 },
          ],
        },
      },
      json: {
        local_reply_config: {
          body_format: {
            json_format: { status: '%RESPONSE_CODE%', message: '%LOCAL_REPLY_BODY%', path: '%REQ(:PATH)%' },
          },
        },
      },
    },
  }),
  cases: [
    {
      name: 'no mapper is asked for answers of the upstream',
      client: on('mapped', get('/a')),
      upstreams: { a: [reply(404, 'theirs')] },
    },
    { name: 'a status is replaced', client: on('mapped', get('/nowhere')) },
    { name: 'a body is shaped', client: on('mapped', get('/teapot')) },
    { name: 'a response flag', client: on('mapped', get('/refused')), upstreams: { refused: 'refuse-connections' } },
    { name: 'HEAD', client: on('mapped', get('/nowhere', {}, 'HEAD')) },
    { name: 'JSON', client: on('json', get('/nowhere')) },
    {
      name: 'JSON of a refused connection',
      client: on('json', get('/refused')),
      upstreams: { refused: 'refuse-connections' },
    },
    { name: 'JSON of a bad request', client: on('json', { send: ['GET / HTTP/1.1\r\n\r\n'] }) },
    { name: 'an answer to gRPC', client: get('/nowhere', { 'content-type': 'application/grpc' }, 'POST') },
    {
      name: 'an answer to gRPC of a refused connection',
      client: get('/refused', { 'content-type': 'application/grpc' }, 'POST'),
      upstreams: { refused: 'refuse-connections' },
    },
    { name: 'TLS is required', client: get('/p?q=1', { host: 'tls.test' }) },
    { name: 'TLS is required and was there', client: get('/', { host: 'tls.test', 'x-forwarded-proto': 'https' }) },
    {
      name: 'TLS is required of external callers',
      client: get('/', { host: 'external.test', 'x-forwarded-for': '203.0.113.9' }),
    },
    {
      name: 'TLS is required of external callers: an internal one',
      client: get('/', { host: 'external.test', 'x-forwarded-for': '10.0.0.1' }),
    },
    { name: 'a virtual cluster', client: get('/pay/1', { host: 'counted.test' }) },
    {
      name: 'a virtual cluster does not match',
      client: get('/other', { host: 'counted.test' }),
      upstreams: { a: [reply(503)] },
    },
    { name: 'a virtual cluster without an upstream', client: get('/pay/none', { host: 'counted.test' }) },
  ],
};
