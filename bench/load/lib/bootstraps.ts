/** Bootstraps of the rows: the same text starts Envoy and Tollway. */
import type { Stage } from './stage.ts';

const type = (name: string): string => `type.googleapis.com/${name}`;

export interface HttpProxyWish {
  readonly port: number;
  readonly adminPort: number;
  readonly upstreamPort: number;
  readonly tlsIn?: boolean;
  readonly tlsOut?: boolean;
  /** HTTP/2 on both sides: by prior knowledge, or by ALPN where there is TLS. */
  readonly http2?: boolean;
  /** Bytes are relayed by tcp_proxy, whatever they mean. */
  readonly tcp?: boolean;
  /** Access log to a file, statistics, and this percentage of traces. */
  readonly telemetry?: { readonly logPath: string; readonly tracePercent: number; readonly collectorPort: number };
  readonly extraClusters?: readonly object[];
  readonly extraHosts?: readonly object[];
}

export function httpProxy(stage: Stage, wish: HttpProxyWish): object {
  return {
    node: { id: 'bench', cluster: 'bench' },
    admin: { address: socket(wish.adminPort) },
    static_resources: {
      listeners: [
        {
          name: 'ingress',
          address: socket(wish.port),
          filter_chains: [
            {
              filters: [wish.tcp === true ? TCP_PROXY : httpManager(wish)],
              ...(wish.tlsIn === true ? { transport_socket: downstreamTls(stage, wish) } : {}),
            },
          ],
        },
      ],
      clusters: [
        {
          ...cluster('upstream', wish.upstreamPort),
          circuit_breakers: {
            thresholds: [{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 }],
          },
          ...(wish.tlsOut === true ? { transport_socket: upstreamTls(stage, wish) } : {}),
          ...(wish.http2 === true ? { typed_extension_protocol_options: HTTP2_OPTIONS } : {}),
        },
        ...(wish.telemetry === undefined ? [] : [cluster('collector', wish.telemetry.collectorPort)]),
        ...(wish.extraClusters ?? []),
      ],
    },
  };
}

const HTTP2_OPTIONS = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': type('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
    explicit_http_config: { http2_protocol_options: {} },
  },
};

const TCP_PROXY = {
  name: 'envoy.filters.network.tcp_proxy',
  typed_config: {
    '@type': type('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
    stat_prefix: 'ingress',
    cluster: 'upstream',
  },
};

function httpManager(wish: HttpProxyWish): object {
  return { name: 'envoy.filters.network.http_connection_manager', typed_config: manager(wish) };
}

function manager(wish: HttpProxyWish): object {
  const { telemetry } = wish;
  return {
    '@type': type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'ingress',
    route_config: {
      name: 'routes',
      virtual_hosts: [
        ...(wish.extraHosts ?? []),
        { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'upstream' } }] },
      ],
    },
    http_filters: [
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': type('envoy.extensions.filters.http.router.v3.Router') },
      },
    ],
    ...(telemetry === undefined
      ? {}
      : {
          access_log: [
            {
              name: 'envoy.access_loggers.file',
              typed_config: {
                '@type': type('envoy.extensions.access_loggers.file.v3.FileAccessLog'),
                path: telemetry.logPath,
                log_format: { json_format: LOG },
              },
            },
          ],
          tracing: {
            random_sampling: { value: telemetry.tracePercent },
            provider: {
              name: 'envoy.tracers.opentelemetry',
              typed_config: {
                '@type': type('envoy.config.trace.v3.OpenTelemetryConfig'),
                service_name: 'bench',
                http_service: {
                  http_uri: {
                    uri: `http://127.0.0.1:${telemetry.collectorPort}/v1/traces`,
                    cluster: 'collector',
                    timeout: '1s',
                  },
                },
              },
            },
          },
        }),
  };
}

/** Istio's default access-log fields. */
const LOG: { readonly [key: string]: string } = {
  start_time: '%START_TIME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
  user_agent: '%REQ(USER-AGENT)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  route_name: '%ROUTE_NAME%',
};

function socket(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

function cluster(name: string, port: number): object {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '2s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(port) } }] }] },
  };
}

function common(stage: Stage, wish: HttpProxyWish): object {
  return {
    ...(wish.http2 === true ? { alpn_protocols: ['h2'] } : {}),
    tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
    tls_certificates: [
      { certificate_chain: { filename: stage.certs.cert }, private_key: { filename: stage.certs.key } },
    ],
    validation_context: {
      trusted_ca: { filename: stage.certs.ca },
      match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { prefix: 'spiffe://cluster.local/' } }],
    },
  };
}

function downstreamTls(stage: Stage, wish: HttpProxyWish): object {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': type('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
      require_client_certificate: true,
      common_tls_context: common(stage, wish),
    },
  };
}

function upstreamTls(stage: Stage, wish: HttpProxyWish): object {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': type('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
      sni: 'bench.test',
      common_tls_context: common(stage, wish),
    },
  };
}

/** `count` clusters of ten endpoints, and as many virtual hosts that route to them. */
export function manyServices(count: number): {
  readonly clusters: readonly object[];
  readonly hosts: readonly object[];
} {
  const clusters = Array.from({ length: count }, (_, at) => ({
    name: `service-${at}`,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: {
      cluster_name: `service-${at}`,
      endpoints: [
        {
          lb_endpoints: Array.from({ length: 10 }, (_, n) => ({
            endpoint: {
              address: { socket_address: { address: `10.${at >> 8}.${at & 255}.${n + 1}`, port_value: 8080 } },
            },
          })),
        },
      ],
    },
  }));
  const hosts = Array.from({ length: count }, (_, at) => ({
    name: `service-${at}`,
    domains: [`service-${at}.default.svc.cluster.local`, `service-${at}.default`, `service-${at}`],
    routes: [{ match: { prefix: '/' }, route: { cluster: `service-${at}` } }],
  }));
  return { clusters, hosts };
}
