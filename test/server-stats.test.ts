import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DevCa } from '../certs/source/dev-ca.ts';
import type { ServerState } from '../proxy/admin/sources.ts';
import { LISTENER, LISTENER_STATS } from '../proxy/listener/stats.ts';
import { MainStats } from '../proxy/observe/stats/main-stats.ts';
import { keepServerStats } from '../proxy/server-stats.ts';

const HOUR_MS = 3_600_000;

test('the process says how it is at every scrape', () => {
  const stats = new MainStats();
  let state: ServerState = 'INITIALIZING';
  let pems: string[] = [];
  const startedAt = Date.now() - 65_000;
  keepServerStats(stats, {
    concurrency: 3,
    startedAt,
    runtimeKeys: 2,
    unknownFields: 1,
    state: () => state,
    certificates: () => pems,
    stapleEnds: () => [],
  });
  const read = (name: string): number | undefined => {
    stats.groups();
    return stats.get(name);
  };
  assert.deepEqual([read('server.live'), read('server.state'), read('server.concurrency')], [0, 3, 3]);
  assert.deepEqual([read('runtime.num_keys'), read('server.static_unknown_fields')], [2, 1]);
  assert.equal(read('server.days_until_first_cert_expiring'), 4_294_967_295);
  const uptime = read('server.uptime') ?? 0;
  assert.ok(uptime >= 65 && uptime < 70, String(uptime));
  assert.ok((read('server.memory_physical_size') ?? 0) > 1024 * 1024);

  state = 'LIVE';
  const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
  const leafFor = (hours: number) => ca.issue({ spiffeId: 'spiffe://td/a', ttlMs: hours * HOUR_MS }).chain;
  pems = [leafFor(24 * 9 + 1), leafFor(24 * 3 + 1), 'not a certificate'];
  assert.deepEqual([read('server.live'), read('server.state')], [1, 0]);
  assert.equal(read('server.days_until_first_cert_expiring'), 3);
  pems = [leafFor(24 * 9 + 1)];
  assert.equal(read('server.days_until_first_cert_expiring'), 9);

  stats.block('listener.a.', LISTENER_STATS).add(LISTENER.DOWNSTREAM_CX_ACTIVE, 2);
  stats.block('listener.b.', LISTENER_STATS).add(LISTENER.DOWNSTREAM_CX_ACTIVE, 3);
  assert.equal(read('server.total_connections'), 5);
});
