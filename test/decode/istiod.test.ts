/** Resources that istiod 1.29 sent, recorded as proto3 JSON in test/fixtures/istiod/. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decodeResource } from '../../xds-client/decode/index.ts';
import { CLUSTER, ENDPOINTS, LISTENER, lines, packed, ROUTES } from './decoding.ts';

const TYPES = { LDS: LISTENER, RDS: ROUTES, CDS: CLUSTER, EDS: ENDPOINTS };
const RECORDINGS = ['129-delta-clearance', '129-delta-payment', '129-min-payment'];

interface Outcome {
  accepted: number;
  /** Reason to how many resources it refuses. */
  readonly refused: Map<string, number>;
  readonly unsupported: Set<string>;
  /** Fields newer than the protos. */
  readonly newer: Set<string>;
}

function outcomeOf(api: keyof typeof TYPES): Outcome {
  const outcome: Outcome = { accepted: 0, refused: new Map(), unsupported: new Set(), newer: new Set() };
  for (const recording of RECORDINGS) {
    const file = new URL(`../fixtures/istiod/${recording}/${api}.json`, import.meta.url);
    const resources: { [name: string]: unknown } = JSON.parse(readFileSync(file, 'utf8'));
    for (const resource of Object.values(resources)) {
      const dropped: string[] = [];
      const decoded = decodeResource(TYPES[api], packed(TYPES[api], resource, dropped));
      for (const path of dropped) outcome.newer.add(path.replace(/\[\d+\]/g, ''));
      for (const { field } of decoded.unsupported) outcome.unsupported.add(field);
      if (decoded.ok) outcome.accepted++;
      else {
        for (const reason of new Set(lines(decoded.errors).map((line) => line.replace(/\[\d+\]/g, '')))) {
          outcome.refused.set(reason, (outcome.refused.get(reason) ?? 0) + 1);
        }
      }
    }
  }
  return outcome;
}

function table(refused: Map<string, number>): { [reason: string]: number } {
  return Object.fromEntries([...refused].sort(([a], [b]) => (a < b ? -1 : 1)));
}

test('every route table and every assignment is accepted', () => {
  for (const [api, count] of [
    ['RDS', 16],
    ['EDS', 29],
  ] as const) {
    const { accepted, refused } = outcomeOf(api);
    assert.deepEqual(table(refused), {});
    assert.equal(accepted, count, api);
  }
});

test('clusters are refused for hashing alone', () => {
  const { accepted, refused, unsupported, newer } = outcomeOf('CDS');
  assert.deepEqual(table(refused), {
    'lb_policy: RING_HASH is not supported: hashing load balancers are not built': 3,
  });
  assert.equal(accepted, 49);
  assert.deepEqual([...newer], ['dns_jitter']);
  assert.ok(unsupported.has('envoy.config.cluster.v3.Cluster.outlier_detection'));
});

test('listeners are refused for the filters that are still to come', () => {
  const { accepted, refused, unsupported } = outcomeOf('LDS');
  const http = 'filter_chains.filters.typed_config.http_filters';
  const guards = 'is not supported: requests would pass that it is there to stop';
  assert.deepEqual(table(refused), {
    [`${http}.config_discovery: is not supported: configurations of single filters are not asked for yet; give typed_config`]: 9,
    [`${http}.typed_config: http filter "envoy.filters.http.ext_authz" ${guards}`]: 1,
    [`${http}.typed_config: http filter "envoy.filters.http.jwt_authn" ${guards}`]: 1,
    [`${http}.typed_config: http filter "envoy.filters.http.local_ratelimit" ${guards}`]: 1,
    [`${http}.typed_config: http filter "envoy.filters.http.rbac" ${guards}`]: 1,
    [`${http}.typed_config: http filter "istio.alpn" is not supported: the other side would choose its filter chain by the wrong protocol`]: 16,
  });
  assert.equal(accepted, 11);
  for (const left of [
    'stats.PluginConfig',
    'io.istio.http.peer_metadata.Config',
    'envoy.config.trace.v3.ZipkinConfig',
  ]) {
    assert.ok(unsupported.has(left), left);
  }
});
