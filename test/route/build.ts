/** Route configurations for tests: what a test does not say is Envoy's default. */
import { HeaderMap, type RequestHead } from '../../proxy/http/headers.ts';
import type { HeaderChanges, HeaderToAdd } from '../../xds-client/model/common.ts';
import type {
  RedirectAction,
  Route,
  RouteAction,
  RouteConfiguration,
  RouteMatch,
  VirtualHost,
} from '../../xds-client/model/route.ts';

export const NO_CHANGES: HeaderChanges = { requestAdd: [], requestRemove: [], responseAdd: [], responseRemove: [] };

export function action(parts: Partial<RouteAction> = {}): RouteAction {
  return {
    kind: 'route',
    cluster: { kind: 'name', name: 'c' },
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
    ...parts,
  };
}

export function redirect(parts: Partial<RedirectAction> = {}): RedirectAction {
  return {
    kind: 'redirect',
    scheme: undefined,
    httpsRedirect: false,
    host: undefined,
    port: undefined,
    path: undefined,
    prefixRewrite: undefined,
    regexRewrite: undefined,
    status: 301,
    stripQuery: false,
    ...parts,
  };
}

export function match(path: string | RouteMatch['path'], parts: Partial<RouteMatch> = {}): RouteMatch {
  return {
    path: typeof path === 'string' ? { kind: 'prefix', value: path, ignoreCase: false } : path,
    headers: [],
    queryParameters: [],
    grpc: false,
    fraction: undefined,
    tls: undefined,
    ...parts,
  };
}

export function route(name: string, routeMatch: RouteMatch, parts: Partial<Route> = {}): Route {
  return {
    name,
    match: routeMatch,
    action: action(),
    headers: NO_CHANGES,
    metadata: {},
    decorator: undefined,
    perFilterConfig: {},
    statPrefix: undefined,
    perRequestBufferLimitBytes: undefined,
    ...parts,
  };
}

export function virtualHost(
  name: string,
  domains: readonly string[],
  routes: readonly Route[],
  parts: Partial<VirtualHost> = {},
): VirtualHost {
  return {
    name,
    domains,
    routes,
    requireTls: 'none',
    virtualClusters: [],
    headers: NO_CHANGES,
    retry: undefined,
    includeRequestAttemptCount: false,
    includeAttemptCountInResponse: false,
    includeIsTimeoutRetryHeader: false,
    perFilterConfig: {},
    perRequestBufferLimitBytes: undefined,
    hedgeOnPerTryTimeout: false,
    ...parts,
  };
}

export function configuration(
  virtualHosts: readonly VirtualHost[],
  parts: Partial<RouteConfiguration> = {},
): RouteConfiguration {
  return {
    name: 'r',
    virtualHosts,
    headers: NO_CHANGES,
    internalOnlyHeaders: [],
    mostSpecificHeaderMutationsWins: false,
    ignorePortInHostMatching: false,
    validateClusters: false,
    maxDirectResponseBodyBytes: 4096,
    perFilterConfig: {},
    ...parts,
  };
}

export function get(path: string, authority = 'a', fields: readonly (readonly [string, string])[] = []): RequestHead {
  const headers = new HeaderMap();
  for (const [name, value] of fields) headers.add(name, value);
  return { method: 'GET', path, authority, scheme: 'http', version: 11, protocol: undefined, headers };
}

export function add(name: string, value: string, how: HeaderToAdd['action'] = 'append-or-add'): HeaderToAdd {
  return { name, value, action: how, keepEmptyValue: false };
}
