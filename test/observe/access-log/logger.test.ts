import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ResponseFlag } from '../../../proxy/http/stream-info.ts';
import { compileFilter } from '../../../proxy/observe/access-log/filter.ts';
import { LoggerFactory } from '../../../proxy/observe/access-log/logger.ts';
import { LineQueue } from '../../../proxy/observe/access-log/queue.ts';
import { AccessLogWriter } from '../../../proxy/observe/access-log/writer.ts';
import type { AccessLogFilter } from '../../../xds-client/model/access-log.ts';
import { finished, TLS } from '../stream-info.ts';

const TOOLS = { headerMatcher: () => () => true, random: () => 0.5 };

function passes(filter: AccessLogFilter, change: (info: ReturnType<typeof finished>) => void = () => {}): boolean {
  const info = finished();
  change(info);
  return compileFilter(filter, TOOLS)(info);
}

test('filters by status, duration, flags, health check, trace and their combinations', () => {
  const status = (op: 'ge' | 'eq', value: number): AccessLogFilter => ({
    kind: 'status',
    op,
    value,
    runtimeKey: undefined,
  });
  assert.equal(passes(status('ge', 400)), false);
  assert.equal(passes(status('eq', 200)), true);
  assert.equal(passes({ kind: 'duration', op: 'le', value: 3, runtimeKey: undefined }), true);
  assert.equal(
    passes({ kind: 'not-health-check' }, (info) => {
      info.healthCheck = true;
    }),
    false,
  );
  assert.equal(passes({ kind: 'traceable' }), false);
  assert.equal(
    passes({ kind: 'traceable' }, (info) => {
      info.traceForced = true;
    }),
    true,
  );
  assert.equal(passes({ kind: 'response-flag', flags: [] }), false);
  const failed = (info: ReturnType<typeof finished>): void => {
    info.flags = ResponseFlag.UpstreamConnectionFailure;
  };
  assert.equal(passes({ kind: 'response-flag', flags: [] }, failed), true);
  assert.equal(passes({ kind: 'response-flag', flags: ['UF', 'UC'] }, failed), true);
  assert.equal(passes({ kind: 'response-flag', flags: ['UC'] }, failed), false);
  assert.equal(passes({ kind: 'and', filters: [status('eq', 200), status('ge', 400)] }), false);
  assert.equal(passes({ kind: 'or', filters: [status('eq', 200), status('ge', 400)] }), true);
  const half = (numerator: number): AccessLogFilter => ({
    kind: 'runtime',
    key: 'k',
    fraction: { numerator, denominator: 100, runtimeKey: undefined },
  });
  assert.equal(passes(half(50)), false);
  assert.equal(passes(half(51)), true);
});

test('sends lines in batches by sink, by time and by size', () => {
  const batches: [string, string][] = [];
  const timers: (() => void)[] = [];
  const queue = new LineQueue((sink, lines) => batches.push([sink, lines]), { schedule: (body) => timers.push(body) });
  queue.push('stdout', 'a\n');
  queue.push('file:/x', 'b\n');
  queue.push('stdout', 'c\n');
  assert.deepEqual([batches.length, timers.length], [0, 1]);
  timers[0]?.();
  assert.deepEqual(batches, [
    ['stdout', 'a\nc\n'],
    ['file:/x', 'b\n'],
  ]);
  queue.push('stdout', `${'x'.repeat(70_000)}\n`);
  assert.equal(batches.length, 3);
});

test('writes a JSON line in the shape of pino when nothing is configured', () => {
  const lines: string[] = [];
  const queue = new LineQueue((_sink, text) => lines.push(text), { schedule: () => {} });
  const factory = new LoggerFactory({ ...TOOLS, queue, defaultLog: true });
  const [logger] = factory.create([]);
  assert.ok(logger);
  const info = finished({ authorization: 'Bearer abc', 'x-request-id': 'id-1' }, '/pay/4111111111111111?token=x', TLS);
  info.attempts = [
    {
      endpoint: info.endpoint,
      startedAt: 1001,
      endedAt: 1002,
      class: 'not-sent',
      outcome: 'connection-failure',
      decision: 'retried',
    },
  ];
  logger.log(info);
  queue.flush();
  const line = JSON.parse(lines.join(''));
  assert.equal(line.level, 30);
  assert.equal(line.requestId, 'id-1');
  assert.equal(line.cluster, 'svc.one');
  assert.equal(line.endpoint, '127.0.0.1:28901');
  assert.equal(line.downstreamIdentity, 'spiffe://mesh/ns/pay/sa/payment');
  assert.equal(line.tries[0].class, 'not-sent');
  assert.equal(line.flags, '-');
  assert.ok(!lines.join('').includes('abc'));
  assert.ok(!lines.join('').includes('411111111'));
  assert.deepEqual(new LoggerFactory({ ...TOOLS, queue, defaultLog: false }).create([]), []);
});

test('names the log whose format is bad', () => {
  const queue = new LineQueue(() => {}, { schedule: () => {} });
  const factory = new LoggerFactory({ ...TOOLS, queue, defaultLog: true });
  const sink = { kind: 'stdout', format: { kind: 'text', text: '%NOPE%', omitEmptyValues: false } } as const;
  assert.throws(() => factory.create([{ name: 'mine', filter: undefined, sink }]), /access log "mine": "%NOPE%"/);
});

test('appends to files, follows a file that was moved away, and flushes at the end', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-log-'));
  try {
    const path = join(folder, 'access.log');
    const writer = new AccessLogWriter();
    writer.write(`file:${path}`, 'one\n');
    await writer.close();
    const again = new AccessLogWriter();
    again.write(`file:${path}`, 'two\n');
    await until(() => readFileSync(path, 'utf8') === 'one\ntwo\n');
    renameSync(path, `${path}.1`);
    again.reopen();
    again.write(`file:${path}`, 'three\n');
    await again.close();
    assert.equal(readFileSync(`${path}.1`, 'utf8'), 'one\ntwo\n');
    assert.equal(readFileSync(path, 'utf8'), 'three\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('tells once of a file that cannot be opened, drops its lines and goes on', async () => {
  const told: string[] = [];
  const writer = new AccessLogWriter({ onError: (sink, message) => told.push(`${sink} ${message}`) });
  writer.write('file:/nowhere/at/all.log', 'lost\n');
  await until(() => told.length > 0);
  assert.match(told[0] as string, /ENOENT/);
  assert.equal(writer.droppedBytes, 5);
  await writer.close();
});

test('drops lines above the bound of a sink', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-log-'));
  try {
    const writer = new AccessLogWriter({ sinkBytes: 10 });
    writer.write(`file:${join(folder, 'a')}`, '12345678\n');
    writer.write(`file:${join(folder, 'a')}`, '12345678\n');
    assert.equal(writer.droppedBytes, 9);
    await writer.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 3000;
  while (!condition()) {
    if (performance.now() > end) throw new Error('did not happen within 3 s');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
