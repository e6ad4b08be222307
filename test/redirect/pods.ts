/** Bootstraps of two pods' proxies: outbound with mTLS to where the connection was going, and inbound to the application. */
import type { DevCa } from '../../certs/source/dev-ca.ts';

const TYPE = 'type.googleapis.com';
const TLS = `${TYPE}/envoy.extensions.transport_sockets.tls.v3`;
const NETWORK = `${TYPE}/envoy.extensions.filters.network`;
const LISTENER_FILTERS = `${TYPE}/envoy.extensions.filters.listener`;

export const CLIENT = 'spiffe://td/ns/pay/sa/client';
export const SERVER = 'spiffe://td/ns/pay/sa/payment';

const socket = (address: string, port_value: number) => ({ socket_address: { address, port_value } });
const originalDst = (name: string, more: object = {}) => ({
  name,
  type: 'ORIGINAL_DST',
  lb_policy: 'CLUSTER_PROVIDED',
  connect_timeout: '2s',
  ...more,
});

function common(ca: DevCa, spiffeId: string, peer: string): object {
  const leaf = ca.issue({ spiffeId });
  return {
    tls_certificates: [{ certificate_chain: { inline_string: leaf.chain }, private_key: { inline_string: leaf.key } }],
    validation_context: {
      trusted_ca: { inline_string: ca.rootPem },
      match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: peer } }],
    },
  };
}

function tcp(cluster: string): object {
  const name = 'envoy.filters.network.tcp_proxy';
  return { name, typed_config: { '@type': `${NETWORK}.tcp_proxy.v3.TcpProxy`, stat_prefix: cluster, cluster } };
}

function http(cluster: string, more: object = {}): object {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': `${NETWORK}.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: cluster,
      ...more,
      route_config: {
        virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster } }] }],
      },
      http_filters: [
        {
          name: 'envoy.filters.http.router',
          typed_config: { '@type': `${TYPE}/envoy.extensions.filters.http.router.v3.Router` },
        },
      ],
    },
  };
}

const admin = { address: socket('127.0.0.1', 15_000) };
const both = (port: number) => ({
  address: socket('0.0.0.0', port),
  additional_addresses: [{ address: socket('::', port) }],
});

/** As istiod has it: a virtual listener, and one without a socket for the port of payments. */
export function clientPod(ca: DevCa): object {
  const tls = { '@type': `${TLS}.UpstreamTlsContext`, common_tls_context: common(ca, CLIENT, SERVER) };
  return {
    admin,
    static_resources: {
      listeners: [
        {
          name: 'virtualOutbound',
          ...both(15_001),
          stat_prefix: 'virtualOutbound',
          use_original_dst: true,
          traffic_direction: 'OUTBOUND',
          filter_chains: [
            { filter_chain_match: { destination_port: 15_001 }, filters: [tcp('BlackHoleCluster')] },
            { filters: [tcp('PassthroughCluster')] },
          ],
        },
        {
          name: 'payments',
          ...both(8080),
          stat_prefix: 'payments',
          bind_to_port: false,
          traffic_direction: 'OUTBOUND',
          filter_chains: [{ filters: [http('payment')] }],
        },
      ],
      clusters: [
        { name: 'BlackHoleCluster', type: 'STATIC' },
        originalDst('PassthroughCluster'),
        originalDst('payment', { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: tls } }),
      ],
    },
  };
}

export function serverPod(ca: DevCa, transparent: boolean): object {
  const tls = {
    '@type': `${TLS}.DownstreamTlsContext`,
    require_client_certificate: true,
    common_tls_context: common(ca, SERVER, CLIENT),
  };
  const forwarded = {
    forward_client_cert_details: 'SANITIZE_SET',
    set_current_client_cert_details: { uri: true },
  };
  const chain = (address_prefix: string, cluster: string) => ({
    filter_chain_match: { destination_port: 8080, prefix_ranges: [{ address_prefix, prefix_len: 0 }] },
    transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: tls },
    filters: [http(cluster, forwarded)],
  });
  const from = (address: string) => ({ upstream_bind_config: { source_address: { address, port_value: 0 } } });
  return {
    admin,
    static_resources: {
      listeners: [
        {
          name: 'virtualInbound',
          ...both(15_006),
          stat_prefix: 'virtualInbound',
          transparent,
          traffic_direction: 'INBOUND',
          listener_filters: [
            {
              name: 'envoy.filters.listener.original_dst',
              typed_config: { '@type': `${LISTENER_FILTERS}.original_dst.v3.OriginalDst` },
            },
          ],
          filter_chains: [chain('0.0.0.0', 'inbound4'), chain('::', 'inbound6')],
        },
      ],
      clusters: [originalDst('inbound4', from('127.0.0.6')), originalDst('inbound6', from('::6'))],
    },
  };
}
