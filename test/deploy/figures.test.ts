import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Collector, countAt } from '../../deploy/local/collector.ts';
import { quantile } from '../../deploy/local/load.ts';

/** A length-delimited field. */
const field = (number: number, ...parts: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  const length: number[] = [];
  for (let rest = body.length; ; rest >>>= 7) {
    length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) break;
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), body]);
};
const span = (name: string) => field(2, field(5, Buffer.from(name)));
const RESOURCE = field(1, field(1, Buffer.from('resource')));

describe('counting spans', () => {
  test('goes through every resource and scope', () => {
    const message = Buffer.concat([
      field(1, RESOURCE, field(2, span('a'), span('b'))),
      field(1, field(2, span('c'.repeat(300))), field(2)),
    ]);
    assert.equal(countAt(message, [1, 2, 2]), 3);
    assert.equal(countAt(message, [1]), 2);
  });

  test('passes over fields of every wire type', () => {
    const numbers = Buffer.from([
      (9 << 3) | 0,
      0x96,
      0x01,
      (9 << 3) | 1,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      (9 << 3) | 5,
      0,
      0,
      0,
      0,
    ]);
    assert.equal(countAt(Buffer.concat([numbers, field(1), numbers]), [1]), 1);
  });

  test('ends at bytes that are no message', () => {
    assert.equal(countAt(Buffer.from([0x0f, 0xff, 0xff]), [1]), 0);
    assert.equal(countAt(Buffer.from([0x0a, 0xff, 0xff, 0xff]), [1]), 1);
  });

  test('takes protobuf and JSON over HTTP', async () => {
    const collector = await Collector.start();
    try {
      const post = async (body: Buffer | string, type: string) => {
        const answer = await fetch(`http://127.0.0.1:${collector.port}/v1/traces`, {
          method: 'POST',
          body: typeof body === 'string' ? body : new Uint8Array(body),
          headers: { 'content-type': type },
        });
        await answer.arrayBuffer();
        return answer.status;
      };
      assert.equal(await post(field(1, field(2, span('a'))), 'application/x-protobuf'), 200);
      assert.equal(await post('{"resourceSpans":[{"scopeSpans":[{"spans":[{},{}]},{}]},{}]}', 'application/json'), 200);
      assert.equal(collector.spans, 3);
    } finally {
      collector.stop();
    }
  });
});

describe('a quantile', () => {
  const hundred = Array.from({ length: 100 }, (_, at) => at + 1);
  test('of a hundred', () => {
    assert.equal(quantile(hundred, 0.5), 51);
    assert.equal(quantile(hundred, 0.99), 100);
    assert.equal(quantile(hundred, 1), 100);
  });
  test('of one and of none', () => {
    assert.equal(quantile([7], 0.99), 7);
    assert.equal(quantile([], 0.99), 0);
  });
});
