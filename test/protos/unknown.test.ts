import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeMessage, unknownFields } from '../../protos/index.ts';

const cluster = 'envoy.config.cluster.v3.Cluster';
const core = 'envoy.config.core.v3';
/** Field 5000, a varint. */
const extra = Buffer.from([0xc0, 0xb8, 0x02, 1]);

function delimited(number: number, bytes: Buffer): Buffer {
  assert.ok(number < 16 && bytes.length < 128);
  return Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
}

test('finds nothing in what the descriptors know', () => {
  const bytes = encodeMessage(cluster, {
    name: 'a',
    metadata: { filter_metadata: { k: { fields: { x: { number_value: 1 } } } } },
    health_checks: [{ timeout: { seconds: 1 } }, {}],
  });
  assert.deepEqual(unknownFields(cluster, bytes), []);
});

test('finds an unknown field of the message, of lists, of maps and of what an Any holds', () => {
  assert.deepEqual(unknownFields(cluster, Buffer.concat([encodeMessage(cluster, { name: 'a' }), extra])), [
    { message: cluster, number: 5000, path: '' },
  ]);
  const match = 'envoy.config.route.v3.RouteConfiguration';
  const hosts = Buffer.concat([delimited(2, Buffer.alloc(0)), delimited(2, extra)]);
  assert.deepEqual(unknownFields(match, hosts), [
    { message: 'envoy.config.route.v3.VirtualHost', number: 5000, path: 'virtual_hosts[1]' },
  ]);
  const entry = Buffer.concat([delimited(1, Buffer.from('a.b')), delimited(2, extra)]);
  assert.deepEqual(unknownFields(`${core}.Metadata`, delimited(1, entry)), [
    { message: 'google.protobuf.Struct', number: 5000, path: 'filter_metadata["a.b"]' },
  ]);
  const socket = encodeMessage(`${core}.TransportSocket`, {
    typed_config: { type_url: `type.googleapis.com/${core}.Node`, value: extra },
  });
  assert.deepEqual(unknownFields(`${core}.TransportSocket`, socket), [
    { message: `${core}.Node`, number: 5000, path: 'typed_config' },
  ]);
});

test('ends for any bytes, with a bounded answer', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.ok(unknownFields(cluster, bytes).length <= 100);
    }),
    { seed: 9, numRuns: 2000 },
  );
  assert.equal(unknownFields(cluster, Buffer.concat(Array(10_000).fill(extra))).length, 100);
  assert.deepEqual(unknownFields(cluster, Buffer.alloc(100_000, 0x7b)), []);
});
