import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GRPC_STATS } from '../../proxy/filters/http/grpc-stats/grpc-stats.ts';
import { MessageCounter } from '../../proxy/filters/http/grpc-stats/message-counter.ts';
import type { ResponseHead } from '../../proxy/http/headers.ts';
import { compileFormat, compileJsonFormat } from '../../proxy/observe/access-log/format.ts';
import { head, headers } from '../observe/stream-info.ts';
import { clusterTable, matchedRoute } from './clusters.ts';
import { filterConfig } from './decoding.ts';
import { FilterRun } from './support.ts';

const TYPE = 'envoy.extensions.filters.http.grpc_stats.v3.FilterConfig';
const ALL = { stats_for_all_methods: true };
const GRPC = { 'content-type': 'application/grpc' };
const DONE = headers({ 'grpc-status': '0' });

function run(
  config: { readonly [field: string]: unknown },
  path = '/pay.Ledger/Book',
  fields: { readonly [name: string]: string } = GRPC,
) {
  return new FilterRun([{ factory: GRPC_STATS, config: filterConfig(TYPE, config) }], {
    head: head(fields, path),
    limitBytes: 1 << 20,
    clusters: clusterTable(['a']),
    route: matchedRoute('a'),
  });
}

function message(text: string): Buffer {
  const frame = Buffer.alloc(5 + text.length);
  frame.writeUInt32BE(text.length, 1);
  frame.write(text, 5);
  return frame;
}

function ok(fields: { readonly [name: string]: string } = GRPC): ResponseHead {
  return { status: 200, headers: headers(fields) };
}

const BELOW = 'cluster.a.grpc.';

/** What was counted below it. */
function counted(it: FilterRun): { readonly [name: string]: number } {
  const found: { [name: string]: number } = {};
  for (const { prefix, runs } of it.stats.groups()) {
    for (const run of runs) {
      for (const [index, name] of run.family.names.entries()) {
        const whole = prefix + name;
        if (whole.startsWith(BELOW)) found[whole.slice(BELOW.length)] = run.value(index);
      }
    }
  }
  return found;
}

test('a call and its messages are counted by method, and pass as they are', () => {
  const it = run(ALL);
  it.request(undefined, message('ask'));
  it.respond(ok(), message('one'), message('two'), DONE);
  assert.deepEqual(it.toUpstream.length, 2);
  assert.equal(it.responseBody.length, 16);
  assert.deepEqual(counted(it), {
    'pay.Ledger.Book.request_message_count': 1,
    'pay.Ledger.Book.response_message_count': 2,
    'pay.Ledger.Book.0': 1,
    'pay.Ledger.Book.success': 1,
    'pay.Ledger.Book.total': 1,
  });
});

test('methods that are not on the list are counted without their names', () => {
  const list = {
    individual_method_stats_allowlist: { services: [{ name: 'pay.Ledger', method_names: ['Read'] }] },
  };
  const listed = run(list, '/pay.Ledger/Read');
  const other = run(list);
  for (const it of [listed, other]) {
    it.request();
    it.respond(ok({ ...GRPC, 'grpc-status': '5' }));
  }
  assert.deepEqual(counted(listed), {
    'pay.Ledger.Read.5': 1,
    'pay.Ledger.Read.failure': 1,
    'pay.Ledger.Read.total': 1,
  });
  assert.deepEqual(counted(other), { 5: 1, failure: 1, total: 1 });
});

test('a path that is none of gRPC is not counted, empty parts and a query do not matter', () => {
  for (const [path, expected] of [
    ['/Book', {}],
    ['/pay.Ledger/Book/more', {}],
    ['//pay.Ledger//Book/?a=/b', { 'pay_Ledger.Book.0': 1, 'pay_Ledger.Book.success': 1, 'pay_Ledger.Book.total': 1 }],
  ] as const) {
    const it = run({ ...ALL, replace_dots_in_grpc_service_name: true }, path);
    it.request();
    it.respond(ok(), DONE);
    assert.deepEqual(counted(it), expected);
  }
});

test('a hostile client gets no more names than there is room for', () => {
  const seen = new FilterRun([{ factory: GRPC_STATS, config: filterConfig(TYPE, ALL) }], {
    head: head(GRPC, '/s/m'),
    clusters: clusterTable(['a']),
    route: matchedRoute('a'),
  });
  for (let i = 0; i < 1100; i++) {
    const again = seen.again(head(GRPC, i % 2 === 0 ? `/s${i}/m` : `//s${i}/m`));
    again.request();
    again.respond(ok(), DONE);
  }
  const names = Object.keys(counted(seen)).filter((name) => name.endsWith('.total'));
  assert.equal(names.length, 1000);
  assert.equal(seen.stat('cluster.a.grpc.total'), 100);
  const long = seen.again(head(GRPC, `/s/${'m'.repeat(300)}`));
  long.request();
  long.respond(ok(), DONE);
  assert.equal(seen.stat('cluster.a.grpc.total'), 101);
});

test('a hostile upstream gets no more statuses than there is room for', () => {
  const it = run({});
  for (let status = 0; status < 100; status++) {
    const again = it.again();
    again.request();
    again.respond(ok({ ...GRPC, 'grpc-status': `${status}` }));
  }
  assert.equal(Object.keys(counted(it)).length, 17 + 16 + 1 + 3);
  assert.equal(it.stat('cluster.a.grpc.-1'), 100 - 17 - 16);
});

test('what is no gRPC is not counted', () => {
  for (const type of ['', 'application/grpc-web', 'application/grpcx', 'application/json']) {
    const it = run(ALL, undefined, { 'content-type': type });
    it.request(undefined, message('ask'));
    it.respond(ok({}), 'body');
    assert.deepEqual(counted(it), {});
  }
});

test('the access log reads how many messages there were', () => {
  const it = run({ emit_filter_state: true });
  it.request(undefined, message('a'), message('b'));
  it.respond(ok(), DONE);
  const name = 'envoy.filters.http.grpc_stats';
  const line = compileFormat(`%FILTER_STATE(${name}:PLAIN)% %FILTER_STATE(${name})% %FILTER_STATE(${name}:FIELD:x)%`);
  const json = compileJsonFormat({ state: `%FILTER_STATE(${name}:TYPED)%`, none: '%FILTER_STATE(other)%' });
  assert.ok('format' in line && 'format' in json);
  assert.equal(line.format(it.info), '2,0 {"requestMessageCount":"2"} -');
  assert.equal(json.format(it.info), '{"none":null,"state":{"request_message_count":"2"}}');
});

test('the time of the upstream is kept where it is wanted', () => {
  const it = run({ enable_upstream_stats: true });
  it.request();
  it.info.upstreamRequestLastByteAt = 10;
  it.info.upstreamResponseLastByteAt = 35;
  it.respond(ok(), DONE);
  const time = it.stats.histograms().find(({ name }) => name === 'cluster.a.grpc.upstream_rq_time');
  assert.deepEqual([time?.count(), time?.sum()], [1, 25]);
});

test('a unary call of Connect is one message each way, and its status says how it went', () => {
  const unary = { 'content-type': 'application/proto', 'connect-protocol-version': '1' };
  const it = run({}, undefined, unary);
  it.request(undefined, 'a', 'b');
  it.respond({ status: 404, headers: headers({}) }, 'no');
  assert.deepEqual(counted(it), { request_message_count: 1, response_message_count: 1, failure: 1, total: 1 });
});

test('a stream of Connect ends with a frame that is no message', () => {
  for (const [ending, name] of [
    ['{}', 'success'],
    ['{"error":{"code":"not_found"}}', 'failure'],
    ['{"err', 'failure'],
  ] as const) {
    const stream = { 'content-type': 'application/connect+proto', 'connect-protocol-version': '1' };
    const it = run({}, undefined, stream);
    it.request(undefined, message('a'));
    const last = message(ending);
    last[0] = 2;
    it.respond(ok(stream), Buffer.concat([message('one'), last.subarray(0, 7)]), last.subarray(7));
    assert.deepEqual(counted(it), { request_message_count: 1, response_message_count: 1, [name]: 1, total: 1 });
  }
});

test('messages are counted wherever the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40), { maxLength: 8 }), fc.array(fc.nat(20), { maxLength: 30 }), (sizes, cuts) => {
      const bytes = Buffer.concat(sizes.map((size) => message('x'.repeat(size))));
      const counter = new MessageCounter(false);
      let at = 0;
      let told = 0;
      for (const cut of cuts) {
        told += counter.inspect(bytes.subarray(at, at + cut));
        at = Math.min(bytes.length, at + cut);
      }
      told += counter.inspect(bytes.subarray(at));
      assert.deepEqual([told, counter.count], [sizes.length, sizes.length]);
    }),
  );
});
