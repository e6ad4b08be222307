/** Active health checks (envoy.config.core.v3.HealthCheck). */
import { isIP } from 'node:net';
import type { MessageObject } from '../../protos/index.ts';
import type { Cluster } from '../model/cluster.ts';
import type { HeaderToAdd } from '../model/common.ts';
import type {
  EndpointHealthCheck,
  GrpcProbe,
  HealthCheck,
  HealthCheckIntervals,
  HttpProbe,
  StatusRange,
  TcpProbe,
} from '../model/health-check.ts';
import { decodeAddress, duration, each, inside } from './common.ts';
import { type DecodeContext, support } from './context.ts';
import {
  bytes,
  flag,
  has,
  message,
  messages,
  number,
  text,
  textOrNone,
  texts,
  word,
  wrappedFlag,
  wrappedNumber,
} from './fields.ts';
import { decodeHeadersToAdd, decodeHeadersToRemove, decodeStringMatch } from './matcher.ts';
import { structToJson } from './struct.ts';

const CHECK = 'envoy.config.core.v3.HealthCheck';
const EVENTS = 'health check events are not written; /clusters and the statistics show the health';

support(CHECK, {
  acts: [
    'timeout',
    'interval',
    'initial_jitter',
    'interval_jitter',
    'interval_jitter_percent',
    'unhealthy_threshold',
    'healthy_threshold',
    'reuse_connection',
    'http_health_check',
    'tcp_health_check',
    'grpc_health_check',
    'no_traffic_interval',
    'no_traffic_healthy_interval',
    'unhealthy_interval',
    'unhealthy_edge_interval',
    'healthy_edge_interval',
    'tls_options',
    'transport_socket_match_criteria',
  ],
  ignored: {
    alt_port: 'Envoy does not act on it either',
    event_log_path: EVENTS,
    event_logger: EVENTS,
    event_service: 'Envoy does not act on it either',
    always_log_health_check_failures: EVENTS,
    always_log_health_check_success: EVENTS,
  },
  refused: { custom_health_check: 'custom health checkers are not built; use grpc, http or tcp' },
});
support(`${CHECK}.Payload`, { acts: ['text', 'binary'] });
support(`${CHECK}.TlsOptions`, { acts: ['alpn_protocols'] });
support(`${CHECK}.HttpHealthCheck`, {
  acts: [
    'host',
    'path',
    'send',
    'receive',
    'response_buffer_size',
    'request_headers_to_add',
    'request_headers_to_remove',
    'expected_statuses',
    'retriable_statuses',
    'codec_client_type',
    'service_name_matcher',
    'method',
  ],
});
support(`${CHECK}.TcpHealthCheck`, {
  acts: ['send', 'receive'],
  refused: { proxy_protocol_config: 'no PROXY protocol header is sent' },
});
support(`${CHECK}.GrpcHealthCheck`, { acts: ['service_name', 'authority', 'initial_metadata'] });
support('envoy.config.endpoint.v3.Endpoint.HealthCheckConfig', {
  acts: ['port_value', 'hostname', 'address', 'disable_active_health_check'],
});

const NO_TRAFFIC_MS = 60_000;
const RESPONSE_BUFFER_BYTES = 1024;

/** The cluster's `health_checks`: none or one. */
export function decodeHealthChecks(
  cluster: MessageObject,
  protocol: Cluster['protocol'],
  ctx: DecodeContext,
): HealthCheck | undefined {
  const checks = each(cluster, 'health_checks', ctx, (check) => decodeHealthCheck(check, cluster, protocol, ctx));
  if (checks.length > 1) {
    ctx.error(`one health check is made for a cluster, not ${checks.length}`, 'health_checks');
  }
  return checks[0];
}

/** envoy Endpoint.HealthCheckConfig; `undefined` where it says nothing. */
export function decodeEndpointCheck(
  endpoint: MessageObject | undefined,
  ctx: DecodeContext,
): EndpointHealthCheck | undefined {
  return inside(endpoint, 'health_check_config', ctx, (config) => {
    const address = inside(config, 'address', ctx, (value) => decodeAddress(value, ctx));
    const port = number(config, 'port_value');
    if (address?.kind === 'socket' && isIP(address.host) === 0) {
      ctx.error(`malformed IP address: ${address.host}`, 'address');
    }
    return {
      address,
      port: port === 0 ? undefined : port,
      hostname: text(config, 'hostname'),
      disabled: flag(config, 'disable_active_health_check'),
    };
  });
}

function decodeHealthCheck(
  check: MessageObject,
  cluster: MessageObject,
  protocol: Cluster['protocol'],
  ctx: DecodeContext,
): HealthCheck {
  const criteria = message(check, 'transport_socket_match_criteria');
  return {
    timeoutMs: duration(check, 'timeout', ctx) ?? 0,
    initialJitterMs: duration(check, 'initial_jitter', ctx) ?? 0,
    intervalJitterMs: duration(check, 'interval_jitter', ctx) ?? 0,
    intervalJitterPercent: number(check, 'interval_jitter_percent'),
    unhealthyThreshold: wrappedNumber(check, 'unhealthy_threshold') ?? 0,
    healthyThreshold: wrappedNumber(check, 'healthy_threshold') ?? 0,
    intervals: decodeIntervals(check, ctx),
    reuseConnection: wrappedFlag(check, 'reuse_connection') ?? true,
    probe: decodeProbe(check, text(cluster, 'name'), protocol, ctx),
    alpn: texts(message(check, 'tls_options'), 'alpn_protocols'),
    socketMatch: criteria === undefined ? undefined : structToJson(criteria),
  };
}

function decodeIntervals(check: MessageObject, ctx: DecodeContext): HealthCheckIntervals {
  const healthyMs = duration(check, 'interval', ctx) ?? 0;
  const unhealthyMs = duration(check, 'unhealthy_interval', ctx) ?? healthyMs;
  const noTrafficMs = duration(check, 'no_traffic_interval', ctx) ?? NO_TRAFFIC_MS;
  return {
    healthyMs,
    healthyEdgeMs: duration(check, 'healthy_edge_interval', ctx) ?? healthyMs,
    unhealthyMs,
    unhealthyEdgeMs: duration(check, 'unhealthy_edge_interval', ctx) ?? unhealthyMs,
    noTrafficMs,
    noTrafficHealthyMs: duration(check, 'no_traffic_healthy_interval', ctx) ?? noTrafficMs,
  };
}

function decodeProbe(
  check: MessageObject,
  cluster: string,
  protocol: Cluster['protocol'],
  ctx: DecodeContext,
): HealthCheck['probe'] {
  const grpc = inside(check, 'grpc_health_check', ctx, (probe) => decodeGrpc(probe, ctx));
  if (grpc !== undefined) {
    if (protocol.kind === 'http1') {
      ctx.error(`${cluster} cluster must support HTTP/2 for gRPC healthchecking`, 'grpc_health_check');
    }
    return grpc;
  }
  return (
    inside(check, 'http_health_check', ctx, (probe) => decodeHttp(probe, ctx)) ??
    inside(check, 'tcp_health_check', ctx, (probe) => decodeTcp(probe, ctx)) ?? {
      kind: 'tcp',
      send: undefined,
      receive: [],
    }
  );
}

function decodeGrpc(probe: MessageObject, ctx: DecodeContext): GrpcProbe {
  return {
    kind: 'grpc',
    service: text(probe, 'service_name'),
    authority: textOrNone(probe, 'authority'),
    metadata: fixedHeaders(probe, 'initial_metadata', ctx),
  };
}

const WITH_BODY = new Set(['POST', 'PUT', 'PATCH', 'OPTIONS']);
const OK: readonly StatusRange[] = [{ start: 200, end: 201 }];

function decodeHttp(probe: MessageObject, ctx: DecodeContext): HttpProbe {
  const named = word(probe, 'method', 'METHOD_UNSPECIFIED');
  const method = named === 'METHOD_UNSPECIFIED' ? 'GET' : named;
  if (method === 'CONNECT') ctx.error('CONNECT asks nobody how they are', 'method');
  const send = inside(probe, 'send', ctx, (payload) => decodePayload(payload, ctx));
  if (send !== undefined && send !== '' && !WITH_BODY.has(method)) {
    ctx.error(
      `HTTP health check cannot specify a request payload with method '${method}'. ` +
        'Only methods that support a request body (POST, PUT, PATCH, OPTIONS) can be used with payload.',
      'send',
    );
  }
  const codec = word(probe, 'codec_client_type', 'HTTP1');
  if (codec === 'HTTP3') ctx.error('is not supported: HTTP/3 is not built', 'codec_client_type');
  const expected = decodeRanges(probe, 'expected_statuses', 'expected', ctx);
  return {
    kind: 'http',
    host: textOrNone(probe, 'host'),
    path: text(probe, 'path'),
    method,
    http2: codec === 'HTTP2',
    headersToAdd: fixedHeaders(probe, 'request_headers_to_add', ctx),
    headersToRemove: decodeHeadersToRemove(probe, 'request_headers_to_remove', ctx),
    expectedStatuses: expected.length === 0 ? OK : expected,
    retriableStatuses: decodeRanges(probe, 'retriable_statuses', 'retriable', ctx),
    send: send === '' ? undefined : send,
    receive: each(probe, 'receive', ctx, (payload) => decodePayload(payload, ctx)),
    bufferBytes: wrappedNumber(probe, 'response_buffer_size') ?? RESPONSE_BUFFER_BYTES,
    serviceName: inside(probe, 'service_name_matcher', ctx, (matcher) => decodeStringMatch(matcher, ctx)),
  };
}

function decodeTcp(probe: MessageObject, ctx: DecodeContext): TcpProbe {
  return {
    kind: 'tcp',
    send: inside(probe, 'send', ctx, (payload) => decodePayload(payload, ctx)),
    receive: each(probe, 'receive', ctx, (payload) => decodePayload(payload, ctx)),
  };
}

/** Base64 of a payload; its text is hexadecimal. */
function decodePayload(payload: MessageObject, ctx: DecodeContext): string {
  if (!has(payload, 'text')) return (bytes(payload, 'binary') ?? Buffer.alloc(0)).toString('base64');
  const hex = text(payload, 'text');
  if (!/^(?:[0-9a-f]{2})*$/i.test(hex)) ctx.error(`invalid hex string '${hex}'`, 'text');
  return Buffer.from(hex, 'hex').toString('base64');
}

function decodeRanges(probe: MessageObject, field: string, name: string, ctx: DecodeContext): StatusRange[] {
  return messages(probe, field).map((range, index) => {
    const start = number(range, 'start');
    const end = number(range, 'end');
    const wrong =
      start >= end
        ? `expecting start < end, but found start=${start} and end=${end}`
        : start < 100
          ? `expecting start >= 100, but found start=${start}`
          : end > 600
            ? `expecting end <= 600, but found end=${end}`
            : undefined;
    if (wrong !== undefined) {
      ctx.at(field, () => ctx.at(index, () => ctx.error(`Invalid http ${name} status range: ${wrong}`)));
    }
    return { start, end };
  });
}

/** There is no request to take values from. */
function fixedHeaders(of: MessageObject, field: string, ctx: DecodeContext): HeaderToAdd[] {
  const headers = decodeHeadersToAdd(of, field, ctx);
  for (const [index, { value }] of headers.entries()) {
    if (!value.replaceAll('%%', '').includes('%')) continue;
    ctx.at(field, () =>
      ctx.at(index, () => ctx.error(`command operators are not filled in for health checks: ${value}`, 'header.value')),
    );
  }
  return headers;
}
