/** The protocol options that listeners and clusters share. */
import type { MessageObject } from '../../protos/index.ts';
import type { CommonHttpOptions, Http1Options, Http2Options } from '../model/http-connection-manager.ts';
import { duration } from './common.ts';
import { type DecodeContext, type Extension, support } from './context.ts';
import { decodeExtension } from './extension.ts';
import {
  any,
  flag,
  has,
  message,
  milliseconds,
  percent,
  text,
  textOrNone,
  word,
  wrappedFlag,
  wrappedNumber,
} from './fields.ts';

const CORE = 'envoy.config.core.v3';
export const NO_HTTP3 = 'HTTP/3 is not spoken';

support(`${CORE}.HttpProtocolOptions`, {
  acts: [
    'idle_timeout',
    'max_connection_duration',
    'max_headers_count',
    'max_stream_duration',
    'headers_with_underscores_action',
    'max_requests_per_connection',
  ],
});
support(`${CORE}.Http1ProtocolOptions`, {
  acts: ['allow_absolute_url', 'accept_http_10', 'default_host_for_http_10', 'header_key_format', 'enable_trailers'],
  ignored: {
    allow_chunked_length: 'Content-Length beside Transfer-Encoding is always refused',
    override_stream_error_on_invalid_http_message: 'a request that breaks HTTP/1.1 ends its connection',
    use_balsa_parser: "the parser is Tollway's own",
    allow_custom_methods: 'methods of any name are passed on',
  },
  refused: { send_fully_qualified_url: 'requests go upstream in origin form' },
});
support(`${CORE}.Http1ProtocolOptions.HeaderKeyFormat`, { acts: ['proper_case_words', 'stateful_formatter'] });
support(`${CORE}.Http1ProtocolOptions.HeaderKeyFormat.ProperCaseWords`, { acts: [] });
support('envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig', {
  acts: [],
  ignored: {
    forward_reason_phrase: 'reason phrases are those of the status',
    formatter_type_on_envoy_headers: 'headers Tollway adds are in lower case',
  },
});
support(`${CORE}.Http2ProtocolOptions`, {
  acts: [
    'hpack_table_size',
    'max_concurrent_streams',
    'initial_stream_window_size',
    'initial_connection_window_size',
    'allow_connect',
    'max_outbound_frames',
    'max_outbound_control_frames',
    'max_consecutive_inbound_frames_with_empty_payload',
    'max_inbound_priority_frames_per_stream',
    'max_inbound_window_update_frames_per_data_frame_sent',
    'override_stream_error_on_invalid_http_message',
    'stream_error_on_invalid_http_messaging',
    'connection_keepalive',
  ],
  ignored: {
    allow_metadata: 'METADATA frames are passed over',
    custom_settings_parameters: 'settings beyond the named ones are not sent',
    use_oghttp2_codec: "the codec is Tollway's own",
  },
});
support(`${CORE}.KeepaliveSettings`, {
  acts: ['interval', 'timeout', 'interval_jitter'],
  ignored: { connection_idle_interval: 'PING goes at the interval, not before a request' },
});

export const PRESERVE_CASE: Extension<'preserve'> = {
  name: 'envoy.http.stateful_header_formatters.preserve_case',
  type: 'envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig',
  decode: () => 'preserve',
};

const UNDERSCORES: { readonly [action: string]: CommonHttpOptions['headersWithUnderscores'] } = {
  ALLOW: 'allow',
  REJECT_REQUEST: 'reject',
  DROP_HEADER: 'drop',
};

const HOUR_MS = 3_600_000;
const DEFAULT_MAX_HEADERS = 100;

/** envoy HttpProtocolOptions; `undefined` gives the defaults. */
export function decodeCommonOptions(options: MessageObject | undefined, ctx: DecodeContext): CommonHttpOptions {
  return {
    idleTimeoutMs: duration(options, 'idle_timeout', ctx) ?? HOUR_MS,
    maxConnectionDurationMs: duration(options, 'max_connection_duration', ctx),
    maxHeadersCount: wrappedNumber(options, 'max_headers_count') ?? DEFAULT_MAX_HEADERS,
    maxStreamDurationMs: duration(options, 'max_stream_duration', ctx),
    headersWithUnderscores: UNDERSCORES[word(options, 'headers_with_underscores_action', 'ALLOW')] ?? 'allow',
    maxRequestsPerConnection: wrappedNumber(options, 'max_requests_per_connection') || undefined,
  };
}

function decodeHeaderCase(options: MessageObject | undefined, ctx: DecodeContext): Http1Options['headerCase'] {
  const format = message(options, 'header_key_format');
  if (has(format, 'proper_case_words')) return 'proper';
  const formatter = message(format, 'stateful_formatter');
  if (formatter === undefined) return 'lower';
  const found = ctx.at('header_key_format', () =>
    ctx.at('stateful_formatter', () =>
      decodeExtension('header-format', any(formatter, 'typed_config'), text(formatter, 'name'), ctx),
    ),
  );
  return found.kind === 'acts' ? found.value : 'lower';
}

/** envoy Http1ProtocolOptions; `undefined` gives the defaults. */
export function decodeHttp1Options(options: MessageObject | undefined, ctx: DecodeContext): Http1Options {
  return {
    acceptHttp10: flag(options, 'accept_http_10'),
    defaultHostForHttp10: textOrNone(options, 'default_host_for_http_10'),
    allowAbsoluteUrl: wrappedFlag(options, 'allow_absolute_url') ?? true,
    headerCase: decodeHeaderCase(options, ctx),
    enableTrailers: flag(options, 'enable_trailers'),
    allowChunkedLength: flag(options, 'allow_chunked_length'),
    overrideStreamErrorOnInvalidHttpMessage: wrappedFlag(options, 'override_stream_error_on_invalid_http_message'),
  };
}

/** envoy Http2ProtocolOptions. */
export function decodeHttp2Options(options: MessageObject | undefined): Http2Options {
  const keepalive = message(options, 'connection_keepalive');
  return {
    maxConcurrentStreams: wrappedNumber(options, 'max_concurrent_streams'),
    initialStreamWindowSize: wrappedNumber(options, 'initial_stream_window_size'),
    initialConnectionWindowSize: wrappedNumber(options, 'initial_connection_window_size'),
    hpackTableSize: wrappedNumber(options, 'hpack_table_size'),
    allowConnect: flag(options, 'allow_connect'),
    maxOutboundFrames: wrappedNumber(options, 'max_outbound_frames'),
    maxOutboundControlFrames: wrappedNumber(options, 'max_outbound_control_frames'),
    maxConsecutiveInboundFramesWithEmptyPayload: wrappedNumber(
      options,
      'max_consecutive_inbound_frames_with_empty_payload',
    ),
    maxInboundPriorityFramesPerStream: wrappedNumber(options, 'max_inbound_priority_frames_per_stream'),
    maxInboundWindowUpdateFramesPerDataFrameSent: wrappedNumber(
      options,
      'max_inbound_window_update_frames_per_data_frame_sent',
    ),
    overrideStreamErrorOnInvalidHttpMessage:
      wrappedFlag(options, 'override_stream_error_on_invalid_http_message') ??
      (flag(options, 'stream_error_on_invalid_http_messaging') || undefined),
    keepalive:
      keepalive === undefined
        ? undefined
        : {
            intervalMs: milliseconds(keepalive, 'interval'),
            timeoutMs: milliseconds(keepalive, 'timeout') ?? 0,
            intervalJitterPercent: percent(keepalive, 'interval_jitter') ?? 15,
          },
  };
}
