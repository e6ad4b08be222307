/** Every case of cases/ on a real Envoy and on Tollway. Without Envoy it says so: `npm run peers` installs it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareSuite } from './compare-suite.ts';
import { findEnvoy } from './harness/proxies.ts';
import { loadSuites } from './suites.ts';

/** Each suite runs two proxies; more at once would only make times meaningless. */
const TOGETHER = 2;

const suites = await loadSuites();
const cases = suites.reduce((sum, suite) => sum + suite.cases.length, 0);

if (findEnvoy() === undefined) {
  test('conformance with Envoy is left out', (t) => {
    t.diagnostic(`${cases} cases of ${suites.length} suites need Envoy: npm run peers installs it`);
    assert.ok(process.env.CI === undefined || process.env.TOLLWAY_WITHOUT_ENVOY !== undefined || cases > 0);
  });
} else {
  // Every describe begins at once: the suites go through this gate.
  const gate: Promise<unknown>[] = Array.from({ length: TOGETHER }, () => Promise.resolve());
  for (const [number, suite] of suites.entries()) {
    describe(suite.name, async () => {
      const lane = number % TOGETHER;
      const reports = (gate[lane] as Promise<unknown>).then(() => compareSuite(suite));
      gate[lane] = reports.catch(() => undefined);
      reports.catch(() => undefined);
      for (const [at, one] of [...suite.cases, { name: 'statistics' }].entries()) {
        test(one.name, async () => {
          const report = (await reports)[at];
          assert.equal(report?.problems.join('\n'), '');
        });
      }
    });
  }
}
