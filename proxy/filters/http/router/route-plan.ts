/**
 * What the router works out of a matched route once, and keeps as long as the route lives: header changes of all levels,
 * the retry policy in bits, whether keys stand for idempotency.
 */
import type { Json } from '../../../../xds-client/model/common.ts';
import type { RetryPolicy, WeightedCluster } from '../../../../xds-client/model/route.ts';
import type { HeaderMap } from '../../../http/headers.ts';
import type { StreamInfo } from '../../../http/stream-info.ts';
import { compileValue } from '../../../observe/access-log/header-value.ts';
import { allowsIdempotencyKey } from '../../../policy/idempotency.ts';
import { type CompiledRetry, type CompileHeaders, compileRetry } from '../../../policy/retry-conditions.ts';
import { HeaderTest } from '../../../route/header-match.ts';
import { HeaderMutation, headerLevels } from '../../../route/headers.ts';
import type { RouteDecision } from '../../../route/table.ts';
import type { MatchedRoute } from '../stream-ends.ts';

export class RoutePlan {
  readonly retryPolicy: RetryPolicy | undefined;
  readonly retry: CompiledRetry | undefined;
  readonly keyAllowed: boolean;
  /** `metadata_match` for the load balancer: the weighted cluster's over the route's. */
  readonly metadataMatch: { readonly [key: string]: Json } | undefined;
  /** CONNECT ends here. */
  readonly endsConnect: boolean;
  readonly endsPost: boolean;
  readonly rewritesPath: boolean;
  readonly rewritesHost: boolean;
  /** Of a direct response. */
  readonly directBody: string;
  private readonly requestChanges: readonly HeaderMutation<StreamInfo>[];
  private readonly responseChanges: readonly HeaderMutation<StreamInfo>[];

  constructor(decision: RouteDecision, weighted: WeightedCluster | undefined) {
    const { route, virtualHost } = decision;
    const { action } = route;
    const routed = action.kind === 'route' ? action : undefined;
    this.retryPolicy = routed === undefined ? undefined : (routed.retry ?? virtualHost.retry);
    this.retry = this.retryPolicy === undefined ? undefined : compileRetry(this.retryPolicy, ANY_HEADER);
    this.keyAllowed = allowsIdempotencyKey(route.metadata);
    const own = routed?.metadataMatch?.['envoy.lb'];
    const chosen = weighted?.metadataMatch?.['envoy.lb'];
    this.metadataMatch = chosen === undefined ? own : { ...own, ...chosen };
    const connect = routed?.upgrades.find((upgrade) => upgrade.connect !== undefined)?.connect;
    this.endsConnect = connect !== undefined;
    this.endsPost = connect?.allowPost === true;
    this.rewritesPath = routed?.prefixRewrite !== undefined || routed?.regexRewrite !== undefined;
    this.rewritesHost = routed?.hostRewrite !== undefined;
    this.directBody =
      action.kind === 'direct-response' ? Buffer.from(action.bodyBase64, 'base64').toString('utf8') : '';
    const levels = headerLevels(decision, weighted);
    this.requestChanges = levels
      .map((level) => new HeaderMutation(level.requestRemove, level.requestAdd, compileValue))
      .filter((mutation) => !mutation.empty);
    this.responseChanges = levels
      .map((level) => new HeaderMutation(level.responseRemove, level.responseAdd, compileValue))
      .filter((mutation) => !mutation.empty);
  }

  changeRequest(headers: HeaderMap, info: StreamInfo): void {
    for (let i = 0; i < this.requestChanges.length; i++) this.requestChanges[i]?.apply(headers, info);
  }

  changeResponse(headers: HeaderMap, info: StreamInfo): void {
    for (let i = 0; i < this.responseChanges.length; i++) this.responseChanges[i]?.apply(headers, info);
  }
}

/** Plans by matched route, and by weighted cluster where the dice chose one. They die with the routes they belong to. */
export class RoutePlans {
  private readonly byRoute = new WeakMap<RouteDecision, RoutePlan>();
  private readonly byCluster = new WeakMap<RouteDecision, WeakMap<WeightedCluster, RoutePlan>>();
  /** The last one asked for: most connections keep to one route. */
  private lastKey: RouteDecision | undefined = undefined;
  private last: RoutePlan | undefined = undefined;

  of(matched: MatchedRoute): RoutePlan {
    const { decision } = matched;
    const weighted = matched.choice?.weighted;
    if (weighted !== undefined) return this.ofWeighted(decision, weighted);
    if (this.lastKey === decision && this.last !== undefined) return this.last;
    let plan = this.byRoute.get(decision);
    if (plan === undefined) {
      plan = new RoutePlan(decision, undefined);
      this.byRoute.set(decision, plan);
    }
    this.lastKey = decision;
    this.last = plan;
    return plan;
  }

  private ofWeighted(decision: RouteDecision, weighted: WeightedCluster): RoutePlan {
    let plans = this.byCluster.get(decision);
    if (plans === undefined) {
      plans = new WeakMap();
      this.byCluster.set(decision, plans);
    }
    let plan = plans.get(weighted);
    if (plan === undefined) {
      plan = new RoutePlan(decision, weighted);
      plans.set(weighted, plan);
    }
    return plan;
  }
}

/** One match of the list is enough. */
const ANY_HEADER: CompileHeaders = {
  ofResponse(matches) {
    const tests = matches.map((match) => new HeaderTest(match));
    return (headers) => tests.some((test) => test.matchesFields(headers));
  },
  ofRequest(matches) {
    const tests = matches.map((match) => new HeaderTest(match));
    return (head) => tests.some((test) => test.matchesRequest(head));
  },
};
