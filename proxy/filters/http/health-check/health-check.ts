/**
 * Answers health checks of the server: by itself, or through the upstream with its answer kept for a while. While the
 * server is to fail its checks (`/healthcheck/fail`) they are answered with 503, and every other response says so too.
 * Checks are no traffic: logs can leave them out, and statistics do.
 */
import type { HealthCheckFilterConfig } from '../../../../xds-client/model/filters/health-check.ts';
import { fromPlain } from '../../../../xds-client/model/plain.ts';
import type { RequestHead, ResponseHead } from '../../../http/headers.ts';
import { ResponseFlag } from '../../../http/stream-info.ts';
import type { StatBlock } from '../../../observe/stats/contract.ts';
import { HeaderTest } from '../../../route/header-match.ts';
import {
  CONTINUE,
  type FilterCallbacks,
  type FilterContext,
  type FilterStatus,
  type HttpFilter,
  type HttpFilterFactory,
  type HttpFilterInstance,
  STOP,
  TAKE,
} from '../contract.ts';
import { AnswerCache } from './answer-cache.ts';
import { HEALTH_CHECK_STATS, HealthCheckStat } from './stats.ts';

interface Answer {
  readonly status: number;
  readonly details: string;
  readonly degraded: boolean;
  /** Counted beside its success or failure. */
  readonly counted?: number;
}

const FAILED = 'health_check_failed';
const unavailable = (details: string, counted?: number): Answer => ({
  status: 503,
  details,
  degraded: false,
  ...(counted === undefined ? {} : { counted }),
});
/** For want of a cluster, or of enough endpoints in one. */
const NO_CLUSTER = unavailable(`${FAILED}_no_cluster_found`, HealthCheckStat.FAILED_CLUSTER_NOT_FOUND);
const EMPTY = unavailable(`${FAILED}_cluster_empty`, HealthCheckStat.FAILED_CLUSTER_EMPTY);
const UNHEALTHY = unavailable(`${FAILED}_cluster_unhealthy`, HealthCheckStat.FAILED_CLUSTER_UNHEALTHY);

class HealthChecks implements HttpFilterInstance {
  readonly context: FilterContext;
  readonly cache: AnswerCache | undefined;
  readonly stats: StatBlock;
  private readonly config: HealthCheckFilterConfig;
  private readonly headers: readonly HeaderTest[];

  constructor(config: HealthCheckFilterConfig, context: FilterContext) {
    this.config = config;
    this.context = context;
    this.stats = context.stats.block(`${context.statPrefix}health_check.`, HEALTH_CHECK_STATS);
    this.headers = config.headers.map((match) => new HeaderTest(match));
    this.cache = config.cacheMs > 0 ? new AnswerCache(config.cacheMs, () => context.now()) : undefined;
  }

  create(callbacks: FilterCallbacks): HttpFilter {
    return new HealthCheckStream(this, callbacks);
  }

  close(): void {
    this.stats.release();
  }

  isCheck(head: RequestHead): boolean {
    return this.headers.every((test) => test.matchesRequest(head));
  }

  /** The check is answered here. */
  handles(): boolean {
    return !this.config.passThrough || this.context.server.healthFailing || this.cache?.get() !== undefined;
  }

  answer(): Answer {
    if (this.context.server.healthFailing) return unavailable(FAILED);
    const cached = this.cache?.get();
    if (cached !== undefined) {
      return { ...cached, details: 'health_check_cached', counted: HealthCheckStat.CACHED_RESPONSE };
    }
    return this.lackingCluster() ?? this.well();
  }

  private well(): Answer {
    const details = this.config.minHealthy.length > 0 ? 'health_check_ok_cluster_healthy' : 'health_check_ok';
    return { status: 200, details, degraded: false };
  }

  /** The answer for the first cluster that has not enough endpoints. */
  private lackingCluster(): Answer | undefined {
    for (const { cluster, percent } of this.config.minHealthy) {
      const handle = this.context.clusters.get(cluster);
      if (handle === undefined) return NO_CLUSTER;
      const { total, available } = handle.membership();
      if (total === 0) {
        if (percent > 0) return EMPTY;
      } else if (100 * available < total * percent) return UNHEALTHY;
    }
    return undefined;
  }
}

class HealthCheckStream implements HttpFilter {
  private readonly filter: HealthChecks;
  private readonly callbacks: FilterCallbacks;
  private check = false;
  private handled = false;

  constructor(filter: HealthChecks, callbacks: FilterCallbacks) {
    this.filter = filter;
    this.callbacks = callbacks;
  }

  onRequestHead(head: RequestHead, end: boolean): FilterStatus {
    if (!this.filter.isCheck(head)) return CONTINUE;
    this.check = true;
    const { info } = this.callbacks;
    info.healthCheck = true;
    // Nor is it traced, whatever was decided before.
    info.trace = undefined;
    if (!this.filter.handles()) return CONTINUE;
    this.handled = true;
    if (end) this.reply();
    return STOP;
  }

  onRequestData(_chunk: Buffer, end: boolean): FilterStatus {
    if (!this.handled) return CONTINUE;
    if (end) this.reply();
    return TAKE;
  }

  onRequestTrailers(): FilterStatus {
    if (!this.handled) return CONTINUE;
    this.reply();
    return TAKE;
  }

  onResponseHead({ status, headers }: ResponseHead): FilterStatus {
    const { context, cache } = this.filter;
    if (this.check) {
      cache?.set({ status, degraded: headers.has('x-envoy-degraded') });
      headers.set('x-envoy-upstream-healthchecked-cluster', context.server.cluster);
    }
    if (context.server.healthFailing) headers.set('x-envoy-immediate-health-check-fail', 'true');
    return CONTINUE;
  }

  private reply(): void {
    const { stats } = this.filter;
    const { status, details, degraded, counted } = this.filter.answer();
    const well = status >= 200 && status < 300;
    if (!well) this.callbacks.info.flags |= ResponseFlag.FailedLocalHealthCheck;
    stats.inc(HealthCheckStat.REQUEST_TOTAL);
    stats.inc(well ? HealthCheckStat.OK : HealthCheckStat.FAILED);
    if (counted !== undefined) stats.inc(counted);
    if (degraded) stats.inc(HealthCheckStat.DEGRADED);
    this.callbacks.sendLocalReply(status, '', details, (headers) => {
      if (degraded) headers.set('x-envoy-degraded', '');
    });
  }
}

export const HEALTH_CHECK: HttpFilterFactory = {
  name: 'envoy.filters.http.health_check',
  typeUrl: 'envoy.extensions.filters.http.health_check.v3.HealthCheck',
  build: (config, context) => new HealthChecks(fromPlain<HealthCheckFilterConfig>(config), context),
};
