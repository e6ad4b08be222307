/** How a cluster's endpoints are asked whether they are well (envoy.config.core.v3.HealthCheck), defaults filled in. */
import type { Address, HeaderToAdd, Json, StringMatch } from './common.ts';

export interface HealthCheck {
  readonly timeoutMs: number;
  /** Before an endpoint's first check, drawn between 0 and this. */
  readonly initialJitterMs: number;
  /** Added to every pause, drawn between 0 and this. */
  readonly intervalJitterMs: number;
  /** The same as a share of the pause. */
  readonly intervalJitterPercent: number;
  /** Failures in a row that make a healthy endpoint unhealthy, and successes for the way back. */
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
  /** The pause after a check, by what came of it. */
  readonly intervals: HealthCheckIntervals;
  readonly reuseConnection: boolean;
  readonly probe: GrpcProbe | HttpProbe | TcpProbe;
  /** Offered in TLS instead of what the probe speaks; empty: that. */
  readonly alpn: readonly string[];
  /** Chooses among `transport_socket_matches` in place of the endpoint's metadata. */
  readonly socketMatch: { readonly [key: string]: Json } | undefined;
}

export interface HealthCheckIntervals {
  /** Good, and it changes nothing. */
  readonly healthyMs: number;
  /** Good, and the endpoint still counts as unhealthy. */
  readonly healthyEdgeMs: number;
  readonly unhealthyMs: number;
  /** Bad, and the endpoint still counts as healthy. */
  readonly unhealthyEdgeMs: number;
  /** While no connection for requests was ever made in the cluster. */
  readonly noTrafficMs: number;
  readonly noTrafficHealthyMs: number;
}

/** grpc.health.v1.Health/Check. */
export interface GrpcProbe {
  readonly kind: 'grpc';
  readonly service: string;
  /** `undefined`: the cluster's name. */
  readonly authority: string | undefined;
  readonly metadata: readonly HeaderToAdd[];
}

export interface HttpProbe {
  readonly kind: 'http';
  /** `undefined`: the cluster's name. */
  readonly host: string | undefined;
  readonly path: string;
  readonly method: string;
  readonly http2: boolean;
  readonly headersToAdd: readonly HeaderToAdd[];
  /** Lower case. */
  readonly headersToRemove: readonly string[];
  /** `end` is not in it. */
  readonly expectedStatuses: readonly StatusRange[];
  readonly retriableStatuses: readonly StatusRange[];
  /** Base64. */
  readonly send: string | undefined;
  readonly receive: readonly string[];
  /** How much of the body is looked at; 0: all of it, up to 1 MiB. */
  readonly bufferBytes: number;
  /** Of `x-envoy-upstream-healthchecked-cluster`. */
  readonly serviceName: StringMatch | undefined;
}

export interface TcpProbe {
  readonly kind: 'tcp';
  /** Base64. Without `receive` a connection is enough. */
  readonly send: string | undefined;
  readonly receive: readonly string[];
}

export interface StatusRange {
  readonly start: number;
  readonly end: number;
}

/** envoy Endpoint.HealthCheckConfig. */
export interface EndpointHealthCheck {
  /** Instead of the endpoint's own. */
  readonly address: Address | undefined;
  /** Instead of the address's. */
  readonly port: number | undefined;
  /** For the authority. */
  readonly hostname: string;
  readonly disabled: boolean;
}
