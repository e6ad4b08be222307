import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConfigChange } from '../../xds-client/changes.ts';
import { ConfigStore, type ConfigStoreOptions, type ConfigUpdate } from '../../xds-client/config-store.ts';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Secret } from '../../xds-client/model/tls.ts';
import type { NamedResource } from '../../xds-client/resource-types.ts';
import {
  ADS,
  assignment,
  chain,
  cluster,
  downstreamTls,
  HEALTH_CHECK,
  listener,
  portsOf,
  routes,
  upstreamTls,
} from './models.ts';

const DYNAMIC = { lds: ADS, cds: ADS };

class Bench {
  readonly store: ConfigStore;
  now = 0;
  all: string[] = [];

  constructor(options: Partial<ConfigStoreOptions> = DYNAMIC) {
    this.store = new ConfigStore({
      listeners: [],
      clusters: [],
      secrets: [],
      lds: undefined,
      cds: undefined,
      secretsOf: () => [],
      ...options,
    });
    this.keep(this.store.start(this.now));
  }

  apply(update: Partial<ConfigUpdate>): string[] {
    return this.keep(this.store.apply({ changed: [], removed: [], absent: [], answered: [], ...update }, this.now));
  }

  put(...changed: NamedResource[]): string[] {
    return this.apply({ changed, answered: changed.map(({ kind }) => kind) });
  }

  tick(now: number): string[] {
    this.now = now;
    return this.keep(this.store.tick(now));
  }

  resolve(of: Cluster, ...ports: number[]): string[] {
    return this.keep(this.store.dnsResolved(of, assignment(of.name, ...ports), this.now));
  }

  /** `cluster a [1,2]`: changes as they read. */
  keep(changes: readonly ConfigChange[]): string[] {
    const read = changes.map((change) => {
      if (change.type === 'initialized') return change.type;
      const ports = 'assignment' in change ? ` [${portsOf(change.assignment)}]` : '';
      return `${change.type} ${change.name}${ports}`;
    });
    this.all.push(...read);
    return read;
  }

  wanted(kind: string): string[] {
    return this.store
      .wanted()
      .filter((want) => want.kind === kind)
      .flatMap(({ wanted }) => (wanted.wildcard ? ['*'] : [...wanted.names.keys()]));
  }
}

const put = {
  cluster: (value: Cluster): NamedResource => ({ kind: 'cluster', name: value.name, value }),
  endpoints: (name: string, ...ports: number[]): NamedResource => ({
    kind: 'endpoints',
    name,
    value: assignment(name, ...ports),
  }),
  listener: (name: string, ...rds: string[]): NamedResource => ({
    kind: 'listener',
    name,
    value: listener(
      name,
      rds.map((route) => chain(route)),
    ),
  }),
  routes: (name: string, to: string): NamedResource => ({ kind: 'routes', name, value: routes(name, to) }),
};

/** A bench whose cluster `a` serves port 1 and whose listener `l` serves routes `r` to it. */
function serving(options: Partial<ConfigStoreOptions> = DYNAMIC): Bench {
  const bench = new Bench(options);
  bench.put(put.cluster(cluster('a')));
  bench.put(put.endpoints('a', 1));
  bench.put(put.listener('l', 'r'));
  bench.put(put.routes('r', 'a'));
  assert.equal(bench.store.initialized(), true);
  return bench;
}

describe('start', () => {
  it('asks for clusters, then their endpoints, then listeners, then routes, and is live when they serve', () => {
    const bench = new Bench();
    assert.deepEqual([bench.wanted('cluster'), bench.wanted('listener')], [['*'], []]);
    assert.deepEqual(bench.put(put.cluster(cluster('a'))), []);
    assert.deepEqual([bench.wanted('endpoints'), bench.wanted('listener')], [['a'], []]);
    assert.deepEqual(bench.put(put.endpoints('a', 1)), ['cluster a [1]']);
    assert.deepEqual(bench.wanted('listener'), ['*']);
    assert.deepEqual(bench.put(put.listener('l', 'r')), []);
    assert.deepEqual(bench.wanted('routes'), ['r']);
    assert.equal(bench.store.initialized(), false);
    assert.deepEqual(bench.put(put.routes('r', 'a')), ['routes r', 'listener l', 'initialized']);
    assert.equal(bench.store.initialized(), true);
  });

  it('waits without limit for what a resource asks for with a timeout of 0', () => {
    const source = { ...ADS, initialFetchTimeoutMs: 0 };
    const patient = cluster('p', { discovery: { kind: 'eds', serviceName: '', source } });
    const bench = new Bench({ clusters: [patient] });
    assert.deepEqual([bench.tick(60_000), bench.store.nextDeadline()], [[], undefined]);
    assert.deepEqual(bench.put(put.endpoints('p', 1)), ['cluster p [1]', 'initialized']);
  });

  it('a warming cluster without a word on time holds the start for 15 s', () => {
    const bench = new Bench({ clusters: [cluster('a')] });
    assert.deepEqual(bench.tick(14_999), []);
    assert.deepEqual(bench.tick(15_000), ['initialized']);
  });

  it('is live at once with a static bootstrap', () => {
    const bench = new Bench({
      clusters: [cluster('s', { discovery: { kind: 'static', localities: assignment('s', 9).localities } })],
      listeners: [listener('l', [])],
    });
    assert.deepEqual(bench.all, ['cluster s [9]', 'listener l', 'initialized']);
  });

  it('goes on without a control plane after 15 s for clusters and 15 s for listeners', () => {
    const bench = new Bench();
    assert.equal(bench.store.nextDeadline(), 15_000);
    assert.deepEqual(bench.tick(15_000), []);
    assert.deepEqual(bench.wanted('listener'), ['*']);
    assert.equal(bench.store.nextDeadline(), 30_000);
    assert.deepEqual(bench.tick(30_000), ['initialized']);
    assert.equal(bench.store.nextDeadline(), undefined);
  });

  it('waits for ever where the timeout is 0', () => {
    const patient = { kind: 'ads', initialFetchTimeoutMs: 0 } as const;
    const bench = new Bench({ cds: patient, lds: patient });
    assert.equal(bench.store.nextDeadline(), undefined);
    assert.deepEqual(bench.tick(1e9), []);
    assert.equal(bench.store.initialized(), false);
  });

  it('counts a refused first response as an answer', () => {
    const bench = new Bench();
    bench.apply({ answered: ['cluster'] });
    assert.deepEqual(bench.apply({ answered: ['listener'] }), ['initialized']);
  });
});

describe('clusters', () => {
  it('that go before they served no longer hold up the start', () => {
    const bench = new Bench();
    bench.put(put.cluster(cluster('a')));
    bench.put({ kind: 'listener', name: 'l', value: listener('l', []) });
    assert.deepEqual(bench.apply({ removed: [{ kind: 'cluster', name: 'a' }] }), ['listener l', 'initialized']);
  });

  it('32: serve after their endpoints', () => {
    const bench = serving();
    assert.deepEqual(bench.put(put.cluster(cluster('b'))), []);
    assert.deepEqual(bench.store.clusterCounts(), { active: 1, warming: 1 });
    assert.deepEqual(bench.put(put.endpoints('b', 2)), ['cluster b [2]']);
    assert.deepEqual(bench.store.clusterCounts(), { active: 2, warming: 0 });
  });

  it('32: serve after their first resolution, and drop what an older resolver says', () => {
    const bench = serving();
    const dns = cluster('d', { discovery: { kind: 'strict-dns', localities: assignment('d', 7).localities } });
    assert.deepEqual(bench.put(put.cluster(dns)), ['resolve d']);
    assert.deepEqual(bench.resolve({ ...dns }, 1), [], 'another object');
    assert.deepEqual(bench.resolve(dns, 7), ['cluster d [7]']);
    assert.deepEqual(bench.resolve(dns, 7, 8), ['endpoints d [7,8]']);
    const slower = cluster('d', { discovery: { kind: 'strict-dns', localities: assignment('d', 9).localities } });
    assert.deepEqual(bench.put(put.cluster(slower)), ['resolve d']);
    assert.deepEqual(bench.resolve(dns, 1), [], 'the old serves on with what it had');
    assert.deepEqual(bench.resolve(slower, 9), ['cluster d [9]']);
    const patient = { ...slower, connectTimeoutMs: 1 };
    assert.deepEqual(bench.put(put.cluster(patient)), ['cluster d [9]'], 'resolved names stay');
    assert.deepEqual(bench.resolve(slower, 10), ['endpoints d [10]'], 'and are still resolved');
  });

  it('33: the old serves while the changed one warms, and its endpoints stand in for ones that never come', () => {
    const bench = serving();
    const changed = cluster('a', { discovery: { kind: 'eds', serviceName: 'other', source: ADS } });
    assert.deepEqual(bench.put(put.cluster(changed)), []);
    assert.deepEqual(bench.wanted('endpoints'), ['a', 'other']);
    assert.deepEqual(bench.put(put.endpoints('a', 1, 2)), ['endpoints a [1,2]'], 'the old goes on changing');
    assert.deepEqual(bench.apply({ absent: [{ kind: 'endpoints', name: 'other' }] }), ['cluster a [1,2]']);
    assert.deepEqual(bench.wanted('endpoints'), ['other']);
    assert.deepEqual(bench.put(put.endpoints('other', 5)), ['endpoints a [5]'], 'they may still come');
  });

  it('33: a new cluster whose endpoints never come serves none', () => {
    const bench = serving();
    bench.put(put.cluster(cluster('b')));
    assert.deepEqual(bench.apply({ absent: [{ kind: 'endpoints', name: 'b' }] }), ['cluster b []']);
  });

  it('34: a changed cluster whose assignment is not sent again finishes', () => {
    const bench = serving();
    assert.deepEqual(bench.put(put.cluster(cluster('a', { connectTimeoutMs: 1 }))), ['cluster a [1]']);
  });

  it('changed back before it served, it goes on as it was', () => {
    const bench = serving();
    bench.put(put.cluster(cluster('a', { discovery: { kind: 'eds', serviceName: 'other', source: ADS } })));
    assert.deepEqual(bench.put(put.cluster(cluster('a'))), []);
    assert.deepEqual(bench.wanted('endpoints'), ['a']);
    assert.deepEqual(bench.store.clusterCounts(), { active: 1, warming: 0 });
  });

  it('24: sent again equal, nothing changes', () => {
    const bench = serving();
    const wanted = bench.store.wanted();
    for (const resource of [
      put.cluster(cluster('a')),
      put.endpoints('a', 1),
      put.listener('l', 'r'),
      put.routes('r', 'a'),
    ]) {
      assert.deepEqual(bench.put(resource), []);
    }
    assert.equal(bench.store.wanted(), wanted);
  });

  it('an empty assignment empties the cluster', () => {
    assert.deepEqual(serving().put(put.endpoints('a')), ['endpoints a []']);
  });

  it('of the bootstrap are neither changed nor removed', () => {
    const fixed = cluster('s', { discovery: { kind: 'static', localities: assignment('s', 9).localities } });
    const bench = serving({ ...DYNAMIC, clusters: [fixed] });
    assert.deepEqual(bench.put(put.cluster({ ...fixed, connectTimeoutMs: 1 })), []);
    assert.deepEqual(bench.apply({ removed: [{ kind: 'cluster', name: 's' }] }), []);
    assert.equal(bench.store.clusterState('s').serving, fixed);
  });

  it('removed, serve on while routes send to them, for a moment at most', () => {
    const bench = serving();
    bench.put(put.cluster(cluster('b')), put.endpoints('b', 2));
    assert.deepEqual(bench.apply({ removed: [{ kind: 'cluster', name: 'a' }] }), []);
    assert.deepEqual(bench.put(put.routes('r', 'b')), ['routes r', 'cluster-removed a']);
    assert.deepEqual(bench.wanted('endpoints'), ['b']);
    assert.deepEqual(bench.apply({ removed: [{ kind: 'cluster', name: 'b' }] }), []);
    assert.equal(bench.store.nextDeadline(), 1_000);
    assert.deepEqual(bench.tick(1_000), ['cluster-removed b']);
  });

  it('removed and sent again within the grace, nothing happens', () => {
    const bench = serving();
    bench.apply({ removed: [{ kind: 'cluster', name: 'a' }] });
    assert.deepEqual(bench.put(put.cluster(cluster('a'))), []);
    assert.deepEqual(bench.tick(5_000), []);
  });

  it('with a TLS secret wait for it', () => {
    const bench = serving({ ...DYNAMIC, secretsOf: ({ value }) => (value.name === 't' ? ['k1', 'k2'] : []) });
    const secure = cluster('t', { transportSocket: { kind: 'tls', tls: upstreamTls('cert', 'roots') } });
    bench.put(put.cluster(secure), put.endpoints('t', 3));
    assert.deepEqual(bench.wanted('secret'), ['cert', 'roots']);
    assert.deepEqual(bench.keep(bench.store.secretReady('k1', 0)), []);
    assert.deepEqual(bench.keep(bench.store.secretReady('k2', 0)), ['cluster t [3]']);
  });
});

describe('listeners', () => {
  it('32: serve after the routes of all their chains', () => {
    const bench = serving();
    assert.deepEqual(bench.put(put.listener('m', 'r', 's')), []);
    assert.deepEqual(bench.put(put.routes('s', 'a')), ['routes s', 'listener m']);
  });

  it('changed with routes that are known serve at once', () => {
    assert.deepEqual(serving().put(put.listener('l', 'r', 'r')), ['listener l']);
  });

  it('the old serves while the changed one waits; after the wait the changed one serves without', () => {
    const bench = serving();
    assert.deepEqual(bench.put(put.listener('l', 's')), []);
    assert.deepEqual(bench.store.listenerCounts(), { active: 1, warming: 1 });
    assert.deepEqual(bench.apply({ absent: [{ kind: 'routes', name: 's' }] }), ['listener l', 'routes-removed r']);
    assert.deepEqual(bench.wanted('routes'), ['s']);
  });

  it('35: a route to an unknown cluster is served', () => {
    assert.deepEqual(serving().put(put.routes('r', 'nowhere')), ['routes r']);
  });

  it('removed, their routes go with them', () => {
    const bench = serving();
    assert.deepEqual(bench.apply({ removed: [{ kind: 'listener', name: 'l' }] }), [
      'listener-removed l',
      'routes-removed r',
    ]);
    assert.deepEqual(bench.wanted('routes'), []);
  });

  it('of the bootstrap wait for the first clusters, and cannot be replaced or removed', () => {
    const bench = new Bench({ ...DYNAMIC, listeners: [listener('fixed', [])] });
    assert.deepEqual(bench.all, []);
    bench.put(put.cluster(cluster('a')));
    assert.deepEqual(bench.put(put.endpoints('a', 1)), ['cluster a [1]', 'listener fixed']);
    assert.deepEqual(bench.put(put.listener('fixed', 'r')), ['initialized']);
    assert.deepEqual(bench.apply({ removed: [{ kind: 'listener', name: 'fixed' }] }), []);
  });

  it('given up secrets do not hold a listener for ever', () => {
    const bench = serving({ ...DYNAMIC, secretsOf: ({ value }) => (value.name === 't' ? ['k1'] : []) });
    const secure = { ...chain('r'), transportSocket: { kind: 'tls', tls: downstreamTls('cert') } } as const;
    assert.deepEqual(bench.put({ kind: 'listener', name: 't', value: listener('t', [secure]) }), []);
    assert.deepEqual(bench.apply({ absent: [{ kind: 'secret', name: 'cert' }] }), ['listener t']);
  });
});

describe('order', () => {
  it('36: one update makes before it breaks, in whatever order it lists things', () => {
    const bench = serving();
    assert.deepEqual(
      bench.apply({
        changed: [put.routes('r', 'b'), put.endpoints('b', 2), put.listener('l2', 'r'), put.cluster(cluster('b'))],
        removed: [
          { kind: 'cluster', name: 'a' },
          { kind: 'listener', name: 'l' },
        ],
      }),
      ['cluster b [2]', 'routes r', 'listener l2', 'listener-removed l', 'cluster-removed a'],
    );
  });

  it('36: any order of arrival converges', () => {
    const resources = [put.cluster(cluster('a')), put.endpoints('a', 1), put.listener('l', 'r'), put.routes('r', 'a')];
    const order = [3, 2, 0, 1].map((index) => resources[index] as NamedResource);
    const bench = new Bench();
    for (let round = 0; round < 2; round++) for (const resource of order) bench.put(resource);
    assert.equal(bench.store.clusterState('a').serving?.name, 'a');
    assert.equal(bench.store.listenerState('l').serving?.name, 'l');
  });
});

describe('secrets', () => {
  const secret = (name: string, pin: string): NamedResource => ({ kind: 'secret', name, value: pinned(name, pin) });

  it('of the same name from two sources are two', () => {
    const bench = new Bench({ secrets: [pinned('default', 'a')] });
    assert.deepEqual(bench.all.slice(0, 1), ['secret default']);
    assert.deepEqual(bench.put(secret('default', 'a')), ['secret default']);
    assert.deepEqual(bench.apply({ changed: [secret('default', 'a')], source: 'path:/sds.yaml' }), ['secret default']);
    assert.deepEqual(bench.put(secret('default', 'a')), []);
  });

  it('asked for in vain of one source are not given up on of another', () => {
    const bench = serving({ ...DYNAMIC, secretsOf: ({ value }) => (value.name === 't' ? ['k1'] : []) });
    const secure = { ...chain('r'), transportSocket: { kind: 'tls', tls: downstreamTls('cert') } } as const;
    bench.put({ kind: 'listener', name: 't', value: listener('t', [secure]) });
    const absent = [{ kind: 'secret', name: 'cert' }] as const;
    assert.deepEqual(bench.apply({ absent, source: 'grpc:sds-grpc' }), []);
    assert.deepEqual(bench.apply({ absent }), ['listener t']);
  });

  it('that were let go are waited for and sent again', () => {
    const bench = serving({ ...DYNAMIC, secretsOf: ({ value }) => (value.name === 't' ? ['k1'] : []) });
    const secure = { ...chain('r'), transportSocket: { kind: 'tls', tls: downstreamTls('cert') } } as const;
    const resource: NamedResource = { kind: 'listener', name: 't', value: listener('t', [secure]) };
    bench.put(resource);
    assert.deepEqual(bench.put(secret('cert', 'a')), ['secret cert']);
    assert.deepEqual(bench.keep(bench.store.secretReady('k1', 0)), ['listener t']);
    assert.deepEqual(
      bench.store.secretUsers().map(({ kind, value }) => `${kind} ${value.name}`),
      ['cluster a', 'listener l', 'listener t'],
    );
    bench.apply({ removed: [{ kind: 'listener', name: 't' }] });
    bench.store.secretsReleased(['k1']);
    assert.deepEqual(bench.put(resource), []);
    assert.deepEqual(bench.put(secret('cert', 'a')), ['secret cert']);
    assert.deepEqual(bench.keep(bench.store.secretReady('k1', 0)), ['listener t']);
  });
});

function pinned(name: string, pin: string): Secret {
  const validation = {
    trustedCa: undefined,
    watchedDirectory: undefined,
    sanMatches: [],
    certificateHashes: [pin],
    spkiHashes: [],
    crl: undefined,
    onlyLeafCrl: false,
    allowExpired: false,
    trustChain: 'verify',
    maxVerifyDepth: undefined,
    spiffe: undefined,
  } as const;
  return { kind: 'validation', name, validation };
}

describe('names of a cluster that will not serve', () => {
  const named = cluster('d', { discovery: { kind: 'strict-dns', localities: [] } });

  it('are resolved no more when it is taken away', () => {
    const bench = new Bench();
    assert.deepEqual(bench.put(put.cluster(named)), ['resolve d']);
    assert.deepEqual(bench.apply({ removed: [{ kind: 'cluster', name: 'd' }] }), ['resolve-ended d']);
  });

  it('are resolved no more when it is changed back to one without names', () => {
    const bench = new Bench();
    const fixed = cluster('d', { discovery: { kind: 'static', localities: [] } });
    assert.deepEqual(bench.put(put.cluster(fixed)), ['cluster d []']);
    assert.deepEqual(bench.put(put.cluster(named)), ['resolve d']);
    assert.deepEqual(bench.put(put.cluster(fixed)), ['resolve-ended d']);
    assert.deepEqual(bench.put(put.cluster(named)), ['resolve d']);
  });
});

describe('health checks before a cluster serves', () => {
  const checked = cluster('a', { healthCheck: HEALTH_CHECK });

  it('waits for the endpoints, then for their health', () => {
    const bench = new Bench();
    assert.deepEqual(bench.put(put.cluster(checked)), []);
    assert.deepEqual(bench.put(put.endpoints('a', 1)), ['check a [1]']);
    assert.equal(bench.store.clusterCounts().warming, 1);
    assert.deepEqual(bench.keep(bench.store.healthChecked(checked, 0)), ['cluster a [1]']);
  });

  it('has the new endpoints checked when they change before', () => {
    const bench = new Bench();
    bench.put(put.cluster(checked));
    bench.put(put.endpoints('a', 1));
    assert.deepEqual(bench.put(put.endpoints('a', 1, 2)), ['check a [1,2]']);
    assert.deepEqual(bench.put(put.endpoints('a', 1, 2)), []);
  });

  it('does not wait where there is nobody to check', () => {
    const bench = new Bench();
    bench.put(put.cluster(checked));
    assert.deepEqual(bench.put(put.endpoints('a')), ['cluster a []']);
  });

  it('goes on serving the old cluster meanwhile, with its own endpoints', () => {
    const bench = serving();
    assert.deepEqual(bench.put(put.cluster(checked)), ['check a [1]']);
    assert.deepEqual(bench.put(put.endpoints('a', 2)), ['check a [2]', 'endpoints a [2]']);
    assert.deepEqual(bench.keep(bench.store.healthChecked(checked, 0)), ['cluster a [2]']);
  });

  it('ends the checks of a cluster that will not serve', () => {
    const bench = serving();
    bench.put(put.cluster(checked));
    assert.deepEqual(bench.put(put.cluster(cluster('a'))), ['check-ended a']);
    const other = new Bench();
    other.put(put.cluster(checked));
    other.put(put.endpoints('a', 1));
    const gone = other.apply({ removed: [{ kind: 'cluster', name: 'a' }] });
    assert.deepEqual(gone, ['check-ended a']);
  });

  it('takes no word on a cluster that was replaced meanwhile', () => {
    const bench = new Bench();
    const other = { ...checked, connectTimeoutMs: 1 };
    bench.put(put.cluster(checked));
    bench.put(put.endpoints('a', 1));
    assert.deepEqual(bench.put(put.cluster(other)), ['check a [1]']);
    assert.deepEqual(bench.keep(bench.store.healthChecked(checked, 0)), []);
    assert.deepEqual(bench.keep(bench.store.healthChecked(other, 0)), ['cluster a [1]']);
  });

  it('lets the start wait for as long as the first round takes', () => {
    const bench = new Bench();
    bench.put(put.cluster(checked));
    bench.put(put.endpoints('a', 1));
    bench.tick(1_000_000);
    assert.deepEqual(bench.wanted('listener'), []);
    bench.keep(bench.store.healthChecked(checked, 1_000_000));
    assert.deepEqual(bench.wanted('listener'), ['*']);
  });
});
