import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { fromJson, type JsonProblem } from '../../protos/index.ts';
import { decodeBootstrap } from '../../xds-client/decode/index.ts';
import { nodeMessage } from '../../xds-client/node-message.ts';
import { lines, staticCluster } from './decoding.ts';

const BOOTSTRAP = 'envoy.config.bootstrap.v3.Bootstrap';
const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
const SECRETS = { cluster: 'sds-grpc', certificate: 'default', trust: 'ROOTCA' };

const to = (address: object): object => ({
  load_assignment: { cluster_name: 'x', endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
});
const remote = { socket_address: { address: '10.0.0.1', port_value: 15012 } };
const tls = { transport_socket: { name: 'tls', typed_config: { '@type': TLS, common_tls_context: {} } } };
const clusters = [
  staticCluster({ name: 'local', ...to({ pipe: { path: '/run/ca.sock' } }) }),
  staticCluster({ name: 'plain', ...to(remote) }),
  staticCluster({ name: 'tls', ...to(remote), ...tls }),
];

function decode(identity: unknown, metadata: object = { NAMESPACE: 'pay', SERVICE_ACCOUNT: 'payment' }) {
  const json = { node: { metadata: { ...metadata, TOLLWAY_IDENTITY: identity } }, static_resources: { clusters } };
  return decodeBootstrap(fromJson(BOOTSTRAP, JSON.parse(JSON.stringify(json)), []));
}

function accepted(identity: unknown, metadata?: object) {
  const decoded = decode(identity, metadata);
  if (!decoded.ok) assert.fail(lines(decoded.errors).join('\n'));
  return decoded.value.identity;
}

function refused(identity: unknown, metadata?: object): string[] {
  const decoded = decode(identity, metadata);
  assert.ok(!decoded.ok, 'it was accepted');
  return decoded.errors.map(({ path, message }) => `${path.replace('node.metadata.TOLLWAY_IDENTITY', '@')} ${message}`);
}

test('a bootstrap that names no source has no identity of its own', () => {
  assert.equal(accepted(undefined), undefined);
});

test("Istio's authority, by Istio's metadata and defaults", () => {
  assert.deepEqual(accepted({ istio_ca: { cluster: 'tls', token_path: '/t' } }), {
    source: {
      kind: 'istio-ca',
      cluster: 'tls',
      tokenPath: '/t',
      clusterId: undefined,
      rootsPath: undefined,
      spiffeId: 'spiffe://cluster.local/ns/pay/sa/payment',
      keyType: 'ec-p256',
      ttlMs: 86_400_000,
    },
    secrets: SECRETS,
  });
});

test('each member says what it says', () => {
  const istio_ca = {
    cluster: 'local',
    token_path: '/t',
    cluster_id: 'c1',
    roots_path: '/r',
    spiffe_id: 'spiffe://td/a/b',
    key_type: 'RSA_4096',
    ttl: '90s',
  };
  const secrets = { cluster: 'agent', certificate: 'mine', trust: 'roots' };
  assert.deepEqual(accepted({ istio_ca, secrets }, {}), {
    source: {
      kind: 'istio-ca',
      cluster: 'local',
      tokenPath: '/t',
      clusterId: 'c1',
      rootsPath: '/r',
      spiffeId: 'spiffe://td/a/b',
      keyType: 'rsa-4096',
      ttlMs: 90_000,
    },
    secrets,
  });
  assert.deepEqual(accepted({ spiffe_workload_api: {} })?.source, { kind: 'spiffe-workload-api', socket: undefined });
  const files = { certificate_chain: '/c/tls.crt', private_key: '/c/tls.key', trusted_ca: '/c/ca.crt' };
  assert.deepEqual(accepted({ files })?.source, {
    kind: 'files',
    certificateChain: '/c/tls.crt',
    privateKey: '/c/tls.key',
    trustedCa: '/c/ca.crt',
  });
  assert.equal(accepted({ development_ca: {} })?.source.kind, 'development-ca');
});

test('what is misspelt, missing or of another kind is told with its path', () => {
  const ca = { cluster: 'local', token_path: '/t' };
  const cases: readonly [unknown, readonly string[]][] = [
    [
      'yes',
      ['@ has to be an object', '@ needs one source of istio_ca, spiffe_workload_api, files, development_ca, has 0'],
    ],
    [{}, ['@ needs one source of istio_ca, spiffe_workload_api, files, development_ca, has 0']],
    [
      { istio_ca: ca, development_ca: {} },
      ['@ needs one source of istio_ca, spiffe_workload_api, files, development_ca, has 2'],
    ],
    [
      { istio_ca: ca, istoi_ca: {} },
      ['@.istoi_ca is not known; there is istio_ca, spiffe_workload_api, files, development_ca, secrets'],
    ],
    [
      { istio_ca: { ...ca, token: 'x' } },
      ['@.istio_ca.token is not known; there is cluster, token_path, cluster_id, roots_path, spiffe_id, key_type, ttl'],
    ],
    [{ istio_ca: { token_path: '/t' } }, ['@.istio_ca.cluster is needed']],
    [{ istio_ca: { ...ca, cluster: 7 } }, ['@.istio_ca.cluster has to be a text that is not empty']],
    [
      { istio_ca: { ...ca, cluster: 'nowhere' } },
      ["@.istio_ca.cluster unknown cluster 'nowhere': name one of static_resources"],
    ],
    [
      { istio_ca: { ...ca, cluster: 'plain' } },
      ["@.istio_ca.cluster cluster 'plain' has no TLS: the token would go in the clear"],
    ],
    [
      { istio_ca: { cluster: 'tls' } },
      ["@.istio_ca.token_path is needed: cluster 'tls' shows no client certificate either"],
    ],
    [{ istio_ca: { ...ca, key_type: 'RSA' } }, ['@.istio_ca.key_type "RSA" is none of EC_P256, RSA_2048, RSA_4096']],
    [{ istio_ca: { ...ca, ttl: '1h' } }, ['@.istio_ca.ttl "1h" is not a duration of a second or more, written 3600s']],
    [{ istio_ca: { ...ca, spiffe_id: 'td/x' } }, ['@.istio_ca.spiffe_id "td/x" is not a SPIFFE id']],
    [
      { spiffe_workload_api: { socket: 'tcp://agent:8081' } },
      ['@.spiffe_workload_api.socket "tcp://agent:8081" is neither unix:///path nor tcp://address:port'],
    ],
    [
      { spiffe_workload_api: { socket: '/run/agent.sock' } },
      ['@.spiffe_workload_api.socket "/run/agent.sock" is neither unix:///path nor tcp://address:port'],
    ],
    [{ files: { certificate_chain: '/c', private_key: '/k' } }, ['@.files.trusted_ca is needed']],
    [{ istio_ca: ca, secrets: { name: 'x' } }, ['@.secrets.name is not known; there is cluster, certificate, trust']],
  ];
  for (const [identity, errors] of cases) assert.deepEqual(refused(identity), errors);
  assert.deepEqual(refused({ istio_ca: ca }, {}), [
    '@.istio_ca.spiffe_id is needed where the metadata has no NAMESPACE and SERVICE_ACCOUNT',
  ]);
});

test('the control plane is not told of it', () => {
  const metadata = { NAMESPACE: 'pay', TOLLWAY_IDENTITY: { development_ca: {} } };
  const node = nodeMessage({ id: 'n', cluster: 'c', metadata, locality: undefined }, '1');
  assert.ok(JSON.stringify(node).includes('NAMESPACE'));
  assert.ok(!JSON.stringify(node).includes('IDENTITY'));
});

test('the example of docs/identity.md stands', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/identity.md'), 'utf8');
  const [, text = ''] = /```yaml\n(node:[^`]*)```/.exec(page) ?? [];
  const problems: JsonProblem[] = [];
  const decoded = decodeBootstrap(fromJson(BOOTSTRAP, parse(text), problems));
  assert.deepEqual(problems, []);
  assert.ok(decoded.ok, decoded.ok ? '' : lines(decoded.errors).join('\n'));
  assert.equal(decoded.value.identity?.source.kind, 'istio-ca');
});
