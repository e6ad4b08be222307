import { type Case, type Difference, http, type Suite } from '../harness/case.ts';
import { get, on } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const equals = (value: number) => ({
  status_code_filter: { comparison: { op: 'EQ', value: { default_value: value, runtime_key: 'reply' } } },
});

/** A mapper that makes a reply a 204 leaves Envoy with a body that no client reads as one. */
const without = (kind: string, method = 'GET'): { readonly differs?: Difference } =>
  kind !== 'status'
    ? {}
    : {
        differs: {
          why: 'a 204 has no body and no length (RFC 9110 §15.3.5)',
          at: {
            'client[0].responses[0].headers.*': { envoy: '*', tollway: '*' },
            ...(method === 'HEAD' ? {} : { 'client[0].rest': { envoy: '*', tollway: '' } }),
          },
        },
      };

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
      'more-mapped': {
        local_reply_config: {
          mappers: [
            {
              filter: { header_filter: { header: { name: 'x-kind', string_match: { exact: 'json' } } } },
              body_format_override: {
                json_format: {
                  was: '%LOCAL_REPLY_BODY%',
                  code: '%RESPONSE_CODE%',
                  flags: '%RESPONSE_FLAGS%',
                  nothing: '%REQ(X-NOTHING)%',
                },
              },
            },
            {
              filter: { header_filter: { header: { name: 'x-kind', string_match: { exact: 'typed' } } } },
              body_format_override: {
                json_format: { was: '%LOCAL_REPLY_BODY%' },
                content_type: 'application/problem+json; charset=UTF-8',
              },
            },
            {
              filter: { header_filter: { header: { name: 'x-kind', string_match: { exact: 'empty' } } } },
              body: { inline_string: '' },
              body_format_override: { text_format_source: { inline_string: '' } },
            },
            {
              filter: { header_filter: { header: { name: 'x-kind', string_match: { exact: 'status' } } } },
              status_code: 204,
            },
            {
              filter: { header_filter: { header: { name: 'x-kind', string_match: { exact: 'headers' } } } },
              headers_to_add: [
                { header: { key: 'x-two', value: '1' } },
                { header: { key: 'x-two', value: '2' } },
                { header: { key: 'content-type', value: 'text/x' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
                { header: { key: 'server', value: 'mine' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
                { header: { key: 'x-details', value: '%RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS%' } },
              ],
            },
            {
              filter: {
                and_filter: {
                  filters: [equals(418), { header_filter: { header: { name: 'x-kind', present_match: true } } }],
                },
              },
              body: { inline_string: 'both' },
            },
            {
              filter: {
                duration_filter: { comparison: { op: 'GE', value: { default_value: 100000, runtime_key: 'd' } } },
              },
              body: { inline_string: 'never' },
            },
          ],
          body_format: {
            text_format_source: { inline_string: '[%LOCAL_REPLY_BODY%|%RESPONSE_CODE%|%REQ(:METHOD)%|%PROTOCOL%]\n' },
            content_type: 'text/x-own',
          },
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
    ...['json', 'typed', 'empty', 'status', 'headers', 'other'].flatMap((kind): Case[] => [
      {
        name: `no route, mapped: ${kind}`,
        client: on('more-mapped', get('/nowhere', { 'x-kind': kind })),
        ...without(kind),
      },
      {
        name: `a direct response, mapped: ${kind}`,
        client: on('more-mapped', get('/teapot', { 'x-kind': kind })),
        ...without(kind),
      },
      {
        name: `HEAD, mapped: ${kind}`,
        client: on('more-mapped', get('/teapot', { 'x-kind': kind }, 'HEAD')),
        ...without(kind, 'HEAD'),
      },
      {
        name: `gRPC, mapped: ${kind}`,
        client: on('more-mapped', get('/teapot', { 'x-kind': kind, 'content-type': 'application/grpc' }, 'POST')),
      },
      {
        name: `a refused connection, mapped: ${kind}`,
        client: on('more-mapped', get('/refused', { 'x-kind': kind })),
        ...without(kind),
        upstreams: { refused: 'refuse-connections' as const },
      },
    ]),
    { name: 'a bad request, mapped', client: on('more-mapped', { send: ['GET / HTTP/1.1\r\n\r\n'] }) },
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
