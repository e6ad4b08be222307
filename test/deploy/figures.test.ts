import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareLedgers, compareReports } from '../../deploy/local/ledgers.ts';
import { quantile } from '../../deploy/local/load.ts';
import { settlementShares } from '../../deploy/local/screen.ts';

describe('a quantile', () => {
  const hundred = Array.from({ length: 100 }, (_, at) => at + 1);
  test('of a hundred', () => {
    assert.equal(quantile(hundred, 0.5), 51);
    assert.equal(quantile(hundred, 0.99), 100);
    assert.equal(quantile(hundred, 1), 100);
  });
  test('of one and of none', () => {
    assert.equal(quantile([7], 0.99), 7);
    assert.equal(quantile([], 0.99), 0);
  });
});

describe('ledgers compared', () => {
  const services = (clearance: readonly string[], payment: readonly string[] = clearance) =>
    new Map([
      ['payment', payment],
      ['clearance', clearance],
    ]);
  test('a payment that the client was told of and the last service took once is in order', () => {
    const client = new Map([
      ['a', true],
      ['failed on the way', false],
    ]);
    assert.deepEqual(compareLedgers(client, services(['a']), 'clearance'), { lost: 0, doubled: 0 });
  });
  test('one that the last service never took is lost', () => {
    assert.deepEqual(compareLedgers(new Map([['a', true]]), services([], ['a']), 'clearance'), { lost: 1, doubled: 0 });
  });
  test('one that a service took twice is doubled, whatever the client was told', () => {
    const client = new Map([['a', false]]);
    assert.deepEqual(compareLedgers(client, services(['a'], ['a', 'a']), 'clearance'), { lost: 0, doubled: 1 });
  });
});

describe('the two ends of reports', () => {
  test('that agree have lost and doubled nothing', () => {
    const lines = ['r1 a', 'r2 a', 'r1 b'];
    assert.deepEqual(compareReports(lines, lines), {
      reportStreams: 2,
      reported: 3,
      reportsLost: 0,
      reportsDoubled: 0,
    });
  });

  test('show what was lost on a call that goes on', () => {
    assert.equal(compareReports(['r1 a'], ['r1 a', 'r1 b']).reportsLost, 1);
    assert.equal(compareReports([], ['r1 a', 'r1 b']).reportsLost, 2);
  });

  for (const [who, received, sent] of [
    ['the reader', ['r1 a', 'r1 c', 'r1'], ['r1 a', 'r1 b', 'r1 c', 'r1 d']],
    ['the sender', ['r1 a', 'r1 c'], ['r1 a', 'r1 b', 'r1 c', 'r1 d', 'r1']],
  ] as const) {
    test(`count what is missing before the last message where ${who} saw the end`, () => {
      assert.equal(compareReports(received, sent).reportsLost, 1);
    });
  }

  test('show what came twice', () => {
    assert.equal(compareReports(['r1 a', 'r1 a', 'r2 a'], ['r1 a', 'r2 a']).reportsDoubled, 1);
  });
});

describe("settlement's shares", () => {
  test('are of the payments that settlement took', () => {
    const payments = new Map([
      ['settlement-v2', 1],
      ['settlement-v1', 3],
      ['clearance', 4],
    ]);
    assert.equal(settlementShares(payments), 'v1 75 % v2 25 %');
  });
  test('of no payment are none', () => assert.equal(settlementShares(new Map()), '-'));
});
