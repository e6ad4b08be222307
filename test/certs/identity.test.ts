import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatSpiffeId, matchesSpiffeId, parseSpiffeId, workloadOf, workloadSpiffeId } from '../../certs/identity.ts';

test('a parsed id formats to the text it came from', () => {
  const segment = fc.stringMatching(/^[a-zA-Z0-9_-]{1,12}$/);
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9.-]{1,30}$/), fc.array(segment, { maxLength: 5 }), (domain, segments) => {
      const text = `spiffe://${domain}${segments.map((s) => `/${s}`).join('')}`;
      const id = parseSpiffeId(text);
      assert.ok(!('error' in id), text);
      assert.equal(formatSpiffeId(id), text);
    }),
  );
});

test('what the specification forbids is refused with a reason', () => {
  for (const bad of [
    '',
    'https://a/b',
    'SPIFFE://a/b',
    'spiffe://',
    'spiffe:///x',
    'spiffe://A/b',
    'spiffe://a:80/b',
    'spiffe://u@a/b',
    'spiffe://a/',
    'spiffe://a//b',
    'spiffe://a/./b',
    'spiffe://a/../b',
    'spiffe://a/b?x',
    'spiffe://a/b#x',
    'spiffe://a/%62',
    `spiffe://${'a'.repeat(256)}/b`,
    `spiffe://a/${'b'.repeat(2048)}`,
  ]) {
    const id = parseSpiffeId(bad);
    assert.ok('error' in id, bad);
    assert.ok(id.error.length < 200);
  }
});

test('a workload is read from the usual path only', () => {
  const workload = { trustDomain: 'cluster.local', namespace: 'pay', serviceAccount: 'settlement' };
  const id = parseSpiffeId(workloadSpiffeId(workload));
  assert.ok(!('error' in id));
  assert.deepEqual(workloadOf(id), workload);
  for (const path of ['', '/ns/pay', '/ns/pay/sa/a/more', '/sa/pay/ns/a']) {
    assert.equal(workloadOf({ trustDomain: 'a', path }), undefined);
  }
});

test('patterns match whole ids, trust domains and paths by segment', () => {
  const id = 'spiffe://td/ns/pay/sa/a';
  assert.ok(matchesSpiffeId(id, id));
  assert.ok(matchesSpiffeId(id, 'spiffe://td'));
  assert.ok(matchesSpiffeId(id, 'spiffe://td/ns/pay/*'));
  assert.ok(matchesSpiffeId(id, 'spiffe://td/*'));
  assert.ok(!matchesSpiffeId(id, 'spiffe://td/ns/pay/sa'));
  assert.ok(!matchesSpiffeId('spiffe://td/ns/payroll/sa/a', 'spiffe://td/ns/pay/*'));
  assert.ok(!matchesSpiffeId('spiffe://td.evil/ns/pay/sa/a', 'spiffe://td/*'));
  assert.ok(!matchesSpiffeId('spiffe://other/ns/pay/sa/a', 'spiffe://td'));
  assert.ok(!matchesSpiffeId('spiffe://td/ns/pay/*', 'spiffe://td/ns/pay/*'));
});
