/** Families that belong to no one room: the server's, and the managers'. Names and order are Envoy's. */
import type { StatFamily } from './contract.ts';

/** Builds a family from Envoy's two lists; indices run through the counters first, then the gauges. */
export function family(counters: readonly string[], gauges: readonly string[]): StatFamily {
  return {
    names: [...counters, ...gauges],
    kinds: [...counters.map(() => 'counter' as const), ...gauges.map(() => 'gauge' as const)],
  };
}

/** The index of each name, upper case, for a family made by `family`: `at.UPSTREAM_RQ_TOTAL`. */
export function indices<const Names extends readonly string[]>(
  names: Names,
): { readonly [name in Names[number] as Uppercase<name>]: number } {
  const out: { [name: string]: number } = {};
  for (const [index, name] of names.entries()) out[name.toUpperCase()] = index;
  return out as { readonly [name in Names[number] as Uppercase<name>]: number };
}

const SERVER_COUNTERS = [
  'debug_assertion_failures',
  'dropped_stat_flushes',
  'dynamic_unknown_fields',
  'envoy_bug_failures',
  'envoy_notifications',
  'static_unknown_fields',
  'wip_protos',
  'main_thread.watchdog_mega_miss',
  'main_thread.watchdog_miss',
] as const;
const SERVER_GAUGES = [
  'compilation_settings.fips_mode',
  'concurrency',
  'days_until_first_cert_expiring',
  'hot_restart_epoch',
  'live',
  'memory_allocated',
  'memory_heap_size',
  'memory_physical_size',
  'parent_connections',
  'seconds_until_first_ocsp_response_expiring',
  'state',
  'stats_recent_lookups',
  'total_connections',
  'uptime',
  'version',
] as const;
/** Under `server.`. */
export const SERVER_STATS = family(SERVER_COUNTERS, SERVER_GAUGES);
/** Indices in `SERVER_STATS`. */
export const SERVER = indices([...SERVER_COUNTERS, ...SERVER_GAUGES]);

const LISTENER_MANAGER_COUNTERS = [
  'listener_added',
  'listener_create_failure',
  'listener_create_success',
  'listener_in_place_updated',
  'listener_modified',
  'listener_removed',
  'listener_stopped',
] as const;
const LISTENER_MANAGER_GAUGES = [
  'total_filter_chains_draining',
  'total_listeners_active',
  'total_listeners_draining',
  'total_listeners_warming',
  'workers_pinned',
  'workers_started',
] as const;
/** Under `listener_manager.`. */
export const LISTENER_MANAGER_STATS = family(LISTENER_MANAGER_COUNTERS, LISTENER_MANAGER_GAUGES);
export const LISTENER_MANAGER = indices([...LISTENER_MANAGER_COUNTERS, ...LISTENER_MANAGER_GAUGES]);

const CLUSTER_MANAGER_COUNTERS = [
  'cluster_added',
  'cluster_modified',
  'cluster_removed',
  'cluster_updated',
  'cluster_updated_via_merge',
  'update_merge_cancelled',
  'update_out_of_merge_window',
] as const;
const CLUSTER_MANAGER_GAUGES = ['active_clusters', 'warming_clusters'] as const;
/** Under `cluster_manager.`. */
export const CLUSTER_MANAGER_STATS = family(CLUSTER_MANAGER_COUNTERS, CLUSTER_MANAGER_GAUGES);
export const CLUSTER_MANAGER = indices([...CLUSTER_MANAGER_COUNTERS, ...CLUSTER_MANAGER_GAUGES]);

const RUNTIME_COUNTERS = [
  'deprecated_feature_use',
  'load_error',
  'load_success',
  'override_dir_exists',
  'override_dir_not_exists',
] as const;
const RUNTIME_GAUGES = [
  'admin_overrides_active',
  'deprecated_feature_seen_since_process_start',
  'num_keys',
  'num_layers',
] as const;
/** Under `runtime.`. */
export const RUNTIME_STATS = family(RUNTIME_COUNTERS, RUNTIME_GAUGES);
export const RUNTIME = indices([...RUNTIME_COUNTERS, ...RUNTIME_GAUGES]);

const CONTROL_PLANE_COUNTERS = ['rate_limit_enforced'] as const;
const CONTROL_PLANE_GAUGES = ['connected_state', 'pending_requests'] as const;
/** Under `control_plane.`; its text `control_plane.identifier` goes through `MainStats.text`. */
export const CONTROL_PLANE_STATS = family(CONTROL_PLANE_COUNTERS, CONTROL_PLANE_GAUGES);
export const CONTROL_PLANE = indices([...CONTROL_PLANE_COUNTERS, ...CONTROL_PLANE_GAUGES]);

const SUBSCRIPTION_COUNTERS = [
  'init_fetch_timeout',
  'update_attempt',
  'update_failure',
  'update_rejected',
  'update_success',
] as const;
const SUBSCRIPTION_GAUGES = ['update_time', 'version'] as const;
/** Under `listener_manager.lds.`, `cluster_manager.cds.`, `http.<prefix>.rds.<name>.`, `sds.<name>.`. */
export const SUBSCRIPTION_STATS = family(SUBSCRIPTION_COUNTERS, SUBSCRIPTION_GAUGES);
export const SUBSCRIPTION = indices([...SUBSCRIPTION_COUNTERS, ...SUBSCRIPTION_GAUGES]);

const FILESYSTEM_COUNTERS = [
  'flushed_by_timer',
  'reopen_failed',
  'write_buffered',
  'write_completed',
  'write_failed',
] as const;
const FILESYSTEM_GAUGES = ['write_total_buffered'] as const;
/** Under `filesystem.`: the access logs' files. */
export const FILESYSTEM_STATS = family(FILESYSTEM_COUNTERS, FILESYSTEM_GAUGES);
export const FILESYSTEM = indices([...FILESYSTEM_COUNTERS, ...FILESYSTEM_GAUGES]);
