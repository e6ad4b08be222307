import { accessLog, clusterOf, loopback, type Suite, typeUrl } from '../harness/case.ts';
import { type Exchange, get, on } from '../harness/client.ts';

const LOG = { caller: '%DOWNSTREAM_REMOTE_ADDRESS%', called: '%DOWNSTREAM_LOCAL_ADDRESS%' };
const LISTENER = 'envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol';

const listener = (name: string, config: object, more: object = {}) => ({
  name,
  address: loopback(0),
  listener_filters: [
    {
      name: 'envoy.filters.listener.proxy_protocol',
      typed_config: { '@type': typeUrl(LISTENER), stat_prefix: name, ...config },
    },
  ],
  filter_chains: [
    {
      filters: [
        {
          name: 'envoy.filters.network.tcp_proxy',
          typed_config: {
            '@type': typeUrl('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
            stat_prefix: name,
            cluster: 'a',
            access_log: [accessLog({ json_format: LOG })],
          },
        },
      ],
    },
  ],
  ...more,
});

/** Headers whose addresses are in the log, so that they must not be the socket's own. */
const V1 = 'PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n';
const V1_6 = 'PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n';

const after = (header: string, exchange: Exchange = get('/')): Exchange => ({
  ...exchange,
  send: [header + exchange.send.join('')],
});
const refused = (header: string): Exchange => ({ send: [header], responses: 0, withinMs: 1_000 });

/** Bytes of version 2 that text can carry: everything below 128. */
const V2 = '\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c\x0a\0\0\x07\x0a\0\0\x01\x12\x34\x01\x02';

export const suite: Suite = {
  name: 'PROXY protocol',
  upstreams: ['a'],
  listener: 'strict',
  bootstrap: {
    admin: { address: loopback(0) },
    static_resources: {
      listeners: [
        listener('strict', {}),
        listener('lenient', { allow_requests_without_proxy_protocol: true }),
        listener('first', { disallowed_versions: ['V2'] }),
        listener('slow', {}, { listener_filters_timeout: '0.2s' }),
      ],
      clusters: [clusterOf('a', ['a'])],
    },
  },
  cases: [
    { name: 'version 1', client: after(V1) },
    { name: 'version 1, IPv6', client: after(V1_6) },
    { name: 'version 2', client: after(V2) },
    {
      name: 'in pieces',
      client: { ...get('/'), send: [V1.slice(0, 3), 20, V1.slice(3, 30), 20, V1.slice(30), ...get('/').send] },
    },
    { name: 'none', client: refused('GET / HTTP/1.1\r\n\r\n') },
    { name: 'nonsense', client: refused('PROXY TCP4 nonsense\r\n') },
    { name: 'the other family', client: refused('PROXY TCP4 ::1 ::2 1 2\r\n') },
    { name: 'no end', client: refused(`PROXY ${'a'.repeat(200)}`) },
    { name: 'a header and nothing else in time', client: on('slow', refused('PROXY TCP4 ')) },
    { name: 'a version that is not allowed', client: on('first', refused(V2)) },
    { name: 'the version that is', client: on('first', after(V1)) },
    { name: 'a header where none is needed', client: on('lenient', after(V1)) },
  ],
};
