import assert from 'node:assert/strict';
import { it } from 'node:test';
import { getHeapStatistics } from 'node:v8';
import { collector, SpentMemory } from '../proxy/spent-memory.ts';

const MB = 1024 * 1024;

interface Harness {
  readonly memory: SpentMemory;
  used: number;
  collections: number;
  quiet(): void;
}

function harness(): Harness {
  let waiting: (() => void) | undefined;
  const state: Harness = {
    used: 40 * MB,
    collections: 0,
    quiet: () => waiting?.(),
    memory: new SpentMemory({
      heapUsed: () => state.used,
      collect: () => {
        state.collections++;
        state.used = 20 * MB;
      },
      after: (_ms, callback) => {
        waiting = callback;
        return () => {
          waiting = undefined;
        };
      },
    }),
  };
  return state;
}

it('collects once after a burst of configuration', () => {
  const state = harness();
  state.memory.configured();
  state.memory.configured();
  assert.equal(state.collections, 0);
  state.quiet();
  assert.equal(state.collections, 1);
});

it('leaves small changes to V8', () => {
  const state = harness();
  state.memory.configured();
  state.quiet();
  state.used += 7 * MB;
  state.memory.configured();
  state.quiet();
  assert.equal(state.collections, 1);
  state.used += 2 * MB;
  state.memory.configured();
  state.quiet();
  assert.equal(state.collections, 2);
});

it('finds the collector of this process', () => {
  const garbage = Array.from({ length: 1_000_000 }, (_, at) => ({ at }));
  assert.equal(garbage.length, 1_000_000);
  garbage.length = 0;
  const before = getHeapStatistics().used_heap_size;
  collector()();
  assert.ok(getHeapStatistics().used_heap_size < before);
});
