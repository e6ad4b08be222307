import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { HalfOfEnvoy } from '../../bench/load/lib/measure.ts';
import { judgeGoal, markdown, type RowResult, withTable } from '../../bench/load/lib/results.ts';

function row(tollway: readonly number[], envoy: readonly number[], refused?: string): RowResult {
  return {
    name: 'h1',
    what: 'HTTP/1.1',
    rounds: {
      tollway: tollway.map((cpuMicros) => ({ cpuMicros })),
      envoy: envoy.map((cpuMicros) => ({ cpuMicros })),
    },
    refused,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.6 }],
  };
}

const goal = { figure: 'cpuMicros', kind: 'ratio', limit: 0.6 } as const;

describe('what the bench makes of its figures', () => {
  it('judges medians, so that one bad round decides nothing', () => {
    assert.equal(judgeGoal(row([24, 90, 23], [40, 41, 10]), goal)?.met, true);
    assert.equal(judgeGoal(row([25, 90, 26], [40, 41, 10]), goal)?.met, false);
  });

  it('judges differences and absolute figures as such', () => {
    assert.equal(judgeGoal(row([100], [61]), { ...goal, kind: 'difference', limit: 40 })?.met, true);
    assert.equal(judgeGoal(row([102], [61]), { ...goal, kind: 'difference', limit: 40 })?.met, false);
    assert.equal(judgeGoal(row([399], []), { ...goal, kind: 'absolute', limit: 400 })?.met, true);
  });

  it('gives no ratio where a side failed or is missing', () => {
    assert.equal(judgeGoal(row([20], [40], 'envoy: 3 requests failed'), goal), undefined);
    assert.equal(judgeGoal(row([20], []), goal), undefined);
  });

  it('marks a goal that was missed', () => {
    const results = {
      date: '2026-01-01',
      machine: { cpu: 'x', cores: 2, memoryGb: 1, kernel: '6' },
      versions: {},
      rows: [row([30], [40])],
    };
    assert.match(markdown(results), /\*\*GOAL MISSED\*\*: CPU µs a request 0\.75 of Envoy's, goal at most 0\.60/);
  });

  it('keeps the newest table in the page', () => {
    const page = readFileSync(new URL('../../bench/README.md', import.meta.url), 'utf8');
    const once = withTable(page, '| a |');
    assert.match(once, /\| a \|/);
    const twice = withTable(once, '| b |');
    assert.match(twice, /\| b \|/);
    assert.doesNotMatch(twice, /\| a \|/);
    assert.throws(() => withTable('no marks', '| a |'), /lacks the marks/);
  });
});

describe('a rate that Envoy settles', () => {
  it('is half of what saturated it first, for every peer and round', () => {
    const half = new HalfOfEnvoy();
    half.saturated('tollway', 50_000);
    assert.equal(half.rate, undefined);
    half.saturated('envoy', 25_001);
    half.saturated('envoy', 9_000);
    assert.equal(half.rate, 12_501);
  });
});
