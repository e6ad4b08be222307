/** The statistics of one compressor, by Envoy's names. */
import type { StatFamily } from '../../../observe/stats/contract.ts';

const OF_DIRECTION = [
  'compressed',
  'not_compressed',
  'total_uncompressed_bytes',
  'total_compressed_bytes',
  'content_length_too_small',
];
const OF_CHOICE = [
  'no_accept_header',
  'header_identity',
  'header_compressor_used',
  'header_compressor_overshadowed',
  'header_wildcard',
  'header_not_valid',
  'not_compressed_etag',
  // Tollway's own: bodies left as they were because all others together hold as much as they may.
  'over_budget',
];

function family(response: string): StatFamily {
  const names = [
    ...OF_DIRECTION.map((name) => `request.${name}`),
    ...OF_DIRECTION.map((name) => response + name),
    ...OF_CHOICE,
  ];
  return { names, kinds: names.map(() => 'counter') };
}

/** For a configuration that has the response's fields in the filter itself, and for one that has `response_direction_config`. */
export const PLAIN_STATS = family('');
export const DIRECTED_STATS = family('response.');

/** Where a direction's counters begin. */
export const REQUEST = 0;
export const RESPONSE = OF_DIRECTION.length;
/** From there. */
export const COMPRESSED = 0;
export const NOT_COMPRESSED = 1;
export const UNCOMPRESSED_BYTES = 2;
export const COMPRESSED_BYTES = 3;
export const TOO_SMALL = 4;

const CHOICE = 2 * OF_DIRECTION.length;
export const NO_ACCEPT_HEADER = CHOICE;
export const HEADER_IDENTITY = CHOICE + 1;
export const HEADER_USED = CHOICE + 2;
export const HEADER_OVERSHADOWED = CHOICE + 3;
export const HEADER_WILDCARD = CHOICE + 4;
export const HEADER_NOT_VALID = CHOICE + 5;
export const ETAG = CHOICE + 6;
export const OVER_BUDGET = CHOICE + 7;
