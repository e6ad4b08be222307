/** Virtual hosts and routes, as proto3 JSON. */
import { clusterName } from './clusters.ts';
import type { Destination, HttpMatch, HttpRoute, Service, TextMatch, VirtualService } from './mesh.ts';
import type { Names } from './resolve.ts';

export interface VirtualHostJson {
  readonly name: string;
  readonly domains: readonly string[];
  readonly routes: readonly object[];
  readonly include_request_attempt_count: boolean;
}

/**
 * Istio's default: what was never processed may be tried twice more, elsewhere. A 503 may say just that: a sidecar whose
 * application cannot be reached says so, and no other 503 to a POST is tried again.
 */
const DEFAULT_RETRIES = {
  retry_on: 'connect-failure,refused-stream,unavailable,cancelled,reset-before-request,retriable-status-codes',
  retriable_status_codes: [503],
  num_retries: 2,
  retry_host_predicate: [
    {
      name: 'envoy.retry_host_predicates.previous_hosts',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
      },
    },
  ],
  host_selection_retry_max_attempts: 5,
};

/**
 * The virtual host of a service, or of a VirtualService bound to a gateway. Without a VirtualService everything goes to
 * `fallback`.
 */
export function virtualHost(
  name: string,
  domains: readonly string[],
  from: VirtualService | undefined,
  fallback: Service | undefined,
  port: number,
  names: Names,
): VirtualHostJson {
  const routes = (from?.http ?? []).flatMap((route) => routesOf(route, from as VirtualService, port, names));
  if (from === undefined && fallback !== undefined) {
    routes.push({
      name: 'default',
      match: { prefix: '/' },
      route: { cluster: clusterName(fallback, port, ''), timeout: '0s', retry_policy: DEFAULT_RETRIES },
    });
  }
  return { name, domains, routes, include_request_attempt_count: true };
}

function routesOf(route: HttpRoute, from: VirtualService, port: number, names: Names): object[] {
  const matches: readonly (HttpMatch | undefined)[] = route.matches.length === 0 ? [undefined] : route.matches;
  return matches.map((match) => ({
    name: route.name,
    match: routeMatch(match),
    route: {
      ...clusterOf(route.destinations, from, port, names),
      timeout: `${(route.timeoutMs ?? 0) / 1000}s`,
      retry_policy:
        route.retries === undefined
          ? DEFAULT_RETRIES
          : {
              ...DEFAULT_RETRIES,
              retry_on: route.retries.retryOn ?? DEFAULT_RETRIES.retry_on,
              num_retries: route.retries.attempts,
              ...(route.retries.perTryTimeoutMs === undefined
                ? {}
                : { per_try_timeout: `${route.retries.perTryTimeoutMs / 1000}s` }),
            },
      ...rewrite(route, match),
    },
  }));
}

function rewrite(route: HttpRoute, match: HttpMatch | undefined): object {
  if (route.rewriteUri === undefined) return {};
  if (match?.uri?.kind === 'regex')
    return { regex_rewrite: { pattern: { regex: match.uri.value }, substitution: route.rewriteUri } };
  return { prefix_rewrite: route.rewriteUri };
}

function routeMatch(match: HttpMatch | undefined): object {
  const headers: object[] = (match?.headers ?? []).map(({ name, match: text }) => ({
    name,
    string_match: stringMatch(text),
  }));
  if (match?.method !== undefined) headers.push({ name: ':method', string_match: stringMatch(match.method) });
  return { ...pathMatch(match?.uri), ...(headers.length === 0 ? {} : { headers }) };
}

function pathMatch(uri: TextMatch | undefined): object {
  if (uri === undefined) return { prefix: '/' };
  if (uri.kind === 'exact') return { path: uri.value };
  return uri.kind === 'prefix' ? { prefix: uri.value } : { safe_regex: { regex: uri.value } };
}

function stringMatch(match: TextMatch): object {
  if (match.kind === 'regex') return { safe_regex: { regex: match.value } };
  return match.kind === 'exact' ? { exact: match.value } : { prefix: match.value };
}

function clusterOf(destinations: readonly Destination[], from: VirtualService, port: number, names: Names): object {
  const named = destinations.map((destination) => {
    const service = names.service(destination.host, from.namespace, from.source);
    const toPort = destination.port ?? service?.ports[0]?.number ?? port;
    const name =
      service === undefined
        ? `outbound|${toPort}|${destination.subset ?? ''}|${destination.host}`
        : clusterName(service, toPort, destination.subset ?? '');
    return { name, weight: destination.weight };
  });
  const only = named.length === 1 ? named[0] : undefined;
  return only === undefined ? { weighted_clusters: { clusters: named } } : { cluster: only.name };
}
