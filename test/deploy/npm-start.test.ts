/** The mesh on one machine as a newcomer meets it: `npm start`, and the commands that it prints. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Demo } from './demo.ts';

const MESH = join(import.meta.dirname, '../../deploy/local/mesh');

function copyOfMesh(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-mesh-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(MESH, folder, { recursive: true });
  return folder;
}

test('edits and a killed control plane cost no payment', { timeout: 90_000 }, async (t) => {
  const mesh = copyOfMesh(t);
  const settlement = join(mesh, 'bank/settlement.yaml');
  const asGiven = readFileSync(settlement, 'utf8');
  const demo = new Demo(t, ['--for', '18s', '--json', '--mesh', mesh]);

  const first = await demo.second('payments', ({ requests }) => requests > 0, 0);
  assert.ok(first.v2 < 30, `a tenth goes to v2 at first, not ${first.v2} %`);
  assert.match(first.controlPlane, /^up, 7 streams/);

  await demo.run('edit a file');
  const taken = await demo.line('the edit to be taken', (line) => line.startsWith('mesh folder taken'));
  await demo.second('half of the payments at v2', ({ v2 }) => v2 >= 30, taken);

  await demo.run('break a file');
  const refused = await demo.line('the broken edit to be refused', (line) => line.startsWith('mesh folder refused'));
  assert.match(demo.lines[refused] as string, /bank\/settlement\.yaml.*VirtualService settlement.*timeout.*soon/);
  await demo.second('the edit before it to go on', ({ v2 }) => v2 >= 30, refused);
  writeFileSync(settlement, asGiven);
  await demo.line('the mended file to be taken', (line) => line.startsWith('mesh folder taken'), refused);

  await demo.run('kill the control plane');
  const gone = await demo.line('it to be missed', (line) => line.startsWith('control plane is gone (SIGKILL)'));
  await demo.second('a second without it', ({ controlPlane }) => controlPlane === 'DOWN', gone);
  await demo.line('its return', (line) => line.startsWith('control plane is back'), gone);

  assert.equal(await demo.ended, 0, demo.text);
  const result = demo.result();
  const { requests = 0, rotations = 0, configPushes = 0, spans = 0, p99Ms = 0 } = result;
  assert.equal(result.failed, 0, demo.text);
  assert.ok(requests > 400, demo.text);
  assert.equal(result.ok, requests);
  assert.equal(result.mtls, requests, 'every hop of every payment went over mutual TLS');
  assert.deepEqual([result.lost, result.doubled, result.rejectedPushes], [0, 0, 0]);
  const { grpcCalls = 0, reported = 0 } = result;
  // A report a replica of payment, opened again when it has lasted its time: whatever is edited, killed or rotated.
  assert.ok((result.reportStreams ?? 0) >= 3, demo.text);
  assert.deepEqual([result.reportsLost, result.reportsDoubled], [0, 0], demo.text);
  assert.equal(grpcCalls, requests);
  assert.ok(reported > 400, demo.text);
  assert.ok(rotations >= 1 && configPushes > 35 && spans > 0 && p99Ms > 0, demo.text);
});

/** A traced payment's way: both sides of each hop, a line each, each below the one before. */
const WAY = [
  'server istio-ingressgateway.istio-system',
  'client istio-ingressgateway.istio-system',
  'server payment-service.payments',
  'client payment-service.payments',
  'server payment-service.payments',
  'client payment-service.payments',
  'server settlement.bank',
  'client settlement.bank',
  'server settlement.bank',
  'client settlement.bank',
  'server clearance.bank',
  'client clearance.bank',
];

function isWhole(trace: string): boolean {
  const spans = trace.trimEnd().split('\n').slice(1);
  return (
    spans.length === WAY.length &&
    spans.every((line, at) => {
      const [, indent, side, service] = /^ *[\d.]+ ms {2}( *)(\w+) ([^:]+): /.exec(line) ?? [];
      return indent?.length === 2 * at && `${side} ${service?.replace(/-v\d\./, '.')}` === WAY[at];
    })
  );
}

test('failing applications fail only what they must, and nothing is paid twice', { timeout: 90_000 }, async (t) => {
  const demo = new Demo(t, ['--json', '--mesh', copyOfMesh(t)]);
  const url = (command: string): string => /http:[^\s']+/.exec(command)?.[0] ?? '';
  await demo.second('payments', ({ requests }) => requests > 40, 0);

  const paid = await fetch(url(await demo.command('pay once')), { method: 'POST', body: '{"id":"one"}' });
  const answer = (await paid.json()) as { readonly id: string; readonly hops: readonly { readonly mtls: boolean }[] };
  assert.equal(paid.status, 200);
  assert.deepEqual([answer.id, answer.hops.map(({ mtls }) => mtls)], ['one', [true, true, true]]);

  const traces = url(await demo.command('newest trace'));
  for (let trace = ''; !isWhole(trace); ) {
    await demo.second(`a whole trace; the newest is\n${trace}`, () => true);
    trace = await (await fetch(traces)).text();
  }

  // A third of the payments would fail for three seconds if the other replicas were not asked.
  await demo.run("kill one of payment's three applications");
  const killedAt = demo.lines.length;
  const without = await demo.second('payments without it', () => true, killedAt);
  const later = await demo.second('more of them', ({ requests }) => requests >= without.requests + 80, killedAt);
  assert.ok(later.errors <= 10, `only what was under way there may fail, not ${later.errors} payments\n${demo.text}`);

  // What payment is told in gRPC's words, as it passes them on.
  const entry = url(await demo.command('pay once'));
  let told = 0;
  const isTold = async (words: RegExp): Promise<void> => {
    for (;;) {
      const answer = await fetch(entry, { method: 'POST', body: JSON.stringify({ id: `told-${told++}` }) });
      const text = await answer.text();
      if (words.test(text)) return;
      await demo.second(`payment to be told ${words}, not ${text}`, () => true);
    }
  };
  await demo.run('kill settlement v1');
  await isTold(/settlement\.bank\.svc\.cluster\.local answered UNAVAILABLE: upstream connect error/);
  let mended = later;
  await demo.second('settlement to be back', (second) => {
    const back = second.errors > later.errors && second.errors === mended.errors;
    mended = second;
    return back;
  });

  const failing = await fetch(url(await demo.command('fail a service')), { method: 'POST' });
  assert.equal(failing.status, 200);
  await isTold(/settlement\.bank\.svc\.cluster\.local answered ABORTED: clearance\..* answered 503/);
  const failed = await demo.second('payments to fail', ({ errors }) => errors >= mended.errors + 10);
  let before = failed;
  await demo.second('payments to succeed again', (second) => {
    const recovered = second.errors === before.errors && second.requests > before.requests + 20;
    before = second;
    return recovered;
  });

  demo.signal('SIGINT');
  // npm may say that it was interrupted, the mesh that payments have failed: it was no success.
  assert.notEqual(await demo.ended, 0);
  const result = demo.result();
  assert.equal(result.failed, before.errors, demo.text);
  assert.equal(result.mtls, result.ok);
  assert.deepEqual([result.lost, result.doubled], [0, 0], demo.text);
  assert.deepEqual([result.reportsLost, result.reportsDoubled], [0, 0], demo.text);
});
