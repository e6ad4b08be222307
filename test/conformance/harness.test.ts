/** The harness itself: it must be green where nothing differs and red where something does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { report } from './compare-suite.ts';
import { http, type Suite } from './harness/case.ts';
import { get } from './harness/client.ts';
import { diff, judge } from './harness/compare.ts';
import { findEnvoy } from './harness/proxies.ts';
import { runSuite } from './harness/run-suite.ts';

const suite: Suite = {
  name: 'harness',
  upstreams: ['a'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'] },
    routes: [
      {
        name: 'direct',
        match: { path: '/direct' },
        direct_response: { status: 418, body: { inline_string: 'short and stout' } },
      },
      { match: { prefix: '/' }, route: { cluster: 'a' } },
    ],
  }),
  cases: [
    { name: 'proxied', client: get('/x') },
    { name: 'direct', client: get('/direct') },
  ],
};

if (findEnvoy() === undefined) {
  test('the harness is not run against Envoy', (t) => t.diagnostic('Envoy is not installed: npm run peers'));
} else {
  test('Envoy agrees with Envoy', async () => {
    const [first, second] = await Promise.all([runSuite('envoy', suite), runSuite('envoy', suite)]);
    assert.deepEqual(
      report(suite, first, second).flatMap(({ problems }) => problems),
      [],
    );
  });

  test('an altered bootstrap is found in response, access log and statistics', async () => {
    const [first, altered] = await Promise.all([
      runSuite('envoy', suite),
      runSuite('envoy', suite, (text) => text.replace('"status": 418', '"status": 503')),
    ]);
    const reports = report(suite, first, altered);
    const text = reports.flatMap(({ problems }) => problems).join('\n');
    assert.match(text, /client\[0\]\.responses\[0\]\.start/);
    assert.match(text, /accessLog\[0\]\.status/);
    assert.match(text, /downstream_rq_5xx/);
    assert.deepEqual(reports[0]?.problems, [], 'the case that the change does not touch stays green');
  });
}

test('a difference on purpose must come true', () => {
  const parts = diff({ a: 1, b: 2 }, { a: 1, b: 3 });
  assert.deepEqual(judge(parts, { why: 'so', at: { b: { envoy: 2, tollway: 3 } } }), { unexpected: [], stale: [] });
  assert.deepEqual(judge(parts, { why: 'so', at: { b: { envoy: 2, tollway: 4 } } }).unexpected.length, 1);
  assert.deepEqual(judge([], { why: 'so', at: { b: { envoy: 2, tollway: 3 } } }).stale, ['b']);
});
