/** The route of one downstream request: matched once and when asked, and what it says of the stream and its replies. */
import type { ExtensionConfig } from '../../../../xds-client/model/common.ts';
import type { HeaderMap } from '../../../http/headers.ts';
import type { RouteTable } from '../../../route/table.ts';
import { chooseCluster } from '../../../route/weighted.ts';
import type { MatchedRoute } from '../../http/stream-ends.ts';
import { StreamClocks } from './stream-clocks.ts';

export abstract class RoutedStream extends StreamClocks {
  /** The table that was in use when the request came. */
  protected routes: RouteTable | undefined = undefined;
  protected over = false;
  private matched: MatchedRoute | undefined = undefined;
  private isMatched = false;

  matchedRoute(): MatchedRoute | undefined {
    if (this.isMatched) return this.matched;
    this.isMatched = true;
    const { info, routes } = this;
    if (routes === undefined) return undefined;
    const { request } = info;
    const chance = this.manager.context.random();
    const decision = routes.match(request, this.connection.info.tls, chance);
    if (decision === undefined) return undefined;
    info.virtualHost = decision.virtualHost;
    info.route = decision.route;
    const { action } = decision.route;
    const choice = action.kind === 'route' ? chooseCluster(action, request, chance) : undefined;
    this.matched = { decision, choice };
    if (action.kind === 'route' && !this.over) this.applyRouteTimes(action);
    return this.matched;
  }

  virtualCluster(): string | undefined {
    return this.routes?.virtualCluster(this.info.request);
  }

  clearRouteCache(): void {
    this.isMatched = false;
    this.matched = undefined;
    this.info.virtualHost = undefined;
    this.info.route = undefined;
  }

  perRouteConfigs(filterName: string): readonly ExtensionConfig[] {
    const matched = this.matchedRoute();
    return matched === undefined ? [] : routeConfigsOf(matched, filterName);
  }

  /** A reply that is made before the request reached the router is still one of the cluster that the route names. */
  protected noteCluster(): void {
    const name = this.matched?.choice?.name;
    const cluster = name === undefined ? undefined : this.manager.dependencies.clusters.get(name);
    if (cluster === undefined) return;
    this.info.cluster = cluster.name;
    this.info.clusterStatName = cluster.config.altStatName ?? cluster.name;
  }

  protected editReply(headers: HeaderMap, changes: ((headers: HeaderMap) => void) | undefined): void {
    const { matched } = this;
    if (matched === undefined) {
      changes?.(headers);
      return;
    }
    const plan = this.manager.router.plans.of(matched);
    // A route that answers by itself has its Location there before its changes; other replies get theirs after.
    const { kind } = matched.decision.route.action;
    const first = kind === 'redirect' || kind === 'direct-response';
    if (first) changes?.(headers);
    plan.changeResponse(headers, this.info);
    if (!first) changes?.(headers);
  }
}

const SILENT: readonly ExtensionConfig[] = [];

/** What the places of a route say of a filter, the most specific first. */
function routeConfigsOf({ decision, choice }: MatchedRoute, filterName: string): readonly ExtensionConfig[] {
  const { route, virtualHost, config } = decision;
  // Most routes say nothing, and every filter asks.
  if (
    choice?.weighted?.perFilterConfig[filterName] === undefined &&
    route.perFilterConfig[filterName] === undefined &&
    virtualHost.perFilterConfig[filterName] === undefined &&
    config.perFilterConfig[filterName] === undefined
  ) {
    return SILENT;
  }
  const said = [
    choice?.weighted?.perFilterConfig[filterName],
    route.perFilterConfig[filterName],
    virtualHost.perFilterConfig[filterName],
    config.perFilterConfig[filterName],
  ];
  return said.filter((one) => one !== undefined);
}
