import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { it } from 'node:test';
import fc from 'fast-check';
import { block, data, frame, GET, headers, number32, POST } from './fakes.ts';
import { ask, serve } from './feeding.ts';

const REQUEST_FRAMES = [
  headers(1, false, ...POST, 'content-length', '5'),
  data(1, 'hello', true),
  headers(3, true, ...GET, 'x-a', '1'),
  frame(1, 0, 5, block(...POST)),
  frame(9, 4, 5, block('x-b', '2')),
  frame(0, 8, 5, '\x02ab\0\0'),
  headers(5, true, 'x-t', '1'),
  frame(3, 0, 5, number32(8)),
  frame(4, 0, 0, Buffer.from('000400000010', 'hex')),
  frame(6, 0, 0, '12345678'),
  frame(8, 0, 0, number32(1000)),
  frame(8, 0, 1, number32(1000)),
  frame(2, 0, 3, Buffer.from([0, 0, 0, 0, 1])),
  frame(7, 0, 0, Buffer.alloc(8)),
  frame(99, 0, 7, 'unknown'),
];
const RESPONSE_FRAMES = [
  frame(4, 0, 0),
  headers(1, false, ':status', '103'),
  headers(1, false, ':status', '200', 'content-length', '5'),
  data(1, 'hello', true),
  headers(3, false, ':status', '200'),
  headers(3, true, 'grpc-status', '0'),
  headers(5, true, ':status', '204'),
  frame(3, 0, 5, number32(7)),
  frame(7, 0, 0, Buffer.concat([number32(3), number32(0)])),
  frame(6, 0, 0, '12345678'),
];

/** Frames in any order, some bytes of them changed, and where to cut them. */
function streamOf(frames: readonly Buffer[]) {
  return fc
    .tuple(
      fc.oneof(fc.constant([...frames]), fc.array(fc.constantFrom(...frames), { maxLength: 20 })),
      fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 3 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
    )
    .map(([chosen, changes, cuts]) => {
      const bytes = Buffer.concat(chosen);
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      return { bytes, cuts };
    });
}

it('a server sees the same requests however the bytes are cut', () => {
  fc.assert(
    fc.property(streamOf(REQUEST_FRAMES), ({ bytes, cuts }) => {
      assert.deepEqual(serve(bytes, cuts), serve(bytes, [1 << 20]));
    }),
    { seed: 4, numRuns: 400 },
  );
});

it('a client sees the same responses however the bytes are cut', () => {
  fc.assert(
    fc.property(streamOf(RESPONSE_FRAMES), ({ bytes, cuts }) => {
      assert.deepEqual(ask(bytes, cuts), ask(bytes, [1 << 20]));
    }),
    { seed: 5, numRuns: 400 },
  );
});
