import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeMessage, encodeMessage, hasMessage, messageFields, serviceDefinition } from '../../protos/index.ts';

const cluster = 'envoy.config.cluster.v3.Cluster';

const full = {
  name: 'settlement',
  type: 'STRICT_DNS' as const,
  connect_timeout: { nanos: 250_000_000 },
  lb_policy: 'LEAST_REQUEST' as const,
  circuit_breakers: { thresholds: [{ max_connections: { value: 7 } }] },
  load_assignment: {
    cluster_name: 'settlement',
    endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 's', port_value: 80 } } } }] }],
  },
  transport_socket: { name: 'tls', typed_config: { type_url: 'type.googleapis.com/x.Y', value: Buffer.from([1, 2]) } },
};

test('gives back what was encoded, with enums by name, Any as bytes and no defaults', () => {
  assert.deepEqual(decodeMessage(cluster, encodeMessage(cluster, full)), full);
  assert.deepEqual(decodeMessage(cluster, Buffer.alloc(0)), {});
});

test('keeps an enum number that the descriptor does not know', () => {
  const bytes = encodeMessage(cluster, { lb_policy: 99 });
  assert.deepEqual(decodeMessage(cluster, bytes), { lb_policy: 99 });
});

test('decodes and encodes a message that is nested in another', () => {
  const type = 'envoy.config.cluster.v3.Cluster.LeastRequestLbConfig';
  assert.deepEqual(decodeMessage(type, encodeMessage(type, { choice_count: { value: 3 } })), {
    choice_count: { value: 3 },
  });
});

test('reads 64-bit integers as numbers', () => {
  const type = 'google.protobuf.Duration';
  assert.deepEqual(decodeMessage(type, encodeMessage(type, { seconds: -(2 ** 52), nanos: -1 })), {
    seconds: -(2 ** 52),
    nanos: -1,
  });
});

test('names the type of bytes that do not decode', () => {
  assert.throws(
    () => decodeMessage(cluster, Buffer.from([10, 200])),
    /^Error: envoy.config.cluster.v3.Cluster: 2 bytes/,
  );
  assert.throws(() => decodeMessage('no.Such', Buffer.alloc(0)), /no message type is called "no.Such"/);
  assert.throws(() => decodeMessage('envoy.config.cluster.v3.Cluster.LbPolicy', Buffer.alloc(0)), /no message type/);
  assert.throws(() => encodeMessage('no.Such', {}), /no message type is called "no.Such"/);
});

test('does not take the names of objects for types', () => {
  for (const name of ['__proto__', 'constructor', 'toString', '']) assert.equal(hasMessage(name), false);
});

test('decodes or throws an Error, and nothing else, for any bytes', () => {
  const bytes = encodeMessage(cluster, full);
  const mutated = fc.tuple(
    fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 8 }),
    fc.nat(bytes.length),
  );
  fc.assert(
    fc.property(mutated, fc.uint8Array({ maxLength: 40 }), ([changes, cut], tail) => {
      const copy = Buffer.from(bytes);
      for (const [at, value] of changes) copy[at] = value;
      for (const input of [copy, copy.subarray(0, cut), Buffer.concat([copy.subarray(0, cut), tail]), tail]) {
        try {
          const message = decodeMessage(cluster, input);
          assert.equal(typeof message, 'object');
        } catch (error) {
          assert.match((error as Error).message, /^envoy\.config\.cluster\.v3\.Cluster: \d+ bytes do not decode/);
        }
      }
    }),
    { seed: 7, numRuns: 3000 },
  );
});

test('refuses messages and groups that are nested too deep', () => {
  const value = 'google.protobuf.Value';
  let bytes = Buffer.from([0x20, 1]);
  for (let depth = 0; depth < 400; depth += 1) {
    const list = Buffer.concat([Buffer.from([0x0a]), varint(bytes.length), bytes]);
    bytes = Buffer.concat([Buffer.from([0x32]), varint(list.length), list]);
  }
  assert.throws(() => decodeMessage(value, bytes), /depth exceeded/);
  // Group starts of an unknown field, never ended.
  assert.throws(() => decodeMessage(value, Buffer.alloc(100_000, 0x7b)), /depth exceeded/);
});

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}

test('describes the fields of a message', () => {
  const fields = new Map(messageFields(cluster).map((field) => [field.name, field]));
  assert.equal(fields.get('connect_timeout')?.type, 'google.protobuf.Duration');
  assert.equal(fields.get('type')?.oneof, 'cluster_discovery_type');
  assert.equal(fields.get('health_checks')?.repeated, true);
  assert.equal(fields.get('max_requests_per_connection')?.deprecated, true);
  const metadata = messageFields('envoy.config.core.v3.Metadata').find(({ name }) => name === 'filter_metadata');
  assert.deepEqual([metadata?.mapKey, metadata?.type], ['string', 'google.protobuf.Struct']);
});

test('gives services whose payloads stay bytes', () => {
  const { StreamAggregatedResources: method } = serviceDefinition(
    'envoy.service.discovery.v3.AggregatedDiscoveryService',
  );
  assert.equal(method?.path, '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources');
  assert.equal(method?.requestStream && method.responseStream, true);
  const bytes = Buffer.from('as it came');
  assert.equal(method?.requestSerialize(bytes), bytes);
  assert.equal(method?.responseDeserialize(bytes), bytes);
  const own = ['istio.v1.auth.IstioCertificateService', 'SpiffeWorkloadAPI'].map((name) => serviceDefinition(name));
  assert.deepEqual(
    own.map((service) => Object.values(service)[0]?.path),
    ['/istio.v1.auth.IstioCertificateService/CreateCertificate', '/SpiffeWorkloadAPI/FetchX509SVID'],
  );
  assert.throws(() => serviceDefinition('no.Such'), /no gRPC service is called "no.Such"/);
});
