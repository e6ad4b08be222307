import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createTurnClock } from '../proxy/turn-clock.ts';

it('stands still during a turn and reads the time again in the next', () => {
  let time = 5;
  const ends: (() => void)[] = [];
  const now = createTurnClock(
    () => time,
    (callback) => ends.push(callback),
  );
  assert.equal(now(), 5);
  time = 7;
  assert.equal(now(), 5);
  assert.equal(ends.length, 1);
  ends.shift()?.();
  assert.equal(now(), 7);
  assert.equal(ends.length, 1);
});
