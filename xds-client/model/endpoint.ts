import type { Address, Metadata } from './common.ts';
import type { EndpointHealthCheck } from './health-check.ts';

/** What EDS says of an endpoint. `unknown` counts as healthy. */
export type EdsHealth = 'unknown' | 'healthy' | 'unhealthy' | 'draining' | 'timeout' | 'degraded';

export interface Endpoint {
  readonly address: Address;
  readonly hostname: string;
  readonly health: EdsHealth;
  /** 1 or more. */
  readonly weight: number;
  readonly metadata: Metadata;
  readonly healthCheck?: EndpointHealthCheck;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

export interface LocalityEndpoints {
  readonly locality: Locality;
  readonly priority: number;
  /** `undefined`: no locality weighting. */
  readonly weight: number | undefined;
  readonly endpoints: readonly Endpoint[];
}

/** ClusterLoadAssignment. */
export interface Assignment {
  readonly clusterName: string;
  readonly localities: readonly LocalityEndpoints[];
  readonly overprovisioningFactor: number;
  readonly endpointStaleAfterMs: number | undefined;
  readonly drops: readonly { readonly category: string; readonly numerator: number; readonly denominator: number }[];
}
