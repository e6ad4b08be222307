/**
 * The one list of extensions, by kind. An extension that acts brings its decoder from the file of what it belongs to; one
 * that is left aside or refused says why. A type that is not here is refused. Refused is what guards (authorization, rate
 * limits), changes where a request goes, or changes what it says; left aside is what only observes.
 */

import { FILE_ACCESS_LOG, STDERR_ACCESS_LOG, STDOUT_ACCESS_LOG } from './access-log.ts';
import { type Extension, type ExtensionTable, support } from './context.ts';
import { BUFFER, BUFFER_ROUTE } from './filters/buffer.ts';
import { COMPRESSOR_LIBRARIES, DECOMPRESSOR_LIBRARIES } from './filters/compression-libraries.ts';
import { COMPRESSOR, COMPRESSOR_ROUTE } from './filters/compressor.ts';
import { CORS, CORS_ROUTE } from './filters/cors.ts';
import { DECOMPRESSOR } from './filters/decompressor.ts';
import { FAULT, FAULT_ROUTE } from './filters/fault.ts';
import { GRPC_STATS } from './filters/grpc-stats.ts';
import { GRPC_WEB } from './filters/grpc-web.ts';
import { HEADER_MUTATION, HEADER_MUTATION_ROUTE } from './filters/header-mutation.ts';
import { HEALTH_CHECK } from './filters/health-check.ts';
import { NETWORK_EXTENSIONS } from './filters/network.ts';
import { REFUSED_HTTP_FILTERS, REFUSED_HTTP_ROUTES } from './filters/refused.ts';
import { SET_METADATA } from './filters/set-metadata.ts';
import { HTTP_CONNECTION_MANAGER } from './http-connection-manager.ts';
import { ROUTER } from './http-filters.ts';
import { PRESERVE_CASE } from './http-options.ts';
import { ALLOW_LISTED_ROUTES, PREVIOUS_ROUTES, SAFE_CROSS_SCHEME } from './internal-redirect.ts';
import { HTTP_INSPECTOR, ORIGINAL_DST, PROXY_PROTOCOL, TLS_INSPECTOR } from './listener.ts';
import { LEAST_REQUEST, NO_HASHING, NOT_PROVIDED, RANDOM, ROUND_ROBIN, WRR_LOCALITY } from './load-balancing.ts';
import { PREVIOUS_HOSTS, PREVIOUS_PRIORITIES } from './retry-policy.ts';
import { URI_TEMPLATE } from './route-match.ts';
import { SPIFFE_VALIDATOR } from './spiffe-validator.ts';
import { TCP_PROXY } from './tcp-proxy.ts';
import { DOWNSTREAM_TLS, UPSTREAM_TLS } from './tls.ts';
import { OPEN_TELEMETRY } from './tracing.ts';
import { HTTP_PROTOCOL_OPTIONS } from './upstream-options.ts';

function refused(name: string, type: string, reason: string): Extension<never> {
  return { name, type, refused: reason };
}

function ignored(name: string, type: string, reason: string): Extension<never> {
  return { name, type, ignored: reason };
}

const NETWORK = 'envoy.extensions.filters.network';
const LISTENER = 'envoy.extensions.filters.listener';
const SOCKETS = 'envoy.extensions.transport_sockets';
const POLICIES = 'envoy.extensions.load_balancing_policies';
const OBSERVES = 'it only observes; Tollway keeps its own statistics';
const EXCHANGES = 'it only tells who the other side is, for statistics';
const GUARDS = 'requests would pass that it is there to stop';

support(`${SOCKETS}.raw_buffer.v3.RawBuffer`, { acts: [] });

function rawBuffer(): Extension<{ readonly kind: 'raw' }> {
  return {
    name: 'envoy.transport_sockets.raw_buffer',
    type: `${SOCKETS}.raw_buffer.v3.RawBuffer`,
    decode: () => ({ kind: 'raw' }),
  };
}

export const EXTENSIONS: ExtensionTable = {
  'http-filter': [
    ROUTER,
    BUFFER,
    CORS,
    HEADER_MUTATION,
    GRPC_WEB,
    SET_METADATA,
    FAULT,
    GRPC_STATS,
    COMPRESSOR,
    DECOMPRESSOR,
    HEALTH_CHECK,
    ignored('istio.stats', 'stats.PluginConfig', OBSERVES),
    ignored('istio.metadata_exchange', 'io.istio.http.peer_metadata.Config', EXCHANGES),
    ...REFUSED_HTTP_FILTERS,
    refused(
      'istio.alpn',
      'istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig',
      'the other side would choose its filter chain by the wrong protocol',
    ),
  ],
  'http-filter-route': [
    BUFFER_ROUTE,
    CORS_ROUTE,
    HEADER_MUTATION_ROUTE,
    FAULT_ROUTE,
    COMPRESSOR_ROUTE,
    ...REFUSED_HTTP_ROUTES,
  ],
  'network-filter': [
    HTTP_CONNECTION_MANAGER,
    TCP_PROXY,
    ...NETWORK_EXTENSIONS,
    ignored('istio.stats', 'stats.PluginConfig', OBSERVES),
    ignored('istio.metadata_exchange', 'envoy.tcp.metadataexchange.config.MetadataExchange', EXCHANGES),
    refused('envoy.filters.network.ext_authz', `${NETWORK}.ext_authz.v3.ExtAuthz`, GUARDS),
    refused('envoy.filters.network.ratelimit', `${NETWORK}.ratelimit.v3.RateLimit`, GUARDS),
    refused(
      'envoy.filters.network.sni_dynamic_forward_proxy',
      `${NETWORK}.sni_dynamic_forward_proxy.v3.FilterConfig`,
      'names are not resolved for single connections; connections would go elsewhere',
    ),
  ],
  'compressor-library': COMPRESSOR_LIBRARIES,
  'decompressor-library': DECOMPRESSOR_LIBRARIES,
  'upstream-network-filter': [
    ignored('istio.metadata_exchange', 'envoy.tcp.metadataexchange.config.MetadataExchange', EXCHANGES),
  ],
  'listener-filter': [
    TLS_INSPECTOR,
    HTTP_INSPECTOR,
    ORIGINAL_DST,
    PROXY_PROTOCOL,
    refused(
      'envoy.filters.listener.original_src',
      `${LISTENER}.original_src.v3.OriginalSrc`,
      'upstreams would see another caller',
    ),
    refused('envoy.filters.listener.local_ratelimit', `${LISTENER}.local_ratelimit.v3.LocalRateLimit`, GUARDS),
  ],
  'access-logger': [
    FILE_ACCESS_LOG,
    STDOUT_ACCESS_LOG,
    STDERR_ACCESS_LOG,
    ignored(
      'envoy.access_loggers.open_telemetry',
      'envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig',
      'access logs are not sent over OTLP yet',
    ),
    ignored(
      'envoy.access_loggers.http_grpc',
      'envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig',
      'access logs are not sent over gRPC',
    ),
    ignored(
      'envoy.access_loggers.tcp_grpc',
      'envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig',
      'access logs are not sent over gRPC',
    ),
  ],
  'access-log-filter': [
    ignored(
      'envoy.access_loggers.extension_filters.cel',
      'envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter',
      'expressions are not evaluated: every line is written',
    ),
  ],
  'downstream-transport-socket': [
    DOWNSTREAM_TLS,
    rawBuffer(),
    refused(
      'envoy.transport_sockets.starttls',
      `${SOCKETS}.starttls.v3.StartTlsConfig`,
      'connections would start in the clear',
    ),
  ],
  'upstream-transport-socket': [
    UPSTREAM_TLS,
    rawBuffer(),
    refused(
      'envoy.transport_sockets.upstream_proxy_protocol',
      `${SOCKETS}.proxy_protocol.v3.ProxyProtocolUpstreamTransport`,
      'the upstream would take the first bytes for its header',
    ),
  ],
  'certificate-validator': [SPIFFE_VALIDATOR],
  'load-balancing-policy': [
    ROUND_ROBIN,
    LEAST_REQUEST,
    RANDOM,
    WRR_LOCALITY,
    refused('envoy.load_balancing_policies.ring_hash', `${POLICIES}.ring_hash.v3.RingHash`, NO_HASHING),
    refused('envoy.load_balancing_policies.maglev', `${POLICIES}.maglev.v3.Maglev`, NO_HASHING),
    refused(
      'envoy.load_balancing_policies.cluster_provided',
      `${POLICIES}.cluster_provided.v3.ClusterProvided`,
      NOT_PROVIDED,
    ),
    refused(
      'envoy.load_balancing_policies.subset',
      `${POLICIES}.subset.v3.Subset`,
      'requests would reach other endpoints',
    ),
  ],
  'upstream-options': [
    HTTP_PROTOCOL_OPTIONS,
    ignored(
      'envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions',
      'envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions',
      'TCP connections upstream have no idle timeout of their own',
    ),
  ],
  'retry-host-predicate': [
    PREVIOUS_HOSTS,
    ignored(
      'envoy.retry_host_predicates.omit_canary_hosts',
      'envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate',
      'canary endpoints are retried too',
    ),
    ignored(
      'envoy.retry_host_predicates.omit_host_metadata',
      'envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig',
      'endpoints are retried whatever their metadata',
    ),
  ],
  'retry-priority': [PREVIOUS_PRIORITIES],
  'internal-redirect-predicate': [PREVIOUS_ROUTES, ALLOW_LISTED_ROUTES, SAFE_CROSS_SCHEME],
  tracer: [
    OPEN_TELEMETRY,
    ...['Zipkin', 'Datadog', 'SkyWalking', 'XRay', 'Lightstep', 'OpenCensus', 'DynamicOt'].map((tracer) =>
      ignored(
        `envoy.tracers.${tracer.toLowerCase()}`,
        `envoy.config.trace.v3.${tracer}Config`,
        'spans are exported over OTLP alone; the context is passed on',
      ),
    ),
  ],
  'path-match': [URI_TEMPLATE],
  'request-id': [
    {
      name: 'envoy.request_id.uuid',
      type: 'envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig',
      decode: () => ({ usedForSampling: false }),
    },
  ],
  'header-format': [PRESERVE_CASE],
  'bootstrap-extension': [
    ignored(
      'envoy.bootstrap.internal_listener',
      'envoy.extensions.bootstrap.internal_listener.v3.InternalListener',
      'internal listeners are not built; one that is configured is refused',
    ),
    ignored('envoy.bootstrap.wasm', 'envoy.extensions.wasm.v3.WasmService', 'WebAssembly is not run'),
  ],
};
