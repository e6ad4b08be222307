import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { splitDer } from '../../certs/der-list.ts';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { WorkloadApi } from '../../certs/source/spiffe-workload.ts';
import { FakeCertificateClock, Heard, until } from './fakes.ts';
import { derOf, svid, WorkloadApiServer } from './workload-api-server.ts';

const ID = 'spiffe://td/pay';
const SECOND = 'spiffe://td/admin';
const ca = new DevCa({ now: Date.now, trustDomain: 'td', intermediate: true });
const next = new DevCa({ now: Date.now, trustDomain: 'td' });
const partner = new DevCa({ now: Date.now, trustDomain: 'partner' });
const LIFE_MS = 3_600_000;

const issue = (id = ID, by = ca, ttlMs = LIFE_MS) => svid(id, by.issue({ spiffeId: id, ttlMs }), by);

async function start(t: TestContext, prepare: (server: WorkloadApiServer) => void = () => {}) {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-spiffe-'));
  const server = new WorkloadApiServer();
  prepare(server);
  const path = join(folder, 'agent.sock');
  await server.listen(`unix:${path}`);
  const clock = new FakeCertificateClock(Date.now());
  const heard = new Heard();
  const source = new WorkloadApi({ socket: `unix://${path}`, clock, random: () => 0.5 });
  t.after(() => {
    source.close();
    server.stop();
    rmSync(folder, { recursive: true });
  });
  source.start(heard);
  return { server, clock, heard, source, address: `unix:${path}` };
}

test('gives each SVID, the first as the default, and each bundle, the own one first', async (t) => {
  const { heard } = await start(t, (server) => {
    server.svids = {
      svids: [issue(), { ...issue(SECOND), hint: 'internal' }],
      federated_bundles: { 'spiffe://partner': derOf(partner.rootPem) },
    };
  });
  await until('an identity came', () => heard.identities.length > 0);
  const [identity] = heard.identities;
  assert.deepEqual(
    identity?.certificates.map(({ spiffeId, hint }) => [spiffeId, hint]),
    [
      [ID, undefined],
      [SECOND, 'internal'],
    ],
  );
  assert.deepEqual(identity?.bundles, [
    { trustDomain: 'td', pem: ca.rootPem },
    { trustDomain: 'partner', pem: partner.rootPem },
  ]);
  assert.match(identity?.certificates[0]?.material.key ?? '', /^-----BEGIN PRIVATE KEY-----/);
  assert.deepEqual(heard.problems, []);
});

test('a renewed SVID and changed bundles follow', async (t) => {
  const { server, heard } = await start(t, (one) => {
    one.svids = { svids: [issue()] };
    one.bundles = { bundles: { 'spiffe://td': derOf(ca.rootPem) } };
  });
  await until('both streams have brought something', () => heard.identities.length >= 2);
  const serial = () => heard.identities.at(-1)?.certificates[0]?.material.chain;
  const before = serial();
  server.sendSvids({ svids: [issue()] });
  await until('it is renewed', () => serial() !== before);
  const both = Buffer.concat([derOf(ca.rootPem), derOf(next.rootPem)]);
  server.sendBundles({ bundles: { 'spiffe://td': both, partner: derOf(partner.rootPem) } });
  await until('the bundles are others', () => heard.identities.at(-1)?.bundles.length === 2);
  assert.equal(heard.identities.at(-1)?.bundles[0]?.pem, ca.rootPem + next.rootPem);
  const count = heard.identities.length;
  server.sendBundles({ bundles: { 'spiffe://partner': derOf(partner.rootPem) } });
  await until('bundles without the own one came', () => heard.identities.length > count);
  assert.equal(heard.identities.at(-1)?.bundles[0]?.pem, ca.rootPem, 'the one that came with the SVID');
  assert.deepEqual(heard.problems, []);
});

test('what cannot be used is refused with the reason, and the last good one stays', async (t) => {
  const good = issue();
  const { server, heard } = await start(t, (one) => {
    one.svids = { svids: [good] };
  });
  await until('an identity came', () => heard.identities.length === 1);
  const past = new DevCa({ now: () => Date.now() - 7_200_000, trustDomain: 'td' });
  const cases: readonly [RegExp, Parameters<WorkloadApiServer['sendSvids']>[0]][] = [
    [/has no SVID/, { svids: [] }],
    [
      /the certificate is for "spiffe:\/\/td\/pay", not for "spiffe:\/\/td\/admin"/,
      { svids: [{ ...good, spiffe_id: SECOND }] },
    ],
    [/does not belong to the certificate/, { svids: [{ ...good, ...pick(issue().x509_svid_key) }] }],
    [/does not end in an authority/, { svids: [{ ...good, bundle: derOf(next.rootPem) }] }],
    [/has expired/, { svids: [issue(ID, past, 1000)] }],
    [/begins no whole DER structure/, { svids: [{ ...good, x509_svid: Buffer.from('3003', 'hex') }] }],
    [/the trusted CA is empty/, { svids: [{ ...good, bundle: Buffer.alloc(0) }] }],
    [/does not parse/, { svids: [{ ...good, x509_svid_key: Buffer.from('nonsense') }] }],
    [/trust domain/, { svids: [good], federated_bundles: { 'Not A Domain': derOf(partner.rootPem) } }],
    // half an identity is none
    [/does not belong to the certificate/, { svids: [good, { ...issue(SECOND), ...pick(good.x509_svid_key) }] }],
  ];
  for (const [reason, response] of cases) {
    const told = heard.problems.length;
    server.sendSvids(response);
    await until(`it is told: ${reason}`, () => heard.problems.length > told);
    const problem = heard.problems.at(-1);
    assert.equal(problem?.kind, 'refused');
    assert.match(problem?.reason ?? '', reason);
  }
  assert.equal(heard.identities.length, 1);
  server.sendSvids({ svids: [issue()] });
  await until('the next good one is taken', () => heard.identities.length === 2);
});

function pick(key: Buffer | undefined): { x509_svid_key: Buffer } {
  return { x509_svid_key: key ?? Buffer.alloc(0) };
}

test('a stream that ends is opened again, after longer pauses while it is refused', async (t) => {
  const { server, heard, clock } = await start(t, (one) => {
    one.svids = { svids: [issue()] };
  });
  await until('an identity came', () => heard.identities.length === 1);
  server.refuse = { code: status.PERMISSION_DENIED, details: 'no identity issued' };
  server.endStreams();
  for (let i = 1; i <= 5; i++) {
    await until('it is told', () => heard.problems.length === i);
    await clock.pass(heard.problems.at(-1)?.retryInMs ?? 0);
  }
  assert.deepEqual(
    heard.problems.slice(0, 5).map(({ retryInMs }) => retryInMs),
    [750, 1500, 3000, 6000, 12_000],
  );
  assert.match(heard.problems[1]?.reason ?? '', /ended FetchX509SVID with 7: no identity issued/);
  await until('the last try was refused as well', () => heard.problems.length === 6);
  server.refuse = undefined;
  await clock.pass(60_000);
  await until('it is there again', () => heard.identities.length === 2);
});

test('once it has expired, less than a second passes between tries', async (t) => {
  const { server, heard, clock } = await start(t, (one) => {
    one.svids = { svids: [issue()] };
  });
  await until('an identity came', () => heard.identities.length === 1);
  server.stop();
  await until('it is told', () => heard.problems.length > 0);
  clock.offset += 2 * LIFE_MS;
  for (let i = 0; i < 5; i++) {
    const { length } = heard.problems;
    await clock.pass(1000);
    await until('it is tried', () => heard.problems.length > length);
    assert.ok((heard.problems.at(-1)?.retryInMs ?? 1000) < 1000);
  }
});

test('a server that has fallen silent is asked anew', async (t) => {
  const { server, heard, clock } = await start(t, (one) => {
    one.svids = { svids: [issue()] };
  });
  await until('an identity came', () => heard.identities.length === 1);
  await clock.pass(LIFE_MS / 2);
  assert.equal(server.opened.svids, 1);
  await clock.pass(LIFE_MS / 3);
  await until('it is asked again', () => server.opened.svids > 1);
});

test('a server without the stream of bundles is not asked for it again', async (t) => {
  const { server, heard, clock } = await start(t, (one) => {
    one.svids = { svids: [issue()] };
  });
  await until('an identity came', () => heard.identities.length === 1 && server.opened.bundles === 1);
  await clock.pass(300_000);
  assert.equal(server.opened.bundles, 1);
  assert.deepEqual(heard.problems, []);
});

test('sockets are absolute paths or addresses', () => {
  const clock = new FakeCertificateClock();
  const make = (socket: string) => () => new WorkloadApi({ socket, clock, random: Math.random });
  for (const good of ['unix:///run/a.sock', 'unix:/run/a.sock', 'tcp://127.0.0.1:8081', 'tcp://[::1]:8081']) {
    assert.doesNotThrow(make(good));
  }
  for (const bad of ['unix:a.sock', '/run/a.sock', 'tcp://localhost:8081', 'http://127.0.0.1:1', 'tcp://127.0.0.1']) {
    assert.throws(make(bad), /is neither/);
  }
});

test('DER structures are split where they end, and never beyond', () => {
  const one = derOf(ca.rootPem);
  assert.equal(splitDer(Buffer.concat([one, one])).length, 2);
  assert.deepEqual(splitDer(Buffer.alloc(0)), []);
  for (let cut = 1; cut < one.length; cut += 7) assert.throws(() => splitDer(one.subarray(0, cut)));
  for (const bad of ['00', '30', '3080', '3085ffffffffff', '30847fffffff', '0400']) {
    assert.throws(() => splitDer(Buffer.from(bad, 'hex')));
  }
});
