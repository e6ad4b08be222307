/** The TCP proxy. */
import type { MessageObject } from '../../protos/index.ts';
import type { TcpProxy } from '../model/tcp-proxy.ts';
import { decodeAccessLogs } from './access-log.ts';
import { duration, each } from './common.ts';
import { type DecodeContext, type Extension, type ExtensionResults, support } from './context.ts';
import { message, number, text, wrappedNumber } from './fields.ts';

const TCP_PROXY_TYPE = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';
const SUBSETS = 'subset load balancing is not built; a cluster that asks for it is refused';
const ONE_LINE = 'a line is written when the connection ends';

support(TCP_PROXY_TYPE, {
  acts: [
    'stat_prefix',
    'cluster',
    'weighted_clusters',
    'idle_timeout',
    'access_log',
    'max_connect_attempts',
    'max_downstream_connection_duration',
  ],
  ignored: {
    metadata_match: SUBSETS,
    downstream_idle_timeout: 'Envoy does not act on it either',
    upstream_idle_timeout: 'Envoy does not act on it either',
    hash_policy: 'hashing load balancers are not built; a cluster that asks for one is refused',
    access_log_flush_interval: ONE_LINE,
    flush_access_log_on_connected: ONE_LINE,
    access_log_options: ONE_LINE,
  },
  refused: {
    on_demand: 'clusters are not discovered on demand',
    tunneling_config: 'TCP is not tunnelled over HTTP',
  },
});
support(`${TCP_PROXY_TYPE}.WeightedCluster`, { acts: ['clusters'] });
support(`${TCP_PROXY_TYPE}.WeightedCluster.ClusterWeight`, {
  acts: ['name', 'weight'],
  ignored: { metadata_match: SUBSETS },
});

const HOUR_MS = 3_600_000;

function decodeTcpProxy(proxy: MessageObject, ctx: DecodeContext): TcpProxy {
  const weighted = message(proxy, 'weighted_clusters');
  const clusters = ctx.at('weighted_clusters', () =>
    each(weighted, 'clusters', ctx, (cluster) => ({ name: text(cluster, 'name'), weight: number(cluster, 'weight') })),
  );
  const single = text(proxy, 'cluster');
  if (weighted === undefined && single === '') ctx.error('value length must be at least 1 characters', 'cluster');
  return {
    statPrefix: text(proxy, 'stat_prefix'),
    clusters: weighted === undefined ? [{ name: single, weight: 1 }] : clusters,
    idleTimeoutMs: duration(proxy, 'idle_timeout', ctx) ?? HOUR_MS,
    maxConnectAttempts: wrappedNumber(proxy, 'max_connect_attempts') ?? 1,
    maxDownstreamConnectionDurationMs: duration(proxy, 'max_downstream_connection_duration', ctx),
    accessLogs: decodeAccessLogs(proxy, 'access_log', ctx),
  };
}

export const TCP_PROXY: Extension<ExtensionResults['network-filter']> = {
  name: 'envoy.filters.network.tcp_proxy',
  type: TCP_PROXY_TYPE,
  decode: (config, ctx) => ({ kind: 'tcp-proxy', config: decodeTcpProxy(config, ctx) }),
};
