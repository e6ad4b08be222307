/** Statistics of the workload's own identity, Tollway's own: under `identity.`, where the bootstrap names a source. */
import type { LifeStage } from '../../certs/rotation.ts';
import { family, indices } from '../observe/stats/families.ts';

const COUNTERS = [
  'clock_jump',
  'life_expired',
  'life_nine_tenths',
  'life_three_quarters',
  /** Nobody answered, or with an error. */
  'update_failure',
  /** What came cannot be used. */
  'update_rejected',
  'update_success',
] as const;
const GAUGES = [
  /** Of the certificate that ends first; 0 before there is one. */
  'expiration_unix_time_seconds',
  /** Of its life; 100 and more: it has expired. */
  'life_percent',
  /** 1 while there is a certificate that has not expired. */
  'valid',
] as const;

export const IDENTITY_STATS = family(COUNTERS, GAUGES);
/** Indices in `IDENTITY_STATS`. */
export const IDENTITY = indices([...COUNTERS, ...GAUGES]);

export const STAGE_STAT: { readonly [stage in LifeStage]: number } = {
  'three-quarters': IDENTITY.LIFE_THREE_QUARTERS,
  'nine-tenths': IDENTITY.LIFE_NINE_TENTHS,
  expired: IDENTITY.LIFE_EXPIRED,
};
