/** What clusters tell of themselves: for the admin pages and configuration dumps. */
import type { Address } from '../../xds-client/model/common.ts';
import type { EdsHealth, Locality } from '../../xds-client/model/endpoint.ts';

/** What the main thread found out about an endpoint: the names of `HealthFlag` (./shared.ts). */
export type EndpointFlag =
  | 'failedActiveHealthCheck'
  | 'failedOutlierCheck'
  | 'degradedActiveHealthCheck'
  | 'pendingActiveHealthCheck'
  | 'pendingDynamicRemoval'
  | 'excludedByImmediateFailure'
  | 'activeHealthCheckTimeout';

export interface EndpointStatus {
  readonly address: Address;
  readonly hostname: string;
  readonly locality: Locality;
  readonly priority: number;
  readonly weight: number;
  readonly canary: boolean;
  readonly edsHealth: EdsHealth;
  readonly healthFlags: ReadonlySet<EndpointFlag>;
  /** Where active health checks ask, in so far as it is not the endpoint's own. */
  readonly healthCheck: { readonly port: number | undefined; readonly hostname: string };
  /** Envoy's names: `cx_active`, `cx_connect_fail`, `cx_total`, `rq_active`, `rq_error`, ... Absent ones are 0. */
  readonly stats: { readonly [name: string]: number };
}

export interface ThresholdStatus {
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
}

export interface ClusterStatus {
  readonly name: string;
  /** `alt_stat_name`, or the name. */
  readonly observabilityName: string;
  readonly edsServiceName: string | undefined;
  readonly thresholds: { readonly default: ThresholdStatus; readonly high: ThresholdStatus };
  readonly endpoints: readonly EndpointStatus[];
}
