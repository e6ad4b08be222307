/** Below `http.<prefix>.fault.`. */
import { family, indices } from '../../../observe/stats/families.ts';

const COUNTERS = ['aborts_injected', 'delays_injected', 'faults_overflow', 'response_rl_injected'] as const;
const GAUGES = ['active_faults'] as const;

export const FAULT_STATS = family(COUNTERS, GAUGES);
export const FaultStat = indices([...COUNTERS, ...GAUGES]);
