import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromJson, type JsonProblem } from '../../protos/index.ts';
import { decodeBootstrap } from '../../xds-client/decode/index.ts';
import type { Bootstrap } from '../../xds-client/model/bootstrap.ts';
import { hcm, lines, listener, staticCluster } from './decoding.ts';

const BOOTSTRAP = 'envoy.config.bootstrap.v3.Bootstrap';

function decode(json: object) {
  const problems: JsonProblem[] = [];
  const message = fromJson(BOOTSTRAP, json, problems);
  assert.deepEqual(problems, []);
  return decodeBootstrap(message);
}

function accepted(json: object): Bootstrap {
  const decoded = decode(json);
  if (!decoded.ok) assert.fail(lines(decoded.errors).join('\n'));
  return decoded.value;
}

function refused(json: object): string {
  const decoded = decode(json);
  assert.ok(!decoded.ok, 'the bootstrap was accepted');
  return lines(decoded.errors).join('\n');
}

const ads = { api_type: 'GRPC', transport_api_version: 'V3', grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }] };
const http2 = { http2_protocol_options: {} };
const admin = { address: { socket_address: { address: '127.0.0.1', port_value: 9901 } } };

test('an empty bootstrap stands', () => {
  const bootstrap = accepted({});
  assert.equal(bootstrap.statsFlushIntervalMs, 5000);
  assert.deepEqual(bootstrap.node, { id: '', cluster: '', metadata: {}, locality: undefined });
  assert.equal(bootstrap.ads, undefined);
});

test('node, admin, static resources and ADS come through', () => {
  const bootstrap = accepted({
    node: { id: 'n', cluster: 'c', metadata: { a: { b: [1] } }, locality: { zone: 'z' } },
    admin,
    static_resources: {
      listeners: [listener([hcm()])],
      clusters: [staticCluster(), staticCluster({ name: 'xds', ...http2 })],
      secrets: [],
    },
    dynamic_resources: {
      ads_config: { ...ads, api_type: 'DELTA_GRPC' },
      lds_config: { ads: {} },
      cds_config: { ads: {} },
    },
  });
  assert.deepEqual(bootstrap.node, {
    id: 'n',
    cluster: 'c',
    metadata: { a: { b: [1] } },
    locality: { region: '', zone: 'z', subZone: '' },
  });
  assert.deepEqual(bootstrap.admin?.address, { kind: 'socket', host: '127.0.0.1', port: 9901 });
  assert.equal(bootstrap.ads?.delta, true);
  assert.equal(bootstrap.ads?.services[0]?.cluster, 'xds');
  assert.deepEqual([bootstrap.lds?.kind, bootstrap.cds?.kind], ['ads', 'ads']);
  assert.equal(bootstrap.listeners.length, 1);
  assert.equal(bootstrap.clusters.length, 2);
});

test('a control plane that cannot be reached is refused', () => {
  assert.match(refused({ dynamic_resources: { lds_config: { ads: {} } } }), /lds_config\.ads: needs ads_config/);
  assert.match(refused({ dynamic_resources: { ads_config: ads } }), /ads_config.*cluster_name: unknown cluster 'xds'/);
});

test('clusters are spoken to in HTTP/2, of the control plane and others', () => {
  const clusters = [staticCluster({ name: 'xds', ...http2 })];
  assert.equal(accepted({ dynamic_resources: { ads_config: ads }, static_resources: { clusters } }).clusters.length, 1);
  assert.equal(accepted({ static_resources: { clusters } }).clusters[0]?.protocol.kind, 'http2');
});

test('later runtime layers win', () => {
  const { runtime } = accepted({
    layered_runtime: {
      layers: [
        { name: 'a', static_layer: { 'x.y': 1, z: { w: { numerator: 5, denominator: 'HUNDRED' } } } },
        { name: 'b', static_layer: { x: { y: 2 } } },
      ],
    },
  });
  assert.deepEqual(runtime, { 'x.y': 2, 'z.w': { numerator: 5, denominator: 'HUNDRED' } });
});

test('errors are found wherever they lie, each at its path', () => {
  const errors = refused({
    static_resources: {
      clusters: [staticCluster(), staticCluster()],
      listeners: [listener([hcm({ route_config: { virtual_hosts: [{ name: 'v', domains: [] }] } })])],
    },
    layered_runtime: {
      layers: [
        { name: 'a', static_layer: {} },
        { name: 'a', static_layer: {} },
      ],
    },
    stats_flush_interval: '301s',
  });
  assert.match(errors, /static_resources\.clusters\[1\]\.name: cluster: duplicate cluster 'payment' found/);
  assert.match(
    errors,
    /static_resources\.listeners\[0\]\.filter_chains\[0\]\.filters\[0\]\.typed_config\.route_config\.virtual_hosts\[0\]\.domains: value must contain/,
  );
  assert.match(errors, /layered_runtime\.layers\[1\]\.name: Duplicate layer name: a/);
  assert.match(errors, /stats_flush_interval: value must be inside range \[1, 300000\) ms, is 301000/);
});

test('what is left aside is named', () => {
  const decoded = decode({ overload_manager: { resource_monitors: [] }, stats_config: { use_all_default_tags: true } });
  assert.deepEqual(decoded.unsupported.map(({ path }) => path).sort(), ['overload_manager', 'stats_config']);
});
