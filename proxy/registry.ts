/**
 * The one list of filters, by type URL. A new one is its folder, a line here, a decoder line in
 * xds-client/decode/extensions.ts and a test. The connection manager, its router and the TCP proxy are built in: they
 * have models of their own. A filter's code is loaded by the first listener that has it: most have few, and a start is
 * mostly loading.
 */
import { createRequire } from 'node:module';
import type { HttpFilterFactory } from './filters/http/contract.ts';
import type { ExtensionFilterFactory } from './filters/network/contract.ts';

const require = createRequire(import.meta.url);
const HTTP = 'envoy.extensions.filters.http';
const NETWORK = 'envoy.extensions.filters.network';

export const HTTP_FILTERS: ReadonlyMap<string, () => HttpFilterFactory> = new Map([
  [
    `${HTTP}.buffer.v3.Buffer`,
    () => (require('./filters/http/buffer/buffer.ts') as typeof import('./filters/http/buffer/buffer.ts')).BUFFER,
  ],
  [
    `${HTTP}.cors.v3.Cors`,
    () => (require('./filters/http/cors/cors.ts') as typeof import('./filters/http/cors/cors.ts')).CORS,
  ],
  [
    `${HTTP}.health_check.v3.HealthCheck`,
    () =>
      (
        require('./filters/http/health-check/health-check.ts') as typeof import('./filters/http/health-check/health-check.ts')
      ).HEALTH_CHECK,
  ],
  [
    `${HTTP}.header_mutation.v3.HeaderMutation`,
    () =>
      (
        require('./filters/http/header-mutation/header-mutation.ts') as typeof import('./filters/http/header-mutation/header-mutation.ts')
      ).HEADER_MUTATION,
  ],
  [
    `${HTTP}.grpc_web.v3.GrpcWeb`,
    () =>
      (require('./filters/http/grpc-web/grpc-web.ts') as typeof import('./filters/http/grpc-web/grpc-web.ts')).GRPC_WEB,
  ],
  [
    `${HTTP}.fault.v3.HTTPFault`,
    () => (require('./filters/http/fault/fault.ts') as typeof import('./filters/http/fault/fault.ts')).FAULT,
  ],
  [
    `${HTTP}.grpc_stats.v3.FilterConfig`,
    () =>
      (require('./filters/http/grpc-stats/grpc-stats.ts') as typeof import('./filters/http/grpc-stats/grpc-stats.ts'))
        .GRPC_STATS,
  ],
  [
    `${HTTP}.set_metadata.v3.Config`,
    () =>
      (
        require('./filters/http/set-metadata/set-metadata.ts') as typeof import('./filters/http/set-metadata/set-metadata.ts')
      ).SET_METADATA,
  ],
  [
    `${HTTP}.compressor.v3.Compressor`,
    () =>
      (require('./filters/http/compressor/compressor.ts') as typeof import('./filters/http/compressor/compressor.ts'))
        .COMPRESSOR,
  ],
  [
    `${HTTP}.decompressor.v3.Decompressor`,
    () =>
      (
        require('./filters/http/decompressor/decompressor.ts') as typeof import('./filters/http/decompressor/decompressor.ts')
      ).DECOMPRESSOR,
  ],
]);

/** The HTTP filter whose configuration has that type; `undefined`: there is none. */
export function httpFilter(typeUrl: string): HttpFilterFactory | undefined {
  return HTTP_FILTERS.get(typeUrl)?.();
}

export const NETWORK_FILTERS: ReadonlyMap<string, () => ExtensionFilterFactory> = new Map([
  [
    `${NETWORK}.direct_response.v3.Config`,
    () =>
      (
        require('./filters/network/direct-response/direct-response.ts') as typeof import('./filters/network/direct-response/direct-response.ts')
      ).DIRECT_RESPONSE,
  ],
  [
    `${NETWORK}.echo.v3.Echo`,
    () => (require('./filters/network/echo/echo.ts') as typeof import('./filters/network/echo/echo.ts')).ECHO,
  ],
  [
    `${NETWORK}.connection_limit.v3.ConnectionLimit`,
    () =>
      (
        require('./filters/network/connection-limit/connection-limit.ts') as typeof import('./filters/network/connection-limit/connection-limit.ts')
      ).CONNECTION_LIMIT,
  ],
  [
    `${NETWORK}.local_ratelimit.v3.LocalRateLimit`,
    () =>
      (
        require('./filters/network/local-ratelimit/local-ratelimit.ts') as typeof import('./filters/network/local-ratelimit/local-ratelimit.ts')
      ).LOCAL_RATELIMIT,
  ],
  [
    `${NETWORK}.sni_cluster.v3.SniCluster`,
    () =>
      (
        require('./filters/network/sni-cluster/sni-cluster.ts') as typeof import('./filters/network/sni-cluster/sni-cluster.ts')
      ).SNI_CLUSTER,
  ],
  [
    `${NETWORK}.rbac.v3.RBAC`,
    () => (require('./filters/network/rbac/rbac.ts') as typeof import('./filters/network/rbac/rbac.ts')).RBAC,
  ],
]);

/** The network filter whose configuration has that type; `undefined`: there is none. */
export function networkFilter(typeUrl: string): ExtensionFilterFactory | undefined {
  return NETWORK_FILTERS.get(typeUrl)?.();
}
