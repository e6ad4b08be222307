/** `/stats`, `/stats/prometheus`, `/reset_counters`. */
import { type BucketMode, EVERYTHING, type StatsQuery, type StatType } from '../../observe/stats/query.ts';
import { renderJson } from '../../observe/stats/render-json.ts';
import { renderPrometheus } from '../../observe/stats/render-prometheus.ts';
import { renderText } from '../../observe/stats/render-text.ts';
import { type Answer, flag, HTML, JSON_TYPE, nameFilter, OK, type Page, text } from '../page.ts';
import type { AdminSources } from '../sources.ts';

const TYPES: readonly string[] = ['All', 'Counters', 'Gauges', 'Histograms', 'TextReadouts'];
const MODES: readonly string[] = ['none', 'cumulative', 'disjoint', 'detailed', 'summary'];

export function statsPages(sources: AdminSources): Page[] {
  return [
    {
      path: '/stats',
      help: 'print server stats',
      parameters: [
        ['usedonly', 'Only include stats that have been written since start'],
        ['filter', 'Regular expression (RE2) for filtering stats'],
        ['invert_filter', 'Invert the filter'],
        ['format', 'Format to use; One of (html, text, json, prometheus)'],
        ['type', `Stat types to include; One of (${TYPES.join(', ')})`],
        ['histogram_buckets', 'Histogram bucket display mode; One of (cumulative, disjoint, detailed, summary)'],
      ],
      answer: (parameters) => stats(sources, parameters, parameters.get('format') ?? 'text'),
    },
    {
      path: '/stats/prometheus',
      help: 'print server stats in prometheus format',
      parameters: [
        ['usedonly', 'Only include stats that have been written since start'],
        ['text_readouts', 'Render text readouts as gauges with value 0'],
        ['filter', 'Regular expression (RE2) for filtering stats'],
        ['invert_filter', 'Invert the filter'],
        ['histogram_buckets', 'Histogram bucket display mode; One of (cumulative, summary)'],
      ],
      answer: (parameters) => stats(sources, parameters, 'prometheus'),
    },
    {
      path: '/reset_counters',
      help: 'reset all counters to zero',
      mutates: true,
      answer: () => {
        sources.stats.resetCounters();
        return OK;
      },
    },
    {
      path: '/stats/recentlookups',
      help: 'show recent stat-name lookups',
      answer: () => text('Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 0\n'),
    },
  ];
}

function stats(sources: AdminSources, parameters: URLSearchParams, format: string): Answer {
  const query = parse(parameters);
  if ('error' in query) return text(query.error, 400);
  switch (format) {
    case 'text':
      return text(renderText(sources.stats, query));
    case 'json':
      return { status: 200, type: JSON_TYPE, body: renderJson(sources.stats, query) };
    case 'prometheus':
      return text(renderPrometheus(sources.stats, query, sources.tagRules));
    case 'html':
    case 'active-html':
      return { status: 200, type: HTML, body: html(renderText(sources.stats, query)) };
    default:
      return text('usage: /stats?format=(html|active-html|json|prometheus|text)\n\n', 400);
  }
}

function parse(parameters: URLSearchParams): StatsQuery | { readonly error: string } {
  const type = parameters.get('type') ?? 'All';
  if (!TYPES.includes(type)) return { error: 'invalid &type= param' };
  const buckets = parameters.get('histogram_buckets') ?? 'none';
  if (!MODES.includes(buckets)) {
    return { error: 'usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary)\n' };
  }
  const filter = nameFilter(parameters.get('filter'));
  if (typeof filter === 'object') return { error: `Invalid re2 regex: ${filter.error}\n` };
  const matches = filter !== undefined && flag(parameters, 'invert_filter') ? (name: string) => !filter(name) : filter;
  return {
    ...EVERYTHING,
    usedOnly: flag(parameters, 'usedonly'),
    matches,
    type: type as StatType,
    buckets: buckets as BucketMode,
    textReadouts: flag(parameters, 'text_readouts'),
  };
}

function* html(pieces: Iterable<string>): Generator<string> {
  yield '<!DOCTYPE html>\n<title>Tollway statistics</title>\n<pre>\n';
  for (const piece of pieces) yield piece.replace(/&/g, '&amp;').replace(/</g, '&lt;');
  yield '</pre>\n';
}
