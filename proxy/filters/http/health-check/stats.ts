/** Below `http.<prefix>.health_check.`: the checks that are answered here. */
import { family, indices } from '../../../observe/stats/families.ts';

const COUNTERS = [
  'cached_response',
  'degraded',
  'failed',
  'failed_cluster_empty',
  'failed_cluster_not_found',
  'failed_cluster_unhealthy',
  'ok',
  'request_total',
] as const;

export const HEALTH_CHECK_STATS = family(COUNTERS, []);
export const HealthCheckStat = indices(COUNTERS);
