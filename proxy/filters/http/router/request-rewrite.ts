/** Path and host as the upstream gets them, with the originals kept in `x-envoy-original-*`. */
import type { RouteAction } from '../../../../xds-client/model/route.ts';
import type { RequestHead } from '../../../http/headers.ts';
import type { StreamInfo } from '../../../http/stream-info.ts';
import { rewriteHost, rewritePath } from '../../../route/rewrite.ts';
import type { MatchedRoute } from '../stream-ends.ts';
import type { RoutePlan } from './route-plan.ts';

/** Everything that the matched route changes of a request's head. */
export function rewriteRequest(
  head: RequestHead,
  plan: RoutePlan,
  action: RouteAction,
  matched: MatchedRoute,
  info: StreamInfo,
): void {
  // A weighted cluster's host takes the place of the caller's without a trace, before the route does its part.
  const weightedHost = matched.choice?.weighted?.hostRewrite;
  if (weightedHost !== undefined) head.authority = weightedHost;
  plan.changeRequest(head.headers, info);
  if (plan.rewritesHost) {
    // The path as it came decides on a host that is made of it.
    const authority = rewriteHost(action, head);
    if (authority !== undefined && authority !== '') setAuthority(action, head, authority);
  }
  if (plan.rewritesPath) setPath(head, rewritePath(action, matched.decision.route.match.path, head.path));
}

function setPath(head: RequestHead, path: string): void {
  if (path === head.path) return;
  head.headers.set('x-envoy-original-path', head.path);
  head.path = path;
}

export function setAuthority(action: RouteAction, head: RequestHead, authority: string): void {
  const { headers } = head;
  if (action.appendXForwardedHost && head.authority !== '') {
    const before = headers.joined('x-forwarded-host');
    headers.set('x-forwarded-host', before === undefined ? head.authority : `${before},${head.authority}`);
  }
  if (!headers.has('x-envoy-original-host')) headers.add('x-envoy-original-host', head.authority);
  head.authority = authority;
}
