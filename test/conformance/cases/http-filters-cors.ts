import { accessLog, http, LOG_FORMAT, type Suite, typeUrl } from '../harness/case.ts';
import { get } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const NAME = 'envoy.filters.http.cors';
const HTTP = 'envoy.extensions.filters.http.cors.v3';
const cors = { name: NAME, typed_config: { '@type': typeUrl(`${HTTP}.Cors`) } };
const here = (policy: object) => ({
  typed_per_filter_config: { [NAME]: { '@type': typeUrl(`${HTTP}.CorsPolicy`), ...policy } },
});
const share = (numerator: number) => ({ default_value: { numerator, denominator: 'HUNDRED' } });
const to = (cluster = 'a', more: object = {}) => ({ route: { cluster, ...more } });

const full = {
  allow_origin_string_match: [
    { exact: 'https://shop.test' },
    { suffix: '.pay.test' },
    { safe_regex: { regex: 'http://[a-z]+' } },
  ],
  allow_methods: 'GET, POST',
  allow_headers: 'x-one, x-two',
  expose_headers: 'x-shown',
  max_age: '600',
  allow_credentials: true,
  allow_private_network_access: true,
};
const SHOP = { origin: 'https://shop.test' };
const asks = (origin: string, more: object = {}) => ({
  origin,
  'access-control-request-method': 'PUT',
  'access-control-request-headers': 'x-asked, x-more',
  ...more,
});
const preflight = (path: string, headers: { readonly [name: string]: string }) => get(path, headers, 'OPTIONS');

/** Cross-origin requests: preflights that the filter answers, and what it adds to other answers. */
export const suite: Suite = {
  name: 'http-filters cors',
  upstreams: ['a', 'refused'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], refused: ['refused'] },
    filters: [cors],
    routes: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          ...here({ ...full, allow_methods: 'DELETE', max_age: '1', expose_headers: 'x-host' }),
          response_headers_to_add: [{ header: { key: 'x-route', value: 'added' } }],
          routes: [
            { match: { prefix: '/full' }, ...to(), ...here(full) },
            { match: { prefix: '/part' }, ...to(), ...here({ allow_headers: '*' }) },
            {
              match: { prefix: '/any' },
              ...to(),
              ...here({
                allow_origin_string_match: [{ exact: '*' }],
                allow_methods: '*',
                allow_headers: '*',
                allow_credentials: false,
              }),
            },
            {
              match: { prefix: '/pattern' },
              ...to(),
              ...here({ allow_origin_string_match: [{ safe_regex: { regex: '.*' } }] }),
            },
            {
              match: { prefix: '/strict' },
              ...to(),
              ...here({ ...full, forward_not_matching_preflights: false }),
            },
            { match: { prefix: '/off' }, ...to(), ...here({ ...full, filter_enabled: share(0) }) },
            {
              match: { prefix: '/shadow' },
              ...to(),
              ...here({ ...full, filter_enabled: share(0), shadow_enabled: share(100) }),
            },
            {
              match: { prefix: '/both' },
              ...to(),
              ...here({ ...full, filter_enabled: share(100), shadow_enabled: share(100) }),
            },
            { match: { prefix: '/direct' }, direct_response: { status: 200 }, ...here(full) },
            { match: { prefix: '/redirect' }, redirect: { path_redirect: '/x' }, ...here(full) },
            { match: { prefix: '/refused' }, ...to('refused'), ...here(full) },
            { match: { prefix: '/deprecated' }, ...to('a', { cors: { ...full, allow_methods: 'PATCH' } }) },
            { match: { prefix: '/host' }, ...to() },
          ],
        },
        {
          name: 'deprecated',
          domains: ['old.test'],
          cors: { ...full, max_age: '2', allow_methods: 'HEAD' },
          routes: [
            {
              match: { prefix: '/deprecated' },
              ...to('a', { cors: { ...full, allow_methods: 'PATCH', max_age: '' } }),
            },
            { match: { prefix: '/off' }, ...to('a', { cors: { filter_enabled: share(0) } }) },
            { match: { prefix: '/' }, ...to() },
          ],
        },
        { name: 'none', domains: ['none.test'], routes: [{ match: { prefix: '/' }, ...to() }] },
      ],
    },
    manager: {
      access_log: [accessLog({ json_format: { ...LOG_FORMAT, allowed: '%RESP(access-control-allow-origin)%' } })],
      local_reply_config: {
        mappers: [
          {
            filter: {
              status_code_filter: { comparison: { op: 'EQ', value: { default_value: 200, runtime_key: 'x' } } },
            },
            status_code: 299,
          },
        ],
      },
    },
  }),
  cases: [
    { name: 'no origin', client: get('/full') },
    { name: 'an empty origin', client: get('/full', { origin: '' }) },
    ...['https://shop.test', 'https://SHOP.test', 'https://a.pay.test', 'http://abc', 'http://abc1', 'null'].map(
      (origin) => ({
        name: `a request from ${origin}`,
        client: get('/full', { origin }),
      }),
    ),
    ...[
      '/part',
      '/any',
      '/pattern',
      '/strict',
      '/off',
      '/shadow',
      '/both',
      '/direct',
      '/redirect',
      '/deprecated',
      '/host',
      '/none',
    ].flatMap((path) => [
      { name: `a request to ${path}`, client: get(path, SHOP) },
      { name: `a preflight of ${path}`, client: preflight(path, asks('https://shop.test')) },
      { name: `a preflight of ${path} from elsewhere`, client: preflight(path, asks('https://evil.test')) },
    ]),
    ...['/deprecated', '/off', '/rest'].flatMap((path) => [
      { name: `a request to the old host’s ${path}`, client: get(path, { ...SHOP, host: 'old.test' }) },
      {
        name: `a preflight of the old host’s ${path}`,
        client: preflight(path, { ...asks('https://shop.test'), host: 'old.test' }),
      },
    ]),
    { name: 'a host without a policy', client: preflight('/', { ...asks('https://shop.test'), host: 'none.test' }) },
    { name: 'a preflight', client: preflight('/full', asks('https://shop.test')) },
    {
      name: 'a preflight from a public network',
      client: [
        preflight('/full', asks('https://shop.test', { 'access-control-request-private-network': 'true' })),
        preflight('/full', asks('https://shop.test', { 'access-control-request-private-network': 'yes' })),
        preflight('/part', asks('https://shop.test', { 'access-control-request-private-network': 'true' })),
      ],
    },
    { name: 'OPTIONS that is no preflight', client: preflight('/full', SHOP) },
    {
      name: 'OPTIONS that asks for no method',
      client: preflight('/full', { ...SHOP, 'access-control-request-method': '' }),
    },
    { name: 'a preflight with a body', client: get('/full', asks('https://shop.test'), 'OPTIONS', 'body') },
    {
      name: 'a refused connection',
      client: get('/refused', SHOP),
      upstreams: { refused: 'refuse-connections' as const },
    },
    {
      name: 'an upstream that says something itself',
      client: get('/full', SHOP),
      upstreams: {
        a: [
          reply(200, 'ok', {
            'access-control-allow-origin': '*',
            'access-control-expose-headers': 'x-own',
            vary: 'origin',
          }),
        ],
      },
    },
  ],
};
