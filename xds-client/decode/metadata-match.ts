/** Metadata and value matchers. */
import type { MessageObject } from '../../protos/index.ts';
import type { MetadataMatch, ValueMatch } from '../model/metadata-match.ts';
import { type DecodeContext, support } from './context.ts';
import { flag, has, message, messages, number, text } from './fields.ts';
import { decodeStringMatch } from './matcher.ts';

const MATCHER = 'envoy.type.matcher.v3';

support(`${MATCHER}.MetadataMatcher`, { acts: ['filter', 'path', 'value', 'invert'] });
support(`${MATCHER}.MetadataMatcher.PathSegment`, { acts: ['key'] });
support(`${MATCHER}.ValueMatcher`, {
  acts: ['null_match', 'double_match', 'string_match', 'bool_match', 'present_match', 'list_match', 'or_match'],
});
support(`${MATCHER}.ValueMatcher.NullMatch`, { acts: [] });
support(`${MATCHER}.DoubleMatcher`, { acts: ['range', 'exact'] });
support(`${MATCHER}.ListMatcher`, { acts: ['one_of'] });
support(`${MATCHER}.OrMatcher`, { acts: ['value_matchers'] });
support('envoy.type.v3.DoubleRange', { acts: ['start', 'end'] });

function decodeValueMatch(matcher: MessageObject | undefined, ctx: DecodeContext): ValueMatch {
  const double = message(matcher, 'double_match');
  const range = message(double, 'range');
  if (range !== undefined) return { kind: 'range', start: number(range, 'start'), end: number(range, 'end') };
  if (double !== undefined) return { kind: 'exact-number', value: number(double, 'exact') };
  const string = message(matcher, 'string_match');
  if (string !== undefined) {
    return { kind: 'string', match: ctx.at('string_match', () => decodeStringMatch(string, ctx)) };
  }
  if (has(matcher, 'bool_match')) return { kind: 'bool', value: flag(matcher, 'bool_match') };
  if (has(matcher, 'present_match')) return { kind: 'present', present: flag(matcher, 'present_match') };
  const list = message(matcher, 'list_match');
  if (list !== undefined) {
    return {
      kind: 'list',
      one: ctx.at('list_match', () => ctx.at('one_of', () => decodeValueMatch(message(list, 'one_of'), ctx))),
    };
  }
  const or = message(matcher, 'or_match');
  if (or === undefined) return { kind: 'null' };
  const of = messages(or, 'value_matchers').map((one, index) =>
    ctx.at('or_match', () => ctx.at('value_matchers', () => ctx.at(index, () => decodeValueMatch(one, ctx)))),
  );
  return { kind: 'or', of };
}

/** envoy MetadataMatcher. */
export function decodeMetadataMatch(matcher: MessageObject, ctx: DecodeContext): MetadataMatch {
  return {
    namespace: text(matcher, 'filter'),
    path: messages(matcher, 'path').map((segment) => text(segment, 'key')),
    value: ctx.at('value', () => decodeValueMatch(message(matcher, 'value'), ctx)),
    invert: flag(matcher, 'invert'),
  };
}
