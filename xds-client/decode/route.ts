/** RDS: route tables, their virtual hosts and routes. */
import type { MessageObject } from '../../protos/index.ts';
import type { Route, RouteActionKind, RouteConfiguration, VirtualCluster, VirtualHost } from '../model/route.ts';
import { decodeMetadata, each, inside } from './common.ts';
import { type DecodeContext, support } from './context.ts';
import { flag, has, message, text, textOrNone, texts, word, wrappedFlag, wrappedNumber } from './fields.ts';
import { decodePerFilterConfig } from './filter-config.ts';
import { decodeCorsPolicy } from './filters/cors.ts';
import { decodeHeaderChanges, decodeHeaderMatches, HEADER_CHANGE_FIELDS } from './matcher.ts';
import { decodeRetryPolicy } from './retry-policy.ts';
import { decodeDirectResponse, decodeForward, decodeRedirect, MIRRORS, RATE_LIMITS } from './route-action.ts';
import { decodeRouteMatch } from './route-match.ts';

const ROUTE = 'envoy.config.route.v3';
/** Envoy's default for max_direct_response_body_size_bytes. */
const DEFAULT_BODY_LIMIT = 4096;

support(`${ROUTE}.RouteConfiguration`, {
  acts: [
    'name',
    'virtual_hosts',
    'internal_only_headers',
    ...HEADER_CHANGE_FIELDS,
    'most_specific_header_mutations_wins',
    'max_direct_response_body_size_bytes',
    'validate_clusters',
    'ignore_port_in_host_matching',
    'typed_per_filter_config',
  ],
  ignored: {
    request_mirror_policies: MIRRORS,
    cluster_specifier_plugins: 'a route that names one is refused',
    metadata: "nothing reads a route table's metadata",
  },
  refused: {
    vhds: 'virtual hosts come with their route table',
    ignore_path_parameters_in_path_matching: 'paths are matched with their parameters',
  },
});
support(`${ROUTE}.VirtualHost`, {
  acts: [
    'name',
    'domains',
    'routes',
    'require_tls',
    ...HEADER_CHANGE_FIELDS,
    'typed_per_filter_config',
    'include_request_attempt_count',
    'include_attempt_count_in_response',
    'include_is_timeout_retry_header',
    'retry_policy',
    'cors',
    'virtual_clusters',
    'per_request_buffer_limit_bytes',
  ],
  ignored: {
    rate_limits: RATE_LIMITS,
    hedge_policy: 'requests are not hedged yet',
    request_mirror_policies: MIRRORS,
    metadata: "nothing reads a virtual host's metadata",
  },
  refused: {
    matcher: 'the generic matching tree is not built; use routes',
    retry_policy_typed_config: 'retry plugins are not built; use retry_policy',
  },
});
support(`${ROUTE}.VirtualCluster`, { acts: ['headers', 'name'] });
support(`${ROUTE}.Route`, {
  acts: [
    'name',
    'match',
    'route',
    'redirect',
    'direct_response',
    'non_forwarding_action',
    'metadata',
    'decorator',
    'typed_per_filter_config',
    ...HEADER_CHANGE_FIELDS,
    'per_request_buffer_limit_bytes',
    'stat_prefix',
  ],
  ignored: { tracing: 'sampling and tags are those of the connection manager' },
  refused: { filter_action: 'no filter answers for a route' },
});
support(`${ROUTE}.Decorator`, {
  acts: ['operation'],
  ignored: {
    propagate: 'the operation stays within the proxy',
  },
});

function decodeAction(route: MessageObject, bodyLimit: number, ctx: DecodeContext): RouteActionKind {
  const forward = inside(route, 'route', ctx, (action) => decodeForward(action, ctx));
  if (forward !== undefined) return forward;
  const redirect = inside(route, 'redirect', ctx, (action) => decodeRedirect(action, ctx));
  if (redirect !== undefined) return redirect;
  const answer = inside(route, 'direct_response', ctx, (action) => decodeDirectResponse(action, bodyLimit, ctx));
  return answer ?? { kind: 'non-forwarding' };
}

function decodeDecorator(decorator: MessageObject): Route['decorator'] {
  return { operation: text(decorator, 'operation'), propagate: wrappedFlag(decorator, 'propagate') ?? true };
}

function decodeRoute(route: MessageObject, bodyLimit: number, ctx: DecodeContext): Route {
  return {
    name: text(route, 'name'),
    match: ctx.at('match', () => decodeRouteMatch(message(route, 'match') ?? {}, ctx)),
    action: decodeAction(route, bodyLimit, ctx),
    headers: decodeHeaderChanges(route, ctx),
    metadata: decodeMetadata(route, 'metadata'),
    decorator: inside(route, 'decorator', ctx, decodeDecorator),
    perFilterConfig: decodePerFilterConfig(route, ctx),
    statPrefix: textOrNone(route, 'stat_prefix'),
    perRequestBufferLimitBytes: wrappedNumber(route, 'per_request_buffer_limit_bytes'),
  };
}

function decodeVirtualCluster(cluster: MessageObject, ctx: DecodeContext): VirtualCluster {
  if (!has(cluster, 'headers')) ctx.error("virtual clusters must define 'headers'");
  return { name: text(cluster, 'name'), headers: decodeHeaderMatches(cluster, 'headers', ctx) };
}

const TLS_REQUIREMENTS: { readonly [requirement: string]: VirtualHost['requireTls'] } = {
  NONE: 'none',
  EXTERNAL_ONLY: 'external',
  ALL: 'all',
};

function decodeVirtualHost(host: MessageObject, bodyLimit: number, ctx: DecodeContext): VirtualHost {
  return {
    name: text(host, 'name'),
    domains: texts(host, 'domains').map((domain) => domain.toLowerCase()),
    routes: each(host, 'routes', ctx, (route) => decodeRoute(route, bodyLimit, ctx)),
    requireTls: TLS_REQUIREMENTS[word(host, 'require_tls', 'NONE')] ?? 'none',
    virtualClusters: each(host, 'virtual_clusters', ctx, (cluster) => decodeVirtualCluster(cluster, ctx)),
    headers: decodeHeaderChanges(host, ctx),
    cors: inside(host, 'cors', ctx, (policy) => decodeCorsPolicy(policy, ctx)),
    retry: inside(host, 'retry_policy', ctx, (policy) => decodeRetryPolicy(policy, ctx)),
    includeRequestAttemptCount: flag(host, 'include_request_attempt_count'),
    includeAttemptCountInResponse: flag(host, 'include_attempt_count_in_response'),
    includeIsTimeoutRetryHeader: flag(host, 'include_is_timeout_retry_header'),
    perFilterConfig: decodePerFilterConfig(host, ctx),
    perRequestBufferLimitBytes: wrappedNumber(host, 'per_request_buffer_limit_bytes'),
    hedgeOnPerTryTimeout: flag(message(host, 'hedge_policy'), 'hedge_on_per_try_timeout'),
  };
}

/** Names and domains are each of one virtual host; a domain has one `*`, at one of its ends. */
function checkDomains(hosts: readonly VirtualHost[], tableName: string, ctx: DecodeContext): void {
  const domains = new Set<string>();
  const names = new Set<string>();
  for (const [index, host] of hosts.entries()) {
    const report = (message: string, field: string) =>
      ctx.at('virtual_hosts', () => ctx.at(index, () => ctx.error(message, field)));
    if (names.has(host.name)) {
      report(`Only unique names for virtual hosts are permitted. Duplicate entry of virtual host ${host.name}`, 'name');
    }
    names.add(host.name);
    for (const domain of host.domains) {
      if (domains.has(domain)) {
        report(
          domain === '*'
            ? `Only a single wildcard domain is permitted in route ${tableName}`
            : `Only unique values for domains are permitted. Duplicate entry of domain ${domain} in route ${tableName}`,
          'domains',
        );
      }
      domains.add(domain);
    }
  }
}

/** Where the table wants it, every cluster that a route names has to be there. */
function checkClusters(virtualHosts: readonly VirtualHost[], ctx: DecodeContext): void {
  for (const [host, { routes }] of virtualHosts.entries()) {
    for (const [index, { action }] of routes.entries()) {
      for (const name of clustersOf(action)) {
        if (name === '' || ctx.checks.knowsCluster(name)) continue;
        ctx.at('virtual_hosts', () =>
          ctx.at(host, () =>
            ctx.at('routes', () => ctx.at(index, () => ctx.error(`route: unknown cluster '${name}'`, 'route'))),
          ),
        );
      }
    }
  }
}

function clustersOf(action: RouteActionKind): readonly string[] {
  if (action.kind !== 'route') return [];
  const { cluster } = action;
  if (cluster.kind === 'name') return [cluster.name];
  return cluster.kind === 'weighted' ? cluster.clusters.map(({ name }) => name) : [];
}

/**
 * envoy RouteConfiguration. `validateByDefault`: whether its clusters have to be known where it does not say so itself;
 * true of a table given in place, false of one that RDS delivers.
 */
export function decodeRouteConfiguration(
  table: MessageObject,
  ctx: DecodeContext,
  validateByDefault: boolean,
): RouteConfiguration {
  const bodyLimit = wrappedNumber(table, 'max_direct_response_body_size_bytes') ?? DEFAULT_BODY_LIMIT;
  const name = text(table, 'name');
  const virtualHosts = each(table, 'virtual_hosts', ctx, (host) => decodeVirtualHost(host, bodyLimit, ctx));
  checkDomains(virtualHosts, name, ctx);
  const validateClusters = wrappedFlag(table, 'validate_clusters') ?? validateByDefault;
  if (validateClusters) checkClusters(virtualHosts, ctx);
  return {
    name,
    virtualHosts,
    headers: decodeHeaderChanges(table, ctx),
    internalOnlyHeaders: texts(table, 'internal_only_headers').map((header) => header.toLowerCase()),
    mostSpecificHeaderMutationsWins: flag(table, 'most_specific_header_mutations_wins'),
    ignorePortInHostMatching: flag(table, 'ignore_port_in_host_matching'),
    validateClusters,
    maxDirectResponseBodyBytes: bodyLimit,
    perFilterConfig: decodePerFilterConfig(table, ctx),
  };
}
