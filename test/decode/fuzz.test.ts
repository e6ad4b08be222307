import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeResource } from '../../xds-client/decode/index.ts';
import { CLUSTER, hcm, LISTENER, listener, packed, ROUTES } from './decoding.ts';

function recorded(api: string): readonly unknown[] {
  const file = new URL(`../fixtures/istiod/129-min-payment/${api}.json`, import.meta.url);
  return Object.values(JSON.parse(readFileSync(file, 'utf8')));
}

const SAMPLES = [
  packed(LISTENER, listener([hcm()])),
  ...recorded('LDS').map((json) => packed(LISTENER, json)),
  ...recorded('CDS').map((json) => packed(CLUSTER, json)),
  ...recorded('RDS').map((json) => packed(ROUTES, json)),
];

const sample = fc.constantFrom(...SAMPLES);

function decodes(type_url: string, value: Buffer): void {
  const decoded = decodeResource(type_url, { type_url, value });
  if (!decoded.ok) assert.ok(decoded.errors.length > 0, 'refused without saying why');
  // What crosses to the workers survives JSON.
  else assert.deepEqual(JSON.parse(JSON.stringify(decoded.value)), JSON.parse(JSON.stringify(decoded.value)));
}

test('truncated resources never throw', () => {
  fc.assert(
    fc.property(sample, fc.double({ min: 0, max: 1, noNaN: true }), ({ type_url, value }, share) => {
      decodes(type_url, value.subarray(0, Math.floor(value.length * share)));
    }),
    { numRuns: 300, seed: 3 },
  );
});

test('resources with changed bytes never throw', () => {
  const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(sample, fc.array(change, { minLength: 1, maxLength: 8 }), ({ type_url, value }, changes) => {
      const bytes = Buffer.from(value);
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
      decodes(type_url, bytes);
    }),
    { numRuns: 600, seed: 5 },
  );
});

test('arbitrary bytes never throw', () => {
  fc.assert(
    fc.property(fc.constantFrom(LISTENER, CLUSTER, ROUTES), fc.uint8Array({ maxLength: 200 }), (type, bytes) => {
      decodes(type, Buffer.from(bytes));
    }),
    { numRuns: 300, seed: 7 },
  );
});

test('a message nested beyond the stack is an error of its resource', () => {
  // and_filter within and_filter: AccessLogFilter.and_filter is field 5, AndFilter.filters field 1.
  let bytes: Buffer = Buffer.alloc(0);
  for (let depth = 0; depth < 20_000; depth++) {
    const tag = depth % 2 === 0 ? 0x0a : 0x2a;
    bytes = Buffer.concat([Buffer.from([tag]), varint(bytes.length), bytes]);
    if (bytes.length > 60_000) break;
  }
  const accessLog = Buffer.concat([Buffer.from([0x12]), varint(bytes.length), bytes]);
  const value = Buffer.concat([Buffer.from([0xb2, 0x01]), varint(accessLog.length), accessLog]);
  decodes(LISTENER, value);
});

function varint(number: number): Buffer {
  const out: number[] = [];
  for (let rest = number; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...out, rest]);
    out.push((rest % 128) | 0x80);
  }
}
