/** The header mutation filter: what it does to headers, one step after the other. */
import type { MessageObject } from '../../../protos/index.ts';
import type {
  HeaderMutationConfig,
  HeaderMutationRouteConfig,
  HeaderStep,
  MutationLists,
} from '../../model/filters/header-mutation.ts';
import { plain } from '../../model/plain.ts';
import { each } from '../common.ts';
import { type DecodeContext, type Extension, type ExtensionResults, support } from '../context.ts';
import { flag, message, text } from '../fields.ts';
import { decodeHeaderToAdd, isProtected } from '../matcher.ts';

const NAME = 'envoy.filters.http.header_mutation';
const PACKAGE = 'envoy.extensions.filters.http.header_mutation.v3';

support(`${PACKAGE}.HeaderMutation`, { acts: ['mutations', 'most_specific_header_mutations_wins'] });
support(`${PACKAGE}.HeaderMutationPerRoute`, { acts: ['mutations'] });
support(`${PACKAGE}.Mutations`, { acts: ['request_mutations', 'response_mutations'] });
support('envoy.config.common.mutation_rules.v3.HeaderMutation', { acts: ['remove', 'append'] });

function decodeStep(mutation: MessageObject, ctx: DecodeContext): HeaderStep {
  const append = message(mutation, 'append');
  if (append !== undefined) {
    return { kind: 'append', header: ctx.at('append', () => decodeHeaderToAdd(append, ctx)) };
  }
  const name = text(mutation, 'remove').toLowerCase();
  // Envoy takes it, and then fails each request for what it lacks.
  if (isProtected(name)) ctx.error(':-prefixed or host headers may not be removed', 'remove');
  return { kind: 'remove', name };
}

function decodeMutations(of: MessageObject, ctx: DecodeContext): MutationLists {
  const mutations = message(of, 'mutations');
  return ctx.at('mutations', () => ({
    request: each(mutations, 'request_mutations', ctx, (mutation) => decodeStep(mutation, ctx)),
    response: each(mutations, 'response_mutations', ctx, (mutation) => decodeStep(mutation, ctx)),
  }));
}

export const HEADER_MUTATION: Extension<ExtensionResults['http-filter']> = {
  name: NAME,
  type: `${PACKAGE}.HeaderMutation`,
  decode: (config, ctx) => {
    const decoded: HeaderMutationConfig = {
      mutations: decodeMutations(config, ctx),
      mostSpecificWins: flag(config, 'most_specific_header_mutations_wins'),
    };
    return { terminal: false, config: plain(decoded) };
  },
};

export const HEADER_MUTATION_ROUTE: Extension<ExtensionResults['http-filter-route']> = {
  name: NAME,
  type: `${PACKAGE}.HeaderMutationPerRoute`,
  decode: (config, ctx) => {
    const decoded: HeaderMutationRouteConfig = { mutations: decodeMutations(config, ctx) };
    return plain(decoded);
  },
};
