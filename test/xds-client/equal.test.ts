import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { equal } from '../../xds-client/model/equal.ts';

it('compares plain data as deep equality does', () => {
  const value = fc.jsonValue({ maxDepth: 3 });
  fc.assert(
    fc.property(value, value, (a, b) => {
      assert.equal(equal(a, structuredClone(a)), true);
      assert.equal(equal(a, b), isDeepStrictEqual(a, b));
    }),
    { seed: 7, numRuns: 500 },
  );
});

it('takes an undefined member for none, and an inherited one too', () => {
  assert.equal(equal({ a: 1, b: undefined }, { a: 1 }), true);
  assert.equal(equal({ a: 1 }, { a: 1, b: undefined }), true);
  assert.equal(equal({ toString: 1 }, {}), false);
  assert.equal(equal({}, { toString: 1 }), false);
  assert.equal(equal([1], { 0: 1 }), false);
  assert.equal(equal({ a: [{ b: 1 }] }, { a: [{ b: 2 }] }), false);
});
