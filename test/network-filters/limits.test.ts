import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { CONNECTION_LIMIT } from '../../proxy/filters/network/connection-limit/connection-limit.ts';
import type { ConnectionFilterInstance } from '../../proxy/filters/network/contract.ts';
import { LOCAL_RATELIMIT } from '../../proxy/filters/network/local-ratelimit/local-ratelimit.ts';
import { SharedNumberTable, sharedNumbersBuffer } from '../../proxy/shared-numbers.ts';
import { connectionInfo, FakeWorkers } from './support.ts';

const ON = { value: true, key: 'limits.on' };
const LIMIT = { statPrefix: 'pay', maxConnections: 2, delayMs: 0, enabled: ON };
const RATE = {
  statPrefix: 'pay',
  bucket: { maxTokens: 2, tokensPerFill: 1, fillIntervalMs: 100 },
  enabled: ON,
  shareKey: '',
};
const nobody = { continue: () => undefined, close: () => undefined };

type Made = ReturnType<FakeWorkers['worker']> & { readonly filter: ConnectionFilterInstance };

function limit(workers: FakeWorkers, changes: Partial<typeof LIMIT> = {}): Made {
  const worker = workers.worker();
  const filter = CONNECTION_LIMIT.buildConnectionFilter?.({ ...LIMIT, ...changes }, worker.context);
  assert.ok(filter);
  return { ...worker, filter };
}

function rate(workers: FakeWorkers, changes: Partial<typeof RATE> = {}, scope?: string): Made {
  const worker = workers.worker(scope);
  const filter = LOCAL_RATELIMIT.buildConnectionFilter?.({ ...RATE, ...changes }, worker.context);
  assert.ok(filter);
  return { ...worker, filter };
}

const knock = (made: Made) => made.filter.onNewConnection(connectionInfo(), nobody);

test('connection limit: counts over all workers, and an ended connection makes room in any', () => {
  const workers = new FakeWorkers();
  const one = limit(workers);
  const two = limit(workers);
  const first = connectionInfo();
  assert.equal(one.filter.onNewConnection(first, nobody), 'continue');
  assert.equal(knock(two), 'continue');
  const third = connectionInfo();
  assert.equal(two.filter.onNewConnection(third, nobody), 'close');
  assert.equal(two.stats.get('connection_limit.pay.limited_connections'), 1);
  assert.equal(two.stats.get('connection_limit.pay.active_connections'), 2);
  two.filter.onClose?.(third);
  assert.equal(two.stats.get('connection_limit.pay.active_connections'), 1);
  assert.equal(knock(two), 'close', 'a refused one was not counted, and does not make room');
  one.filter.onClose?.(first);
  assert.equal(knock(two), 'continue');
});

test('connection limit: one too many is closed after the delay, or goes before', () => {
  const workers = new FakeWorkers();
  const made = limit(workers, { maxConnections: 1, delayMs: 500 });
  assert.equal(knock(made), 'continue');
  const closed: string[] = [];
  const close = (name: string) => ({ continue: () => assert.fail(), close: () => void closed.push(name) });
  assert.equal(made.filter.onNewConnection(connectionInfo(), close('stays')), 'wait');
  const leaves = connectionInfo();
  assert.equal(made.filter.onNewConnection(leaves, close('leaves')), 'wait');
  made.filter.onClose?.(leaves);
  workers.time += 499;
  made.wheel.advance();
  assert.deepEqual(closed, []);
  workers.time += 30;
  made.wheel.advance();
  assert.deepEqual(closed, ['stays']);
});

test('connection limit: the runtime switches it off', () => {
  const workers = new FakeWorkers();
  workers.runtime.set({ 'limits.on': false });
  const made = limit(workers, { maxConnections: 1 });
  assert.deepEqual([knock(made), knock(made)], ['continue', 'continue']);
  assert.equal(made.stats.get('connection_limit.pay.active_connections'), 0);
});

test('local rate limit: tokens come steadily, and no more than fit are kept', () => {
  const workers = new FakeWorkers();
  const made = rate(workers);
  assert.deepEqual([knock(made), knock(made), knock(made)], ['continue', 'continue', 'close']);
  workers.time += 99;
  assert.equal(knock(made), 'close');
  workers.time += 1;
  assert.deepEqual([knock(made), knock(made)], ['continue', 'close']);
  workers.time += 10_000;
  assert.deepEqual([knock(made), knock(made), knock(made)], ['continue', 'continue', 'close']);
  assert.equal(made.stats.get('local_rate_limit.pay.rate_limited'), 4);
});

test('local rate limit: workers share the bucket of a chain', () => {
  const workers = new FakeWorkers();
  const [one, two] = [rate(workers), rate(workers)];
  assert.deepEqual([knock(one), knock(two), knock(one), knock(two)], ['continue', 'continue', 'close', 'close']);
});

test('local rate limit: chains share a bucket by key and numbers', () => {
  const workers = new FakeWorkers();
  const bucket = { ...RATE.bucket, maxTokens: 1 };
  const one = rate(workers, { shareKey: 'k', bucket }, 'a');
  const two = rate(workers, { shareKey: 'k', bucket }, 'b');
  const others = rate(workers, { shareKey: 'k' }, 'c');
  const own = rate(workers, { bucket }, 'd');
  assert.deepEqual([knock(one), knock(two), knock(others), knock(own)], ['continue', 'close', 'continue', 'continue']);
});

test('local rate limit: the runtime switches it off', () => {
  const workers = new FakeWorkers();
  workers.runtime.set({ 'limits.on': false });
  const made = rate(workers);
  assert.deepEqual([knock(made), knock(made), knock(made)], ['continue', 'continue', 'continue']);
});

test('shared numbers: forgotten when the last holder lets go, and not before', () => {
  const buffer = sharedNumbersBuffer();
  const [one, two] = [new SharedNumberTable(buffer), new SharedNumberTable(buffer)];
  const first = one.claim('k', 7n);
  const second = two.claim('k', 9n);
  assert.equal(second.get(), 7n);
  assert.equal(first.exchange(7n, 8n), true);
  assert.equal(second.exchange(7n, 9n), false);
  first.release();
  first.release();
  assert.equal(two.claim('k', 9n).get(), 8n);
  second.release();
  assert.equal(one.claim('other', 1n).get(), 1n);
});

test('shared numbers: a full table says so', () => {
  const table = new SharedNumberTable(sharedNumbersBuffer());
  assert.throws(() => {
    for (let i = 0; i < 5_000; i++) table.claim(`k${i}`, 0n);
  }, /more than 4096 limits/);
});

test('shared numbers: threads that count at once lose nothing', async () => {
  const buffer = sharedNumbersBuffer();
  const room = new URL('../../proxy/', import.meta.url);
  const source = `
    const { workerData } = require('node:worker_threads');
    const { SharedNumberTable } = require(${JSON.stringify(new URL('shared-numbers.ts', room).pathname)});
    const { addUpTo } = require(${JSON.stringify(new URL('policy/shared-number.ts', room).pathname)});
    for (let i = 0; i < 20; i++) {
      const number = new SharedNumberTable(workerData).claim('n', 0n);
      for (let j = 0; j < 100; j++) addUpTo(number, 7000n);
      // the last one keeps it
      if (i < 19) number.release();
    }`;
  const held = new SharedNumberTable(buffer).claim('n', 0n);
  const threads = Array.from({ length: 4 }, () => new Worker(source, { eval: true, workerData: buffer }));
  await Promise.all(
    threads.map((thread) => new Promise((resolve, reject) => void thread.on('exit', resolve).on('error', reject))),
  );
  assert.equal(held.get(), 7000n);
});
