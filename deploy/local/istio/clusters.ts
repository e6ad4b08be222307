/** Clusters and endpoints, as proto3 JSON. */
import type { Pod, Service, ServicePort, TrafficPolicy } from './mesh.ts';

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
  port: ServicePort,
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
    ...httpOptions(policy, port.http2),
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
        sni: `outbound_.${port.number}_.${subset}_.${service.host}`,
        common_tls_context: {
          alpn_protocols: [port.http2 ? 'h2' : 'http/1.1'],
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

/** As istiod has it: circuit breakers limit streams, the codec does not. */
const HTTP2 = { max_concurrent_streams: 1_073_741_824 };

function httpOptions(policy: TrafficPolicy, http2: boolean): object {
  const { idleTimeoutMs, maxRequestsPerConnection } = policy;
  if (!http2 && idleTimeoutMs === undefined && maxRequestsPerConnection === undefined) return {};
  return protocolOptions({
    common_http_protocol_options: {
      ...(idleTimeoutMs === undefined ? {} : { idle_timeout: seconds(idleTimeoutMs) }),
      ...(maxRequestsPerConnection === undefined ? {} : { max_requests_per_connection: maxRequestsPerConnection }),
    },
    explicit_http_config: http2 ? { http2_protocol_options: HTTP2 } : { http_protocol_options: {} },
  });
}

function protocolOptions(options: object): object {
  return {
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        ...options,
      },
    },
  };
}

/** The application behind a sidecar. */
export function inboundCluster(name: string, pod: Pod, http2: boolean): object {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint(pod.ip, pod.ports.app)] }] },
    ...(http2 ? protocolOptions({ explicit_http_config: { http2_protocol_options: HTTP2 } }) : {}),
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
