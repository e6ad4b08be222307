import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DevCa, type IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { MainStats } from '../../proxy/observe/stats/main-stats.ts';
import { CertificateAges } from '../../proxy/secrets/certificate-ages.ts';
import type { SecretPayload } from '../../proxy/tls/secret-table.ts';
import { FakeCertificateClock, heardLog } from '../certs/fakes.ts';

const START = Date.UTC(2026, 0, 1);
const ca = new DevCa({ now: () => START, trustDomain: 'td', skewMs: 0 });
const issue = (ttlMs = 100_000): IssuedLeaf => ca.issue({ spiffeId: 'spiffe://td/a', ttlMs });

function payloadOf({ chain, key }: IssuedLeaf): SecretPayload {
  return {
    kind: 'certificate',
    generation: 1,
    certificate: { chain, key, password: undefined, ocspStaple: undefined },
  };
}

function watching(isOwn: (chain: string) => boolean = () => false) {
  const clock = new FakeCertificateClock(START);
  const stats = new MainStats();
  const { log, lines } = heardLog();
  const ages = new CertificateAges({ clock, stats, log, isOwn });
  const counts = () =>
    ['three_quarters', 'nine_tenths', 'expired'].map((stage) => stats.get(`tls_certificates.life_${stage}`) ?? 0);
  return { clock, ages, lines, counts };
}

test('certificates that nobody renews are told of, once however many use them', async () => {
  const { clock, ages, lines, counts } = watching();
  const leaf = issue();
  for (const key of ['a', 'b']) ages.set(key, payloadOf(leaf));
  await clock.pass(200_000);
  assert.deepEqual(counts(), [1, 1, 1]);
  assert.equal(lines.length, 3);
  assert.match(
    lines[2] ?? '',
    /^critical: the certificate [0-9a-f]+ of "spiffe:\/\/td\/a" has expired at 2026-01-01T00:01:40/,
  );
  assert.ok(!lines.join().includes('PRIVATE'));
});

test('one that is replaced or let go is told of no more', async () => {
  const { clock, ages, counts } = watching();
  ages.set('a', payloadOf(issue()));
  ages.set('b', payloadOf(issue()));
  await clock.pass(80_000);
  assert.deepEqual(counts(), [2, 0, 0]);
  ages.set('a', payloadOf(issue(100_000_000)));
  ages.delete('b');
  ages.delete('never there');
  await clock.pass(80_000);
  assert.deepEqual(counts(), [2, 0, 0]);
  ages.close();
  assert.equal(clock.waiting, 0);
});

test("trust and the workload's own certificates are not its business", async () => {
  const own = issue();
  const { clock, ages, counts } = watching((chain) => chain === own.chain);
  ages.set('own', payloadOf(own));
  const trust: SecretPayload = JSON.parse(JSON.stringify({ kind: 'trust', generation: 1, trust: {}, rules: {} }));
  ages.set('trust', trust);
  await clock.pass(200_000);
  assert.deepEqual(counts(), [0, 0, 0]);
  assert.equal(clock.waiting, 0, 'nothing is looked at');
});
