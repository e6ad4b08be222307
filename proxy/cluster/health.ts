/** An endpoint's health: EDS's word and the flags that the main thread sets. The same on both sides. */
import type { Address } from '../../xds-client/model/common.ts';
import type { EdsHealth, Endpoint } from '../../xds-client/model/endpoint.ts';
import type { HostHealth } from '../balancer/contract.ts';
import { EXCLUDED_FLAGS, FAILED_FLAGS, HealthFlag } from './shared.ts';

/** `flags`: `HealthFlag` bits. */
export function healthOf(eds: EdsHealth, flags: number): HostHealth {
  if ((flags & FAILED_FLAGS) !== 0) return 'unhealthy';
  if (eds === 'degraded') return 'degraded';
  if (eds !== 'unknown' && eds !== 'healthy') return 'unhealthy';
  return (flags & HealthFlag.degradedActiveHealthCheck) === 0 ? 'healthy' : 'degraded';
}

/** Counts neither for nor against its priority's health: it leaves on purpose, or nobody knows it yet. */
export function isExcluded(eds: EdsHealth, flags: number): boolean {
  return eds === 'draining' || (flags & EXCLUDED_FLAGS) !== 0;
}

/** The endpoint's address, with what its `health_check_config` says instead. */
export function checkAddress({ address, healthCheck }: Endpoint): Address {
  const asked = healthCheck?.address ?? address;
  const port = healthCheck?.port;
  return port === undefined || asked.kind === 'pipe' ? asked : { ...asked, port };
}
