import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parseMesh, readMesh } from '../../deploy/local/istio/read.ts';

const MESH = join(import.meta.dirname, '../../deploy/local/mesh');
const read = (text: string, file = 'bank/file.yaml') => parseMesh(new Map([[file, text]]));
const virtualService = (http: string) =>
  `kind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a]\n  http:\n${http}`;

describe('the mesh of the demo', () => {
  const mesh = readMesh(MESH);

  test('has three replicas of the payment service, two versions of settlement, one gateway', () => {
    assert.deepEqual(
      mesh.deployments.map(({ namespace, name, replicas }) => `${namespace}/${name} ${replicas}`).sort(),
      [
        'bank/clearance 1',
        'bank/settlement-v1 1',
        'bank/settlement-v2 1',
        'istio-system/istio-ingressgateway 1',
        'payments/payment-service 3',
      ],
    );
  });

  test('keeps the two virtual services of one name apart by namespace', () => {
    const both = mesh.virtualServices.filter(({ name }) => name === 'payment-service');
    assert.deepEqual(both.map(({ namespace }) => namespace).sort(), ['pay', 'payments']);
    const [exact, prefix] = ['pay', 'payments'].map((n) => both.find(({ namespace }) => namespace === n)?.http[0]);
    assert.deepEqual(exact?.matches[0]?.uri, { kind: 'exact', value: '/pay' });
    assert.deepEqual(prefix?.matches[0]?.uri, { kind: 'prefix', value: '/payments' });
  });

  test('takes a single object for a list of one and says so', () => {
    const route = mesh.virtualServices.find(({ namespace }) => namespace === 'pay')?.http[0];
    assert.deepEqual(route?.destinations, [{ host: 'payment-service', subset: undefined, port: 8080, weight: 100 }]);
    assert.ok(
      mesh.warnings.includes(
        'pay/pay.yaml: VirtualService payment-service: spec.http[0].route is a single object where Istio wants a list: taken as a list of one',
      ),
      mesh.warnings.join('\n'),
    );
  });

  test('makes a service for the deployment that no Service selects, and says so', () => {
    const service = mesh.services.find(({ name }) => name === 'payment-service');
    assert.equal(service?.host, 'payment-service.payments.svc.cluster.local');
    assert.deepEqual(service?.ports, [{ number: 8080, http2: false }]);
    assert.ok(
      mesh.warnings.some((warning) => warning.startsWith('no Service selects Deployment payments/payment-service')),
    );
  });
});

describe('reading', () => {
  test('a field that is not acted on is a warning that names it', () => {
    const { warnings } = read(virtualService('  - route: [{destination: {host: a}}]\n    mirror: {host: b}\n'));
    assert.deepEqual(warnings, ['bank/file.yaml: VirtualService v: spec.http[0].mirror is not acted on here']);
  });

  test('a kind that comes later is a warning', () => {
    const { warnings } = read('kind: AuthorizationPolicy\nmetadata: {name: deny}\nspec: {}\n');
    assert.deepEqual(warnings, ['bank/file.yaml: AuthorizationPolicy deny is not acted on yet']);
  });

  test('a kind that nobody knows is a warning', () => {
    assert.deepEqual(read('kind: Gadget\nmetadata: {name: g}\n').warnings, [
      'bank/file.yaml: kind Gadget is unknown and left out',
    ]);
  });

  test('the namespace of the metadata wins over the folder', () => {
    const text =
      'kind: Service\nmetadata: {name: s, namespace: other}\nspec: {selector: {app: s}, ports: [{port: 80}]}\n';
    assert.equal(read(text).services[0]?.host, 's.other.svc.cluster.local');
  });

  for (const [port, http2] of [
    ['name: grpc', true],
    ['name: grpc-settle', true],
    ['name: http2-admin', true],
    ['name: http', false],
    ['name: grpc-web', false],
    ['name: grpcish', false],
    ['appProtocol: grpc', true],
    ['appProtocol: kubernetes.io/h2c', true],
    ['name: grpc, appProtocol: http', false],
    ['protocol: TCP', false],
  ] as const) {
    test(`a port with ${port} speaks ${http2 ? 'HTTP/2' : 'HTTP/1.1'}`, () => {
      const { services, warnings } = read(`kind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80, ${port}}]}\n`);
      assert.deepEqual(services[0]?.ports, [{ number: 80, http2 }]);
      assert.deepEqual(warnings, []);
    });
  }

  for (const [what, text, message] of [
    ['YAML that is broken', 'kind: [', /bank\/file\.yaml/],
    ['no name', 'kind: Service\nmetadata: {}\n', /metadata\.name is required/],
    [
      'a text where a number belongs',
      'kind: Service\nmetadata: {name: s}\nspec: {ports: [{port: "80"}]}\n',
      /ports\[0\]\.port must be a number, not a string/,
    ],
    ['no hosts', 'kind: VirtualService\nmetadata: {name: v}\nspec: {http: []}\n', /hosts must name at least one host/],
    ['no destination', virtualService('  - timeout: 1s\n'), /route must name at least one destination/],
    [
      'a duration without a unit',
      virtualService('  - route: [{destination: {host: a}}]\n    timeout: "3"\n'),
      /timeout must be a duration such as 500ms or 3s, not "3"/,
    ],
    [
      'half a replica',
      'kind: Deployment\nmetadata: {name: d}\nspec: {replicas: 0.5}\n',
      /replicas must be a whole number from 0 to 20, not 0\.5/,
    ],
    [
      'a TCP gateway',
      'kind: Gateway\nmetadata: {name: g}\nspec: {servers: [{port: {number: 1, protocol: TCP}}]}\n',
      /only HTTP is served here/,
    ],
    [
      'a load balancer that is unknown',
      'kind: DestinationRule\nmetadata: {name: d}\nspec: {host: a, trafficPolicy: {loadBalancer: {simple: FASTEST}}}\n',
      /FASTEST: LEAST_REQUEST, ROUND_ROBIN and RANDOM are known/,
    ],
  ] as const) {
    test(`${what} cannot stand`, () => {
      assert.throws(() => read(text), { name: 'MeshError', message });
    });
  }

  test('a subset overrides the rule member by member', () => {
    const { destinationRules } = read(
      'kind: DestinationRule\nmetadata: {name: d}\nspec:\n  host: a\n  trafficPolicy: {loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {maxConnections: 7, connectTimeout: 500ms}}}\n  subsets:\n  - {name: v1, labels: {version: v1}, trafficPolicy: {connectionPool: {tcp: {maxConnections: 3}}}}\n',
    );
    const policy = destinationRules[0]?.subsets[0]?.policy;
    assert.equal(policy?.lb, 'RANDOM');
    assert.equal(policy?.maxConnections, 3);
    assert.equal(policy?.connectTimeoutMs, 500);
  });
});
