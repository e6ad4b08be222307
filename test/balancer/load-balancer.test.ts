import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostHealth, LocalityHosts } from '../../proxy/balancer/contract.ts';
import { LoadBalancer, type LoadBalancerOptions } from '../../proxy/balancer/load-balancer.ts';
import { spreadLoad } from '../../proxy/balancer/priorities.ts';

interface TestHost {
  readonly name: string;
  readonly weight: number;
  readonly health: HostHealth;
  readonly excluded: boolean;
  active: number;
  activeRequests(): number;
}

function host(name: string, options: Partial<TestHost> = {}): TestHost {
  return {
    name,
    weight: options.weight ?? 1,
    health: options.health ?? 'healthy',
    excluded: options.excluded ?? false,
    active: options.active ?? 0,
    activeRequests() {
      return this.active;
    },
  };
}

/** mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function balancer(
  localities: readonly LocalityHosts<TestHost>[],
  options: Partial<LoadBalancerOptions> = {},
): LoadBalancer<TestHost> {
  return new LoadBalancer(localities, {
    policy: { kind: 'round-robin', slowStart: undefined },
    overprovisioningFactor: 140,
    panicThresholdPercent: 50,
    localityWeighted: false,
    random: seeded(1),
    onPanic: () => {},
    ...options,
  });
}

const one = (hosts: readonly TestHost[], priority = 0, weight?: number): LocalityHosts<TestHost> => ({
  priority,
  weight,
  hosts,
});

function shares(chooser: LoadBalancer<TestHost>, draws: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i < draws; i++) {
    const name = chooser.choose()?.name ?? 'none';
    counts.set(name, (counts.get(name) ?? 0) + 1 / draws);
  }
  return counts;
}

const near = (actual: number | undefined, expected: number, within = 0.02): void =>
  assert.ok(Math.abs((actual ?? 0) - expected) < within, `${actual} is not near ${expected}`);

test('round robin takes each endpoint in turn', () => {
  const chooser = balancer([one([host('a'), host('b'), host('c')])], { random: () => 0 });
  assert.deepEqual(
    Array.from({ length: 6 }, () => chooser.choose()?.name),
    ['a', 'b', 'c', 'a', 'b', 'c'],
  );
});

test('round robin starts where the injected randomness says', () => {
  const chooser = balancer([one([host('a'), host('b'), host('c')])], { random: () => 0.67 });
  assert.equal(chooser.choose()?.name, 'c');
});

test('weighted round robin gives exact shares without bursts', () => {
  const chooser = balancer([one([host('a', { weight: 3 }), host('b', { weight: 1 })])], { random: () => 0 });
  const order = Array.from({ length: 400 }, () => chooser.choose()?.name as string);
  assert.equal(order.filter((name) => name === 'a').length, 300);
  assert.ok(!order.join('').includes('aaaaa'), 'five in a row of the endpoint with three quarters');
  assert.ok(!order.join('').includes('bb'));
});

test('least request prefers the less busy of two random endpoints', () => {
  const hosts = [host('busy', { active: 50 }), host('idle'), host('idle too')];
  const chooser = balancer([one(hosts)], {
    policy: { kind: 'least-request', choiceCount: 2, activeRequestBias: 1, slowStart: undefined },
  });
  const counts = shares(chooser, 9000);
  // Chosen only when it is drawn twice.
  near(counts.get('busy'), 1 / 9);
  near(counts.get('idle'), 4 / 9);
});

test('least request with weights divides the weight by what is under way', () => {
  const hosts = [host('heavy but busy', { weight: 8, active: 7 }), host('light', { weight: 2 })];
  const chooser = balancer([one(hosts)], {
    policy: { kind: 'least-request', choiceCount: 2, activeRequestBias: 1, slowStart: undefined },
  });
  near(shares(chooser, 3000).get('light'), 2 / 3);
});

test('random spreads evenly and ignores weights', () => {
  const chooser = balancer([one([host('a', { weight: 9 }), host('b')])], { policy: { kind: 'random' } });
  near(shares(chooser, 10_000).get('a'), 0.5);
});

test('unhealthy endpoints get nothing while enough are healthy', () => {
  const hosts = [host('a'), host('b'), host('sick', { health: 'unhealthy' })];
  assert.equal(shares(balancer([one(hosts)]), 300).get('sick'), undefined);
});

test('below the panic threshold health is not looked at, and each such choice is counted', () => {
  let panics = 0;
  const hosts = [host('a'), host('x', { health: 'unhealthy' }), host('y', { health: 'unhealthy' })];
  const chooser = balancer([one(hosts)], { onPanic: () => panics++ });
  near(shares(chooser, 300).get('x'), 1 / 3);
  assert.equal(panics, 300);
});

test('endpoints that are leaving do not bring on panic', () => {
  const leaving = ['x', 'y'].map((name) => host(name, { health: 'unhealthy', excluded: true }));
  const chooser = balancer([one([host('a'), ...leaving])], { onPanic: () => assert.fail('panic') });
  assert.deepEqual([...shares(chooser, 100).keys()], ['a']);
});

test('with panic turned off only healthy endpoints are chosen, and none when there is none', () => {
  const sick = host('x', { health: 'unhealthy' });
  const off = { panicThresholdPercent: 0 };
  assert.equal(
    shares(balancer([one([host('a'), sick, sick, sick])], off), 100)
      .get('a')
      ?.toFixed(6),
    '1.000000',
  );
  assert.equal(balancer([one([sick])], off).choose(), undefined);
});

test('an empty cluster gives nothing', () => {
  assert.equal(balancer([]).choose(), undefined);
  assert.equal(balancer([one([])]).choose(), undefined);
});

test('degraded endpoints take what the healthy ones cannot carry', () => {
  // One of four healthy carries 35 %, the three degraded ones the rest.
  const hosts = [host('a'), ...['d1', 'd2', 'd3'].map((name) => host(name, { health: 'degraded' }))];
  const counts = shares(balancer([one(hosts)]), 20_000);
  near(counts.get('a'), 0.35);
  near((counts.get('d1') ?? 0) + (counts.get('d2') ?? 0) + (counts.get('d3') ?? 0), 0.65);
});

test('load spills to the next priority as the documentation of Envoy has it', () => {
  const counts = (healthy: number): { total: number; healthy: number; degraded: number; excluded: number } => ({
    total: 100,
    healthy,
    degraded: 0,
    excluded: 0,
  });
  const table: [number[], number[]][] = [
    [
      [100, 100],
      [100, 0],
    ],
    [
      [72, 100],
      [100, 0],
    ],
    [
      [71, 100],
      [99, 1],
    ],
    [
      [50, 100],
      [70, 30],
    ],
    [
      [25, 100],
      [35, 65],
    ],
    [
      [0, 100],
      [0, 100],
    ],
    // Together they cannot carry everything: the shares are scaled up.
    [
      [25, 25],
      [50, 50],
    ],
    [
      [5, 70, 100],
      [7, 93, 0],
    ],
  ];
  for (const [healthy, load] of table) {
    assert.deepEqual(spreadLoad(healthy.map(counts), 140, 50).healthy, load, `healthy ${healthy.join(' ')}`);
  }
});

test('a priority is in panic only when all together cannot carry the load', () => {
  const counts = (healthy: number) => ({ total: 100, healthy, degraded: 0, excluded: 0 });
  assert.deepEqual(spreadLoad([counts(10), counts(100)], 140, 50).panic, [false, false]);
  assert.deepEqual(spreadLoad([counts(10), counts(60)], 140, 50).panic, [true, false]);
  assert.deepEqual(spreadLoad([counts(0), counts(0)], 140, 50).healthy, [50, 50]);
});

test('locality weights count only where the cluster asks for them', () => {
  const localities = [one([host('east')], 0, 3), one([host('west1'), host('west2')], 0, 1)];
  near(shares(balancer(localities), 3000).get('east'), 1 / 3);
  const counts = shares(balancer(localities, { localityWeighted: true }), 4000);
  near(counts.get('east'), 0.75);
  near(counts.get('west1'), 0.125);
});

test('a locality loses weight as its endpoints fail', () => {
  const sick = host('sick', { health: 'unhealthy' });
  // East can carry 70 % of its weight: 0.7 against 1.
  const localities = [one([host('east'), sick], 0, 1), one([host('west1'), host('west2')], 0, 1)];
  near(shares(balancer(localities, { localityWeighted: true }), 8000).get('east'), 0.7 / 1.7);
});
