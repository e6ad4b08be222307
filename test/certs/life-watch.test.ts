import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifeWatch } from '../../certs/life-watch.ts';
import { certificateOf, FakeCertificateClock } from './fakes.ts';

function watching() {
  const clock = new FakeCertificateClock(0);
  const told: string[] = [];
  const watch = new LifeWatch(clock, {
    stage: (stage, { validity }) => told.push(`${stage} of ${validity.notAfter} at ${clock.now()}`),
    clockJumped: (byMs) => told.push(`jumped by ${byMs}`),
  });
  return { clock, told, watch };
}

test('tells of three quarters, nine tenths and the end, once each', async () => {
  const { clock, told, watch } = watching();
  watch.watch([certificateOf(0, 100_000)]);
  await clock.pass(300_000);
  assert.deepEqual(told, [
    'three-quarters of 100000 at 75000',
    'nine-tenths of 100000 at 90000',
    'expired of 100000 at 100000',
  ]);
  assert.equal(watch.lifeUsed(), 3);
  watch.close();
  assert.equal(clock.waiting, 0);
});

test('a certificate that is renewed in time is never told of', async () => {
  const { clock, told, watch } = watching();
  for (let round = 1; round <= 10; round++) {
    watch.watch([certificateOf(clock.now(), clock.now() + 100_000)]);
    await clock.pass(50_000);
  }
  assert.deepEqual(told, []);
});

test('one that comes late in its life is told of at once, at its newest stage', () => {
  const { told, watch } = watching();
  watch.watch([certificateOf(-95_000, 5000), certificateOf(-10, 100_000), certificateOf(-100, -1)]);
  assert.deepEqual(told, ['nine-tenths of 5000 at 0', 'expired of -1 at 0']);
});

test('the life counts from when it was obtained, whatever the skew of its issuer', async () => {
  const { clock, told, watch } = watching();
  watch.watch([certificateOf(-1_000_000, 4000, 0)]);
  await clock.pass(2000);
  assert.deepEqual(told, []);
  assert.equal(watch.lifeUsed(), 0.5);
});

test('a clock that is set is noticed, one that drifts is not', async () => {
  const { clock, told, watch } = watching();
  watch.watch([certificateOf(0, 100_000_000)]);
  clock.offset += 5000;
  await clock.pass(1000);
  clock.offset -= 90_000;
  await clock.pass(1000);
  for (let i = 0; i < 100; i++) {
    clock.offset += 100;
    await clock.pass(1000);
  }
  assert.deepEqual(told, ['jumped by 5000', 'jumped by -90000']);
});

test('stages that lie closer than a look are told of when they come', async () => {
  const { clock, told, watch } = watching();
  watch.watch([certificateOf(0, 1000)]);
  await clock.pass(2000);
  assert.deepEqual(told, ['three-quarters of 1000 at 750', 'nine-tenths of 1000 at 900', 'expired of 1000 at 1000']);
});

test('one that is given again is not told of again', async () => {
  const { clock, told, watch } = watching();
  const certificate = certificateOf(0, 1000);
  watch.watch([certificate]);
  await clock.pass(950);
  watch.watch([{ ...certificate }]);
  await clock.pass(50);
  assert.equal(told.length, 3);
});
