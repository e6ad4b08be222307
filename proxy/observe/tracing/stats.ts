/** What is counted of the decisions to trace, under `http.<stat_prefix>.tracing.`. */
import { family, indices } from '../stats/families.ts';

const COUNTERS = ['client_enabled', 'health_check', 'not_traceable', 'random_sampling', 'service_forced'] as const;

export const TRACING_STATS = family(COUNTERS, []);
export const TracingStat = indices(COUNTERS);
