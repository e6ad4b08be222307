import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type { ConfigChange } from '../../xds-client/changes.ts';
import { ConfigStore } from '../../xds-client/config-store.ts';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import { addClustersOfRoutes, routesOfListener } from '../../xds-client/references.ts';
import { canonicalName, nameInBytes } from '../../xds-client/resource-name.ts';
import { type NamedResource, RESOURCE_TYPES, type ResourceName } from '../../xds-client/resource-types.ts';
import { unpack } from '../../xds-client/unpack.ts';
import { awaitsChecks } from '../../xds-client/warming.ts';
import { ADS, assignment, chain, cluster, HEALTH_CHECK, listener, routes } from './models.ts';

const name = fc.constantFrom('a', 'b', 'c');
const resource: fc.Arbitrary<NamedResource> = fc.oneof(
  fc.tuple(name, name, fc.integer({ min: 1, max: 2 }), fc.boolean()).map(
    ([of, serviceName, connectTimeoutMs, checked]): NamedResource => ({
      kind: 'cluster',
      name: of,
      value: cluster(of, {
        connectTimeoutMs,
        discovery: { kind: 'eds', serviceName, source: ADS },
        ...(checked ? { healthCheck: HEALTH_CHECK } : {}),
      }),
    }),
  ),
  fc
    .tuple(name, fc.integer({ min: 1, max: 3 }))
    .map(([of, port]): NamedResource => ({ kind: 'endpoints', name: of, value: assignment(of, port) })),
  fc.tuple(name, fc.array(name, { maxLength: 2 })).map(
    ([of, rds]): NamedResource => ({
      kind: 'listener',
      name: of,
      value: listener(
        of,
        rds.map((route) => chain(route)),
      ),
    }),
  ),
  fc.tuple(name, name).map(([of, to]): NamedResource => ({ kind: 'routes', name: of, value: routes(of, to) })),
);
const removal: fc.Arbitrary<ResourceName> = fc.record({ kind: fc.constantFrom('cluster', 'listener'), name });
const step = fc.record({
  changed: fc.array(resource, { maxLength: 4 }),
  removed: fc.array(removal, { maxLength: 1 }),
  later: fc.constantFrom(0, 10, 2_000),
  checked: fc.boolean(),
});

/** A data path that objects when it is told something that does not fit what it was told before. */
class DataPath {
  readonly clusters = new Set<string>();
  readonly routes = new Map<string, Set<string>>();
  readonly listeners = new Map<string, string[]>();
  /** By name: what is being checked before it serves. */
  readonly checking = new Map<string, Cluster>();
  private readonly checked = new Set<Cluster>();

  /** Every check under way is over; says of which clusters. */
  check(): Cluster[] {
    const over = [...this.checking.values()];
    for (const one of over) this.checked.add(one);
    return over;
  }

  apply(changes: readonly ConfigChange[]): void {
    for (const change of changes) {
      switch (change.type) {
        case 'check':
          assert.ok(change.assignment.localities.length > 0, `${change.name} has nobody to check`);
          this.checking.set(change.name, change.cluster);
          break;
        case 'check-ended':
          assert.ok(this.checking.delete(change.name), `checks of ${change.name} end and are not made`);
          break;
        case 'cluster':
          if (awaitsChecks(change.cluster, change.assignment))
            assert.ok(this.checked.has(change.cluster), `${change.name} serves unchecked`);
          this.checking.delete(change.name);
          this.clusters.add(change.name);
          break;
        case 'endpoints':
          assert.ok(this.clusters.has(change.name), `endpoints of ${change.name}, which does not serve`);
          break;
        case 'cluster-removed':
          assert.ok(this.clusters.delete(change.name), `${change.name} is removed and did not serve`);
          break;
        case 'routes': {
          const used = new Set<string>();
          addClustersOfRoutes(change.routes, used);
          this.routes.set(change.name, used);
          break;
        }
        case 'routes-removed':
          assert.ok(this.routes.delete(change.name));
          for (const [of, needed] of this.listeners)
            assert.ok(!needed.includes(change.name), `${of} needs ${change.name}`);
          break;
        case 'listener': {
          const needed = routesOfListener(change.listener).map((reference) => reference.name);
          for (const route of needed)
            assert.ok(this.routes.has(route), `${change.name} serves without routes ${route}`);
          this.listeners.set(change.name, needed);
          break;
        }
        case 'listener-removed':
          assert.ok(this.listeners.delete(change.name));
          break;
        default:
          break;
      }
    }
  }
}

it('never tells the data path of something before what it needs, in whatever order things come', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const store = new ConfigStore({
        listeners: [],
        clusters: [],
        secrets: [],
        lds: ADS,
        cds: ADS,
        secretsOf: () => [],
      });
      const path = new DataPath();
      let now = 0;
      path.apply(store.start(now));
      const none = { removed: [], absent: [], answered: [] };
      for (const { changed, removed, later, checked } of steps) {
        now += later;
        path.apply(store.tick(now));
        const update = { changed, removed, absent: [], answered: ['cluster', 'listener'] as const };
        path.apply(store.apply(update, now));
        if (checked) for (const one of path.check()) path.apply(store.healthChecked(one, now));
        for (const of of path.checking.keys())
          assert.ok(store.clusterState(of).warming !== undefined, `${of} is checked and waits for nothing`);
        const kept = changed.filter(
          (one, index) =>
            !removed.some((gone) => gone.kind === one.kind && gone.name === one.name) &&
            !changed.slice(index + 1).some((next) => next.kind === one.kind && next.name === one.name),
        );
        const wanted = new Set(
          store.wanted().flatMap(({ kind, wanted: { names } }) => [...names.keys()].map((of) => `${kind} ${of}`)),
        );
        const again = kept.filter(
          ({ kind, name: of }) => kind === 'cluster' || kind === 'listener' || wanted.has(`${kind} ${of}`),
        );
        // What is not wanted does not come from a control plane; what is, and comes again, changes nothing.
        assert.deepEqual(store.apply({ changed: again, ...none }, now), []);
      }
      assert.equal(store.clusterCounts().active, path.clusters.size);
      assert.equal(store.listenerCounts().active, path.listeners.size);
    }),
    { seed: 7, numRuns: 400 },
  );
});

it('reads a name, or says it cannot, from any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      nameInBytes(bytes);
      const errors: { resource: string; path: string; message: string }[] = [];
      const { typeUrl } = RESOURCE_TYPES.cluster;
      const any = { type_url: typeUrl, value: Buffer.from(bytes) };
      const response = { version: '', typeUrl, nonce: '', resources: [any], server: '' };
      const { resources } = unpack(response, RESOURCE_TYPES.cluster, () => assert.fail('not wrapped'), errors);
      assert.equal(resources.length + errors.length, 1);
    }),
    { seed: 7, numRuns: 2_000 },
  );
});

it('gives equal xdstp names one form', () => {
  assert.equal(canonicalName('xdstp://a/T/x?b=2&a=1#f'), 'xdstp://a/T/x?a=1&b=2');
  assert.equal(canonicalName('xdstp://a/T/x'), 'xdstp://a/T/x');
  assert.equal(canonicalName('plain?b&a'), 'plain?b&a');
});
