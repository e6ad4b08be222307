/** The filter that answers health checks of the server. */
import type { MessageObject } from '../../../protos/index.ts';
import type { HealthCheckFilterConfig } from '../../model/filters/health-check.ts';
import { plain } from '../../model/plain.ts';
import { duration } from '../common.ts';
import { type DecodeContext, type Extension, type ExtensionResults, support } from '../context.ts';
import { entries, isMessage, number, wrappedFlag } from '../fields.ts';
import { decodeHeaderMatches } from '../matcher.ts';

const TYPE = 'envoy.extensions.filters.http.health_check.v3.HealthCheck';

support(TYPE, { acts: ['pass_through_mode', 'cache_time', 'cluster_min_healthy_percentages', 'headers'] });

function decodeHealthCheck(check: MessageObject, ctx: DecodeContext): HealthCheckFilterConfig {
  const passThrough = wrappedFlag(check, 'pass_through_mode') ?? false;
  const cacheMs = Math.floor(duration(check, 'cache_time', ctx) ?? 0);
  if (!passThrough && cacheMs > 0) {
    ctx.error('cache_time_ms must not be set when path_through_mode is disabled', 'cache_time');
  }
  return {
    passThrough,
    cacheMs,
    // Envoy takes whole percents.
    minHealthy: entries(check, 'cluster_min_healthy_percentages').map(([cluster, percent]) => ({
      cluster,
      percent: Math.floor(isMessage(percent) ? number(percent, 'value') : 0),
    })),
    headers: decodeHeaderMatches(check, 'headers', ctx),
  };
}

export const HEALTH_CHECK: Extension<ExtensionResults['http-filter']> = {
  name: 'envoy.filters.http.health_check',
  type: TYPE,
  decode: (config, ctx) => ({ terminal: false, config: plain(decodeHealthCheck(config, ctx)) }),
};
