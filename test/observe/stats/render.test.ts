import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MainStats } from '../../../proxy/observe/stats/main-stats.ts';
import { EVERYTHING } from '../../../proxy/observe/stats/query.ts';
import { renderJson } from '../../../proxy/observe/stats/render-json.ts';
import { renderPrometheus } from '../../../proxy/observe/stats/render-prometheus.ts';
import { renderText } from '../../../proxy/observe/stats/render-text.ts';

/** Captured from Envoy 1.40 with TLS, TCP, RDS, rate limit, RBAC, fault and tracing configured. */
const fixture = (name: string): string =>
  readFileSync(new URL(`../../fixtures/envoy-admin/${name}`, import.meta.url), 'utf8');

const all = (pieces: Iterable<string>): string => [...pieces].join('');

test('makes of each name the metric and the labels that Envoy makes of it', () => {
  const stats = new MainStats();
  const expected = fixture('prometheus.txt');
  const gauges = new Set([...expected.matchAll(/^# TYPE (\S+) gauge$/gm)].map((match) => match[1]));
  const histograms = new Set([...expected.matchAll(/^# TYPE (\S+) histogram$/gm)].map((match) => match[1]));
  const samples = expected.split('\n').filter((line) => {
    const name = /^(envoy_[^{]*)\{/.exec(line)?.[1];
    return name !== undefined && !histograms.has(name.replace(/_(?:bucket|sum|count)$/, ''));
  });
  for (const line of fixture('stats.txt').split('\n')) {
    const match = /^(\S+): (\d+)$/.exec(line);
    if (match === null) continue;
    stats.counter(match[1] as string).add(Number(match[2]));
  }
  const strip = (line: string): string => line.replace(/ \S+$/, '');
  const ours = all(renderPrometheus(stats, EVERYTHING))
    .split('\n')
    .filter((line) => line.startsWith('envoy_'));
  assert.deepEqual(ours.map(strip).sort(), samples.map(strip).sort());
  assert.ok(gauges.size > 50);
});

test('gives blocks the same metrics as single names', () => {
  const names = ['upstream_rq_total', 'upstream_rq_2xx', 'ssl.handshake', 'upstream_rq_503'];
  const blocks = new MainStats();
  const singles = new MainStats();
  for (const prefix of [
    'cluster.pay.',
    'cluster.a.b.',
    'http.in.',
    'listener.0.0.0.0_15006.',
    'listener.[__]_80.worker_0.',
  ]) {
    const block = blocks.block(prefix, { names, kinds: names.map(() => 'counter') });
    for (const [i, name] of names.entries()) {
      block.add(i, i);
      singles.counter(prefix + name).add(i);
    }
  }
  const lines = (stats: MainStats): string[] => all(renderPrometheus(stats, EVERYTHING)).split('\n').sort();
  assert.deepEqual(lines(blocks), lines(singles));
});

test('prints histograms as Envoy prints the same values', () => {
  const stats = new MainStats();
  const histogram = stats.histogram('http.in.downstream_cx_length_ms');
  for (const value of [0, 0, 0, 1, 1, 3, 6]) histogram.record(value);
  stats.endInterval();
  // Envoy 1.40, the same seven values.
  assert.equal(
    all(renderText(stats, EVERYTHING)),
    'http.in.downstream_cx_length_ms: P0(0,0) P25(0,0) P50(1.0333333333333334,1.0333333333333334) P75(3.05,3.05) ' +
      'P90(6.05,6.05) P95(6.05,6.05) P99(6.05,6.05) P99.5(6.05,6.05) P99.9(6.05,6.05) P100(6.05,6.05)\n',
  );
  assert.equal(
    all(renderText(stats, { ...EVERYTHING, buckets: 'cumulative' })),
    'http.in.downstream_cx_length_ms: B0.5(3,3) B1(5,5) B5(6,6) B10(7,7) B25(7,7) B50(7,7) B100(7,7) B250(7,7) ' +
      'B500(7,7) B1000(7,7) B2500(7,7) B5000(7,7) B10000(7,7) B30000(7,7) B60000(7,7) B300000(7,7) B600000(7,7) ' +
      'B1.8e+06(7,7) B3.6e+06(7,7)\n',
  );
  stats.endInterval();
  assert.match(all(renderText(stats, EVERYTHING)), /P0\(nan,0\)/);
  const prometheus = all(renderPrometheus(stats, EVERYTHING));
  assert.match(prometheus, /_bucket\{envoy_http_conn_manager_prefix="in",le="1"\} 5\n/);
  assert.match(prometheus, /_sum\{envoy_http_conn_manager_prefix="in"\} 11\n/);
  assert.match(prometheus, /le="3600000"\} 7\n.*le="\+Inf"\} 7\n/);
});

test('merges the histograms of two workers whatever the size of their values', () => {
  const stats = new MainStats();
  for (const value of [0.02, 0.5, 99, 1e9, 1e30, Number.NaN, -1]) stats.histogram('h').record(value);
  const details = JSON.parse(all(renderJson(stats, { ...EVERYTHING, buckets: 'detailed' })));
  const [found] = details.stats[0].histograms.details;
  assert.deepEqual(
    found.totals.map((bucket: { lower_bound: number }) => bucket.lower_bound),
    [0.02, 0.5, 99, 1e9, 9.9e15],
  );
});

test('writes JSON in the shape that Envoy writes', () => {
  const stats = new MainStats();
  stats.counter('b').add(2);
  stats.text('control_plane.identifier', 'istiod "1"');
  stats.histogram('h');
  const parsed = JSON.parse(all(renderJson(stats, EVERYTHING)));
  assert.deepEqual(parsed.stats[0], { name: 'control_plane.identifier', value: 'istiod "1"' });
  assert.deepEqual(parsed.stats[1], { name: 'b', value: 2 });
  assert.deepEqual(parsed.stats[2].histograms.computed_quantiles[0].values[0], { cumulative: null, interval: null });
  assert.equal(all(renderJson(new MainStats(), EVERYTHING)), '{"stats":[]}');
});

test('tells what was written from what was not, even when it is zero again', () => {
  const stats = new MainStats();
  stats.counter('never');
  stats.gauge('was').add(1);
  stats.gauge('was').add(-1);
  stats.histogram('empty');
  assert.equal(all(renderText(stats, { ...EVERYTHING, usedOnly: true })), 'was: 0\n');
  assert.equal(all(renderText(stats, EVERYTHING)), 'never: 0\nwas: 0\nempty: No recorded values\n');
  assert.equal(all(renderText(stats, { ...EVERYTHING, type: 'Gauges' })), 'was: 0\n');
  assert.equal(all(renderText(stats, { ...EVERYTHING, matches: (name) => name === 'never' })), 'never: 0\n');
});

test('scrapes 2000 clusters in pieces, none of which holds the thread for long', () => {
  const stats = new MainStats();
  const names = Array.from({ length: 110 }, (_, i) => `upstream_thing_${i}_total`);
  const family = { names, kinds: names.map(() => 'counter' as const) };
  for (let i = 0; i < 2000; i++) stats.block(`cluster.service_${i}.`, family);
  let lines = 0;
  let longest = 0;
  let from = performance.now();
  for (const piece of renderText(stats, EVERYTHING)) {
    longest = Math.max(longest, performance.now() - from);
    lines += piece.split('\n').length - 1;
    from = performance.now();
  }
  assert.equal(lines, 220_000);
  assert.ok(longest < 200, `a piece took ${longest} ms`);
});
