import { accessLog, clusterOf, countedApart, type Difference, loopback, type Suite, typeUrl } from '../harness/case.ts';
import {
  client,
  downstreamTls,
  FILES,
  other,
  TLS_INSPECTOR,
  TLS_LIBRARY,
  tlsContext,
} from '../harness/certificates.ts';
import { type Exchange, get, on, over } from '../harness/client.ts';

const LOG = {
  cluster: '%UPSTREAM_CLUSTER%',
  details: '%CONNECTION_TERMINATION_DETAILS%',
  flags: '%RESPONSE_FLAGS%',
  received: '%BYTES_RECEIVED%',
  sent: '%BYTES_SENT%',
};
const NETWORK = 'envoy.extensions.filters.network';
const filter = (name: string, type: string, config: object = {}) => ({
  name: `envoy.filters.network.${name}`,
  typed_config: { '@type': typeUrl(`${NETWORK}.${type}`), ...config },
});
const proxy = (name: string, cluster = 'a') =>
  filter('tcp_proxy', 'tcp_proxy.v3.TcpProxy', {
    stat_prefix: name,
    cluster,
    access_log: [accessLog({ json_format: LOG })],
  });
const listener = (name: string, filters: readonly object[], more: object = {}) => ({
  name,
  address: loopback(0),
  filter_chains: [{ filters, ...more }],
});
const limit = (name: string, config: object) =>
  listener(name, [
    filter('connection_limit', 'connection_limit.v3.ConnectionLimit', { stat_prefix: name, ...config }),
    proxy(name),
  ]);
const rate = (name: string, config: object) =>
  listener(name, [
    filter('local_ratelimit', 'local_ratelimit.v3.LocalRateLimit', { stat_prefix: name, ...config }),
    proxy(name),
  ]);
const bucket = (max: number, fill: number, interval: string) => ({
  token_bucket: { max_tokens: max, tokens_per_fill: fill, fill_interval: interval },
});
const ANY = [{ any: true }];
const policies = (permission: object | undefined, principal?: object) => ({
  p: {
    permissions: permission === undefined ? ANY : [permission],
    principals: principal === undefined ? ANY : [principal],
  },
});
const rbac = (name: string, rules: object, more: object = {}, chain: object = {}) =>
  listener(name, [filter('rbac', 'rbac.v3.RBAC', { stat_prefix: `${name}.`, ...rules, ...more }), proxy(name)], chain);
const allow = (permission: object | undefined, principal?: object) => ({
  rules: { action: 'ALLOW', policies: policies(permission, principal) },
});
const deny = (permission: object | undefined, principal?: object) => ({
  rules: { action: 'DENY', policies: policies(permission, principal) },
});
const mutual = {
  transport_socket: downstreamTls(tlsContext('server', {}), { require_client_certificate: true }),
};
const named = (matcher: object) => ({ authenticated: { principal_name: matcher } });
const range = (address: string, prefix: number) => ({ address_prefix: address, prefix_len: prefix });
const me = { cert: client.chain, key: client.key };
const another = { cert: other.chain, key: other.key };
const asks = (name: string, tls?: object): Exchange => on(name, tls === undefined ? get('/') : over(tls, get('/')));
const after = (ms: number, exchange: Exchange): Exchange => ({ ...exchange, send: [ms, ...exchange.send] });
/** A connection that is not answered: what it says comes when it may be closed already. */
const refused = (name: string, tls?: object): Exchange => ({
  ...after(60, asks(name, tls)),
  responses: 0,
  withinMs: 1_500,
});
/** The same, without a word. */
const shut = (name: string): Exchange => ({ ...on(name, { send: [] }), responses: 0, withinMs: 1_500 });

/** Nothing is read of a caller, and no server asked, who may not come in; Envoy judges the first byte. */
const EARLIER: Difference = {
  why: 'a connection is judged before its first byte: a server that speaks first must not be heard by everybody',
  at: {
    'accessLog[0].cluster': { envoy: 'a', tollway: null },
    'accessLog[0].received': { envoy: 42, tollway: 0 },
  },
};

/** Network filters before the TCP proxy, and those that answer themselves. */
export const suite: Suite = {
  name: 'network filters',
  upstreams: ['a', 'b'],
  listener: 'echo',
  files: FILES,
  bootstrap: {
    admin: { address: loopback(0) },
    layered_runtime: { layers: [{ name: 'static', static_layer: { 'limits.off': false } }] },
    static_resources: {
      listeners: [
        listener('echo', [filter('echo', 'echo.v3.Echo')]),
        listener('direct', [
          filter('direct_response', 'direct_response.v3.Config', {
            response: { inline_string: 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere' },
          }),
        ]),
        limit('limit', { max_connections: 1 }),
        limit('limit-delay', { max_connections: 1, delay: '0.3s' }),
        limit('limit-off', {
          max_connections: 1,
          runtime_enabled: { default_value: true, runtime_key: 'limits.off' },
        }),
        rate('rate', bucket(2, 1, '1000s')),
        rate('rate-fill', bucket(1, 20, '14s')),
        rate('rate-off', {
          ...bucket(1, 1, '1000s'),
          runtime_enabled: { default_value: true, runtime_key: 'limits.off' },
        }),
        rate('rate-shared-1', { ...bucket(1, 1, '1000s'), share_key: 'k' }),
        rate('rate-shared-2', { ...bucket(1, 1, '1000s'), share_key: 'k' }),
        {
          ...listener('sni', [filter('sni_cluster', 'sni_cluster.v3.SniCluster'), proxy('sni')], {
            transport_socket: downstreamTls(tlsContext('server')),
          }),
          listener_filters: [TLS_INSPECTOR],
        },
        rbac('allowed', allow(undefined)),
        rbac('allows-nobody', { rules: { action: 'ALLOW' } }),
        rbac('denied', deny(undefined)),
        rbac('denies-nobody', { rules: { action: 'DENY' } }),
        rbac('logs', { rules: { action: 'LOG', policies: policies(undefined) } }),
        rbac('no-rules', {}),
        rbac('delayed', deny(undefined), { delay_deny: '0.3s' }),
        rbac('shadow', { shadow_rules: deny(undefined).rules }, { shadow_rules_stat_prefix: 'what_if_' }),
        rbac('both', {
          rules: allow(undefined).rules,
          shadow_rules: allow(undefined, { not_id: { any: true } }).rules,
        }),
        rbac('here', allow({ destination_ip: range('127.0.0.0', 8) })),
        rbac('elsewhere', allow({ destination_ip: range('10.0.0.0', 8) })),
        rbac('ports', allow({ destination_port_range: { start: 1, end: 65536 } })),
        rbac('port', allow({ destination_port: 1 })),
        rbac('not-port', allow({ not_rule: { destination_port: 1 } })),
        rbac('path', allow({ url_path: { path: { prefix: '/' } } })),
        rbac('metadata', allow({ metadata: { filter: 'x', path: [{ key: 'a' }], value: { present_match: true } } })),
        rbac(
          'not-metadata',
          allow({ metadata: { filter: 'x', path: [{ key: 'a' }], value: { present_match: true }, invert: true } }),
        ),
        rbac(
          'sets',
          allow({
            and_rules: { rules: [{ any: true }, { or_rules: { rules: [{ destination_port: 1 }, { any: true }] } }] },
          }),
        ),
        rbac('from', allow(undefined, { direct_remote_ip: range('127.0.0.1', 32) })),
        rbac('from-remote', allow(undefined, { remote_ip: range('127.0.0.1', 32) })),
        rbac('from-source', allow(undefined, { source_ip: range('127.0.0.0', 30) })),
        rbac('from-elsewhere', allow(undefined, { remote_ip: range('127.0.1.0', 24) })),
        rbac('nameless', allow(undefined, { authenticated: {} })),
        rbac('mutual-anyone', allow(undefined, { authenticated: {} }), {}, mutual),
        rbac('mutual-exact', allow(undefined, named({ exact: 'spiffe://mesh.test/client' })), {}, mutual),
        rbac('mutual-dns', allow(undefined, named({ exact: 'client.test' })), {}, mutual),
        rbac('mutual-deny', deny(undefined, named({ suffix: '/client' })), {}, mutual),
        {
          ...rbac(
            'server-name',
            allow({ requested_server_name: { exact: 'pay.test' } }),
            {},
            {
              transport_socket: downstreamTls(tlsContext('server')),
            },
          ),
          listener_filters: [TLS_INSPECTOR],
        },
      ],
      clusters: [clusterOf('a', ['a']), clusterOf('b', ['b'])],
    },
  },
  cases: [
    { name: 'echo', client: on('echo', { send: ['HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi'] }), logLines: 0 },
    { name: 'direct response', client: on('direct', { send: [] }), logLines: 0 },
    {
      name: 'connection limit',
      client: [{ ...asks('limit'), lingerMs: 250 }, after(60, shut('limit'))],
      together: true,
    },
    { name: 'connection limit: room again', client: asks('limit') },
    {
      name: 'connection limit: kept waiting',
      client: [
        { ...asks('limit-delay'), lingerMs: 500 },
        { ...refused('limit-delay'), send: [] },
      ],
      together: true,
    },
    {
      name: 'connection limit: off',
      client: [{ ...asks('limit-off'), lingerMs: 150 }, after(60, asks('limit-off'))],
      together: true,
    },
    { name: 'rate limit', client: [asks('rate'), asks('rate'), shut('rate')] },
    {
      name: 'rate limit: tokens come one by one',
      client: [asks('rate-fill'), shut('rate-fill'), { ...asks('allowed'), lingerMs: 700 }, asks('rate-fill')],
    },
    { name: 'rate limit: off', client: [asks('rate-off'), asks('rate-off')] },
    { name: 'rate limit: shared', client: [asks('rate-shared-1'), shut('rate-shared-2')] },
    { name: 'server name to cluster', client: asks('sni', { servername: 'b' }) },
    {
      name: 'server name of no cluster',
      client: refused('sni', { servername: 'unknown.test' }),
      differs: {
        why: 'the handshake is over when filters see a connection',
        at: { 'client[0].tls': { envoy: undefined, tollway: '*' } },
      },
    },
    { name: 'no server name', client: asks('sni', {}) },
    ...['allowed', 'denies-nobody', 'logs', 'no-rules', 'shadow', 'both'].map((name) => ({
      name: `rbac: ${name}`,
      client: asks(name),
    })),
    ...['here', 'ports', 'not-port', 'not-metadata', 'sets', 'from', 'from-remote', 'from-source'].map((name) => ({
      name: `rbac: ${name}`,
      client: asks(name),
    })),
    ...[
      'denied',
      'allows-nobody',
      'delayed',
      'elsewhere',
      'port',
      'path',
      'metadata',
      'from-elsewhere',
      'nameless',
    ].map((name) => ({ name: `rbac: ${name}`, client: refused(name), differs: EARLIER })),
    { name: 'rbac: anyone with a certificate', client: asks('mutual-anyone', another) },
    { name: 'rbac: the one', client: asks('mutual-exact', me) },
    { name: 'rbac: another', client: refused('mutual-exact', another), differs: EARLIER },
    { name: 'rbac: by DNS name', client: asks('mutual-dns', me) },
    { name: 'rbac: one is not let in', client: refused('mutual-deny', me), differs: EARLIER },
    { name: 'rbac: others are', client: asks('mutual-deny', another) },
    { name: 'rbac: the server name', client: asks('server-name', { servername: 'pay.test' }) },
    {
      name: 'rbac: another server name',
      client: refused('server-name', { servername: 'other.test' }),
      differs: EARLIER,
    },
  ],
  statsDiffer: countedApart(TLS_LIBRARY, [
    'listener.<address>.ssl.ciphers.*',
    'listener.<address>.ssl.curves.*',
    'listener.<address>.ssl.sigalgs.*',
    ...['cx_total', 'rq_pending_total', 'rq_total'].map((name) => `cluster.a.upstream_${name}`),
    ...['connection_error', 'handshake', 'no_certificate', 'versions.TLSv1.3'].map(
      (name) => `listener.<address>.ssl.${name}`,
    ),
  ]),
};
