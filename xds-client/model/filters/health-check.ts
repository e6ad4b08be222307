/** envoy.extensions.filters.http.health_check.v3.HealthCheck. */
import type { HeaderMatch } from '../common.ts';

export interface HealthCheckFilterConfig {
  /** Checks go to the upstream, as long as the server itself is well. */
  readonly passThrough: boolean;
  /** How long the upstream's answer stands for the next ones; 0: not at all. */
  readonly cacheMs: number;
  /** Without `passThrough`: how many percent of these clusters' endpoints have to be there, healthy or degraded. */
  readonly minHealthy: readonly { readonly cluster: string; readonly percent: number }[];
  /** A request that matches all of them is a check. */
  readonly headers: readonly HeaderMatch[];
}
