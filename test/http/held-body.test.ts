import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { readSlabs, sharedReads } from '../../proxy/http/bytes.ts';
import { HeldBody } from '../../proxy/http/held-body.ts';

test('large pieces of a slab are lent until the body is released, small ones copied', () => {
  const slab = readSlabs.take();
  const body = new HeldBody();
  slab.buffer.fill('a', 0, 65_536);
  body.push(slab.buffer.subarray(0, 65_536));
  assert.equal(slab.loans, 1);
  slab.buffer.fill('b', 100_000, 100_010);
  body.push(slab.buffer.subarray(100_000, 100_010));
  assert.equal(slab.loans, 1);
  slab.buffer.fill('c', 100_000);
  assert.equal(body.bytes, 65_546);
  assert.equal(body.pieces[1]?.toString(), 'bbbbbbbbbb');
  const { out } = readSlabs;
  slab.leave();
  assert.equal(readSlabs.out, out, 'nobody else may have it yet');
  body.release();
  body.release();
  assert.equal(readSlabs.out, out - 1);
});

test('what is read into again is copied, whatever its size; what is nobody else’s is not', () => {
  const shared = sharedReads(100_000).fill('a');
  const body = new HeldBody();
  body.push(shared);
  shared.fill('b');
  assert.equal(body.pieces[0]?.[99_999], 97);
  const own = Buffer.from('own');
  body.push(own);
  assert.equal(body.pieces[1], own);
  body.release();
});
