/** CDS: clusters. */
import type { MessageObject } from '../../protos/index.ts';
import type { Cluster } from '../model/cluster.ts';
import type { LocalityEndpoints } from '../model/endpoint.ts';
import type { TransportSocket, UpstreamTls } from '../model/tls.ts';
import { decodeCircuitBreakers } from './circuit-breakers.ts';
import { decodeConfigSource, decodeMetadata, decodeSocketAddress, duration, each, inside } from './common.ts';
import { type DecodeContext, support } from './context.ts';
import { decodeLocalities, decodeOverprovisioning } from './endpoint.ts';
import { decodeExtension } from './extension.ts';
import { any, flag, has, message, percent, text, textOrNone, word, wrappedNumber } from './fields.ts';
import { decodeHealthChecks } from './health-check.ts';
import { decodeBalancing, NO_HASHING } from './load-balancing.ts';
import { structToJson } from './struct.ts';
import { decodeUpstreamHttp } from './upstream-options.ts';

const CLUSTER = 'envoy.config.cluster.v3';
const RESOLVER = 'names are resolved by the system, whichever resolver is named';
const ZONES = "the caller's zone is not looked at: localities share by weight, or their endpoints by their own";
const LOAD_REPORTS = 'load is not reported';

support(`${CLUSTER}.Cluster`, {
  acts: [
    'transport_socket_matches',
    'name',
    'alt_stat_name',
    'type',
    'eds_cluster_config',
    'connect_timeout',
    'per_connection_buffer_limit_bytes',
    'lb_policy',
    'load_assignment',
    'circuit_breakers',
    'max_requests_per_connection',
    'upstream_http_protocol_options',
    'common_http_protocol_options',
    'http_protocol_options',
    'http2_protocol_options',
    'typed_extension_protocol_options',
    'dns_refresh_rate',
    'dns_failure_refresh_rate',
    'respect_dns_ttl',
    'dns_lookup_family',
    'upstream_bind_config',
    'least_request_lb_config',
    'round_robin_lb_config',
    'original_dst_lb_config',
    'common_lb_config',
    'transport_socket',
    'metadata',
    'protocol_selection',
    'upstream_connection_options',
    'close_connections_on_host_health_failure',
    'health_checks',
    'ignore_health_on_host_removal',
    'filters',
    'load_balancing_policy',
  ],
  ignored: {
    outlier_detection: 'failing endpoints are not ejected yet',
    dns_resolvers: RESOLVER,
    use_tcp_for_dns_lookups: RESOLVER,
    dns_resolution_config: RESOLVER,
    typed_dns_resolver_config: RESOLVER,
    wait_for_warm_on_init: 'listeners wait for their clusters as warming says',
    cleanup_interval: 'original destinations are forgotten after five seconds without use',
    ring_hash_lb_config: 'it goes with lb_policy RING_HASH, which is refused',
    maglev_lb_config: 'it goes with lb_policy MAGLEV, which is refused',
    lrs_server: LOAD_REPORTS,
    lrs_report_endpoint_metrics: LOAD_REPORTS,
    track_timeout_budgets: 'these statistics are not kept',
    track_cluster_stats: 'these statistics are not kept',
    preconnect_policy: 'connections are opened when they are needed',
    connection_pool_per_downstream_connection: 'connections of a pool are shared',
  },
  refused: {
    cluster_type: 'custom cluster types are not built; use type',
    lb_subset_config: 'subset load balancing is not built; requests would reach other endpoints',
    upstream_config: 'custom upstreams are not built',
  },
});
support(`${CLUSTER}.Cluster.TransportSocketMatch`, { acts: ['name', 'match', 'transport_socket'] });
support(`${CLUSTER}.Cluster.EdsClusterConfig`, { acts: ['eds_config', 'service_name'] });
support(`${CLUSTER}.Cluster.OriginalDstLbConfig`, {
  acts: ['use_http_header', 'http_header_name', 'upstream_port_override'],
  refused: { metadata_key: 'no filter sets dynamic metadata yet' },
});
support(`${CLUSTER}.Cluster.RefreshRate`, { acts: ['base_interval', 'max_interval'] });
support(`${CLUSTER}.Cluster.CommonLbConfig`, {
  acts: ['healthy_panic_threshold', 'locality_weighted_lb_config', 'ignore_new_hosts_until_first_hc'],
  ignored: {
    zone_aware_lb_config: ZONES,
    update_merge_window: 'endpoint updates are applied as they come',
    close_connections_on_host_set_change: 'connections to endpoints that stay are kept',
    consistent_hashing_lb_config: NO_HASHING,
    override_host_status: 'no filter chooses an endpoint',
  },
});
support(`${CLUSTER}.Cluster.CommonLbConfig.LocalityWeightedLbConfig`, { acts: [] });
support(`${CLUSTER}.UpstreamConnectionOptions`, {
  acts: ['tcp_keepalive'],
  ignored: {
    set_local_interface_name_on_upstream_connections: 'interface names are not kept',
    happy_eyeballs_config: 'the first address is connected to',
  },
});
support('envoy.config.core.v3.TcpKeepalive', {
  acts: ['keepalive_time'],
  ignored: {
    keepalive_interval: 'Node sets the first delay alone',
    keepalive_probes: 'Node sets the first delay alone',
  },
});
support('envoy.config.core.v3.BindConfig', {
  acts: ['source_address'],
  ignored: {
    freebind: 'the address has to exist',
    socket_options: 'Node sets no socket options of its own choice',
    extra_source_addresses: 'the first source address is used',
    additional_source_addresses: 'the first source address is used',
  },
  refused: { local_address_selector: 'custom selectors of the source address are not built' },
});
support(`${CLUSTER}.Filter`, {
  acts: ['name', 'typed_config'],
  refused: { config_discovery: 'configurations of single filters are not asked for yet; give typed_config' },
});

function decodeDnsLocalities(cluster: MessageObject, logical: boolean, ctx: DecodeContext): LocalityEndpoints[] {
  const localities = ctx.at('load_assignment', () =>
    decodeLocalities(message(cluster, 'load_assignment'), { names: true }, ctx),
  );
  if (logical && (localities.length !== 1 || localities[0]?.endpoints.length !== 1)) {
    ctx.error(
      'LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint',
      'load_assignment',
    );
  }
  return localities;
}

function decodeEds(cluster: MessageObject, ctx: DecodeContext): Cluster['discovery'] {
  const config = message(cluster, 'eds_cluster_config');
  const source = ctx.at('eds_cluster_config', () =>
    inside(config, 'eds_config', ctx, (value) => decodeConfigSource(value, ctx)),
  );
  if (source === undefined) ctx.error('cannot create an EDS cluster without an EDS config', 'eds_cluster_config');
  return {
    kind: 'eds',
    serviceName: text(config, 'service_name') || text(cluster, 'name'),
    source: source ?? { kind: 'ads' },
  };
}

const ORIGINAL_DST_HEADER = 'x-envoy-original-dst-host';

function decodeOriginalDst(cluster: MessageObject, ctx: DecodeContext): Cluster['discovery'] {
  const config = message(cluster, 'original_dst_lb_config');
  if (has(cluster, 'load_assignment')) {
    ctx.error('ORIGINAL_DST clusters must have no load assignment configured', 'load_assignment');
  }
  const useHeader = flag(config, 'use_http_header');
  const header = text(config, 'http_header_name').toLowerCase() || ORIGINAL_DST_HEADER;
  return {
    kind: 'original-dst',
    useHeader: useHeader ? header : undefined,
    port: wrappedNumber(config, 'upstream_port_override'),
  };
}

function decodeDiscovery(cluster: MessageObject, ctx: DecodeContext): Cluster['discovery'] {
  const type = word(cluster, 'type', 'STATIC');
  if (type !== 'EDS' && has(cluster, 'eds_cluster_config')) {
    ctx.error('eds_cluster_config set in a non-EDS cluster', 'eds_cluster_config');
  }
  switch (type) {
    case 'STRICT_DNS':
      return { kind: 'strict-dns', localities: decodeDnsLocalities(cluster, false, ctx) };
    case 'LOGICAL_DNS':
      return { kind: 'logical-dns', localities: decodeDnsLocalities(cluster, true, ctx) };
    case 'EDS':
      return decodeEds(cluster, ctx);
    case 'ORIGINAL_DST':
      return decodeOriginalDst(cluster, ctx);
    default: {
      const localities = ctx.at('load_assignment', () =>
        decodeLocalities(message(cluster, 'load_assignment'), { names: false }, ctx),
      );
      return { kind: 'static', localities };
    }
  }
}

const FAMILIES: { readonly [family: string]: Cluster['dns']['family'] } = {
  AUTO: 'auto',
  V4_ONLY: 'v4-only',
  V6_ONLY: 'v6-only',
  V4_PREFERRED: 'v4-preferred',
  ALL: 'all',
};

function decodeDns(cluster: MessageObject, ctx: DecodeContext): Cluster['dns'] {
  const failure = inside(cluster, 'dns_failure_refresh_rate', ctx, (rate) => {
    const baseMs = duration(rate, 'base_interval', ctx) ?? 0;
    const maxMs = duration(rate, 'max_interval', ctx) ?? baseMs * 10;
    if (maxMs < baseMs) {
      ctx.error(
        'dns_failure_refresh_rate must have max_interval greater than or equal to the base_interval',
        'max_interval',
      );
    }
    return { baseMs, maxMs };
  });
  return {
    refreshMs: duration(cluster, 'dns_refresh_rate', ctx) ?? 5000,
    respectTtl: flag(cluster, 'respect_dns_ttl'),
    failureRefresh: failure,
    family: FAMILIES[word(cluster, 'dns_lookup_family', 'AUTO')] ?? 'auto',
  };
}

function decodeSocket(of: MessageObject, ctx: DecodeContext): TransportSocket<UpstreamTls> {
  const socket = inside(of, 'transport_socket', ctx, (value) =>
    decodeExtension('upstream-transport-socket', any(value, 'typed_config'), text(value, 'name'), ctx),
  );
  return socket?.kind === 'acts' ? socket.value : { kind: 'raw' };
}

function decodeKeepalive(cluster: MessageObject): Cluster['tcpKeepalive'] {
  const keepalive = message(message(cluster, 'upstream_connection_options'), 'tcp_keepalive');
  if (keepalive === undefined) return undefined;
  return {
    probes: wrappedNumber(keepalive, 'keepalive_probes'),
    timeS: wrappedNumber(keepalive, 'keepalive_time'),
    intervalS: wrappedNumber(keepalive, 'keepalive_interval'),
  };
}

function decodeFilters(cluster: MessageObject, ctx: DecodeContext): void {
  each(cluster, 'filters', ctx, (filter) => {
    if (has(filter, 'config_discovery')) return;
    decodeExtension('upstream-network-filter', any(filter, 'typed_config'), text(filter, 'name'), ctx);
  });
}

const DEFAULT_CONNECT_TIMEOUT_MS = 5000;
const DEFAULT_BUFFER = 1_048_576;
const DEFAULT_PANIC_PERCENT = 50;

function decodeHttp(cluster: MessageObject, ctx: DecodeContext) {
  const http = decodeUpstreamHttp(cluster, ctx);
  const deprecated = wrappedNumber(cluster, 'max_requests_per_connection');
  if (deprecated === undefined || http.common.maxRequestsPerConnection !== undefined) return http;
  return { ...http, common: { ...http.common, maxRequestsPerConnection: deprecated } };
}

/** envoy Cluster. Whether HTTP/2 may stand is for the caller to say: the control plane is spoken to in it. */
export function decodeCluster(cluster: MessageObject, ctx: DecodeContext): Cluster {
  const lbConfig = message(cluster, 'common_lb_config');
  decodeFilters(cluster, ctx);
  const http = decodeHttp(cluster, ctx);
  const healthCheck = decodeHealthChecks(cluster, http.protocol, ctx);
  const discovery = decodeDiscovery(cluster, ctx);
  if (healthCheck !== undefined && discovery.kind === 'original-dst') {
    const reason = 'ORIGINAL_DST: endpoints that nobody lists are not checked, and count as healthy';
    ctx.ignore(`${CLUSTER}.Cluster.health_checks`, reason, 'health_checks');
  }
  return {
    name: text(cluster, 'name'),
    altStatName: textOrNone(cluster, 'alt_stat_name'),
    discovery,
    dns: decodeDns(cluster, ctx),
    ...decodeBalancing(cluster, ctx),
    panicThresholdPercent: percent(lbConfig, 'healthy_panic_threshold') ?? DEFAULT_PANIC_PERCENT,
    overprovisioningFactor: decodeOverprovisioning(message(cluster, 'load_assignment')),
    connectTimeoutMs: duration(cluster, 'connect_timeout', ctx) ?? DEFAULT_CONNECT_TIMEOUT_MS,
    perConnectionBufferLimitBytes: wrappedNumber(cluster, 'per_connection_buffer_limit_bytes') ?? DEFAULT_BUFFER,
    thresholds: decodeCircuitBreakers(cluster),
    ...http,
    transportSocket: decodeSocket(cluster, ctx),
    transportSocketMatches: each(cluster, 'transport_socket_matches', ctx, (match) => ({
      name: text(match, 'name'),
      match: structToJson(message(match, 'match')),
      transportSocket: decodeSocket(match, ctx),
    })),
    tcpKeepalive: decodeKeepalive(cluster),
    sourceAddress: inside(cluster, 'upstream_bind_config', ctx, (bind) =>
      inside(bind, 'source_address', ctx, (address) => decodeSocketAddress(address, ctx)),
    ),
    ...(healthCheck === undefined ? {} : { healthCheck }),
    ...(flag(lbConfig, 'ignore_new_hosts_until_first_hc') ? { ignoreNewHostsUntilFirstCheck: true } : {}),
    closeConnectionsOnHostHealthFailure: flag(cluster, 'close_connections_on_host_health_failure'),
    ignoreHealthOnHostRemoval: flag(cluster, 'ignore_health_on_host_removal'),
    metadata: decodeMetadata(cluster, 'metadata'),
  };
}
