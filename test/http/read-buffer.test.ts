import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import type { OnReadOpts } from 'node:net';
import { it } from 'node:test';
import { keepBytes, readSlabs, slabOf } from '../../proxy/http/bytes.ts';
import { readInto } from '../../proxy/http/read-buffer.ts';

function reads(onBytes: (bytes: Buffer) => void, overwritten: () => void) {
  return readInto(onBytes, overwritten).onread;
}

function shared({ buffer }: OnReadOpts): Buffer {
  assert.ok(typeof buffer === 'function');
  const next = buffer();
  assert.ok(Buffer.isBuffer(next));
  return next;
}

it('hands out bytes that are copied when they are kept', () => {
  let kept: Buffer | undefined;
  const options = reads(
    (bytes) => {
      kept = keepBytes(bytes);
    },
    () => assert.fail('nothing came in between'),
  );
  shared(options).write('first');
  options.callback(5, shared(options));
  shared(options).write('other');
  assert.equal(kept?.toString(), 'first');
  const own = Buffer.from('own');
  assert.equal(keepBytes(own), own);
});

it('ends both connections when one reads over the bytes of another', () => {
  let inner = 0;
  let lost = 0;
  const second = reads(
    () => inner++,
    () => lost++,
  );
  const first = reads(
    () => second.callback(1, shared(second)),
    () => lost++,
  );
  first.callback(1, shared(first));
  assert.deepEqual([inner, lost], [0, 2]);
  second.callback(1, shared(second));
  assert.deepEqual([inner, lost], [1, 2]);
});

it('reads on after a reader that threw', () => {
  const failing = reads(
    () => {
      throw new Error('a filter failed');
    },
    () => assert.fail('nothing came in between'),
  );
  assert.throws(() => failing.callback(1, shared(failing)), /a filter failed/);
  assert.throws(() => failing.callback(1, shared(failing)), /a filter failed/);
});

it('gives a connection of many bytes a slab of its own, and takes it back', () => {
  const before = readSlabs.out;
  let lent: Buffer | undefined;
  const { onread, close } = readInto(
    (bytes) => {
      lent = bytes;
    },
    () => assert.fail('nothing came in between'),
  );
  const common = shared(onread);
  onread.callback(common.length, common);
  const own = shared(onread);
  assert.notEqual(own, common);
  onread.callback(own.length, own);
  assert.equal(shared(onread), own, 'it is read into again while nobody borrows it');
  onread.callback(own.length, own);
  const slab = slabOf(lent as Buffer);
  assert.ok(slab !== undefined);
  slab.lend();
  onread.callback(own.length, own);
  const next = shared(onread);
  assert.notEqual(next, own);
  for (let i = 0; i < 4; i++) onread.callback(100, next);
  assert.equal(shared(onread), common, 'few bytes are read into the common buffer');
  assert.equal(readSlabs.out, before + 1);
  slab.giveBack();
  onread.callback(common.length, common);
  assert.equal(readSlabs.out, before + 1);
  close();
  assert.equal(readSlabs.out, before);
});
