/** What the router counts under `http.<stat_prefix>.`. */
import { family, indices } from '../../../observe/stats/families.ts';

const COUNTERS = [
  'no_cluster',
  'no_route',
  'passthrough_internal_redirect_bad_location',
  'passthrough_internal_redirect_no_route',
  'passthrough_internal_redirect_predicate',
  'passthrough_internal_redirect_too_many_redirects',
  'passthrough_internal_redirect_unsafe_scheme',
  'rq_direct_response',
  'rq_overload_local_reply',
  'rq_redirect',
  'rq_reset_after_downstream_response_started',
  'rq_total',
] as const;

export const ROUTER_STATS = family(COUNTERS, []);
export const RouterStat = indices(COUNTERS);
