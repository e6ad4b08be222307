/** `tcp.<stat_prefix>.`: Envoy's names. */
import type { StatFamily } from '../../../observe/stats/contract.ts';

const COUNTERS = [
  'downstream_cx_drain_close',
  'downstream_cx_no_route',
  'downstream_cx_overload_close',
  'downstream_cx_rx_bytes_total',
  'downstream_cx_total',
  'downstream_cx_tx_bytes_total',
  'downstream_flow_control_paused_reading_total',
  'downstream_flow_control_resumed_reading_total',
  'early_data_received_count_total',
  'idle_timeout',
  'max_downstream_connection_duration',
  'route_delayed_total',
  'upstream_flush_total',
] as const;

const GAUGES = ['downstream_cx_rx_bytes_buffered', 'downstream_cx_tx_bytes_buffered', 'upstream_flush_active'] as const;

export const TCP_PROXY_STATS: StatFamily = {
  names: [...COUNTERS, ...GAUGES],
  kinds: [...COUNTERS.map(() => 'counter' as const), ...GAUGES.map(() => 'gauge' as const)],
};

/** Index of a name in `TCP_PROXY_STATS`. */
export function tcpStat(name: (typeof COUNTERS)[number] | (typeof GAUGES)[number]): number {
  return TCP_PROXY_STATS.names.indexOf(name);
}
