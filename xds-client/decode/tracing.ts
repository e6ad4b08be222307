/** Tracing of a connection manager: sampling, custom tags, where spans go. */
import type { MessageObject } from '../../protos/index.ts';
import type { CustomTag, Tracing } from '../model/http-connection-manager.ts';
import { decodeGrpcService, duration, each, headerValue, inside } from './common.ts';
import { type DecodeContext, type Extension, support } from './context.ts';
import { decodeExtension } from './extension.ts';
import { any, flag, has, message, messages, percent, text, wrappedFlag, wrappedNumber } from './fields.ts';

const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const TAG = 'envoy.type.tracing.v3.CustomTag';
const KIND = 'envoy.type.metadata.v3.MetadataKind';

support(`${HCM}.Tracing`, {
  acts: [
    'client_sampling',
    'random_sampling',
    'overall_sampling',
    'max_path_tag_length',
    'custom_tags',
    'provider',
    'spawn_upstream_span',
  ],
  ignored: {
    verbose: 'spans carry no events',
  },
});
support(TAG, { acts: ['tag', 'literal', 'environment', 'request_header', 'metadata'] });
support(`${TAG}.Literal`, { acts: ['value'] });
support(`${TAG}.Environment`, { acts: ['name', 'default_value'] });
support(`${TAG}.Header`, { acts: ['name', 'default_value'] });
support(`${TAG}.Metadata`, { acts: ['kind', 'metadata_key', 'default_value'] });
support(KIND, { acts: ['request', 'route', 'cluster', 'host'] });
for (const kind of ['Request', 'Route', 'Cluster', 'Host']) support(`${KIND}.${kind}`, { acts: [] });
support('envoy.type.metadata.v3.MetadataKey', { acts: ['key', 'path'] });
support('envoy.type.metadata.v3.MetadataKey.PathSegment', { acts: ['key'] });
support('envoy.config.trace.v3.Tracing.Http', { acts: ['name', 'typed_config'] });
support('envoy.config.trace.v3.OpenTelemetryConfig', {
  acts: ['grpc_service', 'http_service', 'service_name'],
  ignored: {
    resource_detectors: 'the resource holds the service name alone',
    sampler: 'sampling is that of the connection manager',
  },
});
support('envoy.config.core.v3.HttpService', { acts: ['http_uri', 'request_headers_to_add'] });
support('envoy.config.core.v3.HttpUri', { acts: ['uri', 'cluster', 'timeout'] });

const METADATA_OF = ['request', 'route', 'cluster', 'host'] as const;

function decodeTagSource(tag: MessageObject): CustomTag['from'] {
  const literal = message(tag, 'literal');
  if (literal !== undefined) return { kind: 'literal', value: text(literal, 'value') };
  const variable = message(tag, 'environment');
  if (variable !== undefined) {
    return { kind: 'environment', name: text(variable, 'name'), fallback: text(variable, 'default_value') };
  }
  const header = message(tag, 'request_header');
  if (header !== undefined) {
    return {
      kind: 'request-header',
      name: text(header, 'name').toLowerCase(),
      fallback: text(header, 'default_value'),
    };
  }
  const metadata = message(tag, 'metadata');
  const key = message(metadata, 'metadata_key');
  return {
    kind: 'metadata',
    of: METADATA_OF.find((of) => has(message(metadata, 'kind'), of)) ?? 'request',
    namespace: text(key, 'key'),
    path: messages(key, 'path').map((segment) => text(segment, 'key')),
    fallback: text(metadata, 'default_value'),
  };
}

const DEFAULT_SERVICE_NAME = 'unknown_service:envoy';

export const OPEN_TELEMETRY: Extension<Tracing['provider']> = {
  name: 'envoy.tracers.opentelemetry',
  type: 'envoy.config.trace.v3.OpenTelemetryConfig',
  decode: (config, ctx) => {
    const serviceName = text(config, 'service_name') || DEFAULT_SERVICE_NAME;
    const grpc = inside(config, 'grpc_service', ctx, decodeGrpcService);
    const http = message(config, 'http_service');
    if (grpc !== undefined && http !== undefined) {
      ctx.error('OpenTelemetry Tracer cannot have both gRPC and HTTP exporters configured');
    }
    if (grpc !== undefined) return { kind: 'otlp-grpc', service: grpc, serviceName };
    if (http === undefined) return undefined;
    const uri = message(http, 'http_uri');
    return {
      kind: 'otlp-http',
      cluster: text(uri, 'cluster'),
      uri: text(uri, 'uri'),
      headers: messages(http, 'request_headers_to_add').map((option) => {
        const header = message(option, 'header');
        return { key: text(header, 'key').toLowerCase(), value: headerValue(header) };
      }),
      timeoutMs: duration(uri, 'timeout', ctx) ?? 0,
      serviceName,
    };
  },
};

const DEFAULT_MAX_PATH_TAG = 256;

export function decodeTracing(tracing: MessageObject, ctx: DecodeContext): Tracing {
  const provider = inside(tracing, 'provider', ctx, (value) =>
    decodeExtension('tracer', any(value, 'typed_config'), text(value, 'name'), ctx),
  );
  return {
    clientSampling: percent(tracing, 'client_sampling') ?? 100,
    randomSampling: percent(tracing, 'random_sampling') ?? 100,
    overallSampling: percent(tracing, 'overall_sampling') ?? 100,
    verbose: flag(tracing, 'verbose'),
    maxPathTagLength: wrappedNumber(tracing, 'max_path_tag_length') ?? DEFAULT_MAX_PATH_TAG,
    customTags: each(tracing, 'custom_tags', ctx, (tag) => ({ tag: text(tag, 'tag'), from: decodeTagSource(tag) })),
    provider: provider?.kind === 'acts' ? provider.value : undefined,
    spawnUpstreamSpan: wrappedFlag(tracing, 'spawn_upstream_span') ?? false,
  };
}
