/** The header mutation filter: what it does to headers, one step after the other. */
import type { MessageObject } from '../../../protos/index.ts';
import type {
  HeaderMutationConfig,
  HeaderMutationRouteConfig,
  HeaderStep,
  MutationLists,
  QueryStep,
} from '../../model/filters/header-mutation.ts';
import { plain } from '../../model/plain.ts';
import { each } from '../common.ts';
import { type DecodeContext, type Extension, type ExtensionResults, support } from '../context.ts';
import { flag, message, text, word } from '../fields.ts';
import { APPEND_ACTIONS, decodeHeaderToAdd, decodeStringMatch, isProtected } from '../matcher.ts';
import { valueToJson } from '../struct.ts';

const NAME = 'envoy.filters.http.header_mutation';
const PACKAGE = 'envoy.extensions.filters.http.header_mutation.v3';
const MUTATION = 'envoy.config.common.mutation_rules.v3.HeaderMutation';

support(`${PACKAGE}.HeaderMutation`, { acts: ['mutations', 'most_specific_header_mutations_wins'] });
support(`${PACKAGE}.HeaderMutationPerRoute`, { acts: ['mutations'] });
support(`${PACKAGE}.Mutations`, {
  acts: [
    'request_mutations',
    'query_parameter_mutations',
    'response_mutations',
    'response_trailers_mutations',
    'request_trailers_mutations',
  ],
  refused: { formatters: 'command operators of extensions are not built' },
});
support(MUTATION, { acts: ['remove', 'append', 'remove_on_match'] });
support(`${MUTATION}.RemoveOnMatch`, { acts: ['key_matcher'] });
support('envoy.config.core.v3.KeyValueMutation', { acts: ['append', 'remove'] });
support('envoy.config.core.v3.KeyValueAppend', {
  acts: ['record', 'action'],
  refused: { entry: 'Envoy does not take it here either; give record' },
});
support('envoy.config.core.v3.KeyValuePair', { acts: ['key', 'value'] });

function decodeStep(mutation: MessageObject, ctx: DecodeContext): HeaderStep {
  const append = message(mutation, 'append');
  if (append !== undefined) {
    return { kind: 'append', header: ctx.at('append', () => decodeHeaderToAdd(append, ctx)) };
  }
  const match = message(mutation, 'remove_on_match');
  if (match !== undefined) {
    const name = ctx.at('remove_on_match', () =>
      ctx.at('key_matcher', () => decodeStringMatch(message(match, 'key_matcher'), ctx)),
    );
    return { kind: 'remove-matching', name };
  }
  const name = text(mutation, 'remove').toLowerCase();
  // Envoy takes it, and then fails each request for what it lacks.
  if (isProtected(name)) ctx.error(':-prefixed or host headers may not be removed', 'remove');
  return { kind: 'remove', name };
}

function decodeQueryStep(mutation: MessageObject, ctx: DecodeContext): QueryStep {
  const append = message(mutation, 'append');
  const removed = text(mutation, 'remove');
  if (append === undefined) {
    if (removed === '') ctx.error("One of 'append'/'remove' must be specified.");
    return { kind: 'remove', name: removed };
  }
  if (removed !== '') ctx.error("Only one of 'append'/'remove' can be specified.");
  const record = message(append, 'record');
  const value = valueToJson(message(record, 'value'));
  if (record === undefined) ctx.error('No record specified for append mutation.', 'append');
  else if (typeof value !== 'string') ctx.error('Only string value is allowed for record value.', 'append.record');
  else ctx.checked(ctx.checks.headerValue(value), 'append.record.value');
  return {
    kind: 'append',
    name: text(record, 'key'),
    value: typeof value === 'string' ? value : '',
    action: APPEND_ACTIONS[word(append, 'action', 'APPEND_IF_EXISTS_OR_ADD')] ?? 'append-or-add',
  };
}

function decodeMutations(of: MessageObject, ctx: DecodeContext): MutationLists {
  const mutations = message(of, 'mutations');
  const steps = (field: string) => each(mutations, field, ctx, (mutation) => decodeStep(mutation, ctx));
  return ctx.at('mutations', () => ({
    request: steps('request_mutations'),
    query: each(mutations, 'query_parameter_mutations', ctx, (mutation) => decodeQueryStep(mutation, ctx)),
    response: steps('response_mutations'),
    requestTrailers: steps('request_trailers_mutations'),
    responseTrailers: steps('response_trailers_mutations'),
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
