/** The bootstrap of one of the mesh's proxies: Envoy's, as JSON. */
import type { Pod } from './istio/mesh.ts';
import { nodeId } from './pods.ts';

export interface MeshEndpoints {
  /** UNIX socket of the control plane: private keys travel over it, so it never is a TCP port. */
  readonly controlPlaneSocket: string;
  readonly collectorPort: number;
}

export const COLLECTOR_CLUSTER = 'otel-collector';

export function bootstrapOf(pod: Pod, endpoints: MeshEndpoints): object {
  return {
    node: {
      id: nodeId(pod),
      cluster: `${pod.deployment}.${pod.namespace}`,
      metadata: { LABELS: pod.labels, NAMESPACE: pod.namespace },
    },
    admin: { address: { socket_address: { address: pod.ip, port_value: pod.ports.admin } } },
    dynamic_resources: {
      ads_config: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }],
      },
      cds_config: { ads: {}, resource_api_version: 'V3' },
      lds_config: { ads: {}, resource_api_version: 'V3' },
    },
    static_resources: {
      clusters: [
        {
          ...staticCluster('xds-grpc', { pipe: { path: endpoints.controlPlaneSocket } }),
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
        },
        staticCluster(COLLECTOR_CLUSTER, {
          socket_address: { address: '127.0.0.1', port_value: endpoints.collectorPort },
        }),
      ],
    },
  };
}

function staticCluster(name: string, address: object): object {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}
