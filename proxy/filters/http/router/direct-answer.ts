/** Routes that are answered here: redirects and direct responses. */
import type { HeaderMap, RequestHead } from '../../../http/headers.ts';
import { redirectLocation } from '../../../route/rewrite.ts';
import type { MatchedRoute, ResponseSink } from '../stream-ends.ts';
import { Details } from './outcomes.ts';
import type { RoutePlan } from './route-plan.ts';

export function answerDirectly(sink: ResponseSink, matched: MatchedRoute, plan: RoutePlan, head: RequestHead): void {
  const { route } = matched.decision;
  const { action } = route;
  if (action.kind === 'redirect') {
    const location = redirectLocation(action, route.match.path, head);
    sink.sendLocalReply(action.status, '', Details.directResponse, (headers) => headers.set('location', location));
  } else if (action.kind === 'direct-response') {
    const { status } = action;
    // RFC 9110, sections 10.2.2 and 15.3.2: what was made, or where to look, is what was asked for.
    const located = status === 201 || (status >= 300 && status < 400);
    const change = (headers: HeaderMap): void =>
      headers.set('location', `${head.scheme}://${head.authority}${head.path}`);
    sink.sendLocalReply(status, plan.directBody, Details.directResponse, located ? change : undefined);
  }
}
