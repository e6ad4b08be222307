import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Identity, IdentityListener, IdentitySource } from '../../certs/source/contract.ts';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { MainStats } from '../../proxy/observe/stats/main-stats.ts';
import { IdentityKeeper } from '../../proxy/secrets/identity-keeper.ts';
import { certificateOf, FakeCertificateClock, heardLog } from '../certs/fakes.ts';

class HeldSource implements IdentitySource {
  listener: IdentityListener | undefined;
  closed = false;

  start(listener: IdentityListener): void {
    this.listener = listener;
  }

  close(): void {
    this.closed = true;
  }
}

function started() {
  const source = new HeldSource();
  const clock = new FakeCertificateClock(0);
  const stats = new MainStats();
  const { log, lines } = heardLog();
  const secrets = { cluster: 'sds-grpc', certificate: 'default', trust: 'ROOTCA' };
  const keeper = new IdentityKeeper({ source, clock, secrets, manyNames: false, stats, log });
  const told: string[] = [];
  keeper.subscribe({ changed: () => told.push('changed'), failed: () => told.push('failed') });
  keeper.start();
  const stat = (name: string): number | undefined => {
    keeper.refreshGauges();
    return stats.get(`identity.${name}`);
  };
  return { source, clock, lines, keeper, told, stat };
}

function identityUntil(notAfter: number, notBefore = 0): Identity {
  return {
    certificates: [certificateOf(notBefore, notAfter)],
    bundles: [{ trustDomain: 'td', pem: 'root' }],
    crl: undefined,
  };
}

test('supplies what came last, and tells who asked', () => {
  const { source, keeper, told, stat } = started();
  assert.equal(keeper.secret('default'), undefined);
  assert.equal(stat('valid'), 0);
  source.listener?.updated(identityUntil(100_000));
  assert.deepEqual(told, ['changed']);
  assert.equal(keeper.version(), '1');
  assert.notEqual(keeper.secret('default'), undefined);
  assert.deepEqual([stat('valid'), stat('expiration_unix_time_seconds'), stat('update_success')], [1, 100, 1]);
  source.listener?.problem({ kind: 'refused', reason: 'x', retryInMs: 1 });
  assert.notEqual(keeper.secret('default'), undefined, 'what came last stays');
  keeper.close();
  assert.ok(source.closed);
});

test('replaces its cluster alone, and supplies its names alone', () => {
  const { keeper } = started();
  const source = { kind: 'grpc', delta: false } as const;
  assert.ok(keeper.replaces({ ...source, cluster: 'sds-grpc' }));
  assert.ok(!keeper.replaces({ ...source, cluster: 'other' }));
  assert.ok(!keeper.replaces({ kind: 'ads' }));
  assert.deepEqual(
    ['default', 'ROOTCA', 'file-root:/x', 'other', 'spiffe://td/a'].map((name) => keeper.supplies(name)),
    [true, true, true, false, false],
  );
});

test('says how the certificate ages', async () => {
  const { source, clock, lines, stat } = started();
  source.listener?.updated(identityUntil(100_000));
  await clock.pass(120_000);
  assert.deepEqual(lines, [
    'info: the certificate of "spiffe://td/a" serves: valid until 1970-01-01T00:01:40.000Z',
    'warning: the certificate of "spiffe://td/a" has a quarter of its life left, until 1970-01-01T00:01:40.000Z',
    'error: the certificate of "spiffe://td/a" has a tenth of its life left, until 1970-01-01T00:01:40.000Z',
    'critical: the certificate of "spiffe://td/a" has expired at 1970-01-01T00:01:40.000Z: others will refuse it',
  ]);
  const stages = ['life_three_quarters', 'life_nine_tenths', 'life_expired'].map(stat);
  assert.deepEqual([...stages, stat('valid'), stat('life_percent')], [1, 1, 1, 0, 120]);
});

test('the same failure again and again is counted each time, and said twice a minute', async () => {
  const { source, clock, lines, told, stat } = started();
  for (let second = 0; second < 60; second++) {
    source.listener?.problem({ kind: 'unreachable', reason: 'nobody there', retryInMs: 1000 });
    await clock.pass(1000);
  }
  assert.deepEqual(
    lines,
    Array(2).fill('warning: no new identity, and there is none yet: nobody there; next try in 1000 ms'),
  );
  assert.equal(stat('update_failure'), 60);
  assert.equal(told.length, 60);
  source.listener?.problem({ kind: 'refused', reason: 'not ours', retryInMs: undefined });
  assert.match(lines.at(-1) ?? '', /not ours; next try when there is something new/);
  assert.equal(stat('update_rejected'), 1);
});

test('a certificate that is given again is not announced again', () => {
  const { source, lines } = started();
  const identity = identityUntil(100_000);
  source.listener?.updated(identity);
  source.listener?.updated({ ...identity, bundles: [{ trustDomain: 'td', pem: 'other' }] });
  assert.equal(lines.length, 1);
});

test('a clock that is set is told of', async () => {
  const { clock, lines, stat } = started();
  clock.offset -= 60_000;
  await clock.pass(1000);
  assert.deepEqual(lines, ['warning: the clock was set 60000 ms back']);
  assert.equal(stat('clock_jump'), 1);
});

test('the connection to the control plane takes the same secrets', () => {
  const { source, keeper } = started();
  assert.deepEqual(keeper.ownSecrets(), []);
  const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
  const leaf = ca.issue({ spiffeId: 'spiffe://td/a' });
  const material = { chain: leaf.chain, key: leaf.key, password: undefined, ocspStaple: undefined };
  source.listener?.updated({
    certificates: [{ ...certificateOf(0, 1), material }],
    bundles: [{ trustDomain: 'td', pem: ca.rootPem }],
    crl: undefined,
  });
  assert.deepEqual(
    keeper.ownSecrets().map(({ kind, name }) => [kind, name]),
    [
      ['certificate', 'default'],
      ['validation', 'ROOTCA'],
    ],
  );
});
