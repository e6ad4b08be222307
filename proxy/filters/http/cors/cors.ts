/**
 * Cross-origin requests (the Fetch standard's CORS protocol): answers the preflights of origins that are allowed, and tells
 * the browser of other answers that it may show them. An origin that is not allowed is only counted, its request passes: the
 * browser keeps the answer to itself. Routes that answer by themselves have no policy.
 */
import type { CorsPolicy } from '../../../../xds-client/model/filters/cors.ts';
import { fromPlain } from '../../../../xds-client/model/plain.ts';
import { HeaderMap, type RequestHead, type ResponseHead } from '../../../http/headers.ts';
import type { StatBlock } from '../../../observe/stats/contract.ts';
import { family } from '../../../observe/stats/families.ts';
import {
  CONTINUE,
  type FilterCallbacks,
  type FilterContext,
  type FilterStatus,
  type HttpFilter,
  type HttpFilterFactory,
  STOP,
} from '../contract.ts';
import { hits } from '../fraction.ts';
import { allowsOrigin, flagOf, textOf } from './policy.ts';

const STATS = family(['origin_invalid', 'origin_valid'], []);
const ORIGIN_INVALID = 0;
const ORIGIN_VALID = 1;

class CorsFilter implements HttpFilter {
  private readonly callbacks: FilterCallbacks;
  private readonly context: FilterContext;
  private readonly stats: StatBlock;
  private policies: readonly CorsPolicy[] = [];
  /** The origin that the answer allows. */
  private origin: string | undefined = undefined;

  constructor(callbacks: FilterCallbacks, context: FilterContext, stats: StatBlock) {
    this.callbacks = callbacks;
    this.context = context;
    this.stats = stats;
  }

  onRequestHead(head: RequestHead): FilterStatus {
    const origin = head.headers.joined('origin');
    if (origin === undefined || origin === '') return CONTINUE;
    const policies = policiesOf(this.callbacks);
    const [policy] = policies;
    if (policy === undefined) return CONTINUE;
    const { enabled, shadowEnabled } = policy;
    const acts = enabled === undefined || hits(enabled, this.context);
    if (!acts && (shadowEnabled === undefined || !hits(shadowEnabled, this.context))) return CONTINUE;
    const allowed = allowsOrigin(policies, origin);
    this.stats.inc(allowed ? ORIGIN_VALID : ORIGIN_INVALID);
    if (!acts) return CONTINUE;
    this.policies = policies;
    if (allowed) this.origin = origin;
    if (!isPreflight(head)) return CONTINUE;
    if (!allowed && flagOf(policies, 'forwardNotMatchingPreflights', true)) return CONTINUE;
    this.callbacks.sendResponse(preflightAnswer(head, policies), 'cors_response');
    return STOP;
  }

  onResponseHead({ headers }: ResponseHead): FilterStatus {
    const { origin, policies } = this;
    if (origin === undefined) return CONTINUE;
    headers.set('access-control-allow-origin', origin);
    if (flagOf(policies, 'allowCredentials', false)) headers.set('access-control-allow-credentials', 'true');
    const exposed = textOf(policies, 'exposeHeaders');
    if (exposed !== '') headers.set('access-control-expose-headers', exposed);
    return CONTINUE;
  }
}

/** The most specific first. What routes and hosts hold themselves counts where no filter configuration is. */
function policiesOf(callbacks: FilterCallbacks): readonly CorsPolicy[] {
  const matched = callbacks.matchedRoute();
  if (matched === undefined) return [];
  const { route, virtualHost } = matched.decision;
  if (route.action.kind !== 'route') return [];
  const configs = callbacks.perRouteConfigs();
  if (configs.length > 0) return configs.map((config) => fromPlain<CorsPolicy>(config)).reverse();
  return [route.action.cors, virtualHost.cors].filter((policy) => policy !== undefined);
}

function isPreflight({ method, headers }: RequestHead): boolean {
  return method === 'OPTIONS' && (headers.get('access-control-request-method') ?? '') !== '';
}

/** What is said of every answer is added on its way out. */
function preflightAnswer(head: RequestHead, policies: readonly CorsPolicy[]): ResponseHead {
  const headers = new HeaderMap();
  const asked = (name: string): string => head.headers.joined(name) ?? '';
  if (flagOf(policies, 'allowCredentials', false)) headers.add('access-control-allow-credentials', 'true');
  const methods = textOf(policies, 'allowMethods');
  if (methods !== '') {
    headers.add('access-control-allow-methods', methods === '*' ? asked('access-control-request-method') : methods);
  }
  const fields = textOf(policies, 'allowHeaders');
  if (fields !== '') {
    headers.add('access-control-allow-headers', fields === '*' ? asked('access-control-request-headers') : fields);
  }
  const maxAge = textOf(policies, 'maxAge');
  if (maxAge !== '') headers.add('access-control-max-age', maxAge);
  const fromPublic = asked('access-control-request-private-network') === 'true';
  if (fromPublic && flagOf(policies, 'allowPrivateNetworkAccess', false)) {
    headers.add('access-control-allow-private-network', 'true');
  }
  return { status: 200, headers };
}

export const CORS: HttpFilterFactory = {
  name: 'envoy.filters.http.cors',
  typeUrl: 'envoy.extensions.filters.http.cors.v3.Cors',
  routeTypeUrl: 'envoy.extensions.filters.http.cors.v3.CorsPolicy',
  build(_config, context) {
    const stats = context.stats.block(`${context.statPrefix}cors.`, STATS);
    return {
      create: (callbacks) => new CorsFilter(callbacks, context, stats),
      close: () => stats.release(),
    };
  },
};
