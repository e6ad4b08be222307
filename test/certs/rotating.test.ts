import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnfitIdentity } from '../../certs/source/contract.ts';
import { RotatingSource } from '../../certs/source/rotating.ts';
import { FakeAuthority, FakeCertificateClock, Heard, turn } from './fakes.ts';

const HOUR = 3_600_000;

async function started(lifeMs = HOUR, random: () => number = () => 0.5) {
  const clock = new FakeCertificateClock();
  const authority = new FakeAuthority(clock, lifeMs);
  const heard = new Heard();
  const source = new RotatingSource({ authority, clock, random });
  source.start(heard);
  await turn();
  return { clock, authority, heard, source };
}

test('asks at once, and again at half of the life', async () => {
  const { clock, authority, heard, source } = await started();
  assert.deepEqual(authority.asked, [0]);
  await clock.pass(HOUR * 2);
  assert.deepEqual(authority.asked, [0, HOUR / 2, HOUR, (HOUR * 3) / 2, HOUR * 2]);
  assert.equal(heard.identities.length, 5);
  assert.deepEqual(heard.problems, []);
  source.close();
  assert.ok(authority.closed);
  assert.equal(clock.waiting, 0);
});

test('a fleet does not renew at once', async () => {
  const [early, late] = [await started(HOUR, () => 0), await started(HOUR, () => 0.999)];
  for (const { clock } of [early, late]) await clock.pass(HOUR * 0.6);
  assert.equal(early.authority.asked[1], HOUR * 0.45);
  assert.ok((late.authority.asked[1] ?? 0) > HOUR * 0.549);
});

test('keeps trying while the authority is away, without haste while something is valid', async () => {
  const { clock, authority, heard } = await started();
  await clock.pass(HOUR / 4);
  authority.failure = new Error('no connection');
  await clock.pass(HOUR / 2);
  const pauses = heard.problems.map(({ retryInMs }) => retryInMs);
  assert.deepEqual(pauses.slice(0, 8), [750, 1500, 3000, 6000, 12_000, 24_000, 45_000, 45_000]);
  assert.ok(heard.problems.every(({ kind, reason }) => kind === 'unreachable' && reason === 'no connection'));
  assert.ok(authority.urgent.slice(1).every((urgent) => !urgent));
  assert.equal(heard.identities.length, 1);
  authority.failure = undefined;
  await clock.pass(60_000);
  assert.equal(heard.identities.length, 2);
});

test('past the end it asks within a second of the return of the authority', async () => {
  const { clock, authority, heard } = await started();
  authority.failure = new UnfitIdentity('not ours');
  await clock.pass(HOUR * 1.5);
  const before = authority.asked.length;
  await clock.pass(60_000);
  const tries = authority.asked.length - before;
  assert.ok(tries > 60 && tries < 240, `${tries} tries in a minute`);
  assert.equal(authority.urgent.at(-1), true);
  assert.equal(heard.problems.at(-1)?.kind, 'refused');
  authority.failure = undefined;
  await clock.pass(1000);
  assert.equal(heard.identities.length, 2);
});

test('without a first certificate it never pauses for long', async () => {
  const clock = new FakeCertificateClock();
  const authority = new FakeAuthority(clock, HOUR);
  authority.failure = new Error('no connection');
  const heard = new Heard();
  new RotatingSource({ authority, clock, random: () => 0.999 }).start(heard);
  await clock.pass(HOUR);
  assert.ok(heard.problems.every(({ retryInMs = 0 }) => retryInMs < 1000));
  authority.failure = undefined;
  await clock.pass(1000);
  assert.equal(heard.identities.length, 1);
});

test('a clock that is set past the renewal renews at once', async () => {
  const { clock, authority } = await started();
  await clock.pass(60_000);
  clock.offset += HOUR;
  await clock.pass(1000);
  assert.equal(authority.asked.length, 2);
  await clock.pass(HOUR / 4);
  assert.equal(authority.asked.length, 2, 'and once');
});

test('a clock that is set past the end while a pause is under way ends the pause', async () => {
  const { clock, authority, heard } = await started();
  authority.failure = new Error('no connection');
  await clock.pass(HOUR / 2 + 200_000);
  const before = authority.asked.length;
  authority.failure = undefined;
  clock.offset += HOUR;
  await clock.pass(1000);
  assert.equal(authority.asked.length, before + 1);
  assert.equal(heard.identities.length, 2);
});

test('a clock that is set back neither puts the renewal off nor makes a loop', async () => {
  const { clock, authority } = await started();
  clock.offset -= HOUR * 24;
  await clock.pass(HOUR / 2 - 1);
  assert.equal(authority.asked.length, 1);
  await clock.pass(HOUR);
  assert.deepEqual(authority.asked, [0, HOUR / 2, HOUR]);
});

test('a certificate that is too short lived makes no loop', async () => {
  const { clock, authority } = await started(10);
  await clock.pass(60_000);
  assert.ok(authority.asked.length <= 122, `asked ${authority.asked.length} times in a minute`);
});

test('tells nothing once it is closed', async () => {
  const { clock, authority, heard, source } = await started();
  await clock.pass(HOUR / 2 - 1);
  authority.failure = new Error('late');
  const passed = clock.pass(1);
  source.close();
  await passed;
  await turn();
  assert.equal(heard.identities.length, 1);
  assert.deepEqual(heard.problems, []);
});
