import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { ConfigUpdate } from '../../xds-client/config-store.ts';
import { PendingUpdate } from '../../xds-client/pending-update.ts';
import type { Resource } from '../../xds-client/resource-types.ts';
import type { HeldResource, Received } from '../../xds-client/subscription.ts';
import { FakeClock } from './fake-clock.ts';
import { assignment, portsOf } from './models.ts';

function pushed(name: string, port: number): Received<Resource> {
  const held: HeldResource<Resource> = {
    name,
    value: { kind: 'endpoints', value: assignment(name, port) },
    any: { type_url: '', value: Buffer.alloc(0) },
    version: '',
    updatedAt: 0,
    unsupported: [],
  };
  return { changed: [held], removed: [], confirmed: [], errors: [] };
}

it('45: hands the first change on at once, then at most one update every 20 ms, the newest word counting', () => {
  const clock = new FakeClock();
  const updates: ConfigUpdate[] = [];
  const pending = new PendingUpdate(clock, 20, (update) => updates.push(update));
  pending.add('endpoints', pushed('a', 1));
  clock.advance(0);
  assert.equal(updates.length, 1, 'at once');
  for (let port = 2; port <= 101; port++) {
    clock.advance(1);
    pending.add('endpoints', pushed('a', port));
  }
  clock.advance(20);
  assert.equal(updates.length, 7);
  const last = updates.at(-1)?.changed[0];
  assert.deepEqual(last?.kind === 'endpoints' && portsOf(last.value), [101]);
  pending.add('endpoints', pushed('a', 1));
  pending.expired('endpoints', { absent: [], removed: ['a'] });
  clock.advance(20);
  assert.deepEqual([updates.at(-1)?.changed, updates.at(-1)?.removed], [[], [{ kind: 'endpoints', name: 'a' }]]);
});
