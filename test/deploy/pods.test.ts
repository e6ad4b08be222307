import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseMesh } from '../../deploy/local/istio/read.ts';
import { Addresses, nodeId, Pods, podKey } from '../../deploy/local/pods.ts';
import { pod } from './pod.ts';

const mesh = (replicas: number) =>
  parseMesh(
    new Map([
      [
        'bank/d.yaml',
        `kind: Deployment\nmetadata: {name: d}\nspec: {replicas: ${replicas}, template: {metadata: {labels: {app: d}}, spec: {containers: [{image: d, ports: [{containerPort: 9000}]}]}}}\n`,
      ],
    ]),
  );

describe('pods', () => {
  test('have an address each and keep it while the mesh changes', async () => {
    const pods = new Pods(await Addresses.find());
    const two = await pods.of(mesh(2));
    assert.deepEqual(two.map(podKey), ['bank/d-0', 'bank/d-1']);
    assert.notEqual(`${two[0]?.ip}:${two[0]?.ports.inbound}`, `${two[1]?.ip}:${two[1]?.ports.inbound}`);
    const three = await pods.of(mesh(3));
    assert.deepEqual(three.slice(0, 2), two);
  });

  test('that went away come back at another place', async () => {
    const pods = new Pods(await Addresses.find());
    const [first] = await pods.of(mesh(1));
    await pods.of(mesh(0));
    const [second] = await pods.of(mesh(1));
    assert.equal(second?.name, first?.name);
    assert.notEqual(`${second?.ip}:${second?.ports.admin}`, `${first?.ip}:${first?.ports.admin}`);
  });

  test('are nodes as Istio names them', () => {
    const one = pod('d', { ip: '127.1.2.3' });
    assert.equal(nodeId(one), 'sidecar~127.1.2.3~d-0.bank~bank.svc.cluster.local');
    assert.match(nodeId({ ...one, gateway: true }), /^router~/);
  });
});
