import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { DevCa } from '../../certs/source/dev-ca.ts';
import type { TrustSecret } from '../../proxy/tls/secret-table.ts';
import { changedVerdict, coversTrust } from '../../proxy/tls/trust-change.ts';
import type { ValidationContext } from '../../xds-client/model/tls.ts';
import { type Made, make, revocationList } from '../certs/odd-certificates.ts';
import { uriSan, validationContext } from './support.ts';

const NOT_FOUND = 'unable to get local issuer certificate';
const now = Date.now();
const newCa = (intermediate = false, caTtlMs = 86_400_000): DevCa =>
  new DevCa({ now: () => now, trustDomain: 'td', intermediate, caTtlMs });

function trust(roots: readonly DevCa[], rules: Partial<ValidationContext> = {}, crl?: string): TrustSecret {
  const { trustedCa: _, crl: __, watchedDirectory: ___, ...rest } = validationContext(rules);
  const trustedCa = roots.map(({ rootPem }) => rootPem).join('');
  return { kind: 'trust', generation: 1, trust: { trustedCa, crl }, rules: rest };
}

/** One authority, and perhaps what it has revoked. */
function anchoredIn({ pem }: Made, crl?: string): TrustSecret {
  return { ...trust([]), trust: { trustedCa: pem, crl } };
}

function verdict(certificate: X509Certificate, secret: TrustSecret, at = now): string | undefined {
  return changedVerdict(certificate, secret, 'server', at)?.reason;
}

/** What a server shows of its chain: intermediates hang on the leaf. */
async function shownBy(ca: DevCa): Promise<X509Certificate> {
  const leaf = ca.issue({ spiffeId: 'spiffe://td/a' });
  const server = createServer({ cert: leaf.chain, key: leaf.key }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  server.close();
  assert.ok(certificate);
  return certificate;
}

test('a bundle covers another when it has all of its anchors, and asks nothing more', () => {
  const [a, b] = [newCa(), newCa()];
  const rules = { sanMatches: [uriSan('spiffe://td/a')] };
  assert.ok(coversTrust(trust([a, b]), trust([a])));
  assert.ok(coversTrust(trust([b, a]), trust([a, b])));
  assert.ok(!coversTrust(trust([a]), trust([a, b])));
  assert.ok(!coversTrust(trust([b]), trust([a])));
  assert.ok(!coversTrust(trust([a], rules), trust([a])));
  assert.ok(!coversTrust(trust([a], {}, 'another list'), trust([a], {}, 'a list')));
  assert.ok(!coversTrust(undefined, trust([a])));
});

test('a chain is followed to an anchor, through what its peer sent', async () => {
  for (const intermediate of [false, true]) {
    const [ca, other] = [newCa(intermediate), newCa()];
    const certificate = await shownBy(ca);
    assert.equal(verdict(certificate, trust([ca])), undefined);
    assert.equal(verdict(certificate, trust([other, ca])), undefined);
    assert.equal(verdict(certificate, trust([other])), NOT_FOUND);
  }
});

test('an intermediate in the bundle is an anchor, and one that was not sent is not guessed', async () => {
  const ca = newCa(true);
  const certificate = await shownBy(ca);
  const intermediate = certificate.issuerCertificate;
  assert.ok(intermediate);
  const anchored = { ...trust([]), trust: { trustedCa: intermediate.toString(), crl: undefined } };
  assert.equal(verdict(certificate, anchored), undefined);
  const alone = new X509Certificate(certificate.raw);
  assert.equal(verdict(alone, trust([ca])), NOT_FOUND);
});

test('an authority of the same name with another key, and one that has expired, vouch for nobody', async () => {
  const ca = newCa(false, 60_000);
  const certificate = await shownBy(ca);
  assert.equal(verdict(certificate, trust([ca]), now + 61_000), 'certificate has expired');
  assert.equal(verdict(certificate, trust([ca], { allowExpired: true }), now + 61_000), undefined);
  const [root, namesake] = [make({ name: 'root', ca: true }), make({ name: 'root', ca: true })];
  const leaf = new X509Certificate(make({ issuer: root, uris: ['spiffe://td/a'] }).pem);
  assert.equal(verdict(leaf, anchoredIn(root)), undefined);
  assert.ok(verdict(leaf, anchoredIn(namesake)) !== undefined);
});

test('a new revocation list is asked', () => {
  const root = make({ name: 'root', ca: true });
  const [revoked, good] = [
    make({ issuer: root, uris: ['spiffe://td/a'] }),
    make({ issuer: root, uris: ['spiffe://td/b'] }),
  ];
  const crl = revocationList(root, [revoked]);
  assert.equal(verdict(new X509Certificate(revoked.pem), anchoredIn(root, crl)), 'certificate revoked');
  assert.equal(verdict(new X509Certificate(good.pem), anchoredIn(root, crl)), undefined);
  const stranger = make({ name: 'stranger', ca: true });
  const others = anchoredIn(root, revocationList(stranger, []));
  assert.equal(verdict(new X509Certificate(good.pem), others), 'unable to get certificate CRL');
});
