import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseMesh } from '../../deploy/local/istio/read.ts';
import { Names } from '../../deploy/local/istio/resolve.ts';

const service = (name: string, namespace: string) =>
  `kind: Service\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {selector: {app: ${name}}, ports: [{port: 80}]}\n`;
const gateway = (name: string, namespace: string) =>
  `kind: Gateway\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {selector: {a: b}, servers: []}\n`;
const namesOf = (...documents: readonly string[]) =>
  new Names(parseMesh(new Map([['x/file.yaml', documents.join('---\n')]])));

describe('a host', () => {
  const names = namesOf(service('pay', 'a'), service('pay', 'b'), service('only', 'b'));

  test('without a namespace is the one beside it', () => {
    assert.equal(names.service('pay', 'b', 'file')?.host, 'pay.b.svc.cluster.local');
  });

  test('may be given in full or in part', () => {
    for (const host of ['pay.a', 'pay.a.svc', 'pay.a.svc.cluster.local'])
      assert.equal(names.service(host, 'b', 'file')?.host, 'pay.a.svc.cluster.local', host);
  });

  test('is looked for elsewhere when its own namespace does not know it, with a warning once', () => {
    assert.equal(names.service('only', 'a', 'file')?.namespace, 'b');
    names.service('only', 'a', 'file');
    assert.deepEqual(
      names.warnings.filter((warning) => warning.includes('only')),
      ['file: no service only in namespace a: taken as only.b.svc.cluster.local'],
    );
  });

  test('that two others know is nobody', () => {
    assert.equal(names.service('pay', 'c', 'file'), undefined);
    assert.ok(names.warnings.includes('file: no service pay in namespace c: requests to it are answered 503'));
  });

  test('that only begins like another is nobody', () => {
    assert.equal(names.service('pay.a.sv', 'b', 'file'), undefined);
  });
});

describe('a gateway', () => {
  const names = namesOf(gateway('g', 'a'), gateway('h', 'a'), gateway('h', 'b'));

  test('is named with its namespace or without', () => {
    assert.equal(names.gateway('a/g', 'z', 'file')?.name, 'g');
    assert.equal(names.gateway('h', 'b', 'file')?.namespace, 'b');
    assert.deepEqual(names.warnings, []);
  });

  test('of another namespace is taken with a warning when it is the only one', () => {
    assert.equal(names.gateway('g', 'z', 'file')?.namespace, 'a');
    assert.equal(names.gateway('h', 'z', 'file'), undefined);
    assert.deepEqual(names.warnings, [
      'file: no gateway g in namespace z: taken as a/g',
      'file: no gateway h in namespace z: its routes serve nobody',
    ]);
  });
});
