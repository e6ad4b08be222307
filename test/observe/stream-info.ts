/** A finished request to write about. */
import type { ConnectionInfo, TlsInfo } from '../../proxy/http/connection-info.ts';
import { HeaderMap, type RequestHead } from '../../proxy/http/headers.ts';
import { StreamInfo } from '../../proxy/http/stream-info.ts';
import type { Endpoint } from '../../xds-client/model/endpoint.ts';
import type { FilterChain, Listener } from '../../xds-client/model/listener.ts';
import type { Route } from '../../xds-client/model/route.ts';

const CHAIN: FilterChain = {
  name: 'plain',
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
  filters: [],
  transportSocket: { kind: 'raw' },
  transportSocketConnectTimeoutMs: undefined,
};

const LISTENER: Listener = {
  name: 'inbound',
  address: { kind: 'socket', host: '127.0.0.1', port: 15006 },
  additionalAddresses: [],
  bindToPort: true,
  useOriginalDst: false,
  transparent: false,
  freebind: false,
  statPrefix: undefined,
  filterChains: [CHAIN],
  defaultFilterChain: undefined,
  listenerFilters: [],
  listenerFiltersTimeoutMs: 0,
  continueOnListenerFiltersTimeout: false,
  perConnectionBufferLimitBytes: 0,
  drainType: 'default',
  tcpBacklogSize: undefined,
  trafficDirection: 'inbound',
  accessLogs: [],
  enableReusePort: true,
};

export const TLS: TlsInfo = {
  version: 'TLSv1.3',
  cipher: 'TLS_AES_128_GCM_SHA256',
  alpn: 'http/1.1',
  serverName: 'settlement.mesh',
  sessionReused: false,
  peerValidated: true,
  peer: {
    subject: 'CN=payment',
    issuer: 'CN=ca',
    sans: { uris: ['spiffe://mesh/ns/pay/sa/payment'], dnsNames: ['payment'], ips: [], emails: [], others: [] },
    serial: '0e666b',
    fingerprint256: 'ab'.repeat(32),
    fingerprint1: 'cd'.repeat(20),
    notBefore: Date.UTC(2026, 10, 21, 12),
    notAfter: Date.UTC(2026, 11, 21, 12),
    pem: () => '-----BEGIN CERTIFICATE-----',
    chain: () => [],
    issuedBy: () => undefined,
  },
  localSans: { uris: ['spiffe://mesh/ns/settle/sa/settlement'], dnsNames: [], ips: [], emails: [], others: [] },
  localSubject: 'CN=settlement',
};

export const ENDPOINT: Endpoint = {
  address: { kind: 'socket', host: '127.0.0.1', port: 28901 },
  hostname: 'h1',
  health: 'healthy',
  weight: 1,
  metadata: { 'envoy.lb': { canary: true } },
};

const NO_CHANGES = { requestAdd: [], requestRemove: [], responseAdd: [], responseRemove: [] };

export const ROUTE: Route = {
  name: 'r1',
  match: {
    path: { kind: 'prefix', value: '/', ignoreCase: false },
    headers: [],
    queryParameters: [],
    grpc: false,
    fraction: undefined,
    tls: undefined,
  },
  action: { kind: 'non-forwarding' },
  headers: NO_CHANGES,
  metadata: { 'com.test': { a: 1.5, b: 'x' } },
  decorator: undefined,
  perFilterConfig: {},
  statPrefix: undefined,
  perRequestBufferLimitBytes: undefined,
};

export function connection(tls: TlsInfo | undefined = undefined): ConnectionInfo {
  return {
    id: 7,
    listener: LISTENER,
    chain: CHAIN,
    directRemoteAddress: '10.0.0.9',
    directRemotePort: 40001,
    remoteAddress: '10.0.0.9',
    remotePort: 40001,
    localAddress: '127.0.0.1',
    localPort: 28910,
    localAddressRestored: false,
    requestedServerName: tls?.serverName,
    tls,
    startedAt: 900,
  };
}

export function headers(fields: { readonly [name: string]: string }): HeaderMap {
  const map = new HeaderMap();
  for (const [name, value] of Object.entries(fields)) map.add(name, value);
  return map;
}

export function head(fields: { readonly [name: string]: string } = {}, path = '/ready'): RequestHead {
  return {
    method: 'GET',
    path,
    authority: '127.0.0.1:28910',
    scheme: 'http',
    version: 11,
    protocol: undefined,
    headers: headers(fields),
  };
}

/** A request that was answered 200 by an endpoint after 3 ms, at 2026-11-21T12:01:59.832Z. */
export function finished(
  fields: { readonly [name: string]: string } = {
    'user-agent': 'curl/7.88.1',
    'x-request-id': '543f2e80-8714-44f5-aff1-9e01cf880b7b',
  },
  path = '/ready',
  tls: TlsInfo | undefined = undefined,
): StreamInfo {
  const info = new StreamInfo(connection(tls), head(fields, path), Date.UTC(2026, 10, 21, 12, 1, 59, 832), 1000);
  info.requestId = fields['x-request-id'];
  info.response = {
    status: 200,
    headers: headers({ 'content-type': 'text/plain', 'x-envoy-upstream-service-time': '0' }),
  };
  info.responseBodyBytes = 5;
  info.requestCompleteAt = 1000.2;
  info.upstreamRequestFirstByteAt = 1002.1;
  info.upstreamRequestLastByteAt = 1002.2;
  info.upstreamResponseFirstByteAt = 1002.9;
  info.upstreamResponseLastByteAt = 1003;
  info.downstreamResponseFirstByteAt = 1003;
  info.completeAt = 1003.02;
  info.responseCodeDetails = 'via_upstream';
  info.route = ROUTE;
  info.cluster = 'svc.one';
  info.endpoint = ENDPOINT;
  info.upstreamLocalAddress = '127.0.0.1:50000';
  info.upstreamProtocol = 'HTTP/1.1';
  info.attemptCount = 1;
  return info;
}
