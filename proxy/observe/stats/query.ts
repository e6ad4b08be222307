/** What a scrape asks for, as `/stats` takes it. */
import { UNUSED } from './arena.ts';

export type StatType = 'All' | 'Counters' | 'Gauges' | 'Histograms' | 'TextReadouts';
export type BucketMode = 'none' | 'cumulative' | 'disjoint' | 'detailed' | 'summary';

export interface StatsQuery {
  /** Only what somebody has written. */
  readonly usedOnly: boolean;
  /** Decides by the full name; `undefined` takes all. */
  readonly matches: ((name: string) => boolean) | undefined;
  readonly type: StatType;
  readonly buckets: BucketMode;
  /** Prometheus: text readouts as gauges of 0 with a `text_value` label. */
  readonly textReadouts: boolean;
}

export const EVERYTHING: StatsQuery = {
  usedOnly: false,
  matches: undefined,
  type: 'All',
  buckets: 'none',
  textReadouts: false,
};

/** Characters after which a renderer hands over what it has, so that a big scrape is written piece by piece. */
export const PIECE_LENGTH = 64 * 1024;

export function wantsKind(query: StatsQuery, kind: 'counter' | 'gauge'): boolean {
  return query.type === 'All' || query.type === (kind === 'counter' ? 'Counters' : 'Gauges');
}

export function wantsValue(query: StatsQuery, value: number): boolean {
  return !query.usedOnly || !Object.is(value, UNUSED);
}
