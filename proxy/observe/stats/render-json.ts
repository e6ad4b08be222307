/** `/stats?format=json`, in Envoy's shape. */
import { type Bucket, cumulativeCounts, DEFAULT_BOUNDS, QUANTILES, quantiles } from './buckets.ts';
import type { MainStats } from './main-stats.ts';
import type { MergedHistogram } from './merged.ts';
import { type BucketMode, PIECE_LENGTH, type StatsQuery } from './query.ts';
import { disjoint, wantedHistograms } from './render-text.ts';
import { rows } from './rows.ts';

/** Pieces of the document. */
export function* renderJson(stats: MainStats, query: StatsQuery): Generator<string> {
  let text = '{"stats":[';
  let separator = '';
  if (query.type === 'All' || query.type === 'TextReadouts') {
    for (const [name, value] of stats.textReadouts()) {
      if (query.matches?.(name) === false) continue;
      text += `${separator}${JSON.stringify({ name, value })}`;
      separator = ',';
    }
  }
  for (const group of rows(stats, query)) {
    for (const row of group) {
      text += `${separator}{"name":${JSON.stringify(row.name)},"value":${row.value}}`;
      separator = ',';
    }
    if (text.length < PIECE_LENGTH) continue;
    yield text;
    text = '';
  }
  const histograms = wantedHistograms(stats, query);
  if (histograms.length > 0) text += `${separator}{"histograms":${JSON.stringify(shape(histograms, query.buckets))}}`;
  yield `${text}]}`;
}

function shape(histograms: readonly MergedHistogram[], mode: BucketMode): unknown {
  switch (mode) {
    case 'none':
    case 'summary':
      return {
        supported_quantiles: QUANTILES,
        computed_quantiles: histograms.map((histogram) => ({
          name: histogram.name,
          values: values(histogram.buckets(), histogram.interval ?? []),
        })),
      };
    case 'cumulative':
    case 'disjoint':
      return histograms.map((histogram) => {
        const change = mode === 'disjoint' ? disjoint : (counts: readonly number[]) => counts;
        const interval = change(cumulativeCounts(histogram.interval ?? [], DEFAULT_BOUNDS));
        const cumulative = change(cumulativeCounts(histogram.buckets(), DEFAULT_BOUNDS));
        return {
          name: histogram.name,
          buckets: DEFAULT_BOUNDS.map((bound, i) => ({
            upper_bound: bound,
            interval: interval[i],
            cumulative: cumulative[i],
          })),
        };
      });
    case 'detailed':
      return {
        supported_percentiles: QUANTILES,
        details: histograms.map((histogram) => ({
          name: histogram.name,
          totals: histogram.buckets().map(bucket),
          intervals: (histogram.interval ?? []).map(bucket),
          percentiles: values(histogram.buckets(), histogram.interval ?? []),
        })),
      };
  }
}

function bucket({ lower, width, count }: Bucket): object {
  return { lower_bound: lower, width, count };
}

function values(all: readonly Bucket[], interval: readonly Bucket[]): object[] {
  const ever = quantiles(all);
  const now = quantiles(interval);
  return QUANTILES.map((_, i) => ({ cumulative: ever?.[i] ?? null, interval: now?.[i] ?? null }));
}
