/** All parts together but the workers: real endpoints, time that the test moves. */
import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { HealthChecks } from '../../../proxy/cluster/health-check/health-checks.ts';
import { HealthFlag } from '../../../proxy/cluster/shared.ts';
import { MainStats } from '../../../proxy/observe/stats/main-stats.ts';
import type { Cluster } from '../../../xds-client/model/cluster.ts';
import type { Assignment, Endpoint } from '../../../xds-client/model/endpoint.ts';
import type { HealthCheck } from '../../../xds-client/model/health-check.ts';
import { assignment, cluster, endpoint } from '../support.ts';
import { healthCheck, httpProbe, ManualTimers } from './support.ts';

const FAILED = HealthFlag.failedActiveHealthCheck;

/** An endpoint that answers with `status`, as long as that is none of 0. */
async function service(
  t: TestContext,
): Promise<{ readonly endpoint: Endpoint; readonly address: string; status: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', () => {
      if (it.status === 0) socket.destroy();
      else socket.write(`HTTP/1.1 ${it.status} x\r\ncontent-length: 0\r\n\r\n`);
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const it = { endpoint: endpoint('127.0.0.1', port), address: `127.0.0.1:${port}`, status: 200 };
  return it;
}

function setUp(t: TestContext) {
  const timers = new ManualTimers();
  const stats = new MainStats();
  const events: string[] = [];
  const assignments: Assignment[] = [];
  let wake: (() => void) | undefined;
  const happened = (event: string): void => {
    events.push(event);
    wake?.();
  };
  const checks = new HealthChecks(
    {
      stats,
      tls: { upstream: () => assert.fail('no TLS here'), downstream: () => assert.fail('no TLS here') },
      timers,
      random: () => 0,
      hasTraffic: () => true,
    },
    {
      onFlags: (name, address, failed) =>
        happened(`${name} ${checks.flagsOf(name, address)}${failed ? ' failed' : ''}`),
      onAssignment: (name, made) => {
        assignments.push(made);
        happened(`${name} has ${made.localities.flatMap(({ endpoints }) => endpoints).length}`);
      },
      onChecked: ({ name }) => happened(`${name} checked`),
    },
  );
  t.after(() => checks.close());
  /** Lets the next checks be made and waits for `count` events. */
  const round = async (count: number, passMs = 0): Promise<string[]> => {
    const from = events.length;
    timers.pass(passMs);
    while (events.length < from + count) {
      await new Promise<void>((done) => {
        wake = done;
      });
    }
    return events.slice(from);
  };
  const stat = (name: string): number | undefined => stats.get(`cluster.pay.health_check.${name}`);
  return { checks, timers, stats, events, assignments, round, stat };
}

const checked = (changes: Partial<Cluster> = {}, check: Partial<HealthCheck> = {}): Cluster =>
  cluster('pay', {
    healthCheck: healthCheck({ probe: httpProbe(), healthyThreshold: 1, unhealthyThreshold: 1, ...check }),
    ...changes,
  });

const of = (...endpoints: readonly Endpoint[]): Assignment => assignment('pay', endpoints);

test('a warming cluster is told of once each of its endpoints was checked', async (t) => {
  const { checks, round, events } = setUp(t);
  const [good, bad] = [await service(t), await service(t)];
  bad.status = 500;
  checks.warm(checked(), of(good.endpoint, bad.endpoint));
  assert.deepEqual(events, []);
  assert.deepEqual(await round(1), ['pay checked']);
});

test('its checks go on when it serves: nothing is asked twice', async (t) => {
  const { checks, round, stat } = setUp(t);
  const [good, bad] = [await service(t), await service(t)];
  bad.status = 500;
  const config = checked();
  checks.warm(config, of(good.endpoint, bad.endpoint));
  await round(1);
  const made = of(good.endpoint, bad.endpoint);
  assert.equal(checks.serve(config, made), made);
  assert.equal(checks.flagsOf('pay', good.address), 0);
  assert.equal(checks.flagsOf('pay', bad.address), FAILED);
  assert.equal(stat('attempt'), 2);
  assert.equal(stat('success'), 1);
  assert.equal(stat('failure'), 1);
  assert.equal(stat('network_failure'), 0);
  assert.equal(stat('healthy'), 1);
});

test('health that changes is told of, and counted', async (t) => {
  const { checks, round, stat } = setUp(t);
  const one = await service(t);
  checks.serve(checked(), of(one.endpoint));
  assert.equal(checks.flagsOf('pay', one.address), FAILED);
  assert.deepEqual(await round(1), ['pay 0']);
  one.status = 500;
  assert.deepEqual(await round(1, 5000), [`pay ${FAILED} failed`]);
  assert.equal(stat('healthy'), 0);
  one.status = 200;
  assert.deepEqual(await round(1, 2000), ['pay 0']);
  assert.equal(stat('healthy'), 1);
});

test('an endpoint whose checks are turned off counts as healthy and keeps nobody waiting', async (t) => {
  const { checks, round, timers } = setUp(t);
  const own = { address: undefined, port: undefined, hostname: '', disabled: true };
  checks.warm(checked(), of({ ...endpoint('10.0.0.1', 80), healthCheck: own }));
  assert.deepEqual(await round(0), []);
  assert.equal(checks.flagsOf('pay', '10.0.0.1:80'), 0);
  assert.equal(timers.next(), undefined);
});

test('an endpoint is asked where its configuration says', async (t) => {
  const { checks, round } = setUp(t);
  const one = await service(t);
  const { address } = one.endpoint;
  assert.ok(address.kind === 'socket');
  const own = { address: { ...address, port: 1 }, port: address.port, hostname: '', disabled: false };
  checks.serve(checked(), of({ ...endpoint('10.0.0.1', 80), healthCheck: own }));
  assert.deepEqual(await round(1), ['pay 0']);
  assert.equal(checks.flagsOf('pay', '10.0.0.1:80'), 0);
});

test('an endpoint that discovery takes away stays while it is well, and goes when it is not', async (t) => {
  const { checks, round, assignments } = setUp(t);
  const [stays, leaves] = [await service(t), await service(t)];
  checks.serve(checked(), of(stays.endpoint, leaves.endpoint));
  await round(2);
  const kept = checks.update('pay', of(stays.endpoint));
  assert.deepEqual(kept.localities[0]?.endpoints, [stays.endpoint, leaves.endpoint]);
  assert.equal(checks.flagsOf('pay', leaves.address), HealthFlag.pendingDynamicRemoval);
  leaves.status = 0;
  await round(2, 5000);
  assert.deepEqual(assignments[0], of(stays.endpoint));
  assert.equal(checks.flagsOf('pay', leaves.address), 0);
});

test('an endpoint that comes back was never away', async (t) => {
  const { checks, round, stat } = setUp(t);
  const [stays, leaves] = [await service(t), await service(t)];
  checks.serve(checked(), of(stays.endpoint, leaves.endpoint));
  await round(2);
  checks.update('pay', of(stays.endpoint));
  checks.update('pay', of(leaves.endpoint, stays.endpoint));
  assert.equal(checks.flagsOf('pay', leaves.address), 0);
  assert.equal(stat('attempt'), 2);
});

for (const [what, changes] of [
  ['where health does not matter for removal', { ignoreHealthOnHostRemoval: true }],
  ['where the list is fixed', { discovery: { kind: 'static', localities: [] } }],
] as const) {
  test(`an endpoint goes at once ${what}`, async (t) => {
    const { checks, round } = setUp(t);
    const [stays, leaves] = [await service(t), await service(t)];
    checks.serve(checked(changes), of(stays.endpoint, leaves.endpoint));
    await round(2);
    assert.deepEqual(checks.update('pay', of(stays.endpoint)), of(stays.endpoint));
    assert.equal(checks.flagsOf('pay', leaves.address), 0);
  });
}

test('new endpoints count for nothing until they were checked, where that is asked for', async (t) => {
  const { checks, round } = setUp(t);
  const one = await service(t);
  one.status = 500;
  checks.serve(checked({ ignoreNewHostsUntilFirstCheck: true }), of(one.endpoint));
  assert.equal(checks.flagsOf('pay', one.address), FAILED | HealthFlag.pendingActiveHealthCheck);
  assert.deepEqual(await round(1), [`pay ${FAILED}`]);
});

test('a cluster that replaces one checks anew, and the old one says nothing more', async (t) => {
  const { checks, round, stat, timers } = setUp(t);
  const one = await service(t);
  checks.serve(checked(), of(one.endpoint));
  await round(1);
  const next = checked({}, { healthyThreshold: 3 });
  checks.warm(next, of(one.endpoint));
  assert.equal(checks.flagsOf('pay', one.address), 0);
  assert.deepEqual(await round(1), ['pay checked']);
  checks.serve(next, of(one.endpoint));
  assert.equal(stat('healthy'), 1);
  checks.serve(cluster('pay'), of(one.endpoint));
  assert.equal(stat('healthy'), undefined);
  assert.equal(timers.next(), undefined);
});

test('an endpoint that leaves in an answer to a request has failed, and its checks go on as before', async (t) => {
  const { checks, round, stat, timers } = setUp(t);
  const one = await service(t);
  checks.serve(checked(), of(one.endpoint));
  await round(1);
  timers.pass(1000);
  checks.fail('pay', one.address);
  checks.fail('pay', '10.0.0.1:80');
  assert.equal(checks.flagsOf('pay', one.address), FAILED | HealthFlag.excludedByImmediateFailure);
  assert.equal(stat('passive_failure'), 1);
  assert.equal(stat('failure'), 1);
  assert.equal(stat('healthy'), 0);
  assert.equal(timers.next(), 4000);
  assert.deepEqual(await round(1, 4000), ['pay 0']);
});

test('a removed cluster leaves neither timers nor statistics', async (t) => {
  const { checks, round, stat, timers } = setUp(t);
  const one = await service(t);
  checks.serve(checked(), of(one.endpoint));
  checks.warm(checked({}, { healthyThreshold: 3 }), of(one.endpoint));
  await round(1);
  checks.remove('pay');
  assert.equal(timers.next(), undefined);
  assert.equal(stat('attempt'), undefined);
});
