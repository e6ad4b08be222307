/** envoy.extensions.filters.http.fault.v3.HTTPFault. */
import type { HeaderMatch, Json } from '../common.ts';

/** A share of requests: `numerator` of `denominator`. */
export interface FaultShare {
  readonly numerator: number;
  readonly denominator: number;
}

export interface FaultConfig {
  readonly delay?: {
    /** `undefined`: the request says it. */
    readonly ms?: number;
    readonly share: FaultShare;
  };
  readonly abort?: {
    /** With neither of the two the request says it. */
    readonly httpStatus?: number;
    readonly grpcStatus?: number;
    readonly share: FaultShare;
  };
  readonly responseRate?: {
    /** `undefined`: the request says it. */
    readonly kibPerSecond?: number;
    readonly share: FaultShare;
  };
  /** Empty: whatever the cluster. */
  readonly upstreamCluster: string;
  /** All have to match. */
  readonly headers: readonly HeaderMatch[];
  /** Empty: whatever the node. */
  readonly downstreamNodes: readonly string[];
  readonly maxActive?: number;
  readonly runtime: FaultRuntimeKeys;
  /** Counted by `x-envoy-downstream-service-cluster` too. */
  readonly countDownstreamClusters: boolean;
  /** The dynamic metadata of a request with a fault. */
  readonly metadata: { readonly [key: string]: Json };
}

export interface FaultRuntimeKeys {
  readonly delayPercent: string;
  readonly delayMs: string;
  readonly abortPercent: string;
  readonly abortHttpStatus: string;
  readonly abortGrpcStatus: string;
  readonly maxActive: string;
  readonly responseRatePercent: string;
}
