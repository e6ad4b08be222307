/** `/stats` as text, in Envoy's lines. */
import { type Bucket, cumulativeCounts, DEFAULT_BOUNDS, QUANTILES, quantiles } from './buckets.ts';
import type { MainStats } from './main-stats.ts';
import type { MergedHistogram } from './merged.ts';
import { type BucketMode, PIECE_LENGTH, type StatsQuery } from './query.ts';
import { rows } from './rows.ts';

/** Pieces of the page. */
export function* renderText(stats: MainStats, query: StatsQuery): Generator<string> {
  let text = '';
  if (query.type === 'All' || query.type === 'TextReadouts') {
    for (const [name, value] of stats.textReadouts()) {
      if (query.matches?.(name) !== false) text += `${name}: "${value.replace(/[&<>"']/g, escapeHtml)}"\n`;
    }
  }
  for (const group of rows(stats, query)) {
    for (const row of group) text += `${row.name}: ${row.value}\n`;
    if (text.length < PIECE_LENGTH) continue;
    yield text;
    text = '';
  }
  for (const histogram of wantedHistograms(stats, query)) {
    text += histogramText(histogram, query.buckets);
    if (text.length < PIECE_LENGTH) continue;
    yield text;
    text = '';
  }
  yield text;
}

/** Histograms that a query wants. */
export function wantedHistograms(stats: MainStats, query: StatsQuery): MergedHistogram[] {
  if (query.type !== 'All' && query.type !== 'Histograms') return [];
  return stats.histograms().filter((histogram) => {
    if (query.usedOnly && histogram.count() === 0) return false;
    return query.matches?.(histogram.name) !== false;
  });
}

/** The cumulative counts made counts of each range. */
export function disjoint(counts: readonly number[]): number[] {
  return counts.map((count, i) => count - (counts[i - 1] ?? 0));
}

function escapeHtml(character: string): string {
  return `&#${character.charCodeAt(0)};`;
}

function histogramText(histogram: MergedHistogram, mode: BucketMode): string {
  const all = histogram.buckets();
  const interval = histogram.interval ?? [];
  switch (mode) {
    case 'none':
    case 'summary':
      return `${histogram.name}: ${summary(all, interval)}\n`;
    case 'cumulative':
    case 'disjoint': {
      const shape = mode === 'disjoint' ? disjoint : (counts: readonly number[]) => counts;
      const now = shape(cumulativeCounts(interval, DEFAULT_BOUNDS));
      const ever = shape(cumulativeCounts(all, DEFAULT_BOUNDS));
      if (all.length === 0) return `${histogram.name}: No recorded values\n`;
      return `${histogram.name}: ${DEFAULT_BOUNDS.map((bound, i) => `B${shortNumber(bound)}(${now[i]},${ever[i]})`).join(' ')}\n`;
    }
    case 'detailed':
      return (
        `${histogram.name}:\n  totals=${detail(all)}\n  intervals=${detail(interval)}\n` +
        `  summary=${summary(all, interval)}\n`
      );
  }
}

function summary(all: readonly Bucket[], interval: readonly Bucket[]): string {
  const ever = quantiles(all);
  if (ever === undefined) return 'No recorded values';
  const now = quantiles(interval);
  return QUANTILES.map((quantile, i) => `P${quantile}(${now === undefined ? 'nan' : now[i]},${ever[i]})`).join(' ');
}

function detail(buckets: readonly Bucket[]): string {
  return buckets.map(({ lower, width, count }) => `${lower},${width}:${count}`).join(', ');
}

/** C's `%g`: six significant digits. */
function shortNumber(value: number): string {
  if (value < 1e6) return String(value);
  return value.toExponential().replace(/e\+(\d)$/, 'e+0$1');
}
