import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_ROTATION, lifeUsed, renewAt, retryIn, validityState } from '../../certs/rotation.ts';

const validity = { notBefore: 0, notAfter: 130_000 };

test('renews at half of the remaining life, moved by the jitter', () => {
  assert.equal(renewAt(validity, 100_000, 0.5), 115_000);
  assert.equal(renewAt(validity, 100_000, 0), 113_500);
  assert.equal(renewAt(validity, 100_000, 1), 116_500);
});

test('a life that begins in the future counts from its beginning', () => {
  assert.equal(renewAt({ notBefore: 10_000, notAfter: 30_000 }, 0, 0.5), 20_000);
});

test('an expired or very short certificate does not make a busy loop', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -100_000, max: 1000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (life, random) => {
        const at = renewAt({ notBefore: 0, notAfter: 1e6 + life }, 1e6, random);
        assert.ok(at >= 1e6 + DEFAULT_ROTATION.minDelayMs);
      },
    ),
  );
});

test('failed renewals back off to a minute, and come closer as the end nears', () => {
  const long = { notBefore: 0, notAfter: 10_000_000 };
  const delays = [1, 2, 3, 4, 7, 1000].map((failures) => retryIn(long, 0, failures, 1));
  assert.deepEqual(delays, [1000, 2000, 4000, 8000, 60_000, 60_000]);
  assert.equal(retryIn({ notBefore: 0, notAfter: 4000 }, 0, 8, 1), 2000);
});

test('with nothing valid left, less than a second passes between tries', () => {
  for (const random of [0, 0.5, 0.999]) {
    for (const failures of [1, 8, 1000]) {
      for (const none of [undefined, { notBefore: 0, notAfter: 0 }]) {
        const pause = retryIn(none, 5000, failures, random);
        assert.ok(pause >= 250 && pause <= 500, `${pause}`);
      }
    }
  }
});

test('the part of the life that is over counts from when it was obtained', () => {
  assert.equal(lifeUsed(validity, 100_000, 115_000), 0.5);
  assert.equal(lifeUsed({ notBefore: 10_000, notAfter: 20_000 }, 0, 5000), 0);
  assert.equal(lifeUsed(validity, 100_000, 133_000), 1.1);
  assert.equal(lifeUsed({ notBefore: 0, notAfter: 0 }, 5, 5), 1);
});

test('says where in its life a certificate is', () => {
  assert.equal(validityState(validity, -1), 'not-yet-valid');
  assert.equal(validityState(validity, 1), 'valid');
  assert.equal(validityState(validity, 130_001), 'expired');
});
