/** `Any` payloads: of the wrong type, newer than the protos, wrapped in a TypedStruct. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeResource, decodeResourceOf } from '../../xds-client/decode/index.ts';
import {
  accepted,
  CLUSTER,
  hcm,
  LISTENER,
  lines,
  listener,
  packed,
  refused,
  router,
  staticCluster,
} from './decoding.ts';

function errorsOf(typeUrl: string, any: { type_url: string; value: Buffer }): string {
  const decoded = decodeResource(typeUrl, any);
  assert.ok(!decoded.ok, 'the resource was accepted');
  return lines(decoded.errors).join('\n');
}

test('a resource of another type is refused', () => {
  const cluster = packed(CLUSTER, staticCluster());
  assert.equal(errorsOf(LISTENER, cluster), `is a ${CLUSTER}, expected ${LISTENER}`);
});

test('a type that is no resource is refused', () => {
  const any = { type_url: 'type.googleapis.com/google.protobuf.Empty', value: Buffer.alloc(0) };
  assert.match(errorsOf(any.type_url, any), /is not a resource type/);
});

test('bytes that are no message are refused with the name of the type', () => {
  const any = { type_url: `type.googleapis.com/${CLUSTER}`, value: Buffer.from([0x0a, 0xff]) };
  assert.match(errorsOf(any.type_url, any), /is not a valid envoy.config.cluster.v3.Cluster/);
});

test('field numbers newer than the protos are accepted with a warning', () => {
  const { type_url, value } = packed(CLUSTER, staticCluster());
  // Field 1015, a varint, twice.
  const newer = Buffer.from([0xb8, 0x3f, 1, 0xb8, 0x3f, 2]);
  const decoded = decodeResourceOf(CLUSTER, { type_url, value: Buffer.concat([value, newer]) });
  assert.ok(decoded.ok);
  assert.deepEqual(
    decoded.unsupported.map(({ field }) => field),
    [`${CLUSTER}.1015`],
  );
});

const struct = (type: string, value: object) => ({
  '@type': 'type.googleapis.com/xds.type.v3.TypedStruct',
  type_url: `type.googleapis.com/${type}`,
  value,
});

test('a configuration wrapped in a TypedStruct is read as its own type', () => {
  const wrapped = struct('envoy.extensions.filters.http.router.v3.Router', { suppress_envoy_headers: true });
  const decoded = accepted(LISTENER, listener([hcm({ http_filters: [{ ...router, typed_config: wrapped }] })]));
  const filter = decoded.filterChains[0]?.filters[0];
  assert.ok(filter?.kind === 'http-connection-manager');
  assert.deepEqual(filter.config.httpFilters[0]?.extension.config, {
    upstreamLogs: [],
    suppressEnvoyHeaders: true,
    strictCheckHeaders: [],
    respectExpectedRqTimeout: false,
  });
});

test('a TypedStruct with a field that its type does not have is refused', () => {
  const wrapped = struct('envoy.extensions.filters.http.router.v3.Router', { surprise: true });
  const errors = refused(LISTENER, listener([hcm({ http_filters: [{ ...router, typed_config: wrapped }] })]));
  assert.match(errors.join('\n'), /http_filters\[0\]\.typed_config\.surprise: /);
});

test('a report does not grow with the payload', () => {
  const names = Array.from({ length: 5000 }, () => ({ name: '', domains: [] }));
  const table = packed('envoy.config.route.v3.RouteConfiguration', { virtual_hosts: names });
  const decoded = decodeResource(table.type_url, table);
  assert.ok(!decoded.ok);
  assert.equal(decoded.errors.length, 100);
});
