/** `cluster.<name>.health_check.*`, Envoy's names. */
import type { StatFamily } from '../../observe/stats/contract.ts';

export const HEALTH_CHECK_STATS: StatFamily = {
  names: [
    'attempt',
    'failure',
    'network_failure',
    'passive_failure',
    'success',
    'verify_cluster',
    'degraded',
    'healthy',
  ],
  kinds: ['counter', 'counter', 'counter', 'counter', 'counter', 'counter', 'gauge', 'gauge'],
};

/** The index of each name. */
export const HealthCheckStat = {
  attempt: 0,
  failure: 1,
  networkFailure: 2,
  passiveFailure: 3,
  success: 4,
  verifyCluster: 5,
  degraded: 6,
  healthy: 7,
} as const;
