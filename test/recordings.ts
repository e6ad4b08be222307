/** What clients and servers of others said (test/record-traffic.ts), as it was and changed at random. */
import { Buffer } from 'node:buffer';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';

const FOLDER = resolve(import.meta.dirname, 'fixtures/traffic');

export interface Recording {
  readonly name: string;
  readonly bytes: Buffer;
}

/** `up`: what clients said; `down`: servers. */
export function recordings(protocol: 'h1' | 'h2', way: 'up' | 'down'): Recording[] {
  return readdirSync(FOLDER)
    .filter((file) => file.startsWith(`${protocol}-`) && file.endsWith(`.${way}.bin`))
    .sort()
    .map((file) => ({ name: file.slice(0, file.indexOf('.')), bytes: readFileSync(join(FOLDER, file)) }));
}

/** Bytes that mean something to one of the protocols. */
const TELLING = [0, 1, 2, 4, 5, 8, 9, 10, 13, 32, 44, 48, 58, 59, 63, 64, 127, 128, 192, 255];

type Change = (bytes: Buffer) => Buffer;
const at = (bytes: Buffer, where: number): number => (bytes.length === 0 ? 0 : where % bytes.length);

/** Most changes come where messages begin: bodies are nearly all of the bytes, and have the least to say. */
const place = fc.oneof({ arbitrary: fc.nat(300), weight: 3 }, { arbitrary: fc.nat(20_000), weight: 1 });

function changeOf(all: readonly Recording[]): fc.Arbitrary<Change> {
  const setByte = fc.tuple(place, fc.oneof(fc.constantFrom(...TELLING), fc.nat(255))).map(
    ([where, value]): Change =>
      (bytes) => {
        const changed = Buffer.from(bytes);
        if (changed.length > 0) changed[at(changed, where)] = value;
        return changed;
      },
  );
  const flip = fc.tuple(place, fc.nat(7)).map(
    ([where, bit]): Change =>
      (bytes) => {
        const changed = Buffer.from(bytes);
        const i = at(changed, where);
        if (changed.length > 0) changed[i] = (changed[i] ?? 0) ^ (1 << bit);
        return changed;
      },
  );
  const drop = fc.tuple(place, fc.integer({ min: 1, max: 60 })).map(
    ([where, length]): Change =>
      (bytes) => {
        const i = at(bytes, where);
        return Buffer.concat([bytes.subarray(0, i), bytes.subarray(i + length)]);
      },
  );
  const repeat = fc.tuple(place, fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 30 })).map(
    ([where, length, times]): Change =>
      (bytes) => {
        const i = at(bytes, where);
        const piece = bytes.subarray(i, i + length);
        return Buffer.concat([bytes.subarray(0, i), ...Array.from({ length: times }, () => piece), bytes.subarray(i)]);
      },
  );
  const splice = fc.tuple(place, fc.constantFrom(...all), place, fc.integer({ min: 1, max: 400 })).map(
    ([where, { bytes: other }, from, length]): Change =>
      (bytes) => {
        const i = at(bytes, where);
        const j = at(other, from);
        return Buffer.concat([bytes.subarray(0, i), other.subarray(j, j + length), bytes.subarray(i)]);
      },
  );
  const cutOff = place.map(
    (where): Change =>
      (bytes) =>
        bytes.subarray(0, at(bytes, where)),
  );
  return fc.oneof(
    { arbitrary: setByte, weight: 5 },
    { arbitrary: flip, weight: 5 },
    { arbitrary: drop, weight: 2 },
    { arbitrary: repeat, weight: 2 },
    { arbitrary: splice, weight: 2 },
    { arbitrary: cutOff, weight: 1 },
  );
}

export interface Mutant {
  readonly name: string;
  readonly bytes: Buffer;
  /** Sizes of the pieces that the bytes come in, over and over. */
  readonly cuts: readonly number[];
}

/** A recording with up to five changes, and where to cut it. */
export function mutants(all: readonly Recording[]): fc.Arbitrary<Mutant> {
  const cut = fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 5000 }));
  return fc
    .tuple(
      fc.constantFrom(...all),
      fc.array(changeOf(all), { maxLength: 5 }),
      fc.array(cut, { minLength: 1, maxLength: 8 }),
    )
    .map(([{ name, bytes }, changes, cuts]) => {
      const changed = changes.reduce((so, change) => change(so), bytes);
      // One by one is slow, and tells nothing more of a body.
      const least = changed.length > 4000 ? 50 : 1;
      return { name, bytes: changed, cuts: cuts.map((size) => Math.max(size, least)) };
    });
}

/** Bytes of the heap that are in use, and in buffers, after everything that can go is gone. */
export function usedMemory(): number {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  for (let i = 0; i < 3; i++) if (typeof collect === 'function') collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
