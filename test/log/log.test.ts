import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLog, type LogRecord, parseLogLevel } from '../../proxy/log.ts';
import { logFormatter } from '../../proxy/log-format.ts';
import { openLogSink } from '../../proxy/log-sink.ts';

function kept(level: 'info' | 'trace' | 'off' = 'info', componentLevels = {}) {
  const records: LogRecord[] = [];
  const log = createLog({ level, componentLevels, sink: (record) => records.push(record), now: () => 5 });
  return { log, records, messages: () => records.map(({ message }) => message) };
}

test('writes what is at or above the level of its component', () => {
  const { log, messages } = kept('info', { upstream: 'debug' });
  log.component('main').debug({}, 'no');
  log.component('main').info({}, 'main info');
  log.component('upstream').debug({}, 'upstream debug');
  log.component('upstream').trace({}, 'no');
  log.setComponentLevel('upstream', 'off');
  log.component('upstream').critical({}, 'no');
  assert.equal(log.component('upstream').enabled('critical'), false);
  log.setLevel('error');
  log.component('upstream').error({}, 'upstream error');
  log.component('main').warning({}, 'no');
  log.component('later').warning({}, 'no');
  assert.deepEqual(messages(), ['main info', 'upstream debug', 'upstream error']);
});

test('lists the components and their levels', () => {
  const log = createLog({ level: 'info', components: ['b', 'a'], componentLevels: { c: 'trace' }, sink: () => {} });
  log.component('c');
  assert.deepEqual(
    [...log.levels()],
    [
      ['a', 'info'],
      ['b', 'info'],
      ['c', 'trace'],
    ],
  );
});

test('masks secrets in messages and fields, by value and by name', () => {
  const { log, records } = kept();
  log
    .component('main')
    .info(
      { path: '/p?pan=4111111111111111', setCookie: 'x', apiToken: 'y', port: 4111111111111111, ok: true },
      'card 4111 1111 1111 1111',
    );
  assert.deepEqual(records[0], {
    time: 5,
    level: 'info',
    component: 'main',
    message: 'card [card]',
    fields: { path: '/p?pan=[masked]', setCookie: '[masked]', apiToken: '[masked]', port: '[card]', ok: true },
  });
});

test("writes a worker's lines with their own time, where the level allows", () => {
  const { log, records } = kept();
  const line = { component: 'http', message: 'from a worker', fields: { worker: 1 } };
  log.write({ ...line, time: 99, level: 'warning' });
  log.write({ ...line, time: 99, level: 'debug' });
  log.write({ ...line, time: 99, level: 'off' });
  assert.deepEqual(records, [{ ...line, time: 99, level: 'warning' }]);
});

test('knows the words for levels', () => {
  assert.deepEqual(['trace', 'warn', 'warning', 'critical', 'off', 'fatal', '__proto__'].map(parseLogLevel), [
    'trace',
    'warning',
    'warning',
    'critical',
    'off',
    undefined,
    undefined,
  ]);
});

test('formats as spdlog does', () => {
  const time = new Date(2026, 10, 21, 9, 5, 7, 42).getTime();
  const record: LogRecord = { time, level: 'warning', component: 'upstream', message: 'm', fields: { a: 1, b: 'x' } };
  const show = (pattern: string) => logFormatter(pattern)(record);
  assert.equal(show('[%Y-%m-%d %T.%e][%l][%n] %v'), '[2026-11-21 09:05:07.042][warning][upstream] m a=1 b=x');
  assert.equal(show('%L|%8L|%-3L|%=3L|%%|%H:%M:%S.%f'), 'W|       W|W  | W |%|09:05:07.042000');
  assert.equal(show('%P %E %Q 100%'), `${process.pid} ${Math.floor(time / 1000)} %Q 100%`);
  assert.equal(logFormatter('%j')({ ...record, message: 'a\nb', fields: {} }), 'a\\nb');
});

test('writes JSON by default and text when a format is given, to a file', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-log-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const record: LogRecord = {
    time: Date.UTC(2026, 0, 2),
    level: 'critical',
    component: 'main',
    message: 'a "b"\nc',
    fields: { port: 80 },
  };
  const written = async (name: string, options: object): Promise<string> => {
    const path = join(folder, name);
    const open = openLogSink({ path, ...options });
    open.sink(record);
    await open.close();
    return readFileSync(path, 'utf8');
  };
  assert.deepEqual(JSON.parse(await written('json', {})), {
    level: 'critical',
    time: '2026-01-02T00:00:00.000Z',
    component: 'main',
    port: 80,
    message: 'a "b"\nc',
  });
  assert.equal(await written('text', { format: '[%l] %v' }), '[critical] a "b"\nc port=80\n');
  assert.equal(await written('escaped', { format: '[%l] %v', escaped: true }), '[critical] a "b"\\nc port=80\n');
});

test('says that a log file cannot be opened', () => {
  assert.throws(() => openLogSink({ path: '/nonexistent/folder/log' }), /ENOENT/);
});
