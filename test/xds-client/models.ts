/** Small whole models for tests. */
import type { Cluster, Thresholds } from '../../xds-client/model/cluster.ts';
import type { ConfigSource } from '../../xds-client/model/common.ts';
import type { Assignment } from '../../xds-client/model/endpoint.ts';
import type { HealthCheck } from '../../xds-client/model/health-check.ts';
import type { HttpConnectionManager } from '../../xds-client/model/http-connection-manager.ts';
import type { FilterChain, Listener } from '../../xds-client/model/listener.ts';
import type { Route, RouteConfiguration } from '../../xds-client/model/route.ts';
import type { DownstreamTls, TlsParameters, UpstreamTls } from '../../xds-client/model/tls.ts';

export const ADS: ConfigSource = { kind: 'ads' };

const THRESHOLDS: Thresholds = {
  maxConnections: 1024,
  maxPendingRequests: 1024,
  maxRequests: 1024,
  maxRetries: 3,
  retryBudget: undefined,
  trackRemaining: false,
};

const HTTP1 = {
  acceptHttp10: false,
  defaultHostForHttp10: undefined,
  allowAbsoluteUrl: true,
  headerCase: 'lower',
  enableTrailers: false,
  allowChunkedLength: false,
  overrideStreamErrorOnInvalidHttpMessage: undefined,
} as const;

export const HEALTH_CHECK: HealthCheck = {
  timeoutMs: 1000,
  initialJitterMs: 0,
  intervalJitterMs: 0,
  intervalJitterPercent: 0,
  unhealthyThreshold: 1,
  healthyThreshold: 1,
  intervals: {
    healthyMs: 1,
    healthyEdgeMs: 1,
    unhealthyMs: 1,
    unhealthyEdgeMs: 1,
    noTrafficMs: 1,
    noTrafficHealthyMs: 1,
  },
  reuseConnection: true,
  probe: { kind: 'tcp', send: undefined, receive: [] },
  alpn: [],
  socketMatch: undefined,
};

export function cluster(name: string, changes: Partial<Cluster> = {}): Cluster {
  return {
    name,
    altStatName: undefined,
    discovery: { kind: 'eds', serviceName: '', source: ADS },
    dns: { refreshMs: 5000, respectTtl: false, failureRefresh: undefined, family: 'auto' },
    lb: { kind: 'round-robin', slowStart: undefined },
    panicThresholdPercent: 50,
    overprovisioningFactor: 140,
    connectTimeoutMs: 5000,
    perConnectionBufferLimitBytes: 1 << 20,
    thresholds: { default: THRESHOLDS, high: THRESHOLDS },
    protocol: { kind: 'http1', http1: HTTP1 },
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

/** One endpoint a port. */
export function assignment(clusterName: string, ...ports: number[]): Assignment {
  return {
    clusterName,
    localities: [
      {
        locality: { region: '', zone: '', subZone: '' },
        priority: 0,
        weight: undefined,
        endpoints: ports.map((port) => ({
          address: { kind: 'socket', host: '127.0.0.1', port },
          hostname: '',
          health: 'unknown',
          weight: 1,
          metadata: {},
        })),
      },
    ],
    overprovisioningFactor: 140,
    endpointStaleAfterMs: undefined,
    drops: [],
  };
}

export function portsOf(given: Assignment): number[] {
  return given.localities.flatMap(({ endpoints }) =>
    endpoints.map(({ address }) => (address.kind === 'socket' ? address.port : 0)),
  );
}

const NO_HEADERS = { requestAdd: [], requestRemove: [], responseAdd: [], responseRemove: [] };

/** All paths to one cluster. */
export function routes(name: string, to: string): RouteConfiguration {
  const route: Route = {
    name: '',
    match: {
      path: { kind: 'prefix', value: '/', ignoreCase: false },
      headers: [],
      queryParameters: [],
      grpc: false,
      fraction: undefined,
      tls: undefined,
    },
    action: {
      kind: 'route',
      cluster: { kind: 'name', name: to },
      clusterNotFoundStatus: 503,
      prefixRewrite: undefined,
      regexRewrite: undefined,
      hostRewrite: undefined,
      appendXForwardedHost: false,
      timeoutMs: 15_000,
      idleTimeoutMs: undefined,
      usesStreamDuration: false,
      maxStreamDurationMs: undefined,
      grpcTimeoutHeaderMaxMs: undefined,
      grpcTimeoutOffsetMs: 0,
      retry: undefined,
      hash: [],
      priority: 'default',
      metadataMatch: undefined,
      mirrors: [],
      upgrades: [],
      internalRedirect: undefined,
    },
    headers: NO_HEADERS,
    metadata: {},
    decorator: undefined,
    perFilterConfig: {},
    statPrefix: undefined,
    perRequestBufferLimitBytes: undefined,
  };
  return {
    name,
    virtualHosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: [route],
        requireTls: 'none',
        virtualClusters: [],
        headers: NO_HEADERS,
        retry: undefined,
        includeRequestAttemptCount: false,
        includeAttemptCountInResponse: false,
        includeIsTimeoutRetryHeader: false,
        perFilterConfig: {},
        perRequestBufferLimitBytes: undefined,
        hedgeOnPerTryTimeout: false,
      },
    ],
    headers: NO_HEADERS,
    internalOnlyHeaders: [],
    mostSpecificHeaderMutationsWins: false,
    ignorePortInHostMatching: false,
    validateClusters: false,
    maxDirectResponseBodyBytes: 4096,
    perFilterConfig: {},
  };
}

/** A connection manager as far as the configuration side looks at it. */
function connectionManager(statPrefix: string, rds: string, source: ConfigSource): HttpConnectionManager {
  const part: Partial<HttpConnectionManager> = { statPrefix, routes: { kind: 'rds', name: rds, source } };
  return part as HttpConnectionManager;
}

export function chain(rds: string, source: ConfigSource = ADS): FilterChain {
  return {
    name: '',
    match: {
      destinationPort: undefined,
      prefixRanges: [],
      serverNames: [],
      transportProtocol: undefined,
      applicationProtocols: [],
      directSourcePrefixRanges: [],
      sourceType: 'any',
      sourcePrefixRanges: [],
      sourcePorts: [],
    },
    filters: [{ kind: 'http-connection-manager', name: 'hcm', config: connectionManager('in', rds, source) }],
    transportSocket: { kind: 'raw' },
    transportSocketConnectTimeoutMs: undefined,
  };
}

export function listener(name: string, chains: readonly FilterChain[], changes: Partial<Listener> = {}): Listener {
  return {
    name,
    address: { kind: 'socket', host: '127.0.0.1', port: 0 },
    additionalAddresses: [],
    bindToPort: true,
    useOriginalDst: false,
    transparent: false,
    freebind: false,
    statPrefix: undefined,
    filterChains: chains,
    defaultFilterChain: undefined,
    listenerFilters: [],
    listenerFiltersTimeoutMs: 15_000,
    continueOnListenerFiltersTimeout: false,
    perConnectionBufferLimitBytes: 1 << 20,
    drainType: 'default',
    tcpBacklogSize: undefined,
    trafficDirection: 'unspecified',
    accessLogs: [],
    enableReusePort: true,
    ...changes,
  };
}

/** A certificate, and roots where a name for them is given, by SDS. */
function tlsParameters(certificate: string, roots: string | undefined): TlsParameters {
  return {
    minVersion: undefined,
    maxVersion: undefined,
    cipherSuites: [],
    ecdhCurves: [],
    signatureAlgorithms: [],
    alpnProtocols: [],
    certificates: [{ kind: 'sds', name: certificate, source: ADS }],
    validation: roots === undefined ? undefined : { kind: 'sds', name: roots, source: ADS, defaults: undefined },
    keyLog: undefined,
  };
}

export function upstreamTls(certificate: string, roots?: string): UpstreamTls {
  return {
    common: tlsParameters(certificate, roots),
    sni: undefined,
    autoHostSni: false,
    autoSniSanValidation: false,
    allowRenegotiation: false,
    enforceRsaKeyUsage: false,
    maxSessionKeys: 1,
  };
}

export function downstreamTls(certificate: string, roots?: string): DownstreamTls {
  return {
    common: tlsParameters(certificate, roots),
    requireClientCertificate: false,
    sessionTickets: false,
    sessionTimeoutMs: undefined,
    requireSni: false,
    sessionIds: true,
    ocspStaplePolicy: 'lenient',
    anyCertificateForUnknownNames: false,
  };
}
