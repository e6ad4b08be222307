/** The filter of gRPC statistics. */
import type { MessageObject } from '../../../protos/index.ts';
import type { GrpcStatsConfig } from '../../model/filters/grpc-stats.ts';
import { plain } from '../../model/plain.ts';
import { type Extension, type ExtensionResults, support } from '../context.ts';
import { flag, message, messages, text, texts, wrappedFlag } from '../fields.ts';

const TYPE = 'envoy.extensions.filters.http.grpc_stats.v3.FilterConfig';

support(TYPE, {
  acts: [
    'emit_filter_state',
    'individual_method_stats_allowlist',
    'stats_for_all_methods',
    'enable_upstream_stats',
    'replace_dots_in_grpc_service_name',
  ],
});
support('envoy.config.core.v3.GrpcMethodList', { acts: ['services'] });
support('envoy.config.core.v3.GrpcMethodList.Service', { acts: ['name', 'method_names'] });

function decodeGrpcStats(config: MessageObject): GrpcStatsConfig {
  const allowed = messages(message(config, 'individual_method_stats_allowlist'), 'services');
  const all = wrappedFlag(config, 'stats_for_all_methods') ?? false;
  return {
    emitFilterState: flag(config, 'emit_filter_state'),
    methods: all
      ? 'all'
      : allowed.map((service) => ({ service: text(service, 'name'), methods: texts(service, 'method_names') })),
    upstreamTime: flag(config, 'enable_upstream_stats'),
    replaceDots: flag(config, 'replace_dots_in_grpc_service_name'),
  };
}

export const GRPC_STATS: Extension<ExtensionResults['http-filter']> = {
  name: 'envoy.filters.http.grpc_stats',
  type: TYPE,
  decode: (config) => ({ terminal: false, config: plain(decodeGrpcStats(config)) }),
};
