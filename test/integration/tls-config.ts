/** Listeners, clusters and secrets as protobuf JSON, for tests of TLS between processes. */
import type { IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { fromJson, type MessageObject } from '../../protos/index.ts';

const TLS = 'envoy.extensions.transport_sockets.tls.v3';
const TYPE = 'type.googleapis.com';
export const SECRET = `${TYPE}/${TLS}.Secret`;
export const LISTENER = `${TYPE}/envoy.config.listener.v3.Listener`;
export const CLUSTER = `${TYPE}/envoy.config.cluster.v3.Cluster`;
/** Waits without limit, as istiod's clients do. */
export const FROM_ADS = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' };

/** Of a cluster that speaks HTTP/2. */
export const GRPC = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': `${TYPE}/envoy.extensions.upstreams.http.v3.HttpProtocolOptions`,
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

export function message(typeUrl: string, json: object): MessageObject {
  return fromJson(typeUrl.slice(typeUrl.lastIndexOf('/') + 1), JSON.parse(JSON.stringify(json)), []);
}

export function certificateSecret(name: string, leaf: Pick<IssuedLeaf, 'chain' | 'key'>): object {
  const tls_certificate = {
    certificate_chain: { inline_string: leaf.chain },
    private_key: { inline_string: leaf.key },
  };
  return { name, tls_certificate };
}

export function trustSecret(name: string, ...roots: string[]): object {
  return { name, validation_context: { trusted_ca: { inline_string: roots.join('') } } };
}

/** A reference to a secret. */
export function sds(name: string, from: object = FROM_ADS): object {
  return { name, sds_config: from };
}

/** A chain that terminates TLS as `common` says and sends every request to the cluster. `manager`: more of the connection manager. */
export function httpsListener(name: string, common: object, cluster: string, manager: object = {}): object {
  return {
    name,
    // Each its own statistics: all listen on port 0.
    stat_prefix: name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [
      {
        transport_socket: {
          name: 'envoy.transport_sockets.tls',
          typed_config: {
            '@type': `${TYPE}/${TLS}.DownstreamTlsContext`,
            common_tls_context: common,
            require_client_certificate: 'validation_context_sds_secret_config' in common,
          },
        },
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type': `${TYPE}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
              stat_prefix: name,
              ...manager,
              route_config: {
                virtual_hosts: [
                  {
                    name: 'all',
                    domains: ['*'],
                    routes: [
                      { match: { path: '/here' }, direct_response: { status: 200, body: { inline_string: 'here' } } },
                      { match: { prefix: '/' }, route: { cluster, timeout: '0s' } },
                    ],
                  },
                ],
              },
              http_filters: [
                {
                  name: 'envoy.filters.http.router',
                  typed_config: { '@type': `${TYPE}/envoy.extensions.filters.http.router.v3.Router` },
                },
              ],
            },
          },
        ],
      },
    ],
  };
}

export function staticCluster(name: string, port: number, more: object = {}): object {
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  const endpoints = [{ lb_endpoints: [{ endpoint: { address } }] }];
  return { name, type: 'STATIC', load_assignment: { cluster_name: name, endpoints }, ...more };
}

/** A gRPC service on a UNIX socket. */
export function pipeCluster(name: string, path: string): object {
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: { pipe: { path } } } }] }];
  return { name, type: 'STATIC', load_assignment: { cluster_name: name, endpoints }, ...GRPC };
}

export function tlsCluster(name: string, port: number, common: object): object {
  const typed_config = { '@type': `${TYPE}/${TLS}.UpstreamTlsContext`, common_tls_context: common };
  return staticCluster(name, port, { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config } });
}

/** The control plane at the port, for listeners, clusters and secrets over ADS. */
export function adsBootstrap(port: number, staticResources: { readonly [kind: string]: readonly object[] }): object {
  const xds = staticCluster('xds', port, GRPC);
  const from = { ads: {}, resource_api_version: 'V3' };
  return {
    node: { id: 'node', cluster: 'payment' },
    dynamic_resources: {
      lds_config: from,
      cds_config: from,
      ads_config: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
    },
    static_resources: { ...staticResources, clusters: [xds, ...(staticResources.clusters ?? [])] },
  };
}
