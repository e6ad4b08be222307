import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ClusterLimits } from '../../proxy/cluster/limits.ts';
import { AttachedCells, CELLS_PER_SLOT, SharedCells } from '../../proxy/cluster/shared.ts';
import { limited } from './support.ts';

function cells(workers: number): { main: SharedCells; attached: AttachedCells[] } {
  const attached = Array.from({ length: workers }, () => new AttachedCells());
  const main = new SharedCells(workers, (index, buffer) => {
    for (const side of attached) side.attach(index, buffer);
  });
  return { main, attached };
}

test('a slot is given out again only when every worker has let go', () => {
  const { main, attached } = cells(2);
  const slot = main.allocate();
  main.release(slot);
  attached[0]?.release(slot);
  assert.notEqual(main.allocate(), slot, 'the second worker still counts there');
  attached[1]?.release(slot);
  assert.equal(main.allocate(), slot);
});

test('a slot that is given out again starts at zero', () => {
  const { main, attached } = cells(1);
  const first = main.slot(main.allocate());
  first.cells[first.base + 3] = 7;
  main.release(0);
  attached[0]?.release(0);
  assert.equal(main.allocate(), 0);
  assert.equal(first.cells[first.base + 3], 0);
});

test('announces each chunk before a slot of it is known', () => {
  const seen: number[] = [];
  const main = new SharedCells(1, (index) => seen.push(index));
  let last = 0;
  for (let i = 0; i < 3000; i++) last = main.allocate();
  assert.deepEqual(seen, [0, 1, 2]);
  assert.equal(main.slot(last).base % CELLS_PER_SLOT, 0);
});

test('a slot of a chunk that was never announced is an error that says so', () => {
  assert.throws(() => new AttachedCells().slot(5), /slot 5/);
});

test('thresholds count each resource and priority apart', () => {
  const { main } = cells(1);
  const limits = new ClusterLimits(main.slot(main.allocate()), limited({ maxPendingRequests: 1, maxRequests: 2 }));
  assert.equal(limits.tryAcquire('pending', 'default'), true);
  assert.equal(limits.tryAcquire('pending', 'default'), false);
  assert.equal(limits.tryAcquire('pending', 'high'), true);
  assert.equal(limits.tryAcquire('requests', 'default'), true);
  limits.release('pending', 'default');
  assert.equal(limits.tryAcquire('pending', 'default'), true);
});

test('a retry budget follows the requests under way and never falls below its minimum', () => {
  const { main } = cells(1);
  const budget = limited({ maxRetries: 0, retryBudget: { percent: 20, minConcurrency: 3 } });
  const limits = new ClusterLimits(main.slot(main.allocate()), budget);
  const take = (): number => {
    let taken = 0;
    while (limits.tryAcquire('retries', 'default')) taken++;
    for (let i = 0; i < taken; i++) limits.release('retries', 'default');
    return taken;
  };
  assert.equal(take(), 3);
  for (let i = 0; i < 50; i++) limits.acquire('requests', 'default');
  assert.equal(take(), 10);
});

test('a removed cluster lets its slot go when the last unit is back', () => {
  const { main } = cells(1);
  const limits = new ClusterLimits(main.slot(main.allocate()), limited({}));
  let unused = 0;
  limits.acquire('requests', 'default');
  limits.whenUnused(() => unused++);
  assert.equal(unused, 0);
  limits.release('requests', 'default');
  assert.equal(unused, 1);
});

test('workers that share a threshold never pass it together and lose no unit', { timeout: 20_000 }, async () => {
  const announced: { index: number; buffer: SharedArrayBuffer }[] = [];
  const main = new SharedCells(2, (index, buffer) => announced.push({ index, buffer }));
  const slot = main.allocate();
  const max = 5;
  const proof = new Int32Array(new SharedArrayBuffer(8));
  const file = new URL('./threshold-worker.ts', import.meta.url);
  const workers = [0, 1].map(() => new Worker(file, { workerData: { announced, slot, max, proof, rounds: 60_000 } }));
  const taken = await Promise.all(
    workers.map((worker) => new Promise<number>((done, fail) => worker.once('message', done).once('error', fail))),
  );
  assert.equal(proof[0], 0, 'units that were given back');
  assert.equal(proof[1], 0, 'times the cap was passed');
  assert.ok(taken.every((count) => count > 0));
  const { cells: shared, base } = main.slot(slot);
  assert.deepEqual([...shared.subarray(base, base + 8)], [0, 0, 0, 0, 0, 0, 0, 0]);
});
