import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { mutants, recordings, usedMemory } from '../recordings.ts';
import { ask, type Seen, serve } from './feeding.ts';

const UP = recordings('h2', 'up');
const DOWN = recordings('h2', 'down');
/** nghttp's first stream is the 13th. */
const STREAMS = 10;
const WHOLE = [1 << 20];
/** Of output to a byte of input, and once: whatever is sent, little comes back. */
const ECHO = 4;
const ONCE = 16_384;

/** How much of a body comes before its stream is reset depends on the cuts: it is lost either way. */
const messages = ({ seen, faults }: Seen) => ({
  seen: seen.map((text) => (text.endsWith(' -') ? text : text.replace(/ \[.*\] /s, ' '))),
  faults,
});

describe('recorded HTTP/2', () => {
  it('is understood', () => {
    assert.ok(UP.length >= 10 && UP.length === DOWN.length);
    for (const { name, bytes } of UP) {
      const { seen, faults } = serve(bytes, WHOLE, true);
      assert.deepEqual(faults, [], name);
      assert.ok(seen.length > 0, name);
    }
    for (const { name, bytes } of DOWN) {
      const { seen, faults } = ask(bytes, WHOLE, STREAMS);
      assert.deepEqual(faults, [], name);
      assert.ok(
        seen.some((text) => / (200|404) /.test(text)),
        name,
      );
    }
  });

  it('comes to the same requests cut anywhere, whatever is changed in it', () => {
    fc.assert(
      fc.property(mutants(UP), ({ bytes, cuts }) => {
        const cut = serve(bytes, cuts, true);
        assert.deepEqual(messages(cut), messages(serve(bytes, WHOLE, true)));
        assert.ok(cut.written <= ONCE + ECHO * bytes.length, `${cut.written} for ${bytes.length}`);
      }),
      { seed: 21, numRuns: 3000 },
    );
  });

  it('comes to the same responses cut anywhere, whatever is changed in it', () => {
    fc.assert(
      fc.property(mutants(DOWN), ({ bytes, cuts }) => {
        const cut = ask(bytes, cuts, STREAMS);
        assert.deepEqual(messages(cut), messages(ask(bytes, WHOLE, STREAMS)));
        assert.ok(cut.written <= ONCE + ECHO * bytes.length, `${cut.written} for ${bytes.length}`);
      }),
      { seed: 22, numRuns: 3000 },
    );
  });

  it('leaves nothing behind when its connection is gone', () => {
    const some = (seed: number, count: number) => {
      for (const { bytes, cuts } of fc.sample(mutants(UP), { seed, numRuns: count })) serve(bytes, cuts, true);
      for (const { bytes, cuts } of fc.sample(mutants(DOWN), { seed, numRuns: count })) ask(bytes, cuts, STREAMS);
    };
    some(1, 1000);
    const before = usedMemory();
    for (let seed = 2; seed < 6; seed++) some(seed, 1000);
    const grown = usedMemory() - before;
    assert.ok(grown < 8 << 20, `${grown} bytes more`);
  });
});
