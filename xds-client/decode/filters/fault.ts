/** Fault injection: for a connection manager and, in the same words, for a route. */
import type { MessageObject } from '../../../protos/index.ts';
import type { FaultConfig } from '../../model/filters/fault.ts';
import { plain } from '../../model/plain.ts';
import { decodeFractionalPercent } from '../common.ts';
import { type DecodeContext, type Extension, type ExtensionResults, support } from '../context.ts';
import { flag, has, message, milliseconds, number, text, texts, wrappedNumber } from '../fields.ts';
import { decodeHeaderMatches } from '../matcher.ts';
import { structToJson } from '../struct.ts';

const NAME = 'envoy.filters.http.fault';
const HTTP = 'envoy.extensions.filters.http.fault.v3';
const COMMON = 'envoy.extensions.filters.common.fault.v3';

support(`${HTTP}.HTTPFault`, {
  acts: [
    'delay',
    'abort',
    'upstream_cluster',
    'headers',
    'downstream_nodes',
    'max_active_faults',
    'response_rate_limit',
    'delay_percent_runtime',
    'abort_percent_runtime',
    'delay_duration_runtime',
    'abort_http_status_runtime',
    'max_active_faults_runtime',
    'response_rate_limit_percent_runtime',
    'abort_grpc_status_runtime',
    'disable_downstream_cluster_stats',
    'filter_metadata',
  ],
});
support(`${HTTP}.FaultAbort`, { acts: ['http_status', 'grpc_status', 'header_abort', 'percentage'] });
support(`${HTTP}.FaultAbort.HeaderAbort`, { acts: [] });
support(`${COMMON}.FaultDelay`, { acts: ['fixed_delay', 'header_delay', 'percentage'] });
support(`${COMMON}.FaultDelay.HeaderDelay`, { acts: [] });
support(`${COMMON}.FaultRateLimit`, { acts: ['fixed_limit', 'header_limit', 'percentage'] });
support(`${COMMON}.FaultRateLimit.FixedLimit`, { acts: ['limit_kbps'] });
support(`${COMMON}.FaultRateLimit.HeaderLimit`, { acts: [] });

/** Envoy's keys where the configuration names none. */
const KEYS = {
  delayPercent: ['delay_percent_runtime', 'fault.http.delay.fixed_delay_percent'],
  delayMs: ['delay_duration_runtime', 'fault.http.delay.fixed_duration_ms'],
  abortPercent: ['abort_percent_runtime', 'fault.http.abort.abort_percent'],
  abortHttpStatus: ['abort_http_status_runtime', 'fault.http.abort.http_status'],
  abortGrpcStatus: ['abort_grpc_status_runtime', 'fault.http.abort.grpc_status'],
  maxActive: ['max_active_faults_runtime', 'fault.http.max_active_faults'],
  responseRatePercent: ['response_rate_limit_percent_runtime', 'fault.http.rate_limit.response_percent'],
} as const;

function keyOf(fault: MessageObject, of: keyof typeof KEYS): string {
  const [field, fallback] = KEYS[of];
  return text(fault, field) || fallback;
}

const shareOf = (of: MessageObject) => decodeFractionalPercent(message(of, 'percentage'));
const set = (of: MessageObject, field: string): number | undefined => (has(of, field) ? number(of, field) : undefined);

function decodeFault(fault: MessageObject, ctx: DecodeContext): FaultConfig {
  const delay = message(fault, 'delay');
  const abort = message(fault, 'abort');
  const rate = message(fault, 'response_rate_limit');
  return {
    delay: delay && { ms: milliseconds(delay, 'fixed_delay'), share: shareOf(delay) },
    abort: abort && {
      httpStatus: set(abort, 'http_status'),
      grpcStatus: set(abort, 'grpc_status'),
      share: shareOf(abort),
    },
    responseRate: rate && {
      kibPerSecond: has(rate, 'fixed_limit') ? number(message(rate, 'fixed_limit'), 'limit_kbps') : undefined,
      share: shareOf(rate),
    },
    upstreamCluster: text(fault, 'upstream_cluster'),
    headers: decodeHeaderMatches(fault, 'headers', ctx),
    downstreamNodes: texts(fault, 'downstream_nodes'),
    maxActive: wrappedNumber(fault, 'max_active_faults'),
    runtime: {
      delayPercent: keyOf(fault, 'delayPercent'),
      delayMs: keyOf(fault, 'delayMs'),
      abortPercent: keyOf(fault, 'abortPercent'),
      abortHttpStatus: keyOf(fault, 'abortHttpStatus'),
      abortGrpcStatus: keyOf(fault, 'abortGrpcStatus'),
      maxActive: keyOf(fault, 'maxActive'),
      responseRatePercent: keyOf(fault, 'responseRatePercent'),
    },
    countDownstreamClusters: !flag(fault, 'disable_downstream_cluster_stats'),
    metadata: structToJson(message(fault, 'filter_metadata')),
  };
}

export const FAULT: Extension<ExtensionResults['http-filter']> = {
  name: NAME,
  type: `${HTTP}.HTTPFault`,
  decode: (config, ctx) => ({ terminal: false, config: plain(decodeFault(config, ctx)) }),
};

export const FAULT_ROUTE: Extension<ExtensionResults['http-filter-route']> = {
  name: NAME,
  type: `${HTTP}.HTTPFault`,
  decode: (config, ctx) => plain(decodeFault(config, ctx)),
};
