import type { AccessLog, AccessLogFilter, LogFormat } from './access-log.ts';
import type { CidrRange, ConfigSource, ExtensionConfig, GrpcService, HeaderToAdd } from './common.ts';
import type { RouteConfiguration } from './route.ts';

/** One custom tag of a span. */
export interface CustomTag {
  readonly tag: string;
  readonly from:
    | { readonly kind: 'literal'; readonly value: string }
    | { readonly kind: 'environment'; readonly name: string; readonly fallback: string }
    | { readonly kind: 'request-header'; readonly name: string; readonly fallback: string }
    | {
        readonly kind: 'metadata';
        readonly of: 'request' | 'route' | 'cluster' | 'host';
        readonly namespace: string;
        readonly path: readonly string[];
        readonly fallback: string;
      };
}

/** envoy HttpConnectionManager.Tracing. Fractions are percents of a hundred. */
export interface Tracing {
  readonly clientSampling: number;
  readonly randomSampling: number;
  readonly overallSampling: number;
  readonly verbose: boolean;
  readonly maxPathTagLength: number;
  readonly customTags: readonly CustomTag[];
  /** Where spans go; `undefined`: context is passed on, nothing is exported. */
  readonly provider:
    | undefined
    | { readonly kind: 'otlp-grpc'; readonly service: GrpcService; readonly serviceName: string }
    | {
        readonly kind: 'otlp-http';
        readonly cluster: string;
        readonly uri: string;
        readonly headers: readonly { readonly key: string; readonly value: string }[];
        readonly timeoutMs: number;
        readonly serviceName: string;
      };
  readonly spawnUpstreamSpan: boolean;
}

/** envoy Http1ProtocolOptions. */
export interface Http1Options {
  readonly acceptHttp10: boolean;
  readonly defaultHostForHttp10: string | undefined;
  readonly allowAbsoluteUrl: boolean;
  readonly headerCase: 'lower' | 'proper' | 'preserve';
  readonly enableTrailers: boolean;
  readonly allowChunkedLength: boolean;
  readonly overrideStreamErrorOnInvalidHttpMessage: boolean | undefined;
}

/** envoy Http2ProtocolOptions. `undefined`: Envoy's default. */
export interface Http2Options {
  readonly maxConcurrentStreams: number | undefined;
  readonly initialStreamWindowSize: number | undefined;
  readonly initialConnectionWindowSize: number | undefined;
  readonly hpackTableSize: number | undefined;
  readonly allowConnect: boolean;
  readonly maxOutboundFrames: number | undefined;
  readonly maxOutboundControlFrames: number | undefined;
  readonly maxConsecutiveInboundFramesWithEmptyPayload: number | undefined;
  readonly maxInboundPriorityFramesPerStream: number | undefined;
  readonly maxInboundWindowUpdateFramesPerDataFrameSent: number | undefined;
  readonly overrideStreamErrorOnInvalidHttpMessage: boolean | undefined;
  readonly keepalive:
    | { readonly intervalMs: number | undefined; readonly timeoutMs: number; readonly intervalJitterPercent: number }
    | undefined;
}

/** envoy HttpProtocolOptions (the "common" ones). */
export interface CommonHttpOptions {
  /** Default one hour; 0: never. */
  readonly idleTimeoutMs: number;
  readonly maxConnectionDurationMs: number | undefined;
  readonly maxHeadersCount: number;
  readonly maxStreamDurationMs: number | undefined;
  readonly headersWithUnderscores: 'allow' | 'reject' | 'drop';
  readonly maxRequestsPerConnection: number | undefined;
}

export interface UpgradeConfig {
  /** Lower case. */
  readonly type: string;
  readonly enabled: boolean;
  /** Of requests that become this protocol; empty: those of the connection manager. */
  readonly filters: readonly HttpFilterConfig[];
}

/** One HTTP filter of the chain. The last one is the router. */
export interface HttpFilterConfig {
  readonly name: string;
  readonly extension: ExtensionConfig;
  readonly disabled: boolean;
}

/** envoy LocalReplyConfig mapper. */
export interface LocalReplyMapper {
  readonly filter: AccessLogFilter;
  readonly status: number | undefined;
  readonly body: string | undefined;
  readonly format: LogFormat | undefined;
  readonly contentType: string | undefined;
  readonly headersToAdd: readonly HeaderToAdd[];
}

export interface HttpConnectionManager {
  readonly statPrefix: string;
  readonly codec: 'auto' | 'http1' | 'http2';
  readonly routes:
    | { readonly kind: 'inline'; readonly config: RouteConfiguration }
    | { readonly kind: 'rds'; readonly name: string; readonly source: ConfigSource };
  readonly httpFilters: readonly HttpFilterConfig[];
  readonly common: CommonHttpOptions;
  readonly http1: Http1Options;
  readonly http2: Http2Options;
  readonly tracing: Tracing | undefined;
  readonly accessLogs: readonly AccessLog[];
  readonly accessLogFlushIntervalMs: number | undefined;
  readonly accessLogOnNewRequest: boolean;
  readonly useRemoteAddress: boolean;
  readonly xffNumTrustedHops: number;
  readonly skipXffAppend: boolean;
  readonly internalAddressRanges: readonly CidrRange[];
  /** `undefined`: the default `tollway`. */
  readonly serverName: string | undefined;
  readonly serverHeader: 'overwrite' | 'append-if-absent' | 'pass-through';
  readonly via: string | undefined;
  readonly generateRequestId: boolean;
  readonly preserveExternalRequestId: boolean;
  readonly alwaysSetRequestIdInResponse: boolean;
  readonly forwardClientCert: 'sanitize' | 'forward-only' | 'append-forward' | 'sanitize-set' | 'always-forward-only';
  readonly setClientCertDetails: {
    readonly subject: boolean;
    readonly cert: boolean;
    readonly chain: boolean;
    readonly dns: boolean;
    readonly uri: boolean;
  };
  readonly proxy100Continue: boolean;
  /** Default 60 KiB. */
  readonly maxRequestHeadersKb: number;
  /** 0: none. Default five minutes. */
  readonly streamIdleTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly requestHeadersTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly delayedCloseTimeoutMs: number;
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  readonly escapedSlashes: 'keep' | 'reject' | 'unescape-redirect' | 'unescape-forward';
  readonly stripPort: 'no' | 'matching' | 'any';
  readonly stripTrailingHostDot: boolean;
  readonly upgrades: readonly UpgradeConfig[];
  readonly localReply:
    | {
        readonly mappers: readonly LocalReplyMapper[];
        readonly bodyFormat: LogFormat | undefined;
        /** Of `bodyFormat`; `undefined`: by its kind. */
        readonly contentType: string | undefined;
      }
    | undefined;
  readonly streamErrorOnInvalidHttpMessage: boolean;
  readonly appendXForwardedPort: boolean;
  readonly schemeOverwrite: 'http' | 'https' | undefined;
}
