import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { compileSanMatches, dnsNameMatches, hasExpectedSan, sansOf } from '../../proxy/tls/sans.ts';
import type { StringMatch } from '../../xds-client/model/common.ts';
import type { SanMatch } from '../../xds-client/model/tls.ts';
import { uriSan } from './support.ts';

const ca = new DevCa({ now: Date.now, trustDomain: 'td' });

function sans(request: Parameters<DevCa['issue']>[0]) {
  return sansOf(new X509Certificate(ca.issue(request).chain));
}

test('all kinds are read, addresses in their short form', () => {
  const read = sans({ spiffeId: 'spiffe://td/a', dnsNames: ['a.example', '*.b'], ips: ['10.0.0.1', '2001:db8::1'] });
  assert.deepEqual(read, {
    uris: ['spiffe://td/a'],
    dnsNames: ['a.example', '*.b'],
    ips: ['10.0.0.1', '2001:db8::1'],
    emails: [],
    others: [],
  });
  assert.deepEqual(sans({}).uris, []);
});

test('a name that holds a list does not pass for the list', () => {
  const read = sans({ dnsNames: ['a.example, URI:spiffe://td/admin', 'b"c'], spiffeId: 'spiffe://td/a' });
  assert.deepEqual(read.uris, ['spiffe://td/a']);
  assert.deepEqual(read.dnsNames, ['a.example, URI:spiffe://td/admin', 'b"c']);
});

test('matchers compare whole values, beginnings, ends, parts and RE2 patterns', () => {
  const read = sans({ spiffeId: 'spiffe://td/ns/pay/sa/a' });
  const cases: [SanMatch, boolean][] = [
    [uriSan('spiffe://td/ns/pay/sa/a'), true],
    [uriSan('spiffe://td/ns/pay/sa'), false],
    [uriSan('spiffe://td/ns/pay/', 'prefix'), true],
    [uriSan('spiffe://td/ns/payroll/', 'prefix'), false],
    [uriSan('/sa/a', 'suffix'), true],
    [uriSan('/pay/', 'contains'), true],
    [uriSan('spiffe://td/ns/[^/]+/sa/a', 'regex'), true],
    [uriSan('ns/[^/]+/sa/a', 'regex'), false],
    [{ type: 'dns', match: { kind: 'prefix', value: 'spiffe', ignoreCase: false } }, false],
    [{ type: 'any', match: { kind: 'prefix', value: 'spiffe', ignoreCase: false } }, true],
    [{ type: 'uri', match: { kind: 'prefix', value: 'SPIFFE://TD', ignoreCase: true } }, true],
    [{ type: 'uri', match: { kind: 'prefix', value: 'SPIFFE://TD', ignoreCase: false } }, false],
  ];
  for (const [match, expected] of cases) {
    assert.equal(compileSanMatches([match])(read), expected, JSON.stringify(match));
  }
  assert.ok(compileSanMatches([uriSan('x'), uriSan('/a', 'suffix')])(read));
  assert.throws(() => compileSanMatches([uriSan('(?=x)', 'regex')]));
});

test("an exact DNS matcher honours the certificate's wildcard, others look at the text", () => {
  const read = sans({ dnsNames: ['*.pay.example'] });
  const dns = (match: StringMatch) => compileSanMatches([{ type: 'dns', match }])(read);
  assert.ok(dns({ kind: 'exact', value: 'a.pay.example', ignoreCase: false }));
  assert.ok(!dns({ kind: 'exact', value: 'a.b.pay.example', ignoreCase: false }));
  assert.ok(!dns({ kind: 'prefix', value: 'a.pay', ignoreCase: false }));
  assert.ok(dns({ kind: 'suffix', value: '.pay.example', ignoreCase: false }));
});

test('a wildcard is one whole leftmost label', () => {
  assert.ok(dnsNameMatches('A.Example.com', '*.example.COM'));
  assert.ok(!dnsNameMatches('example.com', '*.example.com'));
  assert.ok(!dnsNameMatches('.example.com', '*.example.com'));
  assert.ok(!dnsNameMatches('a.example.com', 'a*.example.com'));
  assert.ok(!dnsNameMatches('a', '*.'));
});

test('an expected address is looked for among addresses', () => {
  const read = sans({ dnsNames: ['10.0.0.2'], ips: ['10.0.0.1', '::1'] });
  assert.ok(hasExpectedSan(read, '10.0.0.1'));
  assert.ok(hasExpectedSan(read, '0:0:0:0:0:0:0:1'));
  assert.ok(!hasExpectedSan(read, '10.0.0.2'));
});
