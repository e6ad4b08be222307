/**
 * Changes headers, trailers and query parameters on their way: first as the filter says, then as every place of the route says, from the weighted cluster
 * to the table (`most_specific_header_mutations_wins`: the other way round). The route stays the one that was matched.
 */
import type { Json } from '../../../../xds-client/model/common.ts';
import type {
  HeaderMutationConfig,
  HeaderMutationRouteConfig,
  MutationLists,
} from '../../../../xds-client/model/filters/header-mutation.ts';
import { fromPlain } from '../../../../xds-client/model/plain.ts';
import type { HeaderMap, RequestHead, ResponseHead } from '../../../http/headers.ts';
import {
  CONTINUE,
  type FilterCallbacks,
  type FilterStatus,
  type HttpFilter,
  type HttpFilterFactory,
} from '../contract.ts';
import { compileQuery, type QueryChanges } from './query.ts';
import { type Change, compileStep } from './steps.ts';

interface Mutations {
  readonly request: readonly Change[];
  readonly query: QueryChanges | undefined;
  readonly response: readonly Change[];
  readonly requestTrailers: readonly Change[];
  readonly responseTrailers: readonly Change[];
}

function compileMutations(lists: MutationLists): Mutations {
  return {
    request: lists.request.map(compileStep),
    query: lists.query.length === 0 ? undefined : compileQuery(lists.query),
    response: lists.response.map(compileStep),
    requestTrailers: lists.requestTrailers.map(compileStep),
    responseTrailers: lists.responseTrailers.map(compileStep),
  };
}

/** Of one filter configuration, with what its routes say, compiled once each. */
class Rules {
  readonly own: Mutations;
  private readonly mostSpecificWins: boolean;
  private readonly ofRoutes = new WeakMap<object, Mutations>();

  constructor({ mutations, mostSpecificWins }: HeaderMutationConfig) {
    this.own = compileMutations(mutations);
    this.mostSpecificWins = mostSpecificWins;
  }

  /** All lists for a request, in the order in which they apply. */
  at(callbacks: FilterCallbacks): readonly Mutations[] {
    const configs = callbacks.perRouteConfigs();
    if (configs.length === 0) return [this.own];
    const routes = configs.map((config) => this.ofRoute(config));
    if (!this.mostSpecificWins) routes.reverse();
    return [this.own, ...routes];
  }

  private ofRoute(config: Json): Mutations {
    const plain = fromPlain<HeaderMutationRouteConfig>(config);
    let made = this.ofRoutes.get(plain);
    if (made === undefined) {
      made = compileMutations(plain.mutations);
      this.ofRoutes.set(plain, made);
    }
    return made;
  }
}

class HeaderMutationFilter implements HttpFilter {
  private readonly callbacks: FilterCallbacks;
  private readonly rules: Rules;
  /** Those of the route as the request's head met it. */
  private lists: readonly Mutations[] | undefined = undefined;

  constructor(callbacks: FilterCallbacks, rules: Rules) {
    this.callbacks = callbacks;
    this.rules = rules;
  }

  onRequestHead(head: RequestHead): FilterStatus {
    const { info } = this.callbacks;
    for (const { request, query } of this.here()) {
      for (const change of request) change(head.headers, info);
      if (query !== undefined && head.path !== '') {
        head.path = query(head.path, info);
        // No rewrite: as in Envoy, the request is one to that path from here on.
        info.originalPath = head.path;
      }
    }
    return CONTINUE;
  }

  onResponseHead(head: ResponseHead): FilterStatus {
    const { info } = this.callbacks;
    for (const { response } of this.here()) for (const change of response) change(head.headers, info);
    return CONTINUE;
  }

  onRequestTrailers(trailers: HeaderMap): FilterStatus {
    const { info } = this.callbacks;
    for (const { requestTrailers } of this.here()) for (const change of requestTrailers) change(trailers, info);
    return CONTINUE;
  }

  onResponseTrailers(trailers: HeaderMap): FilterStatus {
    const { info } = this.callbacks;
    // For the operators that read them.
    info.responseTrailers = trailers;
    for (const { responseTrailers } of this.here()) for (const change of responseTrailers) change(trailers, info);
    return CONTINUE;
  }

  private here(): readonly Mutations[] {
    this.lists ??= this.rules.at(this.callbacks);
    return this.lists;
  }
}

export const HEADER_MUTATION: HttpFilterFactory = {
  name: 'envoy.filters.http.header_mutation',
  typeUrl: 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
  routeTypeUrl: 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute',
  build(config) {
    const rules = new Rules(fromPlain<HeaderMutationConfig>(config));
    return { create: (callbacks) => new HeaderMutationFilter(callbacks, rules) };
  },
};
