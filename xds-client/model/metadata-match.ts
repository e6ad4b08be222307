/** envoy.type.matcher.v3.MetadataMatcher and ValueMatcher. */
import type { StringMatch } from './common.ts';

export interface MetadataMatch {
  readonly namespace: string;
  readonly path: readonly string[];
  readonly value: ValueMatch;
  readonly invert: boolean;
}

export type ValueMatch =
  | { readonly kind: 'null' }
  | { readonly kind: 'exact-number'; readonly value: number }
  /** `start` is among them, `end` is not. */
  | { readonly kind: 'range'; readonly start: number; readonly end: number }
  | { readonly kind: 'string'; readonly match: StringMatch }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'present'; readonly present: boolean }
  /** One element of the list. */
  | { readonly kind: 'list'; readonly one: ValueMatch }
  | { readonly kind: 'or'; readonly of: readonly ValueMatch[] };
