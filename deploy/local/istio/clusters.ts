/** Clusters and endpoints, as proto3 JSON. */
import type { Pod, Service, TrafficPolicy } from './mesh.ts';

/** Istio's name of an outbound cluster: `outbound|8080|v1|settlement.bank.svc.cluster.local`. */
export function clusterName(service: Service, port: number, subset: string): string {
  return `outbound|${port}|${subset}|${service.host}`;
}

const seconds = (ms: number) => `${ms / 1000}s`;
const ADS = { ads: {}, resource_api_version: 'V3' };

/** Secrets `default` (our certificate) and `ROOTCA` (whom we trust), both from the control plane. */
export const OWN_CERTIFICATE = [{ name: 'default', sds_config: ADS }];
export const TRUST = { name: 'ROOTCA', sds_config: ADS };

export function outboundCluster(
  name: string,
  service: Service,
  port: number,
  subset: string,
  policy: TrafficPolicy,
  identities: readonly string[],
): object {
  return {
    name,
    type: 'EDS',
    eds_cluster_config: { eds_config: ADS, service_name: name },
    connect_timeout: seconds(policy.connectTimeoutMs ?? 10_000),
    lb_policy: policy.lb,
    circuit_breakers: {
      thresholds: [
        {
          max_connections: policy.maxConnections ?? 4294967295,
          max_pending_requests: policy.maxPendingRequests ?? 4294967295,
          max_requests: policy.maxRequests ?? 4294967295,
          max_retries: policy.maxRetries ?? 4294967295,
        },
      ],
    },
    ...httpOptions(policy),
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
        sni: `outbound_.${port}_.${subset}_.${service.host}`,
        common_tls_context: {
          tls_certificate_sds_secret_configs: OWN_CERTIFICATE,
          combined_validation_context: {
            default_validation_context: {
              match_typed_subject_alt_names: identities.map((exact) => ({ san_type: 'URI', matcher: { exact } })),
            },
            validation_context_sds_secret_config: TRUST,
          },
        },
      },
    },
  };
}

function httpOptions(policy: TrafficPolicy): object {
  if (policy.idleTimeoutMs === undefined && policy.maxRequestsPerConnection === undefined) return {};
  const common: { [key: string]: string | number } = {};
  if (policy.idleTimeoutMs !== undefined) common.idle_timeout = seconds(policy.idleTimeoutMs);
  if (policy.maxRequestsPerConnection !== undefined)
    common.max_requests_per_connection = policy.maxRequestsPerConnection;
  return {
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        common_http_protocol_options: common,
        explicit_http_config: { http_protocol_options: {} },
      },
    },
  };
}

/** The application behind a sidecar. */
export function inboundCluster(name: string, pod: Pod): object {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint(pod.ip, pod.ports.app)] }] },
  };
}

export function endpointsOf(name: string, pods: readonly Pod[]): object {
  return {
    cluster_name: name,
    endpoints: [{ lb_endpoints: pods.map((pod) => endpoint(pod.ip, pod.ports.inbound)) }],
  };
}

function endpoint(address: string, port: number): object {
  return { endpoint: { address: { socket_address: { address, port_value: port } } } };
}
