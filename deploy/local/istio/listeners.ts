/** Listeners of sidecar and gateway, as proto3 JSON. */
import { OWN_CERTIFICATE, TRUST } from './clusters.ts';
import type { Pod } from './mesh.ts';
import type { MeshSettings } from './translate.ts';

const ROUTER = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
};

interface ManagerWishes {
  readonly statPrefix: string;
  readonly routes: object;
  readonly extra: object;
}

function managerFilter(wishes: ManagerWishes, settings: MeshSettings, pod: Pod): object {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
      stat_prefix: wishes.statPrefix,
      ...wishes.routes,
      http_filters: [ROUTER],
      normalize_path: true,
      stream_idle_timeout: '0s',
      tracing: {
        random_sampling: { value: settings.tracingPercent },
        // The side that took the request and the side that sent it on each get a span.
        spawn_upstream_span: true,
        provider: {
          name: 'envoy.tracers.opentelemetry',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig',
            service_name: `${pod.deployment}.${pod.namespace}`,
            http_service: { http_uri: { ...settings.collector, timeout: '5s' } },
          },
        },
      },
      ...wishes.extra,
    },
  };
}

function listener(
  name: string,
  address: string,
  port: number,
  chain: object,
  direction: 'INBOUND' | 'OUTBOUND',
): object {
  return {
    name,
    address: { socket_address: { address, port_value: port } },
    traffic_direction: direction,
    filter_chains: [chain],
  };
}

function rds(routeName: string): object {
  return { rds: { route_config_name: routeName, config_source: { ads: {}, resource_api_version: 'V3' } } };
}

/** Takes mTLS from the mesh only, and hands the request to the application. */
export function inboundListener(pod: Pod, cluster: string, settings: MeshSettings): object {
  const routes = {
    route_config: {
      name: cluster,
      virtual_hosts: [
        {
          name: `inbound|http|${pod.ports.app}`,
          domains: ['*'],
          routes: [{ name: 'default', match: { prefix: '/' }, route: { cluster, timeout: '0s' } }],
        },
      ],
    },
  };
  const extra = {
    forward_client_cert_details: 'APPEND_FORWARD',
    set_current_client_cert_details: { subject: true, dns: true, uri: true },
  };
  return listener(
    'inbound',
    pod.ip,
    pod.ports.inbound,
    {
      filters: [managerFilter({ statPrefix: `inbound_${pod.ip}_${pod.ports.app}`, routes, extra }, settings, pod)],
      transport_socket: {
        name: 'envoy.transport_sockets.tls',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
          require_client_certificate: true,
          common_tls_context: {
            alpn_protocols: ['h2', 'http/1.1'],
            tls_certificate_sds_secret_configs: OWN_CERTIFICATE,
            combined_validation_context: {
              default_validation_context: {
                match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { prefix: 'spiffe://cluster.local/' } }],
              },
              validation_context_sds_secret_config: TRUST,
            },
          },
        },
      },
    },
    'INBOUND',
  );
}

/** Where the application sends what is for others. */
export function outboundListener(pod: Pod, routeName: string, settings: MeshSettings): object {
  const manager = managerFilter({ statPrefix: 'outbound', routes: rds(routeName), extra: {} }, settings, pod);
  return listener('outbound', pod.ip, pod.ports.outbound, { filters: [manager] }, 'OUTBOUND');
}

export function gatewayListener(
  name: string,
  pod: Pod,
  port: number,
  routeName: string,
  settings: MeshSettings,
): object {
  const extra = { use_remote_address: true, forward_client_cert_details: 'SANITIZE_SET' };
  const manager = managerFilter({ statPrefix: `gateway_${port}`, routes: rds(routeName), extra }, settings, pod);
  return listener(name, pod.ip, port, { filters: [manager] }, 'OUTBOUND');
}
