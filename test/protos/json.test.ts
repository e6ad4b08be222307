import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeMessage, encodeMessage, fromJson, type JsonProblem, mergeMessage, toJson } from '../../protos/index.ts';

const cluster = 'envoy.config.cluster.v3.Cluster';
const url = (type: string) => `type.googleapis.com/${type}`;

function read(type: string, json: unknown): { message: unknown; problems: JsonProblem[] } {
  const problems: JsonProblem[] = [];
  return { message: fromJson(type, json, problems), problems };
}

function good(type: string, json: unknown): unknown {
  const { message, problems } = read(type, json);
  assert.deepEqual(problems, []);
  return message;
}

function bad(type: string, json: unknown): string[] {
  return read(type, json).problems.map(({ path, message }) => `${path} ${message}`);
}

test('reads snake_case and camelCase, durations, wrappers and enums', () => {
  assert.deepEqual(
    good(cluster, {
      name: 'a',
      connectTimeout: '0.25s',
      lb_policy: 'RANDOM',
      dnsLookupFamily: 1,
      per_connection_buffer_limit_bytes: '32768',
      typed_extension_protocol_options: {},
    }),
    {
      name: 'a',
      connect_timeout: { nanos: 250_000_000 },
      lb_policy: 'RANDOM',
      dns_lookup_family: 'V4_ONLY',
      per_connection_buffer_limit_bytes: { value: 32768 },
    },
  );
});

test('leaves out what proto3 does not send, and keeps what has presence', () => {
  assert.deepEqual(
    good(cluster, { name: '', lb_policy: 'ROUND_ROBIN', type: 'STATIC', health_checks: [], eds_cluster_config: null }),
    {
      type: 'STATIC',
    },
  );
  assert.deepEqual(good(cluster, { per_connection_buffer_limit_bytes: 0, connect_timeout: '0s' }), {
    per_connection_buffer_limit_bytes: {},
    connect_timeout: {},
  });
});

test('encodes what an Any holds, and well-known types in it under "value"', () => {
  const router = 'envoy.extensions.filters.http.router.v3.Router';
  const any = good('google.protobuf.Any', { '@type': url(router), suppress_envoy_headers: true }) as {
    type_url: string;
    value: Buffer;
  };
  assert.equal(any.type_url, url(router));
  assert.deepEqual(decodeMessage(router, any.value), { suppress_envoy_headers: true });
  const held = good('google.protobuf.Any', { '@type': url('google.protobuf.Duration'), value: '3s' });
  assert.deepEqual(toJson('google.protobuf.Any', held as { type_url: string }), {
    '@type': url('google.protobuf.Duration'),
    value: '3s',
  });
});

test('reads structs, null among their values, and field masks', () => {
  const json = { a: [1.5, null, 'x', { b: true }], '': {} };
  const message = good('google.protobuf.Struct', json) as { fields: object };
  assert.deepEqual(toJson('google.protobuf.Struct', message as { [key: string]: unknown }), json);
  assert.deepEqual(good('google.protobuf.FieldMask', 'a.fooBar,c'), { paths: ['a.foo_bar', 'c'] });
});

test('keeps the map key __proto__ as a key', () => {
  const json = JSON.parse('{"filter_metadata":{"__proto__":{"a":1}}}');
  const message = good('envoy.config.core.v3.Metadata', json) as { filter_metadata: object };
  assert.deepEqual(Object.keys(message.filter_metadata), ['__proto__']);
});

test('collects every problem with its path', () => {
  const hcm = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
  assert.deepEqual(
    bad('envoy.config.listener.v3.Listener', {
      nmae: 'x',
      address: { socket_address: { port_value: -1 } },
      filter_chains: [
        { filters: [{ name: 5, typed_config: { '@type': url(hcm), codec_type: 'HTTP9', route_config: { foo: 1 } } }] },
        'none',
      ],
      metadata: { filter_metadata: { 'a.b': 3 } },
    }),
    [
      'nmae is not a field of envoy.config.listener.v3.Listener',
      'address.socket_address.port_value must be an integer from 0 to 4294967295, not -1',
      'filter_chains[0].filters[0].name must be a string, not 5',
      'filter_chains[0].filters[0].typed_config.codec_type must be one of AUTO, HTTP1, HTTP2, HTTP3, not "HTTP9"',
      'filter_chains[0].filters[0].typed_config.route_config.foo is not a field of envoy.config.route.v3.RouteConfiguration',
      'filter_chains[1] must be an object (envoy.config.listener.v3.FilterChain), not "none"',
      'metadata.filter_metadata["a.b"] must be an object, not 3',
    ],
  );
});

test('tells an unknown field from a wrong value', () => {
  const kinds = read(cluster, { foo: 1, name: 2 }).problems.map(({ kind }) => kind);
  assert.deepEqual(kinds, ['unknown-field', 'value']);
});

test('refuses an Any of an unknown type, or of none', () => {
  assert.deepEqual(bad('google.protobuf.Any', { '@type': url('envoy.foo.Bar') }), [
    '@type is no type that is known here: "type.googleapis.com/envoy.foo.Bar"',
  ]);
  assert.deepEqual(bad('google.protobuf.Any', { name: 'x' }), [' has no "@type", which says what it holds']);
});

test('refuses two members of a oneof, and a field given under both its names', () => {
  assert.deepEqual(bad('envoy.config.route.v3.RouteMatch', { prefix: '/', path: '/a' }), [
    'path cannot be set beside "prefix": only one of "path_specifier" may be',
  ]);
  assert.deepEqual(bad(cluster, { alt_stat_name: 'a', altStatName: 'b' }), [
    'alt_stat_name is set twice, as "alt_stat_name" and as "altStatName"',
  ]);
});

test('checks the form and the range of scalars', () => {
  const refused: [string, unknown][] = [
    ['google.protobuf.Duration', '1.5'],
    ['google.protobuf.Duration', 5],
    ['google.protobuf.Duration', '315576000001s'],
    ['google.protobuf.Duration', '1.0000000001s'],
    ['google.protobuf.Timestamp', '2026-02-30T00:00:00Z'],
    ['google.protobuf.Timestamp', '10000-01-01T00:00:00Z'],
    ['google.protobuf.UInt32Value', 4_294_967_296],
    ['google.protobuf.UInt32Value', 1.5],
    ['google.protobuf.Int32Value', '2147483648'],
    ['google.protobuf.UInt64Value', '18446744073709551616'],
    ['google.protobuf.BoolValue', 'true'],
    ['google.protobuf.BytesValue', '***'],
    ['google.protobuf.FloatValue', 1e39],
    ['google.protobuf.StringValue', 8080],
  ];
  for (const [type, json] of refused) assert.equal(bad(type, json).length, 1, `${type} ${json}`);
  const taken: [string, unknown, unknown][] = [
    ['google.protobuf.Duration', '-1.5s', { seconds: -1, nanos: -500_000_000 }],
    ['google.protobuf.Timestamp', '1970-01-01T01:00:00.5+01:00', { nanos: 500_000_000 }],
    ['google.protobuf.UInt32Value', '1e3', { value: 1000 }],
    ['google.protobuf.DoubleValue', 'NaN', { value: Number.NaN }],
    ['google.protobuf.BytesValue', '-_8', { value: Buffer.from([0xfb, 0xff]) }],
  ];
  for (const [type, json, message] of taken) assert.deepEqual(good(type, json), message);
});

test('refuses JSON that is nested too deep', () => {
  let json: unknown = 1;
  for (let depth = 0; depth < 5000; depth += 1) json = [json];
  assert.match(bad('google.protobuf.Value', json).join(), /is nested deeper than 100 messages/);
});

test('shows an Any it does not know, or whose bytes are not what they say, as base64', () => {
  const value = Buffer.from([10, 200]);
  for (const type_url of [url('no.Such'), url(cluster)]) {
    assert.deepEqual(toJson('google.protobuf.Any', { type_url, value }), { '@type': type_url, value: 'Csg=' });
  }
});

test('writes 64-bit integers as text and unset wrapper values as zero', () => {
  assert.equal(toJson('google.protobuf.UInt64Value', {}), '0');
  assert.equal(toJson('google.protobuf.UInt64Value', { value: 2 ** 60 }), '1152921504606846976');
  assert.equal(toJson('google.protobuf.BoolValue', {}), false);
  assert.equal(toJson('google.protobuf.Duration', { seconds: 5 }), '5s');
});

test('reads back what it wrote, by JSON and by wire', () => {
  const names = fc.string({ unit: 'grapheme', maxLength: 8 });
  const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
  const message = fc.record(
    {
      name: names,
      type: fc.constantFrom('STATIC', 'EDS', 'STRICT_DNS'),
      connect_timeout: fc
        .integer({ min: 0, max: 999_999_999 })
        .map((nanos) => `${nanos}.${String(nanos).padStart(9, '0')}s`),
      max_requests_per_connection: optional(fc.nat()),
      metadata: fc.record({
        filter_metadata: fc.dictionary(names, fc.dictionary(names, fc.jsonValue({ maxDepth: 3 }))),
      }),
      health_checks: fc.array(fc.record({ timeout: fc.constant('1s'), no_traffic_interval: fc.constant('60s') }), {
        maxLength: 2,
      }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(message, (json) => {
      const first = good(cluster, json) as { [key: string]: unknown };
      const wire = decodeMessage(cluster, encodeMessage(cluster, first));
      const again = good(cluster, JSON.parse(JSON.stringify(toJson(cluster, wire))));
      assert.deepEqual(toJson(cluster, again as { [key: string]: unknown }), toJson(cluster, first));
    }),
    { seed: 11, numRuns: 200 },
  );
});

test('never throws for any JSON', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom('name', 'type', 'metadata', 'eds_cluster_config', 'x'), fc.jsonValue()),
      (json) => {
        read(cluster, json);
      },
    ),
    { seed: 3, numRuns: 500 },
  );
});

test('merges as protobuf does', () => {
  const type = 'envoy.config.bootstrap.v3.Bootstrap';
  const base = good(type, {
    node: { id: 'a', cluster: 'c', metadata: { k: 1, kept: 2 } },
    static_resources: { clusters: [{ name: 'one' }] },
    stats_flush_interval: '5s',
  }) as object;
  const over = good(type, {
    node: { id: 'b', metadata: { k: 9 } },
    static_resources: { clusters: [{ name: 'two' }] },
    stats_flush_on_admin: true,
  }) as object;
  assert.deepEqual(toJson(type, mergeMessage(type, base, over)), {
    node: { id: 'b', cluster: 'c', metadata: { k: 9, kept: 2 } },
    static_resources: { clusters: [{ name: 'one' }, { name: 'two' }] },
    stats_flush_interval: '5s',
    stats_flush_on_admin: true,
  });
  const route = 'envoy.config.route.v3.RouteMatch';
  assert.deepEqual(mergeMessage(route, { prefix: '/', case_sensitive: {} }, { path: '/a' }), {
    path: '/a',
    case_sensitive: {},
  });
});
