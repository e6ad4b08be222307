import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Collector } from '../../deploy/local/collector.ts';
import { readSpans, type Span } from '../../deploy/local/otlp.ts';
import { Traces, traceText } from '../../deploy/local/traces.ts';

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
const text = (number: number, value: string): Buffer => field(number, Buffer.from(value));
const nanoseconds = (number: number, value: bigint): Buffer => {
  const bytes = Buffer.alloc(9);
  bytes[0] = (number << 3) | 1;
  bytes.writeBigUInt64LE(value, 1);
  return bytes;
};
/** Fields that no reader of spans asks for: a varint, 64 bits, 32 bits, bytes. */
const OTHERS = Buffer.concat([
  Buffer.from([0x98, 0x06, 0x96, 0x01, 0x99, 0x06, 0, 0, 0, 0, 0, 0, 0, 0, 0x9d, 0x06, 0, 0, 0, 0]),
  text(99, 'x'.repeat(300)),
]);
const id = (byte: number, length: number) => Buffer.alloc(length, byte);
const spanBytes = (byte: number, name: string, parent?: number): Buffer =>
  field(
    2,
    field(1, id(1, 16)),
    OTHERS,
    field(2, id(byte, 8)),
    ...(parent === undefined ? [] : [field(4, id(parent, 8))]),
    text(5, name),
    Buffer.from([(6 << 3) | 0, 3]),
    nanoseconds(7, 1_700_000_000_000_000_000n),
    nanoseconds(8, 1_700_000_000_002_500_000n),
  );
const resource = (service: string): Buffer =>
  field(
    1,
    field(1, text(1, 'other'), field(2, text(1, 'no'))),
    field(1, text(1, 'service.name'), field(2, text(1, service))),
  );

describe('reading OTLP', () => {
  test('goes through every resource and scope, and takes the service from the resource', () => {
    const body = Buffer.concat([
      // The resource may come after its spans.
      field(1, field(2, spanBytes(2, 'a'), OTHERS), field(2, spanBytes(3, 'b', 2)), resource('gateway')),
      OTHERS,
      field(1, resource('payment'), field(2, spanBytes(4, 'c'.repeat(300), 3)), field(2)),
    ]);
    const spans = readSpans(body, false);
    assert.deepEqual(
      spans.map(({ service, name }) => [service, name.slice(0, 2)]),
      [
        ['gateway', 'a'],
        ['gateway', 'b'],
        ['payment', 'cc'],
      ],
    );
    const { traceId, spanId, parentSpanId, kind, startMs, endMs } = spans[1] as Span;
    assert.deepEqual([traceId, spanId, parentSpanId], ['01'.repeat(16), '03'.repeat(8), '02'.repeat(8)]);
    assert.equal(kind, 'client');
    assert.ok(Math.abs(endMs - startMs - 2.5) < 0.01);
    assert.equal(spans[0]?.parentSpanId, '');
  });

  test('refuses bytes that are no message', () => {
    assert.throws(() => readSpans(Buffer.from([0x0a, 0xff, 0xff, 0xff]), false));
    assert.throws(() => readSpans(Buffer.from('{'), true));
  });
});

test('a collector takes protobuf and JSON over HTTP, and says what it cannot read', async (t) => {
  const collector = await Collector.start();
  t.after(() => collector.stop());
  const url = `http://127.0.0.1:${collector.port}/`;
  const post = async (body: Buffer | string, type: string) => {
    const answer = await fetch(`${url}v1/traces`, {
      method: 'POST',
      body: typeof body === 'string' ? body : new Uint8Array(body),
      headers: { 'content-type': type },
    });
    await answer.arrayBuffer();
    return answer.status;
  };
  assert.equal(await post(field(1, field(2, spanBytes(2, 'a'))), 'application/x-protobuf'), 200);
  assert.equal(await post('{"resourceSpans":[{"scopeSpans":[{"spans":[{},{}]},{}]},{}]}', 'application/json'), 200);
  assert.equal(await post('{', 'application/json'), 400);
  assert.equal(collector.spans, 3);
  assert.equal((await fetch(url)).status, 404, 'its traces may still grow');
});

describe('the newest trace', () => {
  const span = (traceId: string, spanId: string, parentSpanId: string, startMs: number): Span => ({
    service: `service ${spanId}`,
    traceId,
    spanId,
    parentSpanId,
    name: 'ingress',
    kind: 'server',
    startMs,
    endMs: startMs + 1,
  });

  test('is one that grows no more', () => {
    const traces = new Traces();
    traces.add(span('old', 'a', '', 0), 0);
    traces.add(span('new', 'b', '', 0), 1_000);
    traces.add(span('growing', 'c', '', 0), 2_900);
    assert.equal(traces.newest(1_900), undefined);
    assert.equal(traces.newest(2_100)?.[0]?.traceId, 'old');
    assert.equal(traces.newest(3_000)?.[0]?.traceId, 'new');
  });

  test('is among a bounded number', () => {
    const traces = new Traces();
    for (let i = 0; i < 1_000; i++) traces.add(span(String(i), 'a', '', 0), i === 0 ? 0 : 10_000);
    assert.equal(traces.newest(5_000), undefined, 'the first is gone');
  });

  test('shows children below their parents, in their order, and orphans at the edge', () => {
    const spans = [
      span('t', 'late', 'root', 3),
      span('t', 'root', '', 0),
      span('t', 'early', 'root', 1),
      span('t', 'below', 'early', 2),
      span('t', 'orphan', 'unknown', 0),
    ];
    const shown = traceText(spans)
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/^ *1\.0 ms {2}/, '').replace('server service ', ''));
    assert.deepEqual(shown, [
      'trace t',
      'root: ingress',
      '  early: ingress',
      '    below: ingress',
      '  late: ingress',
      'orphan: ingress',
    ]);
  });
});
