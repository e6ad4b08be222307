/** String, header and regex matchers, and the header changes that routes carry. */
import type { MessageObject } from '../../protos/index.ts';
import type { HeaderAppendAction, HeaderChanges, HeaderMatch, HeaderToAdd, StringMatch } from '../model/common.ts';
import { each, headerValue } from './common.ts';
import { type DecodeContext, support } from './context.ts';
import { flag, has, message, number, text, texts, word, wrappedFlag } from './fields.ts';
import { checkedRegex } from './regex.ts';

support('envoy.type.matcher.v3.StringMatcher', {
  acts: ['exact', 'prefix', 'suffix', 'safe_regex', 'contains', 'ignore_case'],
  refused: { custom: 'custom string matchers are not built' },
});
support('envoy.type.matcher.v3.RegexMatcher', {
  acts: ['regex'],
  ignored: { google_re2: 'RE2 is the only engine; its program size has a limit of its own' },
});
support('envoy.type.v3.Int64Range', { acts: ['start', 'end'] });
support('envoy.config.route.v3.HeaderMatcher', {
  acts: [
    'name',
    'exact_match',
    'safe_regex_match',
    'range_match',
    'present_match',
    'prefix_match',
    'suffix_match',
    'contains_match',
    'string_match',
    'invert_match',
    'treat_missing_header_as_empty',
  ],
});
support('envoy.config.core.v3.HeaderValueOption', {
  acts: ['header', 'append', 'append_action', 'keep_empty_value'],
});

/** envoy RegexMatcher's pattern, compiled once to see that it is RE2. */
export function decodeRegex(matcher: MessageObject | undefined, ctx: DecodeContext): string {
  return checkedRegex(text(matcher, 'regex'), ctx);
}

export function decodeStringMatch(matcher: MessageObject | undefined, ctx: DecodeContext): StringMatch {
  const ignoreCase = flag(matcher, 'ignore_case');
  const regex = message(matcher, 'safe_regex');
  if (regex !== undefined) {
    if (ignoreCase) ctx.error('ignore_case has no effect for safe_regex.', 'ignore_case');
    const value = ctx.at('safe_regex', () => decodeRegex(regex, ctx));
    return { kind: 'regex', value, ignoreCase: false };
  }
  for (const kind of ['prefix', 'suffix', 'contains'] as const) {
    if (has(matcher, kind)) return { kind, value: text(matcher, kind), ignoreCase };
  }
  return { kind: 'exact', value: text(matcher, 'exact'), ignoreCase };
}

const DEPRECATED = {
  exact_match: 'exact',
  prefix_match: 'prefix',
  suffix_match: 'suffix',
  contains_match: 'contains',
} as const;

function decodeHeaderTest(matcher: MessageObject, ctx: DecodeContext): HeaderMatch['match'] {
  const string = message(matcher, 'string_match');
  if (string !== undefined) {
    return { kind: 'string', string: ctx.at('string_match', () => decodeStringMatch(string, ctx)) };
  }
  const regex = message(matcher, 'safe_regex_match');
  if (regex !== undefined) {
    const value = ctx.at('safe_regex_match', () => decodeRegex(regex, ctx));
    return { kind: 'string', string: { kind: 'regex', value, ignoreCase: false } };
  }
  const range = message(matcher, 'range_match');
  if (range !== undefined) return { kind: 'range', start: number(range, 'start'), end: number(range, 'end') };
  for (const [field, kind] of Object.entries(DEPRECATED)) {
    if (has(matcher, field)) {
      return { kind: 'string', string: { kind, value: text(matcher, field), ignoreCase: false } };
    }
  }
  return { kind: 'present', present: !has(matcher, 'present_match') || flag(matcher, 'present_match') };
}

/** envoy HeaderMatcher; without a test, the header has to be there. */
export function decodeHeaderMatch(matcher: MessageObject, ctx: DecodeContext): HeaderMatch {
  return {
    name: text(matcher, 'name').toLowerCase(),
    match: decodeHeaderTest(matcher, ctx),
    invert: flag(matcher, 'invert_match'),
    treatMissingAsEmpty: flag(matcher, 'treat_missing_header_as_empty'),
  };
}

export function decodeHeaderMatches(of: MessageObject | undefined, field: string, ctx: DecodeContext): HeaderMatch[] {
  return each(of, field, ctx, (matcher) => decodeHeaderMatch(matcher, ctx));
}

export const APPEND_ACTIONS: { readonly [action: string]: HeaderAppendAction } = {
  APPEND_IF_EXISTS_OR_ADD: 'append-or-add',
  ADD_IF_ABSENT: 'add-if-absent',
  OVERWRITE_IF_EXISTS_OR_ADD: 'overwrite-or-add',
  OVERWRITE_IF_EXISTS: 'overwrite-if-exists',
};

/** Headers that routing itself depends on: Envoy lets no configuration touch them. */
export function isProtected(name: string): boolean {
  return name.startsWith(':') || name === 'host';
}

/** envoy HeaderValueOption. */
export function decodeHeaderToAdd(option: MessageObject, ctx: DecodeContext): HeaderToAdd {
  const header = message(option, 'header');
  const name = text(header, 'key').toLowerCase();
  if (isProtected(name)) ctx.error(':-prefixed or host headers may not be modified', 'header.key');
  const deprecated = wrappedFlag(option, 'append');
  if (
    deprecated !== undefined &&
    word(option, 'append_action', 'APPEND_IF_EXISTS_OR_ADD') !== 'APPEND_IF_EXISTS_OR_ADD'
  ) {
    ctx.error('Both append and append_action are set and it is not allowed', 'append');
  }
  const value = headerValue(header);
  ctx.checked(ctx.checks.headerValue(value), 'header.value');
  const action = APPEND_ACTIONS[word(option, 'append_action', 'APPEND_IF_EXISTS_OR_ADD')] ?? 'append-or-add';
  return {
    name,
    value,
    action: deprecated === false ? 'overwrite-or-add' : action,
    keepEmptyValue: flag(option, 'keep_empty_value'),
  };
}

export function decodeHeadersToAdd(of: MessageObject | undefined, field: string, ctx: DecodeContext): HeaderToAdd[] {
  return each(of, field, ctx, (option) => decodeHeaderToAdd(option, ctx));
}

export function decodeHeadersToRemove(of: MessageObject | undefined, field: string, ctx: DecodeContext): string[] {
  return texts(of, field).map((name, index) => {
    const lower = name.toLowerCase();
    if (isProtected(lower)) {
      ctx.at(field, () => ctx.at(index, () => ctx.error(':-prefixed or host headers may not be removed')));
    }
    return lower;
  });
}

/** The four lists of header changes that route tables, virtual hosts, routes and weighted clusters carry. */
export function decodeHeaderChanges(of: MessageObject | undefined, ctx: DecodeContext): HeaderChanges {
  return {
    requestAdd: decodeHeadersToAdd(of, 'request_headers_to_add', ctx),
    requestRemove: decodeHeadersToRemove(of, 'request_headers_to_remove', ctx),
    responseAdd: decodeHeadersToAdd(of, 'response_headers_to_add', ctx),
    responseRemove: decodeHeadersToRemove(of, 'response_headers_to_remove', ctx),
  };
}

export const HEADER_CHANGE_FIELDS = [
  'request_headers_to_add',
  'request_headers_to_remove',
  'response_headers_to_add',
  'response_headers_to_remove',
] as const;
