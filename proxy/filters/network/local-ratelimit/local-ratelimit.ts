/** envoy.filters.network.local_ratelimit: so many new connections in a time, over all workers. */
import type { LocalRateLimitConfig } from '../../../../xds-client/model/filters/network.ts';
import { fromPlain } from '../../../../xds-client/model/plain.ts';
import { ResponseFlag } from '../../../http/stream-info.ts';
import { family } from '../../../observe/stats/families.ts';
import { TokenBucketRules } from '../../../policy/token-bucket.ts';
import { isOn } from '../../http/contract.ts';
import type { ConnectionFilterInstance, ExtensionFilterFactory, ListenerContext } from '../contract.ts';

const STATS = family(['rate_limited'], []);
const RATE_LIMITED = 0;
/** Envoy's own choice of a flag. */
const LIMITED = { flags: ResponseFlag.UpstreamRetryLimitExceeded };

function build(config: LocalRateLimitConfig, context: ListenerContext): ConnectionFilterInstance {
  const stats = context.stats.block(`local_rate_limit.${config.statPrefix}.`, STATS);
  const rules = new TokenBucketRules(config.bucket);
  // Buckets are one where their key and all their numbers are the same.
  const key = config.shareKey === '' ? context.scope() : `${config.shareKey} ${JSON.stringify(config.bucket)}`;
  const bucket = context.shared(`local_ratelimit ${key}`, rules.full(context.sharedNow()));
  return {
    onNewConnection(_info, callbacks) {
      if (!isOn(config.enabled, context.runtime) || rules.take(bucket, context.sharedNow())) return 'continue';
      stats.inc(RATE_LIMITED);
      callbacks.close(LIMITED);
      return 'close';
    },
    close() {
      bucket.release();
      stats.release();
    },
  };
}

export const LOCAL_RATELIMIT: ExtensionFilterFactory = {
  name: 'envoy.filters.network.local_ratelimit',
  typeUrl: 'envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit',
  buildConnectionFilter: (config, context) => build(fromPlain(config), context),
};
