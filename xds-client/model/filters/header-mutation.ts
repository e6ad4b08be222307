import type { HeaderToAdd } from '../common.ts';

/** envoy.config.common.mutation_rules.v3.HeaderMutation. Names are lower case. */
export type HeaderStep =
  | { readonly kind: 'append'; readonly header: HeaderToAdd }
  | { readonly kind: 'remove'; readonly name: string };

/** envoy.extensions.filters.http.header_mutation.v3.Mutations, of the filter or of a route. */
export interface MutationLists {
  readonly request: readonly HeaderStep[];
  readonly response: readonly HeaderStep[];
}

export interface HeaderMutationConfig {
  readonly mutations: MutationLists;
  /** Of the routes' lists the most specific comes last, not first. */
  readonly mostSpecificWins: boolean;
}

export interface HeaderMutationRouteConfig {
  readonly mutations: MutationLists;
}
