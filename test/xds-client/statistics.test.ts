import assert from 'node:assert/strict';
import { it } from 'node:test';
import { XdsStatistics } from '../../xds-client/statistics.ts';
import { xxHash64 } from '../../xds-client/xx-hash64.ts';
import { assignment, cluster } from './models.ts';

it('counts under the names Envoy counts under', () => {
  const numbers = new Map<string, number>();
  const texts = new Map<string, string>();
  const statistics = new XdsStatistics(
    {
      inc: (name) => numbers.set(name, (numbers.get(name) ?? 0) + 1),
      set: (name, value) => numbers.set(name, value),
      text: (name, value) => texts.set(name, value),
    },
    {
      clustersOfService: () => ['outbound|80||a'],
      statPrefixesOfRoutes: () => ['in', 'out'],
      clusterCounts: () => ({ active: 2, warming: 1 }),
      listenerCounts: () => ({ active: 4, warming: 3 }),
    },
  );
  statistics.event({ type: 'connected', source: 'ads' });
  statistics.event({
    type: 'disconnected',
    source: 'grpc:x',
    reason: { code: 0, details: '', answered: true, retryInMs: 0 },
  });
  statistics.event({ type: 'success', kind: 'cluster', name: undefined, version: '1', at: 5, changed: true });
  statistics.event({ type: 'rejected', kind: 'endpoints', name: 'a' });
  statistics.event({ type: 'attempt', kind: 'routes', name: 'r' });
  statistics.event({ type: 'timeout', kind: 'secret', name: 's' });
  statistics.changes([
    { type: 'cluster', name: 'a', cluster: cluster('a'), assignment: assignment('a') },
    { type: 'cluster', name: 'a', cluster: cluster('a'), assignment: assignment('a') },
    { type: 'listener-removed', name: 'l' },
  ]);
  assert.deepEqual(Object.fromEntries(numbers), {
    'control_plane.connected_state': 1,
    'control_plane.pending_requests': 0,
    'cluster_manager.cds.update_success': 1,
    'cluster_manager.cds.update_time': 5,
    'cluster_manager.cds.version': Number(xxHash64('1')),
    'cluster_manager.cds.config_reload': 1,
    'cluster_manager.cds.config_reload_time_ms': 5,
    'cluster.outbound|80||a.update_rejected': 1,
    'http.in.rds.r.update_attempt': 1,
    'http.out.rds.r.update_attempt': 1,
    'sds.s.init_fetch_timeout': 1,
    'cluster_manager.cluster_added': 1,
    'cluster_manager.cluster_modified': 1,
    'listener_manager.listener_removed': 1,
    'cluster_manager.active_clusters': 2,
    'cluster_manager.warming_clusters': 1,
    'listener_manager.total_listeners_active': 4,
    'listener_manager.total_listeners_warming': 3,
  });
  assert.equal(texts.get('cluster_manager.cds.version_text'), '1');
});

it('hashes as xxHash64 does', () => {
  assert.equal(xxHash64('').toString(16), 'ef46db3751d8e999');
  assert.equal(xxHash64('a').toString(16), 'd24ec4f1a98c6e5b');
  assert.equal(xxHash64('abc').toString(16), '44bc2cf5ad770999');
  // Longer than a stripe of 32 bytes.
  assert.equal(xxHash64('Nobody inspects the spammish repetition').toString(16), 'fbcea83c8a378bf1');
});
