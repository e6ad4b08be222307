/** `/stats/prometheus`: the text exposition format with Envoy's metric names and labels. */
import { cumulativeCounts, DEFAULT_BOUNDS, QUANTILES, quantiles } from './buckets.ts';
import type { StatFamily } from './contract.ts';
import type { MainStats } from './main-stats.ts';
import type { MergedHistogram, MergedRun } from './merged.ts';
import { PIECE_LENGTH, type StatsQuery, wantsKind, wantsValue } from './query.ts';
import { wantedHistograms } from './render-text.ts';
import {
  escapeLabel,
  extractPrefixTags,
  extractSuffixTags,
  extractTags,
  metricName,
  type Tagged,
  type TagRule,
} from './tags.ts';

interface Sample {
  readonly run: MergedRun;
  readonly index: number;
  readonly labels: string;
}

const prefixTags = new WeakMap<MergedRun, Tagged>();
const suffixTags = new WeakMap<StatFamily, readonly Tagged[]>();

/** Pieces of the page. `extra` are the bootstrap's own tag rules, before Envoy's. */
export function* renderPrometheus(
  stats: MainStats,
  query: StatsQuery,
  extra: readonly TagRule[] = [],
): Generator<string> {
  let text = '';
  for (const kind of ['counter', 'gauge'] as const) {
    if (!wantsKind(query, kind)) continue;
    for (const [metric, samples] of collect(stats, kind, extra)) {
      let head = `# TYPE ${metric} ${kind}\n`;
      for (const { run, index, labels } of samples) {
        if (query.matches !== undefined && !query.matches(run.prefix + (run.family.names[index] as string))) continue;
        const value = run.value(index);
        if (!wantsValue(query, value)) continue;
        text += `${head}${metric}{${labels}} ${value + 0}\n`;
        head = '';
        if (text.length < PIECE_LENGTH) continue;
        yield text;
        text = '';
      }
    }
  }
  if (query.textReadouts) text += renderTexts(stats, query, extra);
  yield text;
  yield* renderHistograms(stats, query, extra);
}

/** Samples of one kind by metric, metrics in order. */
function collect(stats: MainStats, kind: 'counter' | 'gauge', extra: readonly TagRule[]): [string, Sample[]][] {
  const byMetric = new Map<string, Sample[]>();
  const names = new Map<string, Map<StatFamily, string[]>>();
  for (const { runs } of stats.groups()) {
    for (const run of runs) {
      const { family } = run;
      const prefix = tagsOf(run, extra);
      const suffixes = family.names[0] === '' ? [{ name: '', labels: '' }] : tagsOfNames(family);
      let families = names.get(prefix.name);
      if (families === undefined) {
        families = new Map();
        names.set(prefix.name, families);
      }
      let metrics = families.get(family);
      if (metrics === undefined) {
        metrics = suffixes.map((suffix) => metricName(prefix.name + suffix.name));
        families.set(family, metrics);
      }
      for (let index = 0; index < family.names.length; index++) {
        if (family.kinds[index] !== kind) continue;
        const metric = metrics[index] as string;
        const sample = { run, index, labels: join((suffixes[index] as Tagged).labels, prefix.labels) };
        const samples = byMetric.get(metric);
        if (samples === undefined) byMetric.set(metric, [sample]);
        else samples.push(sample);
      }
    }
  }
  return [...byMetric].sort((a, b) => (a[0] < b[0] ? -1 : 1));
}

function tagsOf(run: MergedRun, extra: readonly TagRule[]): Tagged {
  let tags = prefixTags.get(run);
  if (tags === undefined) {
    const single = run.family.names[0] === '';
    tags = single ? extractTags(run.prefix, extra) : extractPrefixTags(run.prefix, extra);
    prefixTags.set(run, tags);
  }
  return tags;
}

function tagsOfNames(family: StatFamily): readonly Tagged[] {
  let tags = suffixTags.get(family);
  if (tags === undefined) {
    tags = family.names.map((name) => extractSuffixTags(name));
    suffixTags.set(family, tags);
  }
  return tags;
}

function join(first: string, second: string): string {
  return first === '' ? second : second === '' ? first : `${first},${second}`;
}

function renderTexts(stats: MainStats, query: StatsQuery, extra: readonly TagRule[]): string {
  let text = '';
  for (const [name, value] of stats.textReadouts()) {
    if (query.matches?.(name) === false) continue;
    const tags = extractTags(name, extra);
    const metric = metricName(tags.name);
    text += `# TYPE ${metric} gauge\n${metric}{${join(tags.labels, `text_value="${escapeLabel(value)}"`)}} 0\n`;
  }
  return text;
}

function* renderHistograms(stats: MainStats, query: StatsQuery, extra: readonly TagRule[]): Generator<string> {
  const byMetric = new Map<string, [MergedHistogram, string][]>();
  for (const histogram of wantedHistograms(stats, query)) {
    const tags = extractTags(histogram.name, extra);
    const metric = metricName(tags.name);
    const same = byMetric.get(metric);
    if (same === undefined) byMetric.set(metric, [[histogram, tags.labels]]);
    else same.push([histogram, tags.labels]);
  }
  let text = '';
  for (const [metric, histograms] of [...byMetric].sort((a, b) => (a[0] < b[0] ? -1 : 1))) {
    text += `# TYPE ${metric} ${query.buckets === 'summary' ? 'summary' : 'histogram'}\n`;
    for (const [histogram, labels] of histograms) {
      text += query.buckets === 'summary' ? summary(metric, labels, histogram) : full(metric, labels, histogram);
      if (text.length < PIECE_LENGTH) continue;
      yield text;
      text = '';
    }
  }
  yield text;
}

function full(metric: string, labels: string, histogram: MergedHistogram): string {
  const counts = cumulativeCounts(histogram.buckets(), DEFAULT_BOUNDS);
  let text = '';
  for (const [i, bound] of DEFAULT_BOUNDS.entries()) {
    text += `${metric}_bucket{${join(labels, `le="${bound}"`)}} ${counts[i]}\n`;
  }
  const count = histogram.count();
  text += `${metric}_bucket{${join(labels, 'le="+Inf"')}} ${count}\n`;
  return `${text}${metric}_sum{${labels}} ${histogram.sum()}\n${metric}_count{${labels}} ${count}\n`;
}

function summary(metric: string, labels: string, histogram: MergedHistogram): string {
  const values = quantiles(histogram.interval ?? []);
  let text = '';
  for (const [i, quantile] of QUANTILES.entries()) {
    text += `${metric}{${join(labels, `quantile="${quantile / 100}"`)}} ${values?.[i] ?? 'nan'}\n`;
  }
  return `${text}${metric}_sum{${labels}} ${histogram.sum()}\n${metric}_count{${labels}} ${histogram.count()}\n`;
}
