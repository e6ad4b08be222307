import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClusterDirectory } from '../../proxy/cluster/directory.ts';
import { EndpointCell, HealthFlag } from '../../proxy/cluster/shared.ts';
import { clusterStatuses } from '../../proxy/cluster/status.ts';
import { WorkerClusterTable } from '../../proxy/cluster/table.ts';
import type { ToWorker } from '../../proxy/messages.ts';
import { MainStats } from '../../proxy/observe/stats/main-stats.ts';
import type { LoadBalancerContext } from '../../proxy/upstream/contract.ts';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import { assignment, cluster, endpoint, limited, locality, unhealthy } from './support.ts';

const anywhere: LoadBalancerContext = {
  downstream: undefined,
  hash: undefined,
  metadataMatch: undefined,
  avoid: undefined,
  hostSelectionMaxAttempts: 0,
  head: undefined,
};

function setUp(
  workers = 1,
  checkFlags?: (cluster: string, address: string) => number,
  later?: (callback: () => void) => void,
): {
  directory: ClusterDirectory;
  tables: WorkerClusterTable[];
  stats: MainStats;
  sent: ToWorker[];
} {
  const stats = new MainStats();
  const tls = {
    upstream() {
      throw new Error('no TLS here');
    },
    downstream() {
      throw new Error('no TLS here');
    },
  };
  const environment = { stats, tls, now: () => 0, random: () => 0 };
  const tables = Array.from({ length: workers }, () => new WorkerClusterTable(environment));
  const sent: ToWorker[] = [];
  const directory = new ClusterDirectory({
    workers,
    broadcast(message) {
      sent.push(message);
      for (const table of tables) table.handle(message);
    },
    stats,
    ...(checkFlags === undefined ? {} : { checkFlags }),
    ...(later === undefined ? {} : { later }),
  });
  return { directory, tables, stats, sent };
}

const choose = (table: WorkerClusterTable | undefined, name: string) =>
  table?.get(name)?.choose(anywhere, 'default')?.addressText;

test('a cluster that nobody sent is not there', () => {
  assert.equal(setUp().tables[0]?.get('nobody'), undefined);
});

test('a static cluster brings its endpoints', () => {
  const { directory, tables } = setUp();
  const discovery = { kind: 'static', localities: [locality([endpoint('10.0.0.1', 80)])] } as const;
  directory.setCluster(cluster('local', { discovery }));
  assert.equal(choose(tables[0], 'local'), '10.0.0.1:80');
});

test('a broken JSON text of an unused cluster harms nobody: it is not parsed', () => {
  const { tables } = setUp();
  const table = tables[0] as WorkerClusterTable;
  table.handle({ type: 'shared', index: 0, buffer: new SharedArrayBuffer(65_536) });
  table.handle({ type: 'cluster', name: 'unused', json: '{', slot: 0 });
  assert.throws(() => table.get('unused'), SyntaxError);
});

test('an endpoint keeps its identity over an update of its weight, metadata and order', () => {
  const { directory, tables } = setUp();
  directory.setCluster(cluster('payment'));
  const [a, b] = [endpoint('10.0.0.1', 80), endpoint('10.0.0.2', 80)];
  directory.setAssignment('payment', assignment('payment', [a, b]));
  const handle = tables[0]?.get('payment');
  const before = new Set([handle?.choose(anywhere, 'default'), handle?.choose(anywhere, 'default')]);
  directory.setAssignment(
    'payment',
    assignment('payment', [
      { ...b, metadata: { x: { y: 1 } } },
      { ...a, hostname: 'h' },
    ]),
  );
  const after = new Set([handle?.choose(anywhere, 'default'), handle?.choose(anywhere, 'default')]);
  assert.equal(before.size, 2);
  assert.deepEqual(
    [...before].filter((host) => !after.has(host)),
    [],
  );
});

test('slots of removed endpoints and clusters are used again, parsed or not', () => {
  const { directory, tables, sent } = setUp(2);
  const endpoints = Array.from({ length: 50 }, (_, i) => endpoint('10.0.0.1', i + 1));
  for (let round = 0; round < 200; round++) {
    directory.setCluster(cluster('payment'));
    directory.setAssignment('payment', assignment('payment', endpoints.slice(round % 7)));
    if (round % 2 === 0) tables[0]?.get('payment');
    if (round % 3 === 0) directory.setAssignment('payment', assignment('payment', endpoints.slice(20)));
    directory.removeCluster('payment');
  }
  assert.equal(sent.filter(({ type }) => type === 'shared').length, 1, 'chunks');
});

test('an endpoint that comes back while its old self is busy counts apart', () => {
  const { directory, tables } = setUp();
  directory.setCluster(cluster('payment'));
  const one = assignment('payment', [endpoint('10.0.0.1', 80)]);
  directory.setAssignment('payment', one);
  const handle = tables[0]?.get('payment');
  const before = handle?.choose(anywhere, 'default');
  directory.setAssignment('payment', assignment('payment', []));
  directory.setAssignment('payment', one);
  const after = handle?.choose(anywhere, 'default');
  assert.ok(before !== undefined && after !== undefined && before !== after);
});

test('unhealthy endpoints are passed over and named in the refusal', () => {
  const { directory, tables } = setUp();
  directory.setCluster(cluster('payment', { panicThresholdPercent: 0 }));
  directory.setAssignment('payment', assignment('payment', [endpoint('10.0.0.1', 80, unhealthy)]));
  const handle = tables[0]?.get('payment');
  assert.equal(handle?.choose(anywhere, 'default'), undefined);
  assert.equal(handle?.refusal(), 'cluster "payment": no endpoint is healthy (1 of 1 unhealthy)');
});

test('a retry avoids the endpoints tried before where another can be had', () => {
  const { directory, tables } = setUp();
  directory.setCluster(cluster('payment'));
  directory.setAssignment('payment', assignment('payment', [endpoint('10.0.0.1', 80), endpoint('10.0.0.2', 80)]));
  const handle = tables[0]?.get('payment');
  for (let i = 0; i < 10; i++) {
    const first = handle?.choose(anywhere, 'default');
    assert.ok(first);
    const second = handle?.choose({ ...anywhere, avoid: [first], hostSelectionMaxAttempts: 3 }, 'default');
    assert.notEqual(second, first);
  }
});

test('an original-destination cluster goes where the connection was going', () => {
  const { directory, tables } = setUp();
  const discovery = { kind: 'original-dst', useHeader: 'x-dst', port: undefined } as const;
  directory.setCluster(cluster('passthrough', { discovery, lb: { kind: 'cluster-provided' } }));
  const downstream = {
    localAddress: '10.1.2.3',
    localPort: 8080,
    localAddressRestored: true,
  } as LoadBalancerContext['downstream'];
  const handle = tables[0]?.get('passthrough');
  const host = handle?.choose({ ...anywhere, downstream }, 'default');
  assert.equal(host?.addressText, '10.1.2.3:8080');
  assert.equal(handle?.choose({ ...anywhere, downstream }, 'default'), host);
  assert.equal(handle?.choose(anywhere, 'default'), undefined);
});

test('gauges tell membership and open circuit breakers', () => {
  const { directory, tables, stats } = setUp();
  const thresholds = limited({ maxRetries: 1, trackRemaining: true });
  directory.setCluster(cluster('payment', { thresholds }));
  const endpoints = [
    endpoint('10.0.0.1', 80),
    endpoint('10.0.0.2', 80, unhealthy),
    endpoint('10.0.0.3', 80, { health: 'degraded' }),
  ];
  directory.setAssignment('payment', assignment('payment', endpoints));
  assert.equal(stats.get('cluster.payment.membership_total'), 3);
  assert.equal(stats.get('cluster.payment.membership_healthy'), 1);
  assert.equal(stats.get('cluster.payment.membership_degraded'), 1);
  const handle = tables[0]?.get('payment');
  assert.equal(handle?.tryAcquireRetry('default'), true);
  assert.equal(handle?.tryAcquireRetry('default'), false);
  directory.refreshGauges();
  assert.equal(stats.get('cluster.payment.circuit_breakers.default.rq_retry_open'), 1);
  assert.equal(stats.get('cluster.payment.circuit_breakers.high.rq_retry_open'), 0);
  assert.equal(stats.get('cluster.payment.circuit_breakers.default.remaining_retries'), 0);
  assert.equal(stats.get('cluster.payment.circuit_breakers.default.remaining_cx'), 1024);
  handle?.releaseRetry('default');
});

test('the admin interface sees endpoints with their numbers', () => {
  const { directory } = setUp();
  directory.setCluster(cluster('payment'));
  const canary = endpoint('10.0.0.1', 80, { metadata: { 'envoy.lb': { canary: true } }, health: 'draining' });
  directory.setAssignment('payment', assignment('payment', [canary]));
  const slot = directory.view('payment')?.endpoint('10.0.0.1:80');
  if (slot !== undefined) slot.cells[slot.base + EndpointCell.requests] = -1;
  const [status] = clusterStatuses(directory);
  assert.equal(status?.name, 'payment');
  assert.equal(status?.endpoints[0]?.canary, true);
  assert.equal(status?.endpoints[0]?.edsHealth, 'draining');
  assert.equal(status?.endpoints[0]?.stats.rq_total, 2 ** 32 - 1, 'counters are unsigned');
});

test('endpoints that drain are excluded, and each priority that changed counts', () => {
  const { directory, stats } = setUp();
  directory.setCluster(cluster('payment'));
  const first = locality([endpoint('10.0.0.1', 80), endpoint('10.0.0.2', 80, { health: 'draining' })], 0);
  const assigned = (second: string) => ({
    ...assignment('payment', []),
    localities: [first, locality([endpoint(second, 80)], 1)],
  });
  directory.setAssignment('payment', assigned('10.0.1.1'));
  assert.equal(stats.get('cluster.payment.membership_excluded'), 1);
  assert.equal(stats.get('cluster.payment.membership_healthy'), 2);
  assert.equal(stats.get('cluster.payment.membership_change'), 2);
  directory.setAssignment('payment', assigned('10.0.1.2'));
  assert.equal(stats.get('cluster.payment.membership_change'), 3);
});

test('new thresholds hold for what is counted already', () => {
  const { directory, tables } = setUp();
  const config = (maxRetries: number): Cluster => cluster('payment', { thresholds: limited({ maxRetries }) });
  directory.setCluster(config(5));
  assert.equal(tables[0]?.get('payment')?.tryAcquireRetry('default'), true);
  directory.setCluster(config(1));
  assert.equal(tables[0]?.get('payment')?.tryAcquireRetry('default'), false);
});

const FAILED = HealthFlag.failedActiveHealthCheck;
const [first, second] = [endpoint('10.0.0.1', 80), endpoint('10.0.0.2', 80)];
const chosen = (table: WorkerClusterTable | undefined): string[] =>
  [...new Set([1, 2, 3, 4].map(() => choose(table, 'payment') ?? 'none'))].sort();

test('an endpoint that fails its checks gets nothing more in any worker, and comes back', () => {
  const { directory, tables, stats } = setUp(2);
  directory.setCluster(cluster('payment', { panicThresholdPercent: 0 }));
  directory.setAssignment('payment', assignment('payment', [first, second]));
  for (const table of tables) assert.deepEqual(chosen(table), ['10.0.0.1:80', '10.0.0.2:80']);
  directory.setCheckFlags('payment', '10.0.0.1:80', FAILED, true);
  for (const table of tables) assert.deepEqual(chosen(table), ['10.0.0.2:80']);
  directory.refreshGauges();
  assert.equal(stats.get('cluster.payment.membership_healthy'), 1);
  directory.setCheckFlags('payment', '10.0.0.1:80', 0, false);
  for (const table of tables) assert.deepEqual(chosen(table), ['10.0.0.1:80', '10.0.0.2:80']);
  directory.refreshGauges();
  assert.equal(stats.get('cluster.payment.membership_healthy'), 2);
});

test('endpoints come with the health that their checks give them', () => {
  const flags = new Map([['10.0.0.1:80', FAILED as number]]);
  const { directory, tables, stats } = setUp(1, (_cluster, address) => flags.get(address) ?? 0);
  directory.setCluster(cluster('payment', { panicThresholdPercent: 0 }));
  directory.setAssignment('payment', assignment('payment', [first, second]));
  assert.deepEqual(chosen(tables[0]), ['10.0.0.2:80']);
  assert.equal(stats.get('cluster.payment.membership_healthy'), 1);
  // The same endpoints, checked by others.
  flags.clear();
  directory.setAssignment('payment', assignment('payment', [first, second]));
  assert.deepEqual(chosen(tables[0]), ['10.0.0.1:80', '10.0.0.2:80']);
});

test('the status of an endpoint says how it is, and where it is asked', () => {
  const { directory } = setUp();
  const own = { address: undefined, port: 8086, hostname: 'pay.test', disabled: false };
  directory.setCluster(cluster('payment'));
  directory.setAssignment('payment', assignment('payment', [{ ...first, healthCheck: own }, second]));
  directory.setCheckFlags('payment', '10.0.0.1:80', FAILED | HealthFlag.activeHealthCheckTimeout, true);
  const [one, two] = clusterStatuses(directory)[0]?.endpoints ?? [];
  assert.deepEqual([...(one?.healthFlags ?? [])], ['failedActiveHealthCheck', 'activeHealthCheckTimeout']);
  assert.deepEqual(one?.healthCheck, { port: 8086, hostname: 'pay.test' });
  assert.deepEqual([...(two?.healthFlags ?? [])], []);
  assert.deepEqual(two?.healthCheck, { port: undefined, hostname: '' });
});

test('many changes of health at a time are one message', () => {
  const waiting: (() => void)[] = [];
  const { directory, sent } = setUp(1, undefined, (callback) => waiting.push(callback));
  directory.setCluster(cluster('payment'));
  directory.setAssignment('payment', assignment('payment', [first, second]));
  const before = sent.length;
  directory.setCheckFlags('payment', '10.0.0.1:80', FAILED, true);
  directory.setCheckFlags('payment', '10.0.0.2:80', FAILED, true);
  directory.setCheckFlags('payment', '10.0.0.2:80', FAILED, true);
  for (const callback of waiting.splice(0)) callback();
  assert.deepEqual(sent.slice(before), [{ type: 'endpoint-health', cluster: 'payment', failed: [1, 2] }]);
  directory.setCheckFlags('payment', '10.0.0.1:80', 0, false);
  assert.equal(waiting.length, 1);
});

test('what outlier detection says stays when health checks say something', () => {
  const { directory } = setUp();
  directory.setCluster(cluster('payment'));
  directory.setAssignment('payment', assignment('payment', [first]));
  const slot = directory.view('payment')?.endpoint('10.0.0.1:80');
  assert.ok(slot !== undefined);
  slot.cells[slot.base + EndpointCell.healthFlags] = HealthFlag.failedOutlierCheck;
  directory.setCheckFlags('payment', '10.0.0.1:80', FAILED, true);
  directory.setCheckFlags('payment', '10.0.0.1:80', 0, false);
  assert.equal(slot.cells[slot.base + EndpointCell.healthFlags], HealthFlag.failedOutlierCheck);
});

test('degraded endpoints are second choice, excluded ones count neither way', () => {
  const { directory, tables, stats } = setUp();
  directory.setCluster(cluster('payment'));
  directory.setAssignment('payment', assignment('payment', [first, second]));
  directory.setCheckFlags('payment', '10.0.0.1:80', HealthFlag.degradedActiveHealthCheck, false);
  directory.setCheckFlags('payment', '10.0.0.2:80', FAILED | HealthFlag.excludedByImmediateFailure, true);
  assert.deepEqual(chosen(tables[0]), ['10.0.0.1:80']);
  directory.refreshGauges();
  assert.equal(stats.get('cluster.payment.membership_degraded'), 1);
  assert.equal(stats.get('cluster.payment.membership_excluded'), 1);
});

test('a cluster has had traffic once a connection was made, also to an endpoint that is gone', () => {
  const { directory } = setUp();
  directory.setCluster(cluster('payment'));
  directory.setAssignment('payment', assignment('payment', [first]));
  assert.equal(directory.hasTraffic('payment'), false);
  const slot = directory.view('payment')?.endpoint('10.0.0.1:80');
  assert.ok(slot !== undefined);
  slot.cells[slot.base + EndpointCell.connections] = 1;
  directory.setAssignment('payment', assignment('payment', [second]));
  assert.equal(directory.hasTraffic('payment'), true);
  assert.equal(directory.hasTraffic('nobody'), false);
});
