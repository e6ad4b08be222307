import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { buildCsr, newKey, parseCsr } from '../../certs/csr.ts';
import { DevCa } from '../../certs/source/dev-ca.ts';

const names = { uris: ['spiffe://td/ns/pay/sa/a'], dnsNames: ['a.pay', '*.b'], ips: ['127.0.0.1', 'fe80::1:2', '::1'] };

for (const type of ['ec-p256', 'rsa-2048'] as const) {
  test(`a request with an ${type} key reads back as it was built`, () => {
    const key = newKey(type);
    const parsed = parseCsr(buildCsr(key, names, 'someone'));
    assert.deepEqual(parsed.names.uris, names.uris);
    assert.deepEqual(parsed.names.dnsNames, names.dnsNames);
    assert.deepEqual(parsed.names.ips, ['127.0.0.1', 'fe80:0:0:0:0:0:1:2', '0:0:0:0:0:0:0:1']);
    const cert = new X509Certificate(new DevCa({ now: Date.now, trustDomain: 'td' }).sign(buildCsr(key, names)).chain);
    assert.ok(cert.checkPrivateKey(key));
  });
}

test('a request that is cut, altered or signed by another key is refused', () => {
  const good = buildCsr(newKey(), names);
  const der = Buffer.from(good.replaceAll(/-----.*-----|\s/g, ''), 'base64');
  for (let i = 0; i < der.length; i += 3) {
    const altered = Buffer.from(der);
    altered[i] = (altered[i] as number) ^ 0x41;
    const text = `-----BEGIN CERTIFICATE REQUEST-----\n${altered.toString('base64')}\n-----END CERTIFICATE REQUEST-----`;
    assert.throws(() => parseCsr(text), `byte ${i}`);
  }
  assert.throws(() => parseCsr('nothing'), /no CERTIFICATE REQUEST block/);
});

test('certificates carry their names, times and use', () => {
  const now = Date.UTC(2026, 0, 1, 12, 0, 0, 500);
  const ca = new DevCa({ now: () => now, trustDomain: 'td', skewMs: 5000 });
  const leaf = ca.issue({ spiffeId: 'spiffe://td/ns/pay/sa/a', dnsNames: ['localhost'], ips: ['::1'], ttlMs: 30_000 });
  const cert = new X509Certificate(leaf.chain);
  assert.equal(cert.subjectAltName, 'URI:spiffe://td/ns/pay/sa/a, DNS:localhost, IP Address:0:0:0:0:0:0:0:1');
  assert.equal(cert.validFromDate.getTime(), Date.UTC(2026, 0, 1, 11, 59, 55));
  assert.equal(cert.validToDate.getTime(), Date.UTC(2026, 0, 1, 12, 0, 30));
  assert.equal(leaf.notAfter, cert.validToDate.getTime());
  assert.equal(cert.serialNumber.toLowerCase(), leaf.serial);
  assert.equal(cert.ca, false);
  assert.ok(cert.checkPrivateKey(createPrivateKey(leaf.key)));
  assert.ok(cert.checkIssued(new X509Certificate(ca.rootPem)));
});

test('times past 2049 are written as GeneralizedTime', () => {
  const ca = new DevCa({ now: () => Date.UTC(2049, 11, 31, 23, 59, 59), trustDomain: 'td' });
  const cert = new X509Certificate(ca.issue({ dnsNames: ['a'] }).chain);
  assert.equal(cert.validToDate.getTime(), Date.UTC(2050, 0, 1, 0, 0, 29));
});

for (const intermediate of [false, true]) {
  for (const keyType of ['ec-p256', 'rsa-2048'] as const) {
    test(`OpenSSL accepts the chain both ways (${keyType}, ${intermediate ? 'with' : 'no'} intermediate)`, async () => {
      const ca = new DevCa({ now: Date.now, trustDomain: 'td', intermediate, keyType });
      const server = ca.issue({ dnsNames: ['localhost'] });
      const client = ca.issue({ spiffeId: 'spiffe://td/ns/pay/sa/a' });
      const listener = createServer(
        { cert: server.chain, key: server.key, ca: ca.rootPem, requestCert: true, rejectUnauthorized: true },
        (socket) => socket.end(String(socket.authorized)),
      );
      listener.listen(0, '127.0.0.1');
      await once(listener, 'listening');
      const { port } = listener.address() as AddressInfo;
      const socket = connect({ port, ca: ca.rootPem, cert: client.chain, key: client.key, servername: 'localhost' });
      const [data] = await once(socket, 'data');
      assert.equal(String(data), 'true');
      assert.ok(socket.authorized);
      socket.destroy();
      listener.close();
    });
  }
}
