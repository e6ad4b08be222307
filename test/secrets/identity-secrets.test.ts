import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Identity } from '../../certs/source/contract.ts';
import { toJson } from '../../protos/index.ts';
import { identitySecret, isFileName } from '../../proxy/secrets/identity-secrets.ts';
import { certificateOf } from '../certs/fakes.ts';

const NAMES = { certificate: 'default', trust: 'ROOTCA' };
const [first, second] = [certificateOf(0, 1), { ...certificateOf(0, 2), spiffeId: 'spiffe://td/b', hint: 'admin' }];
const identity: Identity = {
  certificates: [first, second],
  bundles: [
    { trustDomain: 'td', pem: 'own' },
    { trustDomain: 'partner', pem: 'theirs' },
  ],
  crl: undefined,
};
const chain = (text: string) => ({ certificate_chain: { inline_string: text }, private_key: { inline_string: 'key' } });
const trust = (text: string) => ({ trusted_ca: { inline_string: text } });

test('names say which certificate and which bundle', () => {
  const cases: readonly [string, object | undefined][] = [
    ['default', { name: 'default', tls_certificate: chain('chain until 1') }],
    ['spiffe://td/a', { name: 'spiffe://td/a', tls_certificate: chain('chain until 1') }],
    ['spiffe://td/b', { name: 'spiffe://td/b', tls_certificate: chain('chain until 2') }],
    ['admin', { name: 'admin', tls_certificate: chain('chain until 2') }],
    ['ROOTCA', { name: 'ROOTCA', validation_context: trust('own') }],
    ['spiffe://td', { name: 'spiffe://td', validation_context: trust('own') }],
    ['spiffe://partner', { name: 'spiffe://partner', validation_context: trust('theirs') }],
    ['spiffe://stranger', undefined],
    ['', undefined],
  ];
  for (const [name, secret] of cases) assert.deepEqual(identitySecret(name, identity, NAMES), secret, name);
});

test('the configured names win, whatever the certificates are called', () => {
  const names = { certificate: 'admin', trust: 'spiffe://partner' };
  assert.deepEqual(identitySecret('admin', identity, names)?.tls_certificate, chain('chain until 1'));
  assert.deepEqual(identitySecret('spiffe://partner', identity, names)?.validation_context, trust('own'));
});

test('revocation lists go with every bundle', () => {
  const secret = identitySecret('ROOTCA', { ...identity, crl: 'list' }, NAMES);
  assert.deepEqual(secret?.validation_context, { ...trust('own'), crl: { inline_string: 'list' } });
});

test('names of files need no identity', () => {
  assert.deepEqual(identitySecret('file-root:/a/ca.pem', undefined, NAMES), {
    name: 'file-root:/a/ca.pem',
    validation_context: { trusted_ca: { filename: '/a/ca.pem' } },
  });
  assert.deepEqual(identitySecret('file-cert:/a/tls.crt~/a/tls.key', undefined, NAMES), {
    name: 'file-cert:/a/tls.crt~/a/tls.key',
    tls_certificate: { certificate_chain: { filename: '/a/tls.crt' }, private_key: { filename: '/a/tls.key' } },
  });
  assert.equal(isFileName('file-root:system'), false);
  assert.equal(identitySecret('default', undefined, NAMES), undefined);
});

test('ALL is every trust domain with its bundle', () => {
  const secret = identitySecret('ALL', identity, NAMES);
  const json = toJson('envoy.extensions.transport_sockets.tls.v3.Secret', secret ?? {});
  assert.deepEqual(json, {
    name: 'ALL',
    validation_context: {
      custom_validator_config: {
        name: 'envoy.tls.cert_validator.spiffe',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig',
          trust_domains: [
            { name: 'td', trust_bundle: { inline_string: 'own' } },
            { name: 'partner', trust_bundle: { inline_string: 'theirs' } },
          ],
        },
      },
    },
  });
});
