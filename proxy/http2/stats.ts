/** What HTTP/2 codecs count: under `http2.` for downstream connections, `cluster.<name>.http2.` for upstream ones. */
import type { StatFamily } from '../observe/stats/contract.ts';

const COUNTERS = [
  'cookies_total_bytes_too_large',
  'dropped_headers_with_underscores',
  'goaway_sent',
  'header_list_size_too_large',
  'header_overflow',
  'headers_cb_no_stream',
  'inbound_empty_frames_flood',
  'inbound_priority_frames_flood',
  'inbound_window_update_frames_flood',
  'keepalive_timeout',
  'metadata_empty_frames',
  'outbound_control_flood',
  'outbound_flood',
  'requests_rejected_with_underscores_in_headers',
  'rx_messaging_error',
  'rx_reset',
  'stream_refused_errors',
  'trailers',
  'tx_flush_timeout',
  'tx_reset',
] as const;
const GAUGES = [
  'deferred_stream_close',
  'outbound_control_frames_active',
  'outbound_frames_active',
  'pending_send_bytes',
  'streams_active',
] as const;

export const HTTP2_STATS: StatFamily = {
  names: [...COUNTERS, ...GAUGES],
  kinds: [...COUNTERS.map(() => 'counter' as const), ...GAUGES.map(() => 'gauge' as const)],
};

type Name = (typeof COUNTERS)[number] | (typeof GAUGES)[number];

/** The index of each name in `HTTP2_STATS`. */
export const Http2Stat: { readonly [name in Name]: number } = Object.fromEntries(
  HTTP2_STATS.names.map((name, index) => [name, index]),
) as { readonly [name in Name]: number };
