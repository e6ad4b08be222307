/** envoy CircuitBreakers. */
import type { MessageObject } from '../../protos/index.ts';
import type { Cluster, Thresholds } from '../model/cluster.ts';
import { support } from './context.ts';
import { flag, message, messages, percent, word, wrappedNumber } from './fields.ts';

const BREAKERS = 'envoy.config.cluster.v3.CircuitBreakers';

support(BREAKERS, {
  acts: ['thresholds'],
  ignored: { per_host_thresholds: 'the thresholds are those of the cluster' },
});
support(`${BREAKERS}.Thresholds`, {
  acts: [
    'priority',
    'max_connections',
    'max_pending_requests',
    'max_requests',
    'max_retries',
    'retry_budget',
    'track_remaining',
  ],
  ignored: { max_connection_pools: 'pools are not counted' },
});
support(`${BREAKERS}.Thresholds.RetryBudget`, { acts: ['budget_percent', 'min_retry_concurrency'] });

function decodeThresholds(row: MessageObject | undefined): Thresholds {
  const budget = message(row, 'retry_budget');
  return {
    maxConnections: wrappedNumber(row, 'max_connections') ?? 1024,
    maxPendingRequests: wrappedNumber(row, 'max_pending_requests') ?? 1024,
    maxRequests: wrappedNumber(row, 'max_requests') ?? 1024,
    maxRetries: wrappedNumber(row, 'max_retries') ?? 3,
    retryBudget:
      budget === undefined
        ? undefined
        : {
            percent: percent(budget, 'budget_percent') ?? 20,
            minConcurrency: wrappedNumber(budget, 'min_retry_concurrency') ?? 3,
          },
    trackRemaining: flag(row, 'track_remaining'),
  };
}

/** Of a Cluster; where a priority has several rows, the first counts, as in Envoy. */
export function decodeCircuitBreakers(cluster: MessageObject): Cluster['thresholds'] {
  const rows = messages(message(cluster, 'circuit_breakers'), 'thresholds');
  const rowOf = (priority: string) => rows.find((row) => word(row, 'priority', 'DEFAULT') === priority);
  return { default: decodeThresholds(rowOf('DEFAULT')), high: decodeThresholds(rowOf('HIGH')) };
}
