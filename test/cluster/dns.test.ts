import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DnsCluster,
  type DnsConfig,
  type DnsResolver,
  isDnsCluster,
  type ResolvedAddress,
} from '../../proxy/cluster/dns.ts';
import { SystemResolver } from '../../proxy/cluster/system-resolver.ts';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Assignment } from '../../xds-client/model/endpoint.ts';
import { cluster, endpoint, locality } from './support.ts';

type Answers = { [key: string]: readonly ResolvedAddress[] | Error };

function fixture(
  kind: 'strict-dns' | 'logical-dns',
  answers: Answers,
  dns: Partial<Cluster['dns']> = {},
  hosts: readonly string[] = ['payment.local'],
): {
  assignments: Assignment[];
  updates: string[];
  delays: number[];
  tick(): Promise<void>;
  dns: DnsCluster;
} {
  const localities = [locality(hosts.map((host) => endpoint(host, 8080, { weight: 3 })))];
  const base = cluster('payment', { discovery: { kind, localities } });
  const config: Cluster = { ...base, dns: { ...base.dns, family: 'v4-only', ...dns } };
  assert.ok(isDnsCluster(config));
  const resolver: DnsResolver = {
    async resolve(name, family) {
      const answer = answers[`${name}/${family}`] ?? [];
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  const assignments: Assignment[] = [];
  const updates: string[] = [];
  const delays: number[] = [];
  let timers: (() => void)[] = [];
  const settled = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  const made = new DnsCluster(
    config as DnsConfig,
    resolver,
    {
      set(callback, ms) {
        delays.push(ms);
        timers.push(callback);
      },
      clear: () => {},
    },
    () => 0.5,
    { onAssignment: (next) => assignments.push(next), onUpdate: (update) => updates.push(update) },
  );
  made.start();
  return {
    assignments,
    updates,
    delays,
    dns: made,
    async tick() {
      const due = timers;
      timers = [];
      for (const callback of due) callback();
      await settled();
    },
  };
}

const at = (...addresses: string[]): readonly ResolvedAddress[] =>
  addresses.map((address) => ({ address, ttlMs: undefined }));

const hostsOf = (found: Assignment | undefined): string[] =>
  (found?.localities ?? []).flatMap(({ endpoints }) =>
    endpoints.map(({ address }) => (address.kind === 'socket' ? address.host : address.path)),
  );

test('strict DNS makes an endpoint of every address and keeps name, port and weight', async () => {
  const run = fixture('strict-dns', { 'payment.local/4': at('10.0.0.2', '10.0.0.1') });
  await run.tick();
  assert.deepEqual(run.assignments[0]?.localities[0]?.endpoints, [
    endpoint('10.0.0.1', 8080, { weight: 3, hostname: 'payment.local' }),
    endpoint('10.0.0.2', 8080, { weight: 3, hostname: 'payment.local' }),
  ]);
});

test('logical DNS keeps to the first address', async () => {
  const run = fixture('logical-dns', { 'payment.local/4': at('10.0.0.2', '10.0.0.1') });
  await run.tick();
  assert.deepEqual(hostsOf(run.assignments[0]), ['10.0.0.2']);
});

test('addresses in another order are no new assignment', async () => {
  const answers: Answers = { 'payment.local/4': at('10.0.0.1', '10.0.0.2') };
  const run = fixture('strict-dns', answers);
  await run.tick();
  answers['payment.local/4'] = at('10.0.0.2', '10.0.0.1');
  await run.tick();
  assert.equal(run.assignments.length, 1);
  assert.ok(run.updates.includes('no_rebuild'));
});

test('a failing lookup keeps the last addresses and is counted', async () => {
  const answers: Answers = { 'payment.local/4': at('10.0.0.1') };
  const run = fixture('strict-dns', answers);
  await run.tick();
  answers['payment.local/4'] = new Error('SERVFAIL');
  await run.tick();
  assert.deepEqual(hostsOf(run.assignments.at(-1)), ['10.0.0.1']);
  assert.ok(run.updates.includes('failure'));
});

test('the first assignment waits for every name, and a failing one does not hold it up', async () => {
  const run = fixture('strict-dns', { 'a.local/4': at('10.0.0.1'), 'b.local/4': new Error('timeout') }, {}, [
    'a.local',
    'b.local',
    '10.9.9.9',
  ]);
  await run.tick();
  assert.deepEqual(hostsOf(run.assignments[0]), ['10.0.0.1', '10.9.9.9']);
});

test('the refresh interval is the configured one, or the shortest TTL where it is respected', async () => {
  const plain = fixture('strict-dns', { 'payment.local/4': [{ address: '10.0.0.1', ttlMs: 30_000 }] });
  await plain.tick();
  assert.equal(plain.delays[0], 5000);
  const ttl = fixture(
    'strict-dns',
    { 'payment.local/4': [{ address: '10.0.0.1', ttlMs: 30_000 }] },
    { respectTtl: true },
  );
  await ttl.tick();
  assert.equal(ttl.delays[0], 30_000);
});

test('failures back off up to the maximum', async () => {
  const failureRefresh = { baseMs: 4000, maxMs: 10_000 };
  const run = fixture('strict-dns', { 'payment.local/4': new Error('timeout') }, { failureRefresh });
  for (let i = 0; i < 4; i++) await run.tick();
  assert.deepEqual(run.delays.slice(0, 4), [2000, 4000, 5000, 5000]);
});

test('each family setting asks for what it says', async () => {
  const answers: Answers = { 'payment.local/4': at('10.0.0.1'), 'payment.local/6': at('fd00::1') };
  const families: [Cluster['dns']['family'], string[]][] = [
    ['auto', ['fd00::1']],
    ['v4-preferred', ['10.0.0.1']],
    ['v4-only', ['10.0.0.1']],
    ['v6-only', ['fd00::1']],
    ['all', ['10.0.0.1', 'fd00::1']],
  ];
  for (const [family, expected] of families) {
    const run = fixture('strict-dns', answers, { family });
    await run.tick();
    assert.deepEqual(hostsOf(run.assignments[0]), expected, family);
  }
  const only4 = fixture('strict-dns', { 'payment.local/4': at('10.0.0.1') }, { family: 'auto' });
  await only4.tick();
  assert.deepEqual(hostsOf(only4.assignments[0]), ['10.0.0.1'], 'auto falls back to IPv4');
});

test('a closed cluster says nothing any more', async () => {
  const run = fixture('strict-dns', { 'payment.local/4': at('10.0.0.1') });
  run.dns.close();
  await run.tick();
  assert.deepEqual(run.assignments, []);
});

test('the system resolver knows localhost', async () => {
  assert.deepEqual(await new SystemResolver().resolve('localhost', 4, false), [
    { address: '127.0.0.1', ttlMs: undefined },
  ]);
});

test('the system resolver fails for a name that nobody knows', async () => {
  await assert.rejects(new SystemResolver().resolve('no-such-name.invalid', 4, false));
});
