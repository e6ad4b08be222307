/**
 * The statistic families of a cluster, by Envoy's names and in its kinds. `ClusterStat.upstream_rq_total` is the index
 * for a `StatBlock`. Who counts what: the pools count connections, bytes, active, pending and cancelled requests; the
 * router counts responses, retries and timeouts; the main thread sets membership, updates and circuit breaker gauges.
 */
import type { StatFamily, StatKind } from '../observe/stats/contract.ts';

const CLUSTER = {
  assignment_stale: 'counter',
  assignment_timeout_received: 'counter',
  assignment_use_cached: 'counter',
  bind_errors: 'counter',
  lb_healthy_panic: 'counter',
  lb_local_cluster_not_ok: 'counter',
  lb_recalculate_zone_structures: 'counter',
  lb_subsets_active: 'gauge',
  lb_subsets_created: 'counter',
  lb_subsets_fallback: 'counter',
  lb_subsets_fallback_panic: 'counter',
  lb_subsets_removed: 'counter',
  lb_subsets_selected: 'counter',
  lb_zone_cluster_too_small: 'counter',
  lb_zone_no_capacity_left: 'counter',
  lb_zone_routing_all_directly: 'counter',
  lb_zone_routing_cross_zone: 'counter',
  lb_zone_routing_sampled: 'counter',
  max_host_weight: 'gauge',
  membership_change: 'counter',
  membership_degraded: 'gauge',
  membership_excluded: 'gauge',
  membership_healthy: 'gauge',
  membership_total: 'gauge',
  original_dst_host_invalid: 'counter',
  retry_or_shadow_abandoned: 'counter',
  update_attempt: 'counter',
  update_empty: 'counter',
  update_failure: 'counter',
  update_no_rebuild: 'counter',
  update_success: 'counter',
  upstream_cx_active: 'gauge',
  upstream_cx_close_notify: 'counter',
  upstream_cx_connect_attempts_exceeded: 'counter',
  upstream_cx_connect_fail: 'counter',
  upstream_cx_connect_timeout: 'counter',
  upstream_cx_connect_with_0_rtt: 'counter',
  upstream_cx_destroy: 'counter',
  upstream_cx_destroy_local: 'counter',
  upstream_cx_destroy_local_with_active_rq: 'counter',
  upstream_cx_destroy_remote: 'counter',
  upstream_cx_destroy_remote_with_active_rq: 'counter',
  upstream_cx_destroy_with_active_rq: 'counter',
  upstream_cx_http1_total: 'counter',
  upstream_cx_http2_total: 'counter',
  upstream_cx_http3_total: 'counter',
  upstream_cx_idle_timeout: 'counter',
  upstream_cx_max_duration_reached: 'counter',
  upstream_cx_max_requests: 'counter',
  upstream_cx_none_healthy: 'counter',
  upstream_cx_overflow: 'counter',
  upstream_cx_pool_overflow: 'counter',
  upstream_cx_preconnect_skipped: 'counter',
  upstream_cx_protocol_error: 'counter',
  upstream_cx_rx_bytes_buffered: 'gauge',
  upstream_cx_rx_bytes_total: 'counter',
  upstream_cx_total: 'counter',
  upstream_cx_tx_bytes_buffered: 'gauge',
  upstream_cx_tx_bytes_total: 'counter',
  upstream_flow_control_backed_up_total: 'counter',
  upstream_flow_control_drained_total: 'counter',
  upstream_flow_control_paused_reading_total: 'counter',
  upstream_flow_control_resumed_reading_total: 'counter',
  upstream_http3_broken: 'counter',
  upstream_internal_redirect_failed_total: 'counter',
  upstream_internal_redirect_succeeded_total: 'counter',
  upstream_queue_overloaded: 'gauge',
  upstream_rq_0rtt: 'counter',
  upstream_rq_active: 'gauge',
  upstream_rq_active_overflow: 'counter',
  upstream_rq_cancelled: 'counter',
  upstream_rq_completed: 'counter',
  upstream_rq_maintenance_mode: 'counter',
  upstream_rq_max_duration_reached: 'counter',
  upstream_rq_pending_active: 'gauge',
  upstream_rq_pending_failure_eject: 'counter',
  upstream_rq_pending_overflow: 'counter',
  upstream_rq_pending_total: 'counter',
  upstream_rq_per_try_idle_timeout: 'counter',
  upstream_rq_per_try_timeout: 'counter',
  upstream_rq_retry: 'counter',
  upstream_rq_retry_backoff_exponential: 'counter',
  upstream_rq_retry_backoff_ratelimited: 'counter',
  upstream_rq_retry_limit_exceeded: 'counter',
  upstream_rq_retry_overflow: 'counter',
  upstream_rq_retry_success: 'counter',
  upstream_rq_rx_reset: 'counter',
  upstream_rq_rx_reset_no_error: 'counter',
  upstream_rq_timeout: 'counter',
  upstream_rq_total: 'counter',
  upstream_rq_tx_reset: 'counter',
  version: 'gauge',
  warming_state: 'gauge',
} as const satisfies { readonly [name: string]: StatKind };

/** Below `cluster.<name>.`. */
export const CLUSTER_STATS: StatFamily = family(CLUSTER);
/** Index of each name in `CLUSTER_STATS`. */
export const ClusterStat = indices(CLUSTER);

const BREAKER = {
  cx_open: 'gauge',
  cx_pool_open: 'gauge',
  rq_open: 'gauge',
  rq_pending_open: 'gauge',
  rq_retry_open: 'gauge',
} as const satisfies { readonly [name: string]: StatKind };

/** Below `cluster.<name>.circuit_breakers.<priority>.`; set by the main thread alone. */
export const BREAKER_STATS: StatFamily = family(BREAKER);
export const BreakerStat = indices(BREAKER);

const REMAINING = {
  remaining_cx: 'gauge',
  remaining_cx_pools: 'gauge',
  remaining_pending: 'gauge',
  remaining_retries: 'gauge',
  remaining_rq: 'gauge',
} as const satisfies { readonly [name: string]: StatKind };

/** Beside `BREAKER_STATS` where `track_remaining` is set. */
export const REMAINING_STATS: StatFamily = family(REMAINING);
export const RemainingStat = indices(REMAINING);

/** `cluster.<name>.`, with alt_stat_name in its place; colons become underscores, as in Envoy. */
export function statPrefix(cluster: { readonly name: string; readonly altStatName: string | undefined }): string {
  return `cluster.${(cluster.altStatName ?? cluster.name).replaceAll(':', '_')}.`;
}

function family(kinds: { readonly [name: string]: StatKind }): StatFamily {
  return { names: Object.keys(kinds), kinds: Object.values(kinds) };
}

function indices<Kinds extends { readonly [name: string]: StatKind }>(
  kinds: Kinds,
): { readonly [Name in keyof Kinds]: number } {
  const entries = Object.keys(kinds).map((name, index) => [name, index] as const);
  return Object.fromEntries(entries) as { [Name in keyof Kinds]: number };
}
