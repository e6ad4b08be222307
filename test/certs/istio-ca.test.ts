import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { credentials, ServerCredentials } from '@grpc/grpc-js';
import { namesInCertificate } from '../../certs/names.ts';
import { UnfitIdentity } from '../../certs/source/contract.ts';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { IstioCa, type IstioCaOptions } from '../../certs/source/istio-ca.ts';
import { parseCertificates } from '../../certs/tls-context.ts';
import { maskSecrets } from '../../proxy/observe/mask.ts';
import { FakeCertificateClock } from './fakes.ts';
import { IstioCaServer, type IstioCaServerOptions } from './istio-ca-server.ts';

const ID = 'spiffe://td/ns/pay/sa/settlement';
const OTHER = 'spiffe://td/ns/pay/sa/other';
const TOKEN = 'eyJhbGciOiJub25lIn0.c2VjcmV0.c2ln';
const ca = new DevCa({ now: Date.now, trustDomain: 'td', intermediate: true });
const foreign = new DevCa({ now: Date.now, trustDomain: 'td' });
const tokens = new Map([
  [TOKEN, ID],
  ['new-token', ID],
  ['others-token', OTHER],
]);

async function start(
  t: TestContext,
  { server: more = {}, ...client }: Partial<IstioCaOptions> & { server?: IstioCaServerOptions } = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-ca-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const tokenPath = join(folder, 'token');
  writeFileSync(tokenPath, `${TOKEN}\n`);
  const server = new IstioCaServer(ca, { tokens, ...more });
  const target = await server.listen();
  const authority = new IstioCa({
    endpoint: () => ({ target, credentials: credentials.createInsecure() }),
    tokenPath,
    clusterId: 'Kubernetes',
    spiffeId: ID,
    keyType: 'ec-p256',
    ttlMs: 3_600_000,
    clock: new FakeCertificateClock(Date.now()),
    ...client,
  });
  t.after(() => {
    authority.close();
    server.stop();
  });
  return { authority, server, tokenPath, target };
}

test('gets a certificate for a new key each time, with what lies between and the root apart', async (t) => {
  const { authority, server } = await start(t);
  const [first, second] = [await authority.issue(false), await authority.issue(false)];
  for (const { certificates, bundles } of [first, second]) {
    const [one] = certificates;
    assert.equal(certificates.length, 1);
    assert.equal(one?.spiffeId, ID);
    const chain = parseCertificates(one?.material.chain ?? '');
    assert.equal(chain.length, 2);
    assert.deepEqual(namesInCertificate(chain[0]?.raw ?? Buffer.alloc(0)).uris, [ID]);
    assert.deepEqual(bundles, [{ trustDomain: 'td', pem: ca.rootPem }]);
  }
  assert.notEqual(first.certificates[0]?.material.key, second.certificates[0]?.material.key);
  assert.deepEqual(
    server.requests.map(({ ttlMs }) => ttlMs),
    [3_600_000, 3_600_000],
  );
  assert.deepEqual(server.metadata[0]?.get('clusterid'), ['Kubernetes']);
});

test('RSA keys are made as asked', async (t) => {
  const { authority } = await start(t, { keyType: 'rsa-2048' });
  const [one] = (await authority.issue(false)).certificates;
  const { publicKey } = new X509Certificate(one?.material.chain ?? '');
  assert.equal(publicKey.asymmetricKeyDetails?.modulusLength, 2048);
});

test('the token is read anew for each call', async (t) => {
  const { authority, server, tokenPath } = await start(t);
  await authority.issue(false);
  writeFileSync(tokenPath, 'new-token');
  await authority.issue(false);
  assert.deepEqual(
    server.metadata.map((metadata) => metadata.get('authorization')[0]),
    [`Bearer ${TOKEN}`, 'Bearer new-token'],
  );
});

test('a client certificate serves in the place of a token', async (t) => {
  const [own, theirs] = [ca.issue({ spiffeId: ID }), ca.issue({ dnsNames: ['localhost'] })];
  const pair = { cert_chain: Buffer.from(theirs.chain), private_key: Buffer.from(theirs.key) };
  const { authority, target } = await start(t, {
    tokenPath: undefined,
    server: { credentials: ServerCredentials.createSsl(Buffer.from(ca.rootPem), [pair], true) },
    endpoint: () => ({
      target,
      serverName: 'localhost',
      credentials: credentials.createSsl(Buffer.from(ca.rootPem), Buffer.from(own.key), Buffer.from(own.chain)),
    }),
  });
  assert.equal((await authority.issue(false)).certificates[0]?.spiffeId, ID);
});

test('the root may come twice and stays out of the chain', async (t) => {
  const { authority, server } = await start(t);
  server.answer = (request) => [...server.signed(request), ca.rootPem];
  const [one] = (await authority.issue(false)).certificates;
  assert.equal(parseCertificates(one?.material.chain ?? '').length, 2);
});

test('an answer that is not ours is refused, with the reason', async (t) => {
  const { authority, server, tokenPath } = await start(t);
  const names = { uris: [ID], dnsNames: [], ips: [] };
  const past = new DevCa({ now: () => Date.now() - 3_600_000, trustDomain: 'td' });
  const future = new DevCa({ now: () => Date.now() + 3_600_000, trustDomain: 'td' });
  const cases: readonly [RegExp, IstioCaServer['answer']][] = [
    [/the private key does not belong to the certificate/, () => [ca.issue({ spiffeId: ID }).chain, ca.rootPem]],
    [/the certificate has expired at/, ({ csr }) => [past.sign(csr, 1000, names).chain, past.rootPem]],
    [/the certificate is valid from .* only/, ({ csr }) => [future.sign(csr, 9e6, names).chain, future.rootPem]],
    [/does not end in an authority/, ({ csr }) => [ca.sign(csr, 1e6, names).chain, foreign.rootPem]],
    [/does not end in an authority/, (request) => [server.signed(request)[0] ?? '', ca.rootPem]],
    [/a leaf and a root are the least/, (request) => server.signed(request).slice(0, 1)],
    [/a leaf and a root are the least/, () => []],
    [/does not parse/, () => ['nonsense', 'more']],
    [/does not parse/, (request) => [...server.signed(request), 'nonsense']],
    [/has no SPIFFE id/, ({ csr }) => [ca.sign(csr, 1e6, { ...names, uris: [] }).chain, ca.rootPem]],
    [/has 2 URI names/, ({ csr }) => [ca.sign(csr, 1e6, { ...names, uris: [ID, OTHER] }).chain, ca.rootPem]],
    [/is not a SPIFFE id/, ({ csr }) => [ca.sign(csr, 1e6, { ...names, uris: ['https://x'] }).chain, ca.rootPem]],
  ];
  for (const [reason, answer] of cases) {
    server.answer = answer;
    await assert.rejects(authority.issue(false), (error) => {
      assert.ok(error instanceof UnfitIdentity, String(error));
      assert.match(error.message, reason);
      return true;
    });
  }
  server.answer = undefined;
  writeFileSync(tokenPath, 'others-token');
  await assert.rejects(authority.issue(false), /the certificate is for ".*\/other", not for ".*\/settlement"/);
});

test('an authority that refuses us or is away is told of, without the token', async (t) => {
  const { authority, server, tokenPath, target } = await start(t);
  writeFileSync(tokenPath, 'nobodys-token');
  const failure = async (): Promise<string> => {
    const thrown: unknown = await authority.issue(true).catch((error: unknown) => error);
    assert.ok(thrown instanceof Error && !(thrown instanceof UnfitIdentity));
    assert.ok(!thrown.message.includes('nobodys-token'));
    return thrown.message;
  };
  assert.equal(await failure(), `${target} answered 16: request authenticate failure`);
  server.stop();
  assert.match(await failure(), /answered 14: /);
  writeFileSync(tokenPath, '\n');
  assert.match(await failure(), /the token ".*" is empty/);
  writeFileSync(tokenPath, 'two words');
  assert.match(await failure(), /holds no token/);
  rmSync(tokenPath);
  const missing = await failure();
  assert.match(missing, /ENOENT: cannot read the token ".*\/token"/);
  assert.equal(maskSecrets(missing), missing, 'the log shows it');
  writeFileSync(tokenPath, TOKEN);
  await server.listen(target);
  assert.equal((await authority.issue(true)).certificates[0]?.spiffeId, ID);
});

test('each failed call goes on to the next endpoint', async (t) => {
  const asked: number[] = [];
  const away = await start(t, {
    endpoint: (failures) => {
      asked.push(failures);
      return { target: failures < 2 ? '127.0.0.1:1' : live.target, credentials: credentials.createInsecure() };
    },
  });
  const live = await start(t);
  await assert.rejects(away.authority.issue(true));
  await assert.rejects(away.authority.issue(true));
  await away.authority.issue(true);
  await away.authority.issue(true).catch(() => {});
  assert.deepEqual(asked, [0, 1, 2, 0]);
});

test('a connection that is not made and an answer that does not come are given up', async (t) => {
  const clock = new FakeCertificateClock(Date.now());
  const silent = createServer(() => {});
  await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done));
  const address = silent.address();
  assert.ok(address !== null && typeof address === 'object');
  const target = `127.0.0.1:${address.port}`;
  const sockets: (() => void)[] = [];
  silent.on('connection', (socket) => sockets.push(() => socket.destroy()));
  t.after(() => {
    for (const end of sockets) end();
    silent.close();
  });
  const { authority } = await start(t, {
    clock,
    tokenPath: undefined,
    endpoint: () => ({ target, credentials: credentials.createInsecure() }),
  });
  const issued = authority.issue(true).catch((error: Error) => error.message);
  while (clock.waiting < 2) await new Promise((done) => setImmediate(done));
  await clock.pass(10_000);
  assert.match(String(await issued), /was not reached in 1000 ms|has not answered in 10000 ms/);
});
