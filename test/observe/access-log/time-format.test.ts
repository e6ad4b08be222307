import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileTime } from '../../../proxy/observe/access-log/time-format.ts';

test('writes RFC 3339 for each millisecond, whatever the line before was', () => {
  const format = compileTime(undefined, false);
  assert.ok(typeof format === 'function');
  const day = Date.UTC(2026, 1, 28, 23, 59, 59);
  for (const ms of [0, 7, 7, 42, 999, 1_000, 1_001, 60_500, 3, -1, -1_000]) {
    assert.equal(format(day + ms), new Date(day + ms).toISOString());
  }
  assert.equal(format(-1), new Date(-1).toISOString());
});
