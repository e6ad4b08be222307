import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByAddress } from '../../proxy/listener/by-address.ts';

const owners = () => {
  const table = new ByAddress<string>();
  table.add('exact', ['10.0.0.1:80']);
  table.add('any', ['0.0.0.0:80', '[::]:443']);
  table.add('six', ['[FD00::0:1]:80']);
  return table;
};

test('an exact address comes before the port on any address', () => {
  const table = owners();
  assert.equal(table.find({ address: '10.0.0.1', port: 80 }), 'exact');
  assert.equal(table.find({ address: '10.0.0.2', port: 80 }), 'any');
  assert.equal(table.find({ address: 'fd00::1', port: 80 }), 'six');
  assert.equal(table.find({ address: '10.0.0.1', port: 81 }), undefined);
});

test('the any address of a family has that family alone', () => {
  const table = owners();
  assert.equal(table.find({ address: 'fd00::9', port: 443 }), 'any');
  assert.equal(table.find({ address: '10.0.0.9', port: 443 }), undefined);
  assert.equal(table.find({ address: 'fd00::9', port: 80 }), undefined);
});

test('what is removed is not found, and leaves room for the next', () => {
  const table = owners();
  table.add('later', ['10.0.0.1:80', '/run/a.sock']);
  table.remove('exact');
  assert.equal(table.find({ address: '10.0.0.1', port: 80 }), 'later');
});
