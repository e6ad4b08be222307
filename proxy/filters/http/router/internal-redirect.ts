/**
 * Redirects of the upstream that are followed here (`internal_redirect_policy`), in Envoy's order: is the target one, is
 * its scheme allowed, were there too many, is there a route, is the route allowed. The request's head becomes the next
 * one's in place; what is refused leaves it as it was, but for the route, which stays the target's.
 */
import type { InternalRedirect } from '../../../../xds-client/model/route.ts';
import type { HeaderMap, RequestHead, ResponseHead } from '../../../http/headers.ts';
import type { StreamInfo } from '../../../http/stream-info.ts';
import type { MatchedRoute, ResponseSink } from '../stream-ends.ts';
import type { Router } from './router.ts';
import { RouterStat } from './stats.ts';

const {
  PASSTHROUGH_INTERNAL_REDIRECT_BAD_LOCATION: BAD_LOCATION,
  PASSTHROUGH_INTERNAL_REDIRECT_NO_ROUTE: NO_ROUTE,
  PASSTHROUGH_INTERNAL_REDIRECT_PREDICATE: PREDICATE,
  PASSTHROUGH_INTERNAL_REDIRECT_TOO_MANY_REDIRECTS: TOO_MANY,
  PASSTHROUGH_INTERNAL_REDIRECT_UNSAFE_SCHEME: UNSAFE_SCHEME,
} = RouterStat;

export interface RedirectTarget {
  readonly scheme: string;
  /** Host and port as written. */
  readonly authority: string;
  /** Path and query; at least `/`. */
  readonly path: string;
}

/** An absolute URL in its parts (RFC 3986 §3); a fragment stays with whoever wrote it. */
export function parseLocation(location: string): RedirectTarget | undefined {
  const parts = /^([a-zA-Z][\w+.-]*):\/\/([^/?#@\s]+)(\/[^?#\s]*)?(\?[^#\s]*)?(?:#.*)?$/.exec(location);
  if (parts === null) return undefined;
  const [, scheme = '', authority = '', path = '/', query = ''] = parts;
  return { scheme: scheme.toLowerCase(), authority, path: path + query };
}

/** True: `head` is now the next request's, and `restart` may follow. */
export function followRedirect(
  policy: InternalRedirect,
  routeName: string,
  head: RequestHead,
  response: ResponseHead,
  sink: ResponseSink,
  router: Router,
): boolean {
  const { info } = sink;
  const { stats } = router;
  const location = response.headers.get('location');
  if (location === undefined) return false;
  const target = parseLocation(location);
  if (target === undefined) return refuse(stats, BAD_LOCATION);
  const fromHttp = head.scheme === 'http' || info.connection.tls === undefined;
  const toHttp = target.scheme === 'http';
  if (!policy.allowCrossScheme && fromHttp !== toHttp) return refuse(stats, UNSAFE_SCHEME);
  const count = info.redirects?.count ?? 0;
  if (count >= policy.maxRedirects) return refuse(stats, TOO_MANY);

  const { scheme, authority, path } = head;
  head.scheme = target.scheme === 'https' ? 'https' : 'http';
  head.authority = target.authority;
  head.path = target.path;
  sink.clearRouteCache();
  const matched = sink.matchedRoute();
  noteCluster(matched, info, router);
  const allowed =
    matched !== undefined && allows(policy, routeName, matched.decision.route.name, info, fromHttp, toHttp);
  if (!allowed) {
    head.scheme = scheme;
    head.authority = authority;
    head.path = path;
    return refuse(stats, matched === undefined ? NO_ROUTE : PREDICATE);
  }
  copyHeaders(policy.headersToCopy, response.headers, head.headers);
  head.headers.set('x-envoy-original-url', `${fromHttp ? 'http' : 'https'}://${authority}${path}`);
  info.redirects ??= { count: 0, targets: new Map() };
  info.redirects.count++;
  return true;
}

/** RFC 9110 §15.4.4: what is elsewhere is asked for, and not done again. True when the body goes. */
export function becomesGet(head: RequestHead, status: number): boolean {
  if (status !== 303 || head.method === 'GET' || head.method === 'HEAD') return false;
  head.method = 'GET';
  head.headers.remove('content-length');
  return true;
}

/** From here on the request is told of as one to the target. */
function noteCluster(matched: MatchedRoute | undefined, info: StreamInfo, router: Router): void {
  const name = matched?.choice?.name;
  const cluster = name === undefined ? undefined : router.dependencies.clusters.get(name);
  info.cluster = cluster?.name;
  info.clusterStatName = cluster?.config.altStatName ?? cluster?.name;
}

function refuse(stats: Router['stats'], stat: number): false {
  stats.inc(stat);
  return false;
}

function allows(
  policy: InternalRedirect,
  from: string,
  to: string,
  info: StreamInfo,
  fromHttp: boolean,
  toHttp: boolean,
): boolean {
  return policy.predicates.every((predicate) => {
    if (predicate.kind === 'previous-routes') return isNew(info, from, to);
    if (predicate.kind === 'allow-listed-routes') return predicate.names.includes(to);
    return !fromHttp || toHttp;
  });
}

/** Notes the target as one that route `from` has led to. */
function isNew(info: StreamInfo, from: string, to: string): boolean {
  info.redirects ??= { count: 0, targets: new Map() };
  const { targets } = info.redirects;
  const known = targets.get(from);
  if (known === undefined) targets.set(from, new Set([to]));
  else if (known.has(to)) return false;
  else known.add(to);
  return true;
}

/** What the redirect does not have goes from the request too. */
function copyHeaders(names: readonly string[], from: HeaderMap, to: HeaderMap): void {
  for (const name of names) {
    to.remove(name);
    for (let i = 0; i < from.names.length; i++) if (from.names[i] === name) to.add(name, from.values[i] as string);
  }
}
