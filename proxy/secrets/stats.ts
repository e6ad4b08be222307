/** Envoy's statistics of secrets that are fetched. */
import { family, indices } from '../observe/stats/families.ts';

const SDS_COUNTERS = [
  'init_fetch_timeout',
  'key_rotation_failed',
  'update_attempt',
  'update_failure',
  'update_rejected',
  'update_success',
] as const;
const SDS_GAUGES = ['update_time', 'version'] as const;
/** Under `sds.<name>.`. */
export const SDS_STATS = family(SDS_COUNTERS, SDS_GAUGES);
/** Indices in `SDS_STATS`. */
export const SDS = indices(SDS_COUNTERS);

/** Envoy watches no files but those that SDS names, so this one is Tollway's own: what `sds.<name>.` has, for all others. */
export const FILE_ROTATION_FAILED = 'tls_files.key_rotation_failed';
