import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parseMesh, readMesh } from '../../deploy/local/istio/read.ts';
import { translate } from '../../deploy/local/istio/translate.ts';
import { fromJson, type JsonProblem } from '../../protos/index.ts';
import { at, pod } from './pod.ts';

const SETTINGS = { tracingPercent: 100, collector: { cluster: 'otel-collector', uri: 'http://c/v1/traces' } };
const mesh = readMesh(join(import.meta.dirname, '../../deploy/local/mesh'));
const v1 = pod('settlement-v1', { labels: { app: 'settlement', version: 'v1' }, serviceAccount: 'settlement' });
const v2 = pod('settlement-v2', { labels: { app: 'settlement', version: 'v2' }, serviceAccount: 'settlement' });
const payment = pod('payment-service', { namespace: 'payments', labels: { app: 'payment' } });
const gateway = pod('istio-ingressgateway', {
  namespace: 'istio-system',
  labels: { istio: 'ingressgateway' },
  gateway: true,
  ports: { app: 0, inbound: 0, outbound: 0, admin: 15000, gateway: { '80': 8080 } },
});
const pods = [v1, v2, payment, gateway];

const hostsOf = (routes: object | undefined) =>
  at(routes, 'virtual_hosts') as readonly {
    readonly name: string;
    readonly domains: readonly string[];
    readonly routes: readonly object[];
  }[];

describe('a sidecar', () => {
  const { snapshot, warnings } = translate(mesh, pods, payment, SETTINGS);

  test('has a cluster for each service, port and subset, named as Istio names them', () => {
    const names = [...snapshot.clusters.keys()];
    for (const name of [
      'outbound|8080||settlement.bank.svc.cluster.local',
      'outbound|8080|v1|settlement.bank.svc.cluster.local',
      'inbound|8080||',
    ])
      assert.ok(names.includes(name), `${name} is not among ${names.join(', ')}`);
  });

  test('has the endpoints of a subset alone in its cluster', () => {
    const addresses = (name: string) =>
      (at(snapshot.endpoints.get(name), 'endpoints', 0, 'lb_endpoints') as readonly object[]).map((endpoint) =>
        at(endpoint, 'endpoint', 'address', 'socket_address', 'address'),
      );
    assert.deepEqual(addresses('outbound|8080|v1|settlement.bank.svc.cluster.local'), [v1.ip]);
    assert.deepEqual(addresses('outbound|8080||settlement.bank.svc.cluster.local'), [v1.ip, v2.ip]);
  });

  test('checks the identity of whom it calls', () => {
    const tls = at(
      snapshot.clusters.get('outbound|8080|v1|settlement.bank.svc.cluster.local'),
      'transport_socket',
      'typed_config',
    );
    assert.deepEqual(
      at(
        tls,
        'common_tls_context',
        'combined_validation_context',
        'default_validation_context',
        'match_typed_subject_alt_names',
      ),
      [{ san_type: 'URI', matcher: { exact: 'spiffe://cluster.local/ns/bank/sa/settlement' } }],
    );
  });

  test('takes requests over mutual TLS only', () => {
    const chains = at(snapshot.listeners.get('inbound'), 'filter_chains') as readonly object[];
    assert.equal(chains.length, 1);
    assert.equal(at(chains[0], 'transport_socket', 'typed_config', 'require_client_certificate'), true);
  });

  const options = (cluster: object | undefined) =>
    at(
      cluster,
      'typed_extension_protocol_options',
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      'explicit_http_config',
    );

  test('speaks HTTP/2 to a service whose port says gRPC, and agrees on it', () => {
    for (const subset of ['', 'v1', 'v2']) {
      const cluster = snapshot.clusters.get(`outbound|8080|${subset}|settlement.bank.svc.cluster.local`);
      assert.ok(at(options(cluster), 'http2_protocol_options') !== undefined, subset);
      const alpn = at(cluster, 'transport_socket', 'typed_config', 'common_tls_context', 'alpn_protocols');
      assert.deepEqual(alpn, ['h2']);
    }
    assert.equal(options(snapshot.clusters.get('outbound|8080||clearance.bank.svc.cluster.local')), undefined);
  });

  test('speaks to its application what the port of its service says', () => {
    assert.equal(options(snapshot.clusters.get('inbound|8080||')), undefined);
    const settlement = translate(mesh, pods, v1, SETTINGS).snapshot;
    assert.ok(at(options(settlement.clusters.get('inbound|8080||')), 'http2_protocol_options') !== undefined);
    const [chain] = at(settlement.listeners.get('inbound'), 'filter_chains') as readonly object[];
    assert.deepEqual(at(chain, 'transport_socket', 'typed_config', 'common_tls_context', 'alpn_protocols'), [
      'h2',
      'http/1.1',
    ]);
  });

  test('lets the report last', () => {
    const host = hostsOf(snapshot.routes.get('outbound')).find(({ name }) => name.startsWith('settlement.bank'));
    assert.equal(at(host, 'routes', 0, 'match', 'path'), '/bank.v1.Settlement/Report');
    assert.equal(at(host, 'routes', 0, 'route', 'cluster'), 'outbound|8080||settlement.bank.svc.cluster.local');
    assert.equal(at(host, 'routes', 0, 'route', 'timeout'), '0s');
  });

  test('splits settlement by weight, and retries it as written', () => {
    const host = hostsOf(snapshot.routes.get('outbound')).find(({ name }) => name.startsWith('settlement.bank'));
    const action = at(host, 'routes', 1, 'route');
    assert.deepEqual(
      (at(action, 'weighted_clusters', 'clusters') as readonly object[]).map((one) => [
        at(one, 'name'),
        at(one, 'weight'),
      ]),
      [
        ['outbound|8080|v1|settlement.bank.svc.cluster.local', 90],
        ['outbound|8080|v2|settlement.bank.svc.cluster.local', 10],
      ],
    );
    assert.equal(at(action, 'timeout'), '3s');
    assert.equal(at(action, 'retry_policy', 'num_retries'), 2);
  });

  test('knows services of its own namespace by their short name and others not', () => {
    const own = translate(mesh, pods, v1, SETTINGS).snapshot;
    const domains = (routes: object | undefined) =>
      hostsOf(routes).find(({ name }) => name.startsWith('clearance.bank'))?.domains ?? [];
    assert.ok(domains(own.routes.get('outbound')).includes('clearance'));
    assert.ok(!domains(snapshot.routes.get('outbound')).includes('clearance'));
  });

  test('has no two virtual hosts with one domain', () => {
    const domains = hostsOf(snapshot.routes.get('outbound')).flatMap((host) => host.domains);
    assert.equal(new Set(domains).size, domains.length);
  });

  test('is not warned', () => assert.deepEqual(warnings, []));
});

describe('the gateway', () => {
  const { snapshot, warnings } = translate(mesh, pods, gateway, SETTINGS);

  test('serves both paths of the mesh on its one port', () => {
    const hosts = hostsOf(snapshot.routes.get('http.80'));
    const paths = hosts.flatMap((host) =>
      host.routes.map(
        (route) =>
          at(route, 'match', 'path') ?? at(route, 'match', 'path_separated_prefix') ?? at(route, 'match', 'prefix'),
      ),
    );
    assert.deepEqual(paths.sort(), ['/pay', '/payments']);
    assert.equal(at(snapshot.listeners.get('0.0.0.0_80'), 'address', 'socket_address', 'port_value'), 8080);
  });

  test('says what it made of names that the namespace does not know', () => {
    assert.deepEqual([...warnings].sort(), [
      'pay/pay.yaml: no gateway payment-gateway in namespace pay: taken as payments/payment-gateway',
      'pay/pay.yaml: no service payment-service in namespace pay: taken as payment-service.payments.svc.cluster.local',
    ]);
  });
});

test('every resource is one that the protos know', () => {
  const kinds = [
    ['clusters', 'envoy.config.cluster.v3.Cluster'],
    ['endpoints', 'envoy.config.endpoint.v3.ClusterLoadAssignment'],
    ['listeners', 'envoy.config.listener.v3.Listener'],
    ['routes', 'envoy.config.route.v3.RouteConfiguration'],
  ] as const;
  let count = 0;
  for (const one of pods) {
    const { snapshot } = translate(mesh, pods, one, SETTINGS);
    for (const [kind, message] of kinds) {
      for (const resource of snapshot[kind].values()) {
        const problems: JsonProblem[] = [];
        fromJson(message, resource, problems);
        assert.deepEqual(problems, []);
        count++;
      }
    }
  }
  assert.ok(count > 30, `${count} resources`);
});

test('a mesh without services has nothing outbound', () => {
  const { snapshot } = translate(parseMesh(new Map()), [v1], v1, SETTINGS);
  assert.deepEqual([...snapshot.clusters.keys()], ['inbound|8080||']);
});
