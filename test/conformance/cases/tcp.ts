import { accessLog, clusterOf, countedApart, type Difference, loopback, type Suite, typeUrl } from '../harness/case.ts';
import { downstreamTls, FILES, server, TLS_LIBRARY, tlsContext, upstreamTls } from '../harness/certificates.ts';
import { type Exchange, get, on, over } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const LOG = {
  received: '%BYTES_RECEIVED%',
  sent: '%BYTES_SENT%',
  upstream: '%UPSTREAM_HOST%',
  cluster: '%UPSTREAM_CLUSTER%',
  flags: '%RESPONSE_FLAGS%',
  failure: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  status: '%RESPONSE_CODE%',
  protocol: '%PROTOCOL%',
  attempts: '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
};
const proxy = (name: string, config: object) => ({
  name: 'envoy.filters.network.tcp_proxy',
  typed_config: {
    '@type': typeUrl('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
    stat_prefix: name,
    access_log: [accessLog({ json_format: LOG })],
    ...config,
  },
});
const listener = (name: string, config: object, socket?: object) => ({
  name,
  address: loopback(0),
  filter_chains: [{ filters: [proxy(name, config)], ...(socket === undefined ? {} : { transport_socket: socket }) }],
});
const limited = { circuit_breakers: { thresholds: [{ max_connections: 1 }] } };
/** Says nothing: what a proxy leaves unread makes its end a reset, or not, as the packets fall. */
const SILENT: Exchange = { send: [], responses: 0 };
const FLAGS_ARE_A_SET: Difference = {
  why: 'flags are a set, logged in the order in which the router sets them; Envoy logs them as they were set',
  at: { 'accessLog[0].flags': { envoy: 'UF,URX', tollway: 'URX,UF' } },
};
const paused = (exchange: Exchange, ms: number): Exchange => ({ ...exchange, send: [ms, ...exchange.send] });

/** Bytes relayed as they come. The upstreams read them as HTTP, which is what the client sends. */
export const suite: Suite = {
  name: 'tcp',
  upstreams: ['a', 'refused', 'secure'],
  upstreamTls: { secure: { cert: server.chain, key: server.key } },
  listener: 'plain',
  files: FILES,
  bootstrap: {
    admin: { address: loopback(0) },
    static_resources: {
      listeners: [
        listener('plain', { cluster: 'a' }),
        listener('refused', { cluster: 'refused' }),
        listener('tries', { cluster: 'refused', max_connect_attempts: 3 }),
        listener('empty', { cluster: 'empty' }),
        listener('unknown', { cluster: 'unknown' }),
        listener('idle', { cluster: 'a', idle_timeout: '0.2s' }),
        listener('limited', { cluster: 'limited' }),
        listener('weighted', { weighted_clusters: { clusters: [{ name: 'a', weight: 1 }] } }),
        listener('tls-out', { cluster: 'secure' }),
        listener('tls-in', { cluster: 'a' }, downstreamTls(tlsContext('server'))),
        listener('life', { cluster: 'a', max_downstream_connection_duration: '0.2s' }),
      ],
      clusters: [
        clusterOf('a', ['a']),
        clusterOf('refused', ['refused']),
        clusterOf('empty', []),
        clusterOf('limited', { endpoints: ['a'], ...limited }),
        clusterOf('secure', { endpoints: ['secure'], transport_socket: upstreamTls(tlsContext('client', {})) }),
      ],
    },
  },
  cases: [
    { name: 'there and back', client: get('/') },
    {
      name: 'the client half-closes',
      client: { ...get('/'), halfClose: true },
      upstreams: { a: [{ ...reply(200, 'late'), afterMs: 80 }] },
    },
    { name: 'the upstream closes', client: get('/'), upstreams: { a: [{ ...reply(200, 'bye'), thenClose: true }] } },
    { name: 'the upstream resets', client: { ...get('/'), responses: 0 }, upstreams: { a: [{ do: 'reset' }] } },
    {
      name: 'the client leaves',
      client: { ...get('/'), responses: 0, withinMs: 150 },
      upstreams: { a: [{ do: 'hang' }] },
    },
    {
      name: 'the upstream refuses the connection',
      client: on('refused', SILENT),
      upstreams: { refused: 'refuse-connections' },
      differs: FLAGS_ARE_A_SET,
    },
    {
      name: 'three attempts',
      client: on('tries', SILENT),
      upstreams: { refused: 'refuse-connections' },
      differs: FLAGS_ARE_A_SET,
    },
    { name: 'no endpoint', client: on('empty', SILENT) },
    { name: 'no cluster', client: on('unknown', SILENT) },
    {
      name: 'idle',
      client: on('idle', { ...get('/'), responses: 0 }),
      upstreams: { a: [{ do: 'hang' }] },
      takesMs: [180, 900],
    },
    {
      name: 'one connection too many',
      client: [
        on('limited', { ...get('/'), lingerMs: 250 }),
        paused(on('limited', { ...get('/'), responses: 0, withinMs: 1_000 }), 60),
      ],
      together: true,
    },
    { name: 'weighted', client: on('weighted', get('/')) },
    { name: 'TLS out', client: on('tls-out', get('/')) },
    { name: 'TLS in', client: on('tls-in', over({}, get('/'))) },
    { name: 'a connection that lived long enough', client: on('life', { ...get('/'), lingerMs: 500 }) },
  ],
  statsDiffer: countedApart(TLS_LIBRARY, [
    'cluster.secure.ssl.sigalgs.*',
    'listener.<address>.ssl.ciphers.*',
    'listener.<address>.ssl.curves.*',
  ]),
};
