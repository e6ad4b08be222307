import type { HeaderAppendAction, HeaderToAdd, StringMatch } from '../common.ts';

/** envoy.config.common.mutation_rules.v3.HeaderMutation. Names are lower case. */
export type HeaderStep =
  | { readonly kind: 'append'; readonly header: HeaderToAdd }
  | { readonly kind: 'remove'; readonly name: string }
  | { readonly kind: 'remove-matching'; readonly name: StringMatch };

/** envoy.config.core.v3.KeyValueMutation of a query parameter. `value` may hold command operators. */
export type QueryStep =
  | { readonly kind: 'append'; readonly name: string; readonly value: string; readonly action: HeaderAppendAction }
  | { readonly kind: 'remove'; readonly name: string };

/** envoy.extensions.filters.http.header_mutation.v3.Mutations, of the filter or of a route. */
export interface MutationLists {
  readonly request: readonly HeaderStep[];
  readonly query: readonly QueryStep[];
  readonly response: readonly HeaderStep[];
  readonly requestTrailers: readonly HeaderStep[];
  readonly responseTrailers: readonly HeaderStep[];
}

export interface HeaderMutationConfig {
  readonly mutations: MutationLists;
  /** Of the routes' lists the most specific comes last, not first. */
  readonly mostSpecificWins: boolean;
}

export interface HeaderMutationRouteConfig {
  readonly mutations: MutationLists;
}
