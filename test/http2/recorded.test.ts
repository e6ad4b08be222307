import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Mutant, mutants, type Recording, recordings, usedMemory } from '../recordings.ts';
import { ask, type Seen, serve } from './feeding.ts';

const UP = recordings('h2', 'up');
const DOWN = recordings('h2', 'down');
/** nghttp's first stream is the 13th. */
const STREAMS = 10;
const WHOLE = [1 << 20];
/** Of output to a byte of input, and once: whatever is sent, little comes back. */
const ECHO = 4;
const ONCE = 16_384;

/** Whole frames of the bytes, which begin with one. */
function framesOf(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at + 9 <= bytes.length; ) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    frames.push(bytes.subarray(at, end));
    at = end;
  }
  return frames;
}

/** A recording whose frames are left out, said again and mixed with another's, their types, flags and streams changed now and then. */
function mixed(all: readonly Recording[], preface: number): fc.Arbitrary<Omit<Mutant, 'name'>> {
  const told = all.map(({ bytes }) => framesOf(bytes.subarray(preface)));
  const one = fc.constantFrom(...told);
  const step = fc.tuple(fc.nat(9), fc.nat(40), fc.constantFrom(3, 4, 8), fc.nat(9));
  return fc
    .tuple(one, one, fc.array(step, { maxLength: 40 }), fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1 }))
    .map(([frames, others, steps, cuts]) => {
      const mix = [...frames];
      for (const [kind, where, place, value] of steps) {
        const at = where % (mix.length + 1);
        const frame = Buffer.from(mix[at] ?? others[where % others.length] ?? '');
        if (kind < 3) mix.splice(at, 1);
        else if (kind < 5) mix.splice(at, 0, others[where % others.length] ?? frame);
        else if (kind < 7) mix.splice(at, 0, ...Array.from({ length: value }, () => frame));
        else if (frame.length >= 9) {
          frame[place] = value;
          mix[at] = frame;
        }
      }
      return { bytes: Buffer.concat([(all[0] as Recording).bytes.subarray(0, preface), ...mix]), cuts };
    });
}

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

  it('comes to the same messages with its frames mixed up', () => {
    fc.assert(
      fc.property(mixed(UP, 24), ({ bytes, cuts }) => {
        assert.deepEqual(messages(serve(bytes, cuts, true)), messages(serve(bytes, WHOLE, true)));
      }),
      { seed: 23, numRuns: 1500 },
    );
    fc.assert(
      fc.property(mixed(DOWN, 0), ({ bytes, cuts }) => {
        assert.deepEqual(messages(ask(bytes, cuts, STREAMS)), messages(ask(bytes, WHOLE, STREAMS)));
      }),
      { seed: 24, numRuns: 1500 },
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
