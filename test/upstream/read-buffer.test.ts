import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { it } from 'node:test';
import { keepBytes } from '../../proxy/http/bytes.ts';
import { readInto } from '../../proxy/upstream/read-buffer.ts';

function shared(options: ReturnType<typeof readInto>): Buffer {
  const { buffer } = options;
  assert.ok(Buffer.isBuffer(buffer));
  return buffer;
}

it('hands out bytes that are copied when they are kept', () => {
  let kept: Buffer | undefined;
  const options = readInto(
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
  const second = readInto(
    () => inner++,
    () => lost++,
  );
  const first = readInto(
    () => second.callback(1, shared(second)),
    () => lost++,
  );
  first.callback(1, shared(first));
  assert.deepEqual([inner, lost], [0, 2]);
  second.callback(1, shared(second));
  assert.deepEqual([inner, lost], [1, 2]);
});

it('reads on after a reader that threw', () => {
  const failing = readInto(
    () => {
      throw new Error('a filter failed');
    },
    () => assert.fail('nothing came in between'),
  );
  assert.throws(() => failing.callback(1, shared(failing)), /a filter failed/);
  assert.throws(() => failing.callback(1, shared(failing)), /a filter failed/);
});
