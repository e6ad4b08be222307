/** The HTTP connection manager. */
import type { MessageObject } from '../../protos/index.ts';
import type { CidrRange } from '../model/common.ts';
import type { HttpConnectionManager, LocalReplyMapper, UpgradeConfig } from '../model/http-connection-manager.ts';
import { decodeAccessLogs, decodeFormat, decodeLogFilter } from './access-log.ts';
import { decodeCidrs, decodeConfigSource, duration, each, inside } from './common.ts';
import { type DecodeContext, type Extension, type ExtensionResults, support } from './context.ts';
import { readDataSource } from './data.ts';
import { decodeExtension } from './extension.ts';
import { any, flag, has, message, number, text, textOrNone, word, wrappedFlag, wrappedNumber } from './fields.ts';
import { decodeHttpFilters } from './http-filters.ts';
import { decodeCommonOptions, decodeHttp1Options, decodeHttp2Options, NO_HTTP3 } from './http-options.ts';
import { decodeHeadersToAdd } from './matcher.ts';
import { decodeRouteConfiguration } from './route.ts';
import { decodeTracing } from './tracing.ts';

const PACKAGE = 'envoy.extensions.filters.network.http_connection_manager.v3';
const HCM = `${PACKAGE}.HttpConnectionManager`;

support(HCM, {
  acts: [
    'codec_type',
    'stat_prefix',
    'rds',
    'route_config',
    'http_filters',
    'tracing',
    'common_http_protocol_options',
    'http_protocol_options',
    'http2_protocol_options',
    'server_name',
    'server_header_transformation',
    'scheme_header_transformation',
    'max_request_headers_kb',
    'stream_idle_timeout',
    'request_timeout',
    'request_headers_timeout',
    'drain_timeout',
    'delayed_close_timeout',
    'access_log',
    'flush_access_log_on_new_request',
    'access_log_options',
    'use_remote_address',
    'xff_num_trusted_hops',
    'internal_address_config',
    'skip_xff_append',
    'via',
    'generate_request_id',
    'preserve_external_request_id',
    'always_set_request_id_in_response',
    'forward_client_cert_details',
    'set_current_client_cert_details',
    'proxy_100_continue',
    'upgrade_configs',
    'normalize_path',
    'merge_slashes',
    'path_with_escaped_slashes_action',
    'request_id_extension',
    'local_reply_config',
    'strip_matching_host_port',
    'strip_any_host_port',
    'strip_trailing_host_dot',
    'append_x_forwarded_port',
    'stream_error_on_invalid_http_message',
  ],
  ignored: {
    access_log_flush_interval: 'lines are written when the request ends',
    http3_protocol_options: NO_HTTP3,
    add_user_agent: 'user-agent is passed on as it came',
    represent_ipv4_remote_address_as_ipv4_mapped_ipv6: 'IPv4 addresses are written as IPv4',
    proxy_status_config: 'proxy-status is not added',
    append_local_overload: 'x-envoy-local-overloaded is not added',
    add_proxy_protocol_connection_state: 'PROXY protocol is not read',
  },
  refused: {
    scoped_routes: 'scoped routes are not built; use rds or route_config',
    original_ip_detection_extensions: "the caller's address would be taken from the wrong place",
    early_header_mutation_extensions: 'early header mutation is not built',
    path_normalization_options: 'use normalize_path and merge_slashes',
    typed_header_validation_config: 'custom header validators are not built',
  },
});
support(`${HCM}.InternalAddressConfig`, {
  acts: ['cidr_ranges'],
  ignored: { unix_sockets: 'callers on UNIX sockets are external' },
});
support(`${HCM}.SetCurrentClientCertDetails`, { acts: ['subject', 'cert', 'chain', 'dns', 'uri'] });
support(`${HCM}.UpgradeConfig`, {
  acts: ['upgrade_type', 'enabled', 'filters'],
});
support(`${HCM}.HcmAccessLogOptions`, {
  acts: ['flush_access_log_on_new_request'],
  ignored: {
    access_log_flush_interval: 'lines are written when the request ends',
    flush_log_on_tunnel_successfully_established: 'tunnels are not built',
  },
});
support(`${PACKAGE}.LocalReplyConfig`, { acts: ['mappers', 'body_format'] });
support(`${PACKAGE}.ResponseMapper`, {
  acts: ['filter', 'status_code', 'body', 'body_format_override', 'headers_to_add'],
});
support(`${PACKAGE}.Rds`, { acts: ['config_source', 'route_config_name'] });
support(`${PACKAGE}.RequestIDExtension`, { acts: ['typed_config'] });
support('envoy.config.core.v3.SchemeHeaderTransformation', {
  acts: ['scheme_to_overwrite'],
  ignored: { match_upstream: 'the scheme is the one of the request' },
});
support('envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig', {
  acts: [],
  ignored: {
    pack_trace_reason: 'the request id always carries the sampling decision',
    use_request_id_for_trace_sampling: 'lots are always drawn from the request id',
  },
});

const CODECS: { readonly [codec: string]: HttpConnectionManager['codec'] } = {
  AUTO: 'auto',
  HTTP1: 'http1',
  HTTP2: 'http2',
};

function decodeCodec(hcm: MessageObject, ctx: DecodeContext): HttpConnectionManager['codec'] {
  const codec = word(hcm, 'codec_type', 'AUTO');
  if (codec === 'HTTP3') ctx.error(`HTTP3 is not supported: ${NO_HTTP3}`, 'codec_type');
  return CODECS[codec] ?? 'auto';
}

function decodeRoutes(hcm: MessageObject, ctx: DecodeContext): HttpConnectionManager['routes'] {
  const rds = message(hcm, 'rds');
  if (rds !== undefined) {
    return ctx.at('rds', () => {
      const source = inside(rds, 'config_source', ctx, (value) => decodeConfigSource(value, ctx));
      const name = text(rds, 'route_config_name');
      if (name === '') ctx.error('value length must be at least 1 characters', 'route_config_name');
      return { kind: 'rds', name, source: source ?? { kind: 'ads' } };
    });
  }
  const config = ctx.at('route_config', () => decodeRouteConfiguration(message(hcm, 'route_config') ?? {}, ctx, true));
  return { kind: 'inline', config };
}

function decodeMapper(mapper: MessageObject, ctx: DecodeContext): LocalReplyMapper | undefined {
  const filter = ctx.at('filter', () => decodeLogFilter(message(mapper, 'filter') ?? {}, ctx));
  const made = {
    status: wrappedNumber(mapper, 'status_code'),
    body: inside(mapper, 'body', ctx, (source) => readDataSource(source, ctx).toString()),
    format: inside(mapper, 'body_format_override', ctx, (format) => decodeFormat(format, ctx)),
    contentType: textOrNone(message(mapper, 'body_format_override'), 'content_type'),
    headersToAdd: decodeHeadersToAdd(mapper, 'headers_to_add', ctx),
  };
  // A mapper whose filter is left aside would rewrite every reply.
  return filter === undefined ? undefined : { filter, ...made };
}

function decodeLocalReply(config: MessageObject, ctx: DecodeContext): HttpConnectionManager['localReply'] {
  return {
    mappers: each(config, 'mappers', ctx, (mapper) => decodeMapper(mapper, ctx)).filter(
      (mapper) => mapper !== undefined,
    ),
    bodyFormat: inside(config, 'body_format', ctx, (format) => decodeFormat(format, ctx)),
    contentType: textOrNone(message(config, 'body_format'), 'content_type'),
  };
}

function decodeUpgrades(hcm: MessageObject, ctx: DecodeContext): UpgradeConfig[] {
  const seen = new Set<string>();
  return each(hcm, 'upgrade_configs', ctx, (upgrade) => {
    const given = text(upgrade, 'upgrade_type');
    const type = given.toLowerCase();
    if (seen.has(type)) ctx.error(`Error: multiple upgrade configs with the same name: '${given}'`, 'upgrade_type');
    seen.add(type);
    return {
      type,
      enabled: wrappedFlag(upgrade, 'enabled') ?? true,
      filters: has(upgrade, 'filters') ? decodeHttpFilters(upgrade, 'filters', 'http upgrade filter chain', ctx) : [],
    };
  });
}

const SERVER_HEADERS: { readonly [value: string]: HttpConnectionManager['serverHeader'] } = {
  OVERWRITE: 'overwrite',
  APPEND_IF_ABSENT: 'append-if-absent',
  PASS_THROUGH: 'pass-through',
};

const CLIENT_CERTS: { readonly [value: string]: HttpConnectionManager['forwardClientCert'] } = {
  SANITIZE: 'sanitize',
  FORWARD_ONLY: 'forward-only',
  APPEND_FORWARD: 'append-forward',
  SANITIZE_SET: 'sanitize-set',
  ALWAYS_FORWARD_ONLY: 'always-forward-only',
};

const ESCAPED_SLASHES: { readonly [value: string]: HttpConnectionManager['escapedSlashes'] } = {
  KEEP_UNCHANGED: 'keep',
  REJECT_REQUEST: 'reject',
  UNESCAPE_AND_REDIRECT: 'unescape-redirect',
  UNESCAPE_AND_FORWARD: 'unescape-forward',
};

function decodeStripPort(hcm: MessageObject, ctx: DecodeContext): HttpConnectionManager['stripPort'] {
  const matching = flag(hcm, 'strip_matching_host_port');
  const every = flag(hcm, 'strip_any_host_port');
  if (matching && every) {
    ctx.error('Error: Only one of `strip_matching_host_port` or `strip_any_host_port` can be set.');
  }
  if (every) return 'any';
  return matching ? 'matching' : 'no';
}

/** The identity of the caller's certificate that goes upstream. */
function decodeClientCert(hcm: MessageObject) {
  const details = message(hcm, 'set_current_client_cert_details');
  return {
    forwardClientCert: CLIENT_CERTS[word(hcm, 'forward_client_cert_details', 'SANITIZE')] ?? 'sanitize',
    setClientCertDetails: {
      subject: wrappedFlag(details, 'subject') ?? false,
      cert: flag(details, 'cert'),
      chain: flag(details, 'chain'),
      dns: flag(details, 'dns'),
      uri: flag(details, 'uri'),
    },
  };
}

/** Times in milliseconds; 0: none. */
function decodeTimeouts(hcm: MessageObject, ctx: DecodeContext) {
  return {
    streamIdleTimeoutMs: duration(hcm, 'stream_idle_timeout', ctx) ?? 300_000,
    requestTimeoutMs: duration(hcm, 'request_timeout', ctx) ?? 0,
    requestHeadersTimeoutMs: duration(hcm, 'request_headers_timeout', ctx) ?? 0,
    drainTimeoutMs: duration(hcm, 'drain_timeout', ctx) ?? 5000,
    delayedCloseTimeoutMs: duration(hcm, 'delayed_close_timeout', ctx) ?? 1000,
  };
}

function decodeLogging(hcm: MessageObject, ctx: DecodeContext) {
  const options = message(hcm, 'access_log_options');
  return {
    accessLogs: decodeAccessLogs(hcm, 'access_log', ctx),
    accessLogFlushIntervalMs:
      duration(options, 'access_log_flush_interval', ctx) ?? duration(hcm, 'access_log_flush_interval', ctx),
    accessLogOnNewRequest:
      flag(options, 'flush_access_log_on_new_request') || flag(hcm, 'flush_access_log_on_new_request'),
  };
}

const DEFAULT_MAX_HEADERS_KB = 60;

/** envoy HttpConnectionManager. */
export function decodeHttpConnectionManager(hcm: MessageObject, ctx: DecodeContext): HttpConnectionManager {
  inside(hcm, 'request_id_extension', ctx, (extension) => {
    if (has(extension, 'typed_config'))
      decodeExtension('request-id', any(extension, 'typed_config'), 'request id', ctx);
  });
  return {
    statPrefix: text(hcm, 'stat_prefix'),
    codec: decodeCodec(hcm, ctx),
    routes: decodeRoutes(hcm, ctx),
    httpFilters: decodeHttpFilters(hcm, 'http_filters', 'http filter chain', ctx),
    common: ctx.at('common_http_protocol_options', () =>
      decodeCommonOptions(message(hcm, 'common_http_protocol_options'), ctx),
    ),
    http1: ctx.at('http_protocol_options', () => decodeHttp1Options(message(hcm, 'http_protocol_options'), ctx)),
    http2: decodeHttp2Options(message(hcm, 'http2_protocol_options')),
    tracing: inside(hcm, 'tracing', ctx, (tracing) => decodeTracing(tracing, ctx)),
    ...decodeLogging(hcm, ctx),
    useRemoteAddress: wrappedFlag(hcm, 'use_remote_address') ?? false,
    xffNumTrustedHops: number(hcm, 'xff_num_trusted_hops'),
    skipXffAppend: flag(hcm, 'skip_xff_append'),
    internalAddressRanges: inside(hcm, 'internal_address_config', ctx, (config) => decodeInternal(config, ctx)) ?? [],
    serverName: textOrNone(hcm, 'server_name'),
    serverHeader: SERVER_HEADERS[word(hcm, 'server_header_transformation', 'OVERWRITE')] ?? 'overwrite',
    via: textOrNone(hcm, 'via'),
    generateRequestId: wrappedFlag(hcm, 'generate_request_id') ?? true,
    preserveExternalRequestId: flag(hcm, 'preserve_external_request_id'),
    alwaysSetRequestIdInResponse: flag(hcm, 'always_set_request_id_in_response'),
    ...decodeClientCert(hcm),
    proxy100Continue: flag(hcm, 'proxy_100_continue'),
    maxRequestHeadersKb: wrappedNumber(hcm, 'max_request_headers_kb') ?? DEFAULT_MAX_HEADERS_KB,
    ...decodeTimeouts(hcm, ctx),
    normalizePath: wrappedFlag(hcm, 'normalize_path') ?? false,
    mergeSlashes: flag(hcm, 'merge_slashes'),
    escapedSlashes: ESCAPED_SLASHES[word(hcm, 'path_with_escaped_slashes_action', '')] ?? 'keep',
    stripPort: decodeStripPort(hcm, ctx),
    stripTrailingHostDot: flag(hcm, 'strip_trailing_host_dot'),
    upgrades: decodeUpgrades(hcm, ctx),
    localReply: inside(hcm, 'local_reply_config', ctx, (config) => decodeLocalReply(config, ctx)),
    streamErrorOnInvalidHttpMessage: wrappedFlag(hcm, 'stream_error_on_invalid_http_message') ?? false,
    appendXForwardedPort: flag(hcm, 'append_x_forwarded_port'),
    schemeOverwrite: decodeScheme(message(hcm, 'scheme_header_transformation')),
  };
}

/** What is inside where the configuration is there and names nothing: RFC 1918, RFC 4193 and loopback. */
const PRIVATE: readonly CidrRange[] = [
  { address: '10.0.0.0', prefixLength: 8 },
  { address: '172.16.0.0', prefixLength: 12 },
  { address: '192.168.0.0', prefixLength: 16 },
  { address: '127.0.0.1', prefixLength: 32 },
  { address: 'fd00::', prefixLength: 8 },
  { address: '::1', prefixLength: 128 },
];

function decodeInternal(config: MessageObject, ctx: DecodeContext): readonly CidrRange[] {
  const ranges = decodeCidrs(config, 'cidr_ranges', ctx);
  return ranges.length === 0 ? PRIVATE : ranges;
}

function decodeScheme(transformation: MessageObject | undefined): 'http' | 'https' | undefined {
  const scheme = text(transformation, 'scheme_to_overwrite');
  return scheme === 'http' || scheme === 'https' ? scheme : undefined;
}

export const HTTP_CONNECTION_MANAGER: Extension<ExtensionResults['network-filter']> = {
  name: 'envoy.filters.network.http_connection_manager',
  type: HCM,
  decode: (config, ctx) => ({ kind: 'http-connection-manager', config: decodeHttpConnectionManager(config, ctx) }),
};
