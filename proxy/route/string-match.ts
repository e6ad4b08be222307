/** envoy.type.matcher.v3.StringMatcher, compiled. */
import type { StringMatch } from '../../xds-client/model/common.ts';
import { FullMatchRegex } from './regex.ts';

export type StringTest = (value: string) => boolean;

export function compileStringMatch(match: StringMatch): StringTest {
  if (match.kind === 'regex') {
    const regex = new FullMatchRegex(match.value);
    return (value) => regex.matches(value);
  }
  const { kind, ignoreCase } = match;
  const wanted = ignoreCase ? match.value.toLowerCase() : match.value;
  const folded = ignoreCase ? (value: string) => value.toLowerCase() : (value: string) => value;
  switch (kind) {
    case 'exact':
      return ignoreCase ? (value) => folded(value) === wanted : (value) => value === wanted;
    case 'prefix':
      return (value) => folded(value).startsWith(wanted);
    case 'suffix':
      return (value) => folded(value).endsWith(wanted);
    case 'contains':
      return (value) => folded(value).includes(wanted);
  }
}
