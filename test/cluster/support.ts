/** Clusters and assignments for tests. */
import type { Cluster, Thresholds } from '../../xds-client/model/cluster.ts';
import type { Address } from '../../xds-client/model/common.ts';
import type { Assignment, EdsHealth, Endpoint, LocalityEndpoints } from '../../xds-client/model/endpoint.ts';
import type { Http1Options } from '../../xds-client/model/http-connection-manager.ts';

export const thresholds: Thresholds = {
  maxConnections: 1024,
  maxPendingRequests: 1024,
  maxRequests: 1024,
  maxRetries: 3,
  retryBudget: undefined,
  trackRemaining: false,
};

const http1: Http1Options = {
  acceptHttp10: false,
  defaultHostForHttp10: undefined,
  allowAbsoluteUrl: true,
  headerCase: 'lower',
  enableTrailers: false,
  allowChunkedLength: false,
  overrideStreamErrorOnInvalidHttpMessage: undefined,
};

export function cluster(name: string, changes: Partial<Cluster> = {}): Cluster {
  return {
    name,
    altStatName: undefined,
    discovery: { kind: 'eds', serviceName: name, source: { kind: 'ads' } },
    dns: { refreshMs: 5000, respectTtl: false, failureRefresh: undefined, family: 'auto' },
    lb: { kind: 'round-robin', slowStart: undefined },
    panicThresholdPercent: 50,
    overprovisioningFactor: 140,
    connectTimeoutMs: 5000,
    perConnectionBufferLimitBytes: 1 << 20,
    thresholds: { default: thresholds, high: thresholds },
    protocol: { kind: 'http1', http1 },
    common: {
      idleTimeoutMs: 3_600_000,
      maxConnectionDurationMs: undefined,
      maxHeadersCount: 100,
      maxStreamDurationMs: undefined,
      headersWithUnderscores: 'allow',
      maxRequestsPerConnection: undefined,
    },
    autoSni: false,
    autoSanValidation: false,
    transportSocket: { kind: 'raw' },
    transportSocketMatches: [],
    tcpKeepalive: undefined,
    sourceAddress: undefined,
    closeConnectionsOnHostHealthFailure: false,
    ignoreHealthOnHostRemoval: false,
    metadata: {},
    ...changes,
  };
}

/** Thresholds for both priorities, the rest as Envoy's defaults. */
export function limited(changes: Partial<Thresholds>): Cluster['thresholds'] {
  const row = { ...thresholds, ...changes };
  return { default: row, high: row };
}

export function endpoint(host: string, port: number, changes: Partial<Endpoint> = {}): Endpoint {
  const address: Address = { kind: 'socket', host, port };
  return { address, hostname: '', health: 'unknown', weight: 1, metadata: {}, ...changes };
}

export function locality(endpoints: readonly Endpoint[], priority = 0, weight?: number): LocalityEndpoints {
  return { locality: { region: '', zone: '', subZone: '' }, priority, weight, endpoints };
}

export function assignment(name: string, endpoints: readonly Endpoint[]): Assignment {
  return {
    clusterName: name,
    localities: [locality(endpoints)],
    overprovisioningFactor: 140,
    endpointStaleAfterMs: undefined,
    drops: [],
  };
}

export const unhealthy = { health: 'unhealthy' satisfies EdsHealth } as const;
