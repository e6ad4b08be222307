/** envoy.type.matcher.v3.MetadataMatcher, compiled. */
import type { Json } from '../../xds-client/model/common.ts';
import type { MetadataMatch, ValueMatch } from '../../xds-client/model/metadata-match.ts';
import { compileStringMatch } from '../route/string-match.ts';

/** `undefined`: nothing is there. */
export type ValueTest = (value: Json | undefined) => boolean;

export function compileValueMatch(match: ValueMatch): ValueTest {
  switch (match.kind) {
    case 'null':
      return (value) => value === null;
    case 'exact-number':
      return (value) => value === match.value;
    case 'range':
      return (value) => typeof value === 'number' && value >= match.start && value < match.end;
    case 'string': {
      const test = compileStringMatch(match.match);
      return (value) => typeof value === 'string' && test(value);
    }
    case 'bool':
      return (value) => value === match.value;
    case 'present':
      return (value) => (value !== undefined) === match.present;
    case 'list': {
      const test = compileValueMatch(match.one);
      return (value) => Array.isArray(value) && value.some((element: Json) => test(element));
    }
    case 'or': {
      const tests = match.of.map(compileValueMatch);
      return (value) => tests.some((test) => test(value));
    }
  }
}

/** Holds the metadata of one namespace (`undefined`: there is none) against the match. */
export function compileMetadataMatch({ path, value, invert }: MetadataMatch): ValueTest {
  const test = compileValueMatch(value);
  return (metadata) => test(at(metadata, path)) !== invert;
}

function at(metadata: Json | undefined, path: readonly string[]): Json | undefined {
  let value = metadata;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
      return undefined;
    value = (value as { readonly [key: string]: Json })[key];
  }
  return value;
}
