import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { readCertificate } from '../../certs/chain/certificate.ts';
import { parse } from '../../certs/chain/der-reader.ts';
import { readGeneralNames, subjectNames } from '../../certs/chain/general-names.ts';
import { constraintFault } from '../../certs/chain/name-constraints.ts';
import { crlBlocks, RevocationList, readRevocationLists } from '../../certs/chain/revocation.ts';
import { type ChainRules, chainFault } from '../../certs/chain/verify.ts';
import {
  CLIENT_AUTH,
  dnsName,
  LEAF_USAGE,
  type Made,
  make,
  nameConstraints,
  otherName,
  revocationList,
  rsaKey,
  SERVER_AUTH,
  UNKNOWN_CRITICAL,
  uri,
  type Wanted,
} from './odd-certificates.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const HOUR_MS = 3_600_000;
const certify = (wanted: Wanted): Made => make(wanted, NOW);
const root = certify({ name: 'root', ca: true });
const middle = certify({ name: 'middle', ca: true, issuer: root });
const leaf = (wanted: Wanted = {}): Made => certify({ uris: ['spiffe://td/a'], issuer: root, ...wanted });
const x509 = ({ pem }: Made): X509Certificate => new X509Certificate(pem);

function fault(chain: readonly Made[], rules: Partial<ChainRules> = {}): string | undefined {
  return chainFault(chain.map(x509), {
    anchors: [x509(root)],
    now: NOW,
    anyTime: false,
    purpose: 'client',
    maxLength: 101,
    revocation: [],
    revocationOf: 'chain',
    ...rules,
  });
}
const below = (authority: Wanted, wanted: Wanted = {}): Made[] => {
  const issuer = certify({ name: 'odd', ca: true, issuer: root, ...authority });
  return [leaf({ issuer, ...wanted }), issuer];
};

test('chains lead to an anchor, in any order and past strangers', () => {
  const deep = leaf({ issuer: middle });
  assert.equal(fault([leaf()]), undefined);
  assert.equal(fault([deep, middle]), undefined);
  assert.equal(fault([deep, root, certify({ name: 'stranger' }), middle]), undefined);
  assert.equal(fault([deep]), 'unable to get local issuer certificate');
  assert.equal(fault([deep], { anchors: [x509(middle)] }), undefined, 'an anchor need not be self-signed');
  assert.equal(fault([]), 'there is no certificate');
  const impostor = certify({ name: 'root', ca: true });
  assert.equal(fault([leaf({ issuer: impostor })]), 'unable to get local issuer certificate');
});

test('one fault does not hide another', () => {
  const late = { until: -HOUR_MS / 2 };
  assert.equal(fault([leaf(late)]), 'certificate has expired');
  assert.equal(fault([leaf({ from: HOUR_MS / 2 })]), 'certificate is not yet valid');
  assert.equal(fault([leaf(late)], { anyTime: true }), undefined);
  assert.equal(fault(below(late, late), { anyTime: true }), undefined);
  const refused: [Made[], RegExp][] = [
    [[leaf({ ...late, purposes: [SERVER_AUTH] })], /purpose/],
    [[leaf({ ...late, keyUsage: 'none', extensions: [UNKNOWN_CRITICAL] })], /critical extension/],
    [[leaf({ ...late, hash: 'sha1' })], /too weak/],
    [below({ ca: false }, late), /issuer|CA certificate/],
    [below({ ca: 'none' }, late), /CA certificate|issuer/],
    [below({ keyUsage: LEAF_USAGE }, late), /invalid CA certificate/],
    [below({ purposes: [SERVER_AUTH] }, late), /purpose/],
    [below({ extensions: [UNKNOWN_CRITICAL] }, late), /critical extension/],
    [below({ extensions: [nameConstraints({ permitted: [uri('other')] })] }, late), /permitted subtree/],
    [below({ extensions: [nameConstraints({ excluded: [uri('td')] })] }, late), /excluded subtree/],
    [below({ hash: 'sha1' }, late), /too weak/],
    [below({ key: rsaKey(1024) }, late), /key too small/],
    [[leaf({ ...late, key: rsaKey(1024) })], /key too small/],
  ];
  for (const [chain, expected] of refused) assert.match(fault(chain, { anyTime: true }) ?? 'let in', expected);
});

test('a chain is good for its purpose, as long as it may be, and within its path length', () => {
  assert.equal(fault([leaf({ purposes: [CLIENT_AUTH] })]), undefined);
  assert.equal(fault([leaf({ purposes: [CLIENT_AUTH] })], { purpose: 'server' }), 'unsuitable certificate purpose');
  const deep = [leaf({ issuer: middle }), middle];
  assert.equal(fault(deep, { maxLength: 3 }), undefined);
  assert.equal(fault(deep, { maxLength: 2 }), 'certificate chain too long');
  const outer = certify({ name: 'outer', ca: true, issuer: root, pathLength: 0 });
  const inner = certify({ name: 'inner', ca: true, issuer: outer });
  assert.equal(fault([leaf({ issuer: outer }), outer]), undefined);
  assert.equal(fault([leaf({ issuer: inner }), inner, outer]), 'path length constraint exceeded');
});

test('revocation lists are asked for every certificate or for the leaf alone', () => {
  const revoked = leaf();
  const deep = [leaf({ issuer: middle }), middle];
  const ofRoot = revocationList(root, [revoked, middle], NOW);
  const revocation = readRevocationLists(ofRoot + revocationList(middle, [], NOW));
  assert.equal(fault([leaf()], { revocation }), undefined);
  assert.equal(fault([revoked], { revocation }), 'certificate revoked');
  assert.equal(fault(deep, { revocation }), 'certificate revoked');
  assert.equal(fault(deep, { revocation, revocationOf: 'leaf' }), undefined);
  assert.equal(
    fault(deep, { revocation: readRevocationLists(ofRoot), revocationOf: 'leaf' }),
    'unable to get certificate CRL',
  );
  const stale = readRevocationLists(revocationList(root, [], NOW, -HOUR_MS / 2));
  assert.equal(fault([leaf()], { revocation: stale, anyTime: true }), 'CRL has expired');
  assert.equal(fault([revoked], { revocation: [...stale, ...revocation] }), 'certificate revoked');
  const forged = certify({ name: 'root', ca: true });
  assert.equal(
    fault([leaf()], { revocation: readRevocationLists(revocationList(forged, [], NOW)) }),
    'CRL signature failure',
  );
  assert.equal(crlBlocks(`${ofRoot}\n${ofRoot}`).length, 2);
});

test('name constraints bind hosts, domains and what lies below them', () => {
  const value = (bases: Parameters<typeof nameConstraints>[0]) => {
    const issuer = certify({ name: 'n', ca: true, extensions: [nameConstraints(bases)] });
    return readCertificate(x509(issuer)).extensions.find(({ id }) => id === '2.5.29.30')?.value ?? Buffer.alloc(0);
  };
  const names = (wanted: Wanted) => subjectNames(x509(leaf(wanted)));
  const domain = value({ permitted: [dnsName('pay.test')] });
  assert.equal(constraintFault(domain, names({ uris: [], dnsNames: ['pay.test', 'A.Pay.test'] })), undefined);
  assert.match(constraintFault(domain, names({ uris: [], dnsNames: ['notpay.test'] })) ?? '', /permitted/);
  assert.equal(constraintFault(domain, names({ uris: ['spiffe://else/x'] })), undefined, 'other kinds are free');
  const host = value({ permitted: [uri('td')] });
  assert.equal(constraintFault(host, names({ uris: ['spiffe://td/a'] })), undefined);
  assert.match(constraintFault(host, names({ uris: ['spiffe://a.td/a'] })) ?? '', /permitted/);
  assert.match(constraintFault(host, names({ uris: ['urn:td'] })) ?? '', /permitted/, 'a URI without a host');
  const unknown = value({ permitted: [otherName('1.2.3', 'x')] });
  assert.equal(constraintFault(unknown, names({})), 'unsupported name constraint type');
});

test('names of every kind are read, and none that could forge a line', () => {
  const odd = leaf({
    otherNames: [otherName('1.2.3', 'a@b'), uri('spiffe://td/a'), dnsName('x\r\nhost: y'), dnsName('a\0b')],
  });
  assert.deepEqual(subjectNames(x509(odd)), {
    uris: ['spiffe://td/a'],
    dnsNames: [],
    ips: [],
    emails: [],
    others: [{ oid: '1.2.3', value: 'a@b' }],
  });
});

test('any bytes are read or refused as malformed, and nothing else', () => {
  const good = leaf({ dnsNames: ['a', 'b'] }).der;
  const crl = Buffer.from(revocationList(root, [leaf()], NOW).replace(/-----[^-]+-----/g, ''), 'base64');
  const read = (act: () => unknown): void => {
    try {
      act();
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error));
    }
  };
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 64 }), (at, byte, random) => {
      for (const bytes of [Buffer.from(good), Buffer.from(crl)]) {
        bytes[at % bytes.length] = byte;
        read(() => new RevocationList(bytes));
        read(() => readGeneralNames(parse(bytes)));
        read(() => constraintFault(bytes, subjectNames(x509(root))));
      }
      read(() => new RevocationList(Buffer.from(random)));
      read(() => readGeneralNames(parse(Buffer.from(random))));
    }),
    { seed: 6, numRuns: 2_000 },
  );
});
