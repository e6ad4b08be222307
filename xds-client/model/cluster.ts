import type { Address, ConfigSource, Json, Metadata } from './common.ts';
import type { LocalityEndpoints } from './endpoint.ts';
import type { HealthCheck } from './health-check.ts';
import type { CommonHttpOptions, Http1Options, Http2Options } from './http-connection-manager.ts';
import type { TransportSocket, UpstreamTls } from './tls.ts';

/** One row of circuit_breakers.thresholds. Envoy's defaults: 1024, 1024, 1024, 3. */
export interface Thresholds {
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
  /** Share of active requests that may be retries, instead of `maxRetries`. */
  readonly retryBudget: { readonly percent: number; readonly minConcurrency: number } | undefined;
  readonly trackRemaining: boolean;
}

/** How a request's endpoint is chosen. */
export type LbPolicy =
  | { readonly kind: 'round-robin'; readonly slowStart: SlowStart | undefined }
  | {
      readonly kind: 'least-request';
      readonly choiceCount: number;
      readonly activeRequestBias: number;
      readonly slowStart: SlowStart | undefined;
    }
  | { readonly kind: 'random' }
  | {
      readonly kind: 'ring-hash';
      readonly minimumRingSize: number;
      readonly maximumRingSize: number;
      readonly hash: 'xx-hash' | 'murmur-hash-2';
    }
  | { readonly kind: 'maglev'; readonly tableSize: number }
  | { readonly kind: 'cluster-provided' };

export interface SlowStart {
  readonly windowMs: number;
  readonly aggression: number;
  readonly minWeightPercent: number;
}

/** What a cluster's endpoints are chosen by. */
export interface Balancing {
  readonly lb: LbPolicy;
  /** A locality is chosen first, by its weight. Default false. */
  readonly localityWeighted?: boolean;
}

/** Which protocol the upstream is spoken to in. */
export type UpstreamProtocol =
  | { readonly kind: 'http1'; readonly http1: Http1Options }
  | { readonly kind: 'http2'; readonly http2: Http2Options }
  | { readonly kind: 'downstream'; readonly http1: Http1Options; readonly http2: Http2Options }
  /** By ALPN of the upstream connection. */
  | { readonly kind: 'auto'; readonly http1: Http1Options; readonly http2: Http2Options };

/** Outlier detection is decoded when its issue comes; until then the decoder names the field. */
export interface Cluster extends Balancing {
  readonly name: string;
  readonly altStatName: string | undefined;
  readonly discovery:
    | { readonly kind: 'static' | 'strict-dns' | 'logical-dns'; readonly localities: readonly LocalityEndpoints[] }
    | { readonly kind: 'eds'; readonly serviceName: string; readonly source: ConfigSource }
    | { readonly kind: 'original-dst'; readonly useHeader: string | undefined; readonly port: number | undefined };
  readonly dns: {
    readonly refreshMs: number;
    readonly respectTtl: boolean;
    readonly failureRefresh: { readonly baseMs: number; readonly maxMs: number } | undefined;
    readonly family: 'auto' | 'v4-only' | 'v6-only' | 'v4-preferred' | 'all';
  };
  /** Below this share of healthy endpoints the health is not looked at (panic). Default 50. */
  readonly panicThresholdPercent: number;
  readonly overprovisioningFactor: number;
  /** Default 5 000. */
  readonly connectTimeoutMs: number;
  readonly perConnectionBufferLimitBytes: number;
  readonly thresholds: { readonly default: Thresholds; readonly high: Thresholds };
  readonly protocol: UpstreamProtocol;
  readonly common: CommonHttpOptions;
  readonly autoSni: boolean;
  readonly autoSanValidation: boolean;
  readonly transportSocket: TransportSocket<UpstreamTls>;
  /** In order; the first whose `match` is a subset of the endpoint's `envoy.transport_socket_match` wins. */
  readonly transportSocketMatches: readonly {
    readonly name: string;
    readonly match: { readonly [key: string]: Json };
    readonly transportSocket: TransportSocket<UpstreamTls>;
  }[];
  readonly tcpKeepalive:
    | {
        readonly probes: number | undefined;
        readonly timeS: number | undefined;
        readonly intervalS: number | undefined;
      }
    | undefined;
  readonly sourceAddress: Address | undefined;
  readonly healthCheck?: HealthCheck;
  /** Endpoints that were never checked do not count in their priority's health. Default false. */
  readonly ignoreNewHostsUntilFirstCheck?: boolean;
  readonly closeConnectionsOnHostHealthFailure: boolean;
  readonly ignoreHealthOnHostRemoval: boolean;
  readonly metadata: Metadata;
}
