/** What a route does: forward, redirect or answer. */
import type { MessageObject } from '../../protos/index.ts';
import type {
  DirectResponseAction,
  HashPolicy,
  RedirectAction,
  RegexRewrite,
  RouteAction,
  RouteUpgrade,
  WeightedCluster,
} from '../model/route.ts';
import { decodeFraction, decodeMetadata, duration, each, inside } from './common.ts';
import { type DecodeContext, support } from './context.ts';
import { readDataSource } from './data.ts';
import {
  flag,
  has,
  message,
  messages,
  milliseconds,
  number,
  text,
  textOrNone,
  word,
  wrappedFlag,
  wrappedNumber,
} from './fields.ts';
import { decodePerFilterConfig } from './filter-config.ts';
import { decodeCorsPolicy } from './filters/cors.ts';
import { decodeInternalRedirect } from './internal-redirect.ts';
import { decodeHeaderChanges, decodeRegex, HEADER_CHANGE_FIELDS } from './matcher.ts';
import { decodeRetryPolicy } from './retry-policy.ts';

const ROUTE = 'envoy.config.route.v3';
const ACTION = `${ROUTE}.RouteAction`;
const SUBSETS = 'subset load balancing is not built; a cluster that asks for it is refused';
export const MIRRORS = 'requests are not mirrored yet';
export const RATE_LIMITS = 'the rate limit service is not called; a chain with its filter is refused';

support(ACTION, {
  acts: [
    'cluster',
    'cluster_header',
    'weighted_clusters',
    'cluster_not_found_response_code',
    'prefix_rewrite',
    'regex_rewrite',
    'host_rewrite_literal',
    'auto_host_rewrite',
    'host_rewrite_header',
    'host_rewrite_path_regex',
    'append_x_forwarded_host',
    'timeout',
    'idle_timeout',
    'retry_policy',
    'cors',
    'priority',
    'upgrade_configs',
    'max_grpc_timeout',
    'grpc_timeout_offset',
    'max_stream_duration',
    'internal_redirect_policy',
    'internal_redirect_action',
    'max_internal_redirects',
  ],
  ignored: {
    metadata_match: SUBSETS,
    early_data_policy: 'early data is not accepted',
    request_mirror_policies: MIRRORS,
    rate_limits: RATE_LIMITS,
    include_vh_rate_limits: RATE_LIMITS,
    hash_policy: 'hashing load balancers are not built; a cluster that asks for one is refused',
    hedge_policy: 'requests are not hedged yet',
  },
  refused: {
    cluster_specifier_plugin: 'cluster specifier plugins are not built',
    inline_cluster_specifier_plugin: 'cluster specifier plugins are not built',
    path_rewrite_policy: 'path rewrite extensions are not built; use prefix_rewrite or regex_rewrite',
    retry_policy_typed_config: 'retry plugins are not built; use retry_policy',
  },
});
support(`${ACTION}.UpgradeConfig`, {
  acts: ['upgrade_type', 'enabled', 'connect_config'],
});
support(`${ACTION}.UpgradeConfig.ConnectConfig`, {
  acts: ['allow_post'],
  refused: { proxy_protocol_config: 'the upstream would wait for a PROXY protocol header' },
});
support(`${ACTION}.MaxStreamDuration`, {
  acts: ['max_stream_duration', 'grpc_timeout_header_max', 'grpc_timeout_header_offset'],
});
support('envoy.type.matcher.v3.RegexMatchAndSubstitute', { acts: ['pattern', 'substitution'] });
support(`${ROUTE}.WeightedCluster`, {
  acts: ['clusters', 'total_weight', 'header_name'],
  ignored: { runtime_key_prefix: 'weights stay as configured' },
});
support(`${ROUTE}.WeightedCluster.ClusterWeight`, {
  acts: ['name', 'weight', ...HEADER_CHANGE_FIELDS, 'typed_per_filter_config', 'host_rewrite_literal'],
  ignored: { metadata_match: SUBSETS },
  refused: { cluster_header: 'a weighted cluster is chosen by name' },
});
support(`${ROUTE}.RedirectAction`, {
  acts: [
    'https_redirect',
    'scheme_redirect',
    'host_redirect',
    'port_redirect',
    'path_redirect',
    'prefix_rewrite',
    'regex_rewrite',
    'response_code',
    'strip_query',
  ],
});
support(`${ROUTE}.DirectResponseAction`, { acts: ['status', 'body'] });
support(`${ROUTE}.NonForwardingAction`, { acts: [] });

function decodeRegexRewrite(rewrite: MessageObject, ctx: DecodeContext): RegexRewrite {
  const regex = ctx.at('pattern', () => decodeRegex(message(rewrite, 'pattern'), ctx));
  return { regex, substitution: text(rewrite, 'substitution') };
}

function decodeClusterWeight(cluster: MessageObject, ctx: DecodeContext): WeightedCluster {
  const name = text(cluster, 'name');
  if (name === '' && !has(cluster, 'cluster_header')) {
    ctx.error('At least one of name or cluster_header need to be specified', 'name');
  }
  return {
    name,
    weight: wrappedNumber(cluster, 'weight') ?? 0,
    headers: decodeHeaderChanges(cluster, ctx),
    hostRewrite: textOrNone(cluster, 'host_rewrite_literal'),
    metadataMatch: has(cluster, 'metadata_match') ? decodeMetadata(cluster, 'metadata_match') : undefined,
    perFilterConfig: decodePerFilterConfig(cluster, ctx),
  };
}

const MAX_WEIGHT = 4_294_967_295;

function decodeWeighted(weighted: MessageObject, ctx: DecodeContext): RouteAction['cluster'] {
  const clusters = each(weighted, 'clusters', ctx, (cluster) => decodeClusterWeight(cluster, ctx));
  const totalWeight = clusters.reduce((sum, { weight }) => sum + weight, 0);
  const declared = wrappedNumber(weighted, 'total_weight');
  if (totalWeight === 0) ctx.error('Sum of weights in the weighted_cluster must be greater than 0.');
  if (totalWeight > MAX_WEIGHT)
    ctx.error(`The sum of weights of all weighted clusters should not exceed ${MAX_WEIGHT}, is ${totalWeight}`);
  if (declared !== undefined && declared > 0 && declared !== totalWeight) {
    ctx.error(`Sum of weights in the weighted_cluster should add up to ${declared}, is ${totalWeight}`, 'total_weight');
  }
  return { kind: 'weighted', clusters, totalWeight, headerName: textOrNone(weighted, 'header_name')?.toLowerCase() };
}

function decodeClusterChoice(action: MessageObject, ctx: DecodeContext): RouteAction['cluster'] {
  if (has(action, 'cluster_header')) return { kind: 'header', header: text(action, 'cluster_header').toLowerCase() };
  const weighted = inside(action, 'weighted_clusters', ctx, (value) => decodeWeighted(value, ctx));
  return weighted ?? { kind: 'name', name: text(action, 'cluster') };
}

function decodeHostRewrite(action: MessageObject, ctx: DecodeContext): RouteAction['hostRewrite'] {
  if (has(action, 'host_rewrite_literal')) return { kind: 'literal', value: text(action, 'host_rewrite_literal') };
  if (has(action, 'host_rewrite_header')) {
    return { kind: 'header', name: text(action, 'host_rewrite_header').toLowerCase() };
  }
  if (wrappedFlag(action, 'auto_host_rewrite') === true) return { kind: 'auto' };
  const rewrite = inside(action, 'host_rewrite_path_regex', ctx, (value) => decodeRegexRewrite(value, ctx));
  return rewrite === undefined ? undefined : { kind: 'path-regex', rewrite };
}

function decodeHashPolicy(policy: MessageObject): HashPolicy | undefined {
  const terminal = flag(policy, 'terminal');
  const header = message(policy, 'header');
  if (header !== undefined) return { kind: 'header', name: text(header, 'header_name').toLowerCase(), terminal };
  const cookie = message(policy, 'cookie');
  if (cookie !== undefined) {
    const ttlMs = milliseconds(cookie, 'ttl');
    return { kind: 'cookie', name: text(cookie, 'name'), ttlMs, path: textOrNone(cookie, 'path'), terminal };
  }
  const parameter = message(policy, 'query_parameter');
  if (parameter !== undefined) return { kind: 'query-parameter', name: text(parameter, 'name'), terminal };
  return flag(message(policy, 'connection_properties'), 'source_ip') ? { kind: 'source-ip', terminal } : undefined;
}

const NOT_FOUND_STATUSES: { readonly [code: string]: RouteAction['clusterNotFoundStatus'] } = {
  SERVICE_UNAVAILABLE: 503,
  NOT_FOUND: 404,
  INTERNAL_SERVER_ERROR: 500,
};

/** `max_stream_duration`, with the deprecated fields that said the same of gRPC's header. */
function decodeStreamDuration(action: MessageObject, ctx: DecodeContext) {
  const limits = message(action, 'max_stream_duration');
  const own = ctx.at('max_stream_duration', () => ({
    maxStreamDurationMs: duration(limits, 'max_stream_duration', ctx),
    max: duration(limits, 'grpc_timeout_header_max', ctx),
    offset: duration(limits, 'grpc_timeout_header_offset', ctx),
  }));
  return {
    usesStreamDuration: limits !== undefined,
    maxStreamDurationMs: own.maxStreamDurationMs,
    grpcTimeoutHeaderMaxMs: own.max ?? duration(action, 'max_grpc_timeout', ctx),
    grpcTimeoutOffsetMs: own.offset ?? duration(action, 'grpc_timeout_offset', ctx) ?? 0,
  };
}

function decodeUpgrades(action: MessageObject, ctx: DecodeContext): RouteUpgrade[] {
  const seen = new Set<string>();
  return each(action, 'upgrade_configs', ctx, (upgrade) => {
    const given = text(upgrade, 'upgrade_type');
    const type = given.toLowerCase();
    if (seen.has(type)) ctx.error(`Duplicate upgrade ${given}`, 'upgrade_type');
    seen.add(type);
    const connect = inside(upgrade, 'connect_config', ctx, (config) => ({ allowPost: flag(config, 'allow_post') }));
    if (connect !== undefined && type !== 'connect')
      ctx.error(`Non-CONNECT upgrade type ${given} has ConnectConfig`, 'connect_config');
    return { type, enabled: wrappedFlag(upgrade, 'enabled') ?? true, connect };
  });
}

/** envoy RouteAction. What does not act yet is in the model all the same. */
export function decodeForward(action: MessageObject, ctx: DecodeContext): RouteAction {
  const prefixRewrite = textOrNone(action, 'prefix_rewrite');
  const regexRewrite = inside(action, 'regex_rewrite', ctx, (value) => decodeRegexRewrite(value, ctx));
  if (prefixRewrite !== undefined && regexRewrite !== undefined) {
    ctx.error('Specify only one of prefix_rewrite, regex_rewrite or path_rewrite_policy');
  }
  return {
    kind: 'route',
    cluster: decodeClusterChoice(action, ctx),
    clusterNotFoundStatus: NOT_FOUND_STATUSES[word(action, 'cluster_not_found_response_code', '')] ?? 503,
    prefixRewrite,
    regexRewrite,
    hostRewrite: decodeHostRewrite(action, ctx),
    appendXForwardedHost: flag(action, 'append_x_forwarded_host'),
    timeoutMs: duration(action, 'timeout', ctx) ?? 15_000,
    idleTimeoutMs: duration(action, 'idle_timeout', ctx),
    ...decodeStreamDuration(action, ctx),
    cors: inside(action, 'cors', ctx, (policy) => decodeCorsPolicy(policy, ctx)),
    retry: inside(action, 'retry_policy', ctx, (policy) => decodeRetryPolicy(policy, ctx)),
    hash: messages(action, 'hash_policy')
      .map(decodeHashPolicy)
      .filter((policy) => policy !== undefined),
    priority: word(action, 'priority', 'DEFAULT') === 'HIGH' ? 'high' : 'default',
    metadataMatch: has(action, 'metadata_match') ? decodeMetadata(action, 'metadata_match') : undefined,
    mirrors: messages(action, 'request_mirror_policies').map((mirror) => {
      const fraction = message(mirror, 'runtime_fraction');
      return {
        cluster: text(mirror, 'cluster'),
        fraction: fraction === undefined ? undefined : decodeFraction(fraction),
        traceSampled: wrappedFlag(mirror, 'trace_sampled'),
      };
    }),
    upgrades: decodeUpgrades(action, ctx),
    internalRedirect: decodeInternalRedirect(action, ctx),
  };
}

const REDIRECT_STATUSES: { readonly [code: string]: RedirectAction['status'] } = {
  MOVED_PERMANENTLY: 301,
  FOUND: 302,
  SEE_OTHER: 303,
  TEMPORARY_REDIRECT: 307,
  PERMANENT_REDIRECT: 308,
};

export function decodeRedirect(action: MessageObject, ctx: DecodeContext): RedirectAction {
  const port = number(action, 'port_redirect');
  return {
    kind: 'redirect',
    scheme: textOrNone(action, 'scheme_redirect'),
    httpsRedirect: flag(action, 'https_redirect'),
    host: textOrNone(action, 'host_redirect'),
    port: port === 0 ? undefined : port,
    path: textOrNone(action, 'path_redirect'),
    prefixRewrite: textOrNone(action, 'prefix_rewrite'),
    regexRewrite: inside(action, 'regex_rewrite', ctx, (value) => decodeRegexRewrite(value, ctx)),
    status: REDIRECT_STATUSES[word(action, 'response_code', 'MOVED_PERMANENTLY')] ?? 301,
    stripQuery: flag(action, 'strip_query'),
  };
}

/** `limit` is the route table's max_direct_response_body_size_bytes. */
export function decodeDirectResponse(action: MessageObject, limit: number, ctx: DecodeContext): DirectResponseAction {
  const body = inside(action, 'body', ctx, (source) => readDataSource(source, ctx)) ?? Buffer.alloc(0);
  if (body.length > limit) ctx.error(`response body size is ${body.length} bytes; maximum is ${limit}`, 'body');
  return { kind: 'direct-response', status: number(action, 'status'), bodyBase64: body.toString('base64') };
}
