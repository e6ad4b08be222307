import { accessLog, http, LOG_FORMAT, type Suite } from '../harness/case.ts';
import { get, on, raw } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const FROM_UPSTREAM = { a: [reply(200, 'ok', { server: 'application', via: '1.1 before', date: 'yesterday' })] };
const ID = { 'x-request-id': '11111111-2222-4333-8444-555555555555' };

/** Fields that the proxy itself sets: server, via, x-request-id, x-envoy-*, forwarded certificates over plaintext. */
export const suite: Suite = {
  name: 'fields of the proxy',
  upstreams: ['a', 'refused'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], refused: ['refused'] },
    routes: {
      virtual_hosts: [
        {
          name: 'attempts',
          domains: ['attempts.test'],
          include_request_attempt_count: true,
          include_attempt_count_in_response: true,
          include_is_timeout_retry_header: true,
          retry_policy: { retry_on: '5xx', num_retries: 2, per_try_timeout: '0.2s' },
          virtual_clusters: [{ name: 'read', headers: [{ name: ':method', string_match: { exact: 'GET' } }] }],
          routes: [{ match: { prefix: '/' }, route: { cluster: 'a' }, stat_prefix: 'everything' }],
        },
        {
          name: 'all',
          domains: ['*'],
          routes: [
            { match: { path: '/refused' }, route: { cluster: 'refused' } },
            { match: { path: '/direct' }, direct_response: { status: 200, body: { inline_string: 'd' } } },
            { match: { prefix: '/' }, route: { cluster: 'a' } },
          ],
        },
      ],
    },
    manager: {
      access_log: [
        accessLog(
          { json_format: { ...LOG_FORMAT, id: '%REQ(X-REQUEST-ID):8%' } },
          {
            filter: { header_filter: { header: { name: 'x-request-id', string_match: { prefix: '1111' } } } },
          },
        ),
      ],
    },
    variants: {
      named: { server_name: 'toll' },
      append: { server_header_transformation: 'APPEND_IF_ABSENT', server_name: 'toll' },
      pass: { server_header_transformation: 'PASS_THROUGH' },
      via: { via: '1.1 toll' },
      'no-id': { generate_request_id: false },
      'keep-id': { use_remote_address: true, preserve_external_request_id: true },
      edge: { use_remote_address: true },
      'id-back': { always_set_request_id_in_response: true },
      quiet: {
        http_filters: [
          {
            name: 'envoy.filters.http.router',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
              suppress_envoy_headers: true,
            },
          },
        ],
      },
    },
  }),
  cases: [
    { name: 'server overwrites', client: get('/'), upstreams: FROM_UPSTREAM, logLines: 0 },
    { name: 'a server name', client: on('named', get('/')), upstreams: FROM_UPSTREAM, logLines: 0 },
    { name: 'append if absent: it is there', client: on('append', get('/')), upstreams: FROM_UPSTREAM, logLines: 0 },
    { name: 'append if absent: it is not', client: on('append', get('/')), logLines: 0 },
    { name: 'pass through', client: on('pass', get('/')), upstreams: FROM_UPSTREAM, logLines: 0 },
    { name: 'pass through: there is none', client: on('pass', get('/')), logLines: 0 },
    { name: 'pass through of a local reply', client: on('pass', get('/direct')), logLines: 0 },
    { name: 'via', client: on('via', get('/', { via: '1.1 first' })), upstreams: FROM_UPSTREAM, logLines: 0 },
    { name: 'via of a local reply', client: on('via', get('/direct')), logLines: 0 },
    { name: 'an id of the caller', client: get('/', ID) },
    { name: 'no id is made', client: on('no-id', get('/')), logLines: 0 },
    { name: 'no id is made, but one passed on', client: on('no-id', get('/', ID)) },
    { name: 'edge: an id of an external caller is replaced', client: on('edge', get('/', ID)), logLines: 0 },
    { name: 'edge: an id of an external caller is kept', client: on('keep-id', get('/', ID)) },
    { name: 'the id comes back', client: on('id-back', get('/', ID)) },
    { name: 'the id comes back with a local reply', client: on('id-back', get('/direct', ID)) },
    { name: 'an id that is no UUID', client: get('/', { 'x-request-id': '11111111-nonsense' }) },
    { name: 'no fields of Envoy', client: on('quiet', get('/')), logLines: 0 },
    {
      name: 'attempts are counted',
      client: get('/', { host: 'attempts.test' }),
      upstreams: { a: [reply(503), reply(200, 'ok')] },
      logLines: 0,
    },
    {
      name: 'a retry after a timeout says so',
      client: get('/', { host: 'attempts.test' }),
      upstreams: { a: [{ do: 'hang' }, reply(200, 'ok')] },
      logLines: 0,
    },
    {
      name: 'an attempt count of the caller',
      client: get('/', { host: 'attempts.test', 'x-envoy-attempt-count': '7' }),
      logLines: 0,
    },
    {
      name: 'fields of one hop',
      client: raw(
        'GET / HTTP/1.1\nhost: x.test\nconnection: x-hop, te\nx-hop: 1\nte: trailers, gzip\nkeep-alive: timeout=5\nproxy-connection: keep-alive\nproxy-authenticate: x\n\n',
      ),
      logLines: 0,
    },
    {
      name: 'fields of one hop in a response',
      client: get('/'),
      upstreams: {
        a: [
          reply(200, 'ok', {
            connection: 'x-hop',
            'x-hop': '1',
            'keep-alive': 'timeout=5',
            'proxy-connection': 'close',
            upgrade: 'h2c',
          }),
        ],
      },
      logLines: 0,
      differs: {
        why: 'a field that Connection names is of this hop in a response too (RFC 9110, section 7.6.1)',
        at: { 'client[0].responses[0].headers[4]': { envoy: 'x-hop: 1', tollway: undefined } },
      },
    },
    {
      name: 'x-envoy-upstream-service-time and others of the upstream',
      client: get('/'),
      upstreams: {
        a: [
          reply(200, 'ok', {
            'x-envoy-upstream-service-time': '99999',
            'x-envoy-immediate-health-check-fail': '',
            'x-envoy-decorator-operation': 'op',
            'x-envoy-degraded': '',
          }),
        ],
      },
      logLines: 0,
    },
    {
      name: 'a forwarded certificate over plaintext',
      client: get('/', { 'x-forwarded-client-cert': 'By=spiffe://x/a;Hash=00' }),
      logLines: 0,
    },
  ],
};
