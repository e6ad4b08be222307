import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RuntimeValues } from '../proxy/runtime.ts';

function values() {
  const runtime = new RuntimeValues();
  runtime.set({
    number: 7,
    text: '12',
    word: 'often',
    negative: -1,
    yes: true,
    share: { numerator: 5, denominator: 'TEN_THOUSAND' },
    short: { numerator: 5 },
    odd: { numerator: 5, denominator: 'DOZEN' },
  });
  return runtime;
}

test('numbers are numbers, also where they are written as text', () => {
  const runtime = values();
  assert.deepEqual(
    ['number', 'text', 'word', 'negative', 'yes', 'share', 'none'].map((key) => runtime.number(key)),
    [7, 12, undefined, -1, undefined, undefined, undefined],
  );
});

test('a flag is a boolean, or a number that is not 0; words are none', () => {
  const runtime = new RuntimeValues();
  runtime.set({ yes: true, no: false, one: 1, zero: 0, text: '1', word: 'true', share: { numerator: 1 } });
  assert.deepEqual(
    ['yes', 'no', 'one', 'zero', 'text', 'word', 'share', 'none'].map((key) => runtime.flag(key)),
    [true, false, true, false, true, undefined, undefined, undefined],
  );
});

test('a share is a fraction or a percentage', () => {
  const runtime = values();
  assert.deepEqual(
    ['share', 'short', 'number', 'odd', 'negative', 'word'].map((key) => runtime.share(key)),
    [
      { numerator: 5, denominator: 10_000 },
      { numerator: 5, denominator: 100 },
      { numerator: 7, denominator: 100 },
      undefined,
      undefined,
      undefined,
    ],
  );
});

test('new values take the place of all there were', () => {
  const runtime = values();
  runtime.set({ other: 1 });
  assert.deepEqual(
    [runtime.number('number'), runtime.share('share'), runtime.number('other')],
    [undefined, undefined, 1],
  );
});
