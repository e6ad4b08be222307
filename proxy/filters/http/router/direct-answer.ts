/** Routes that are answered here: redirects and direct responses. */
import type { RequestHead } from '../../../http/headers.ts';
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
    sink.sendLocalReply(action.status, plan.directBody, Details.directResponse);
  }
}
