import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHUNK_CELLS } from '../../../proxy/observe/stats/arena.ts';
import type { StatFamily } from '../../../proxy/observe/stats/contract.ts';
import { MainStats } from '../../../proxy/observe/stats/main-stats.ts';
import { WorkerStats } from '../../../proxy/observe/stats/worker-stats.ts';

const FAMILY: StatFamily = { names: ['rq_total', 'rq_active'], kinds: ['counter', 'gauge'] };

function worker(main: MainStats, id: number): WorkerStats {
  return new WorkerStats((json, buffers) => main.accept(id, json, buffers), { schedule: () => {} });
}

test('sums the workers and the main thread by name', () => {
  const main = new MainStats();
  const workers = [worker(main, 0), worker(main, 1)];
  for (const [i, stats] of workers.entries()) {
    // Each worker has its own family object, as each thread has its own module.
    const block = stats.block('cluster.pay.', { names: [...FAMILY.names], kinds: [...FAMILY.kinds] });
    block.inc(0);
    block.add(0, i);
    block.set(1, 3);
    stats.counter('cluster.pay.upstream_rq_503').inc();
    stats.flush();
  }
  main.block('cluster.pay.', FAMILY).inc(0);
  assert.equal(main.get('cluster.pay.rq_total'), 4);
  assert.equal(main.get('cluster.pay.rq_active'), 6);
  assert.equal(main.get('cluster.pay.upstream_rq_503'), 2);
  assert.equal(main.get('cluster.pay.nothing'), undefined);
});

test('reads live cells without a message', () => {
  const main = new MainStats();
  const stats = worker(main, 0);
  const block = stats.block('http.in.', FAMILY);
  stats.flush();
  block.add(0, 41);
  block.inc(0);
  assert.equal(main.get('http.in.rq_total'), 42);
});

test('forgets a block when its last holder releases it, and what was made under its prefix', () => {
  const main = new MainStats();
  const stats = worker(main, 0);
  const first = stats.block('cluster.pay.', FAMILY);
  const second = stats.block('cluster.pay.', FAMILY);
  assert.equal(first, second);
  const single = stats.counter('cluster.pay.upstream_rq_200');
  stats.histogram('cluster.pay.upstream_rq_time').record(3);
  stats.counter('cluster.payout.upstream_rq_200').inc();
  first.release();
  stats.flush();
  assert.equal(main.get('cluster.pay.rq_total'), 0);
  second.release();
  stats.flush();
  assert.equal(main.get('cluster.pay.rq_total'), undefined);
  assert.equal(main.get('cluster.pay.upstream_rq_200'), undefined);
  assert.deepEqual(main.histograms(), []);
  assert.equal(main.get('cluster.payout.upstream_rq_200'), 1);
  // Holders that outlive their block write into nothing.
  second.inc(0);
  single.inc();
  second.release();
  assert.equal(main.get('cluster.payout.upstream_rq_200'), 1);
});

test('reuses the cells of released blocks, cleaned, and only after the main thread was told', () => {
  const main = new MainStats();
  const messages: number[] = [];
  const stats = new WorkerStats(
    (json, buffers) => {
      messages.push(buffers.length);
      main.accept(0, json, buffers);
    },
    { schedule: () => {} },
  );
  const wide: StatFamily = {
    names: Array.from({ length: CHUNK_CELLS }, (_, i) => `n${i}`),
    kinds: Array.from({ length: CHUNK_CELLS }, () => 'counter'),
  };
  const first = stats.block('a.', wide);
  first.inc(7);
  first.release();
  const second = stats.block('b.', wide);
  stats.flush();
  assert.deepEqual(messages, [2]);
  second.release();
  stats.flush();
  stats.block('c.', wide);
  stats.flush();
  assert.deepEqual(messages, [2, 0, 0]);
  assert.equal(main.get('c.n7'), 0);
});

test('keeps what an ended worker counted and drops its gauges', () => {
  const main = new MainStats();
  for (const id of [0, 1]) {
    const stats = worker(main, id);
    const block = stats.block('cluster.pay.', FAMILY);
    block.add(0, 5);
    block.set(1, 2);
    stats.counter('cluster.pay.x').inc();
    stats.histogram('cluster.pay.time').record(10);
    stats.flush();
  }
  main.workerEnded(0);
  assert.equal(main.get('cluster.pay.rq_total'), 10);
  assert.equal(main.get('cluster.pay.rq_active'), 2);
  assert.equal(main.get('cluster.pay.x'), 2);
  assert.equal(main.histograms()[0]?.count(), 2);
  // A worker in its place counts on top.
  const again = worker(main, 0);
  again.block('cluster.pay.', FAMILY).inc(0);
  again.flush();
  assert.equal(main.get('cluster.pay.rq_total'), 11);
});

test('counts from zero after a reset, in every thread, and leaves gauges alone', () => {
  const main = new MainStats();
  const stats = worker(main, 0);
  const block = stats.block('http.in.', FAMILY);
  const single = stats.counter('http.in.codes');
  block.add(0, 9);
  block.set(1, 4);
  single.add(3);
  stats.flush();
  main.resetCounters();
  assert.equal(main.get('http.in.rq_total'), 0);
  assert.equal(main.get('http.in.rq_active'), 4);
  block.inc(0);
  single.inc();
  assert.equal(main.get('http.in.rq_total'), 1);
  assert.equal(main.get('http.in.codes'), 1);
  main.resetCounters();
  assert.equal(main.get('http.in.rq_total'), 0);
});

test('announces at most once an interval', () => {
  const sent: string[] = [];
  const timers: (() => void)[] = [];
  const stats = new WorkerStats((json) => sent.push(json), { schedule: (body) => timers.push(body) });
  for (let i = 0; i < 100; i++) stats.counter(`c${i}`);
  assert.equal(sent.length, 0);
  assert.equal(timers.length, 1);
  timers[0]?.();
  assert.equal(sent.length, 1);
  stats.counter('c0').inc();
  assert.equal(timers.length, 1);
});
