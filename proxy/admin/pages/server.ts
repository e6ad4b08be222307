/** The pages about the process: `/ready`, `/server_info`, `/memory`, `/runtime`, `/unsupported` and their like. */
import { getHeapStatistics } from 'node:v8';
import type { Json } from '../../../xds-client/model/common.ts';
import { json, OK, type Page, text } from '../page.ts';
import { redact } from '../redact.ts';
import type { AdminSources } from '../sources.ts';

/** Envoy's CommandLineOptions where nothing was given. */
const OPTION_DEFAULTS: { readonly [name: string]: Json } = {
  base_id: '0',
  concurrency: 1,
  config_path: '',
  config_yaml: '',
  allow_unknown_static_fields: false,
  admin_address_path: '',
  local_address_ip_version: 'v4',
  log_level: 'info',
  component_log_level: '',
  log_format: '',
  log_path: '',
  service_cluster: '',
  service_node: '',
  service_zone: '',
  file_flush_interval: '10s',
  drain_time: '600s',
  parent_shutdown_time: '900s',
  mode: 'Serve',
  disable_hot_restart: true,
  enable_mutex_tracing: false,
  restart_epoch: 0,
  cpuset_threads: false,
  reject_unknown_dynamic_fields: false,
  log_format_escaped: false,
  disabled_extensions: [],
  ignore_unknown_dynamic_fields: false,
  use_dynamic_base_id: false,
  base_id_path: '',
  drain_strategy: 'Gradual',
  enable_fine_grain_logging: false,
  socket_path: '@envoy_domain_socket',
  socket_mode: 0,
  enable_core_dump: false,
  stats_tag: [],
  skip_hot_restart_on_no_parent: false,
  skip_hot_restart_parent_stats: false,
  skip_deprecated_logs: false,
  file_flush_min_size: 0,
  log_stacktrace_single_entry: false,
};

export function serverPages(sources: AdminSources): Page[] {
  return [
    {
      path: '/ready',
      help: 'print server state, return 200 if LIVE, otherwise return 503',
      answer: () => {
        const { state } = sources.serverInfo();
        return text(`${state}\n`, state === 'LIVE' ? 200 : 503);
      },
    },
    {
      path: '/server_info',
      help: 'print server version/status information',
      answer: () => {
        const info = sources.serverInfo();
        const uptime = `${Math.floor(info.uptimeSeconds)}s`;
        return json({
          version: info.version,
          state: info.state,
          uptime_current_epoch: uptime,
          uptime_all_epochs: uptime,
          hot_restart_version: 'disabled',
          command_line_options: redact({ ...OPTION_DEFAULTS, ...info.commandLineOptions }),
          node: redact(info.node),
          hot_restart_initializing: false,
        });
      },
    },
    {
      path: '/memory',
      help: 'print current allocation/heap usage',
      answer: () => {
        const heap = getHeapStatistics();
        const memory = process.memoryUsage();
        return json({
          allocated: String(heap.used_heap_size + memory.external),
          heap_size: String(heap.total_heap_size + memory.external),
          pageheap_unmapped: '0',
          pageheap_free: String(heap.total_heap_size - heap.used_heap_size),
          total_thread_cache: '0',
          total_physical_bytes: String(memory.rss),
        });
      },
    },
    {
      path: '/runtime',
      help: 'print runtime values',
      answer: () => {
        const { layers, entries } = sources.runtime();
        const shown = Object.entries(entries).map(([key, { finalValue, layerValues }]) => [
          key,
          { final_value: finalValue, layer_values: layerValues },
        ]);
        return json({ layers: [...layers], entries: Object.fromEntries(shown) });
      },
    },
    {
      path: '/runtime_modify',
      help: 'adds or modifies runtime values as passed in query parameters; an empty value deletes an override',
      mutates: true,
      answer: (parameters) =>
        sources.actions.modifyRuntime(new Map(parameters)) ? OK : text('No admin layer specified', 503),
    },
    {
      path: '/unsupported',
      help: 'fields of the configuration that are accepted and not acted on, with counts and places (Tollway)',
      answer: () =>
        json({
          unsupported: sources.unsupported().map(({ field, count, reason, where }) => ({
            field,
            count,
            reason,
            where: [...where],
          })),
        }),
    },
    {
      path: '/hot_restart_version',
      help: 'print the hot restart compatibility version',
      answer: () => text('disabled'),
    },
    {
      path: '/contention',
      help: 'dump mutex contention stats (if enabled)',
      answer: () =>
        text('Mutex contention tracing is not enabled. To enable, run Envoy with flag --enable-mutex-tracing.'),
    },
    { path: '/init_dump', help: 'dump init manager information', answer: () => json({}) },
  ];
}
