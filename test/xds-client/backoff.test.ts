import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Backoff } from '../../xds-client/backoff.ts';

it('doubles the bound up to its maximum, jitters over the whole of it, and starts again when reset', () => {
  const draws = [0.999999, 0.5, 0, 0.999999, 0.999999, 0.999999, 0.999999, 0.999999, 0.5];
  const backoff = new Backoff({ baseMs: 500, maxMs: 30_000 }, () => draws.shift() ?? 0);
  assert.deepEqual(
    Array.from({ length: 8 }, () => backoff.next()),
    [499, 500, 0, 3_999, 7_999, 15_999, 29_999, 29_999],
  );
  backoff.reset();
  assert.equal(backoff.next(), 250);
});
