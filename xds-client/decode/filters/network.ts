/** Network filters: what stands in a filter chain besides the connection manager and the TCP proxy. */
import type { MessageObject } from '../../../protos/index.ts';
import type {
  ConnectionLimitConfig,
  DirectResponseConfig,
  LocalRateLimitConfig,
  NetworkRbacConfig,
} from '../../model/filters/network.ts';
import { plain } from '../../model/plain.ts';
import { decodeEnabled, duration, inside } from '../common.ts';
import { type DecodeContext, type Extension, type ExtensionResults, support } from '../context.ts';
import { readDataSource } from '../data.ts';
import { message, number, text, wrappedNumber } from '../fields.ts';
import { decodeRbac } from '../rbac.ts';

const NETWORK = 'envoy.extensions.filters.network';
const NO_MATCHER = 'the generic matching tree is not built; give rules';

support(`${NETWORK}.direct_response.v3.Config`, { acts: ['response'] });
support(`${NETWORK}.echo.v3.Echo`, { acts: [] });
support(`${NETWORK}.sni_cluster.v3.SniCluster`, { acts: [] });
support(`${NETWORK}.connection_limit.v3.ConnectionLimit`, {
  acts: ['stat_prefix', 'max_connections', 'delay', 'runtime_enabled'],
});
support(`${NETWORK}.local_ratelimit.v3.LocalRateLimit`, {
  acts: ['stat_prefix', 'token_bucket', 'runtime_enabled', 'share_key'],
});
support('envoy.type.v3.TokenBucket', { acts: ['max_tokens', 'tokens_per_fill', 'fill_interval'] });
support(`${NETWORK}.rbac.v3.RBAC`, {
  acts: ['rules', 'shadow_rules', 'shadow_rules_stat_prefix', 'stat_prefix', 'delay_deny'],
  ignored: {
    enforcement_type: 'a connection is judged before its first byte; what is asked for does not change later',
  },
  refused: { matcher: NO_MATCHER, shadow_matcher: NO_MATCHER },
});

type NetworkFilter = Extension<ExtensionResults['network-filter']>;

/** `name` as in `envoy.filters.network.<name>`; the type is below `envoy.extensions.filters.network`. */
function filter(
  name: string,
  type: string,
  terminal: boolean,
  decode: (config: MessageObject, ctx: DecodeContext) => object,
): NetworkFilter {
  return {
    name: `envoy.filters.network.${name}`,
    type: `${NETWORK}.${type}`,
    decode: (config, ctx) => ({ kind: 'extension', terminal, config: plain(decode(config, ctx)) }),
  };
}

function decodeDirectResponse(config: MessageObject, ctx: DecodeContext): DirectResponseConfig {
  const response = inside(config, 'response', ctx, (source) => readDataSource(source, ctx));
  return { base64: response?.toString('base64') ?? '' };
}

function decodeConnectionLimit(config: MessageObject, ctx: DecodeContext): ConnectionLimitConfig {
  return {
    statPrefix: text(config, 'stat_prefix'),
    maxConnections: wrappedNumber(config, 'max_connections') ?? 0,
    delayMs: duration(config, 'delay', ctx) ?? 0,
    enabled: decodeEnabled(config, 'runtime_enabled'),
  };
}

/** Envoy's own limit. */
const SHORTEST_FILL_MS = 50;

function decodeLocalRateLimit(config: MessageObject, ctx: DecodeContext): LocalRateLimitConfig {
  const bucket = message(config, 'token_bucket');
  const fillIntervalMs = ctx.at('token_bucket', () => duration(bucket, 'fill_interval', ctx) ?? 0);
  if (fillIntervalMs < SHORTEST_FILL_MS) {
    ctx.error('local rate limit token bucket fill timer must be >= 50ms', 'token_bucket.fill_interval');
  }
  return {
    statPrefix: text(config, 'stat_prefix'),
    bucket: {
      maxTokens: number(bucket, 'max_tokens'),
      tokensPerFill: wrappedNumber(bucket, 'tokens_per_fill') ?? 1,
      fillIntervalMs,
    },
    enabled: decodeEnabled(config, 'runtime_enabled'),
    shareKey: text(config, 'share_key'),
  };
}

function decodeNetworkRbac(config: MessageObject, ctx: DecodeContext): NetworkRbacConfig {
  const rules = (field: string) => inside(config, field, ctx, (rbac) => decodeRbac(rbac, 'connection', ctx));
  return {
    statPrefix: text(config, 'stat_prefix'),
    rules: rules('rules'),
    shadowRules: rules('shadow_rules'),
    shadowStatPrefix: text(config, 'shadow_rules_stat_prefix'),
    delayDenyMs: duration(config, 'delay_deny', ctx) ?? 0,
  };
}

export const NETWORK_EXTENSIONS: readonly NetworkFilter[] = [
  filter('direct_response', 'direct_response.v3.Config', true, decodeDirectResponse),
  filter('echo', 'echo.v3.Echo', true, () => ({})),
  filter('connection_limit', 'connection_limit.v3.ConnectionLimit', false, decodeConnectionLimit),
  filter('local_ratelimit', 'local_ratelimit.v3.LocalRateLimit', false, decodeLocalRateLimit),
  filter('sni_cluster', 'sni_cluster.v3.SniCluster', false, () => ({})),
  filter('rbac', 'rbac.v3.RBAC', false, decodeNetworkRbac),
];
