import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT } from '../../proxy/filters/http/fault/fault.ts';
import { HeaderMap, type ResponseHead } from '../../proxy/http/headers.ts';
import { ResponseFlag } from '../../proxy/http/stream-info.ts';
import { head, headers } from '../observe/stream-info.ts';
import { matchedRoute } from './clusters.ts';
import { filterConfig, refusedFilter, routeConfig } from './decoding.ts';
import { FilterRun, type RunOptions } from './support.ts';

const TYPE = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
const ALWAYS = { numerator: 100 };
const KEYS = {
  abort_percent_runtime: 'abort.percent',
  abort_http_status_runtime: 'abort.http',
  max_active_faults_runtime: 'max',
};

type Fault = { readonly [field: string]: unknown };

interface Options extends Omit<RunOptions, 'route'> {
  readonly fields?: { readonly [name: string]: string };
  /** What the route says. */
  readonly route?: Fault;
}

function run(fault: Fault, { fields = {}, route, ...options }: Options = {}): FilterRun {
  const perRoute = route === undefined ? [] : [routeConfig(TYPE, route)];
  return new FilterRun([{ factory: FAULT, config: filterConfig(TYPE, { ...KEYS, ...fault }), perRoute }], {
    head: head(fields, '/p'),
    route: matchedRoute('a'),
    ...options,
  });
}

const stat = (it: FilterRun, name: string) => it.stat(`http.test.fault.${name}`);
const ok = (): ResponseHead => ({ status: 200, headers: new HeaderMap() });
const delay = { fixed_delay: '0.1s', percentage: ALWAYS };
const abort = { http_status: 503, percentage: ALWAYS };

test('a delay holds the request with its body, and lets it go in its order', () => {
  const it = run({ delay });
  it.request(undefined, 'ab', 'cd', headers({ sum: '1' }));
  it.advance(90);
  assert.deepEqual([it.toUpstream, stat(it, 'active_faults')], [[], 1]);
  it.advance(30);
  assert.deepEqual(it.toUpstream, ['head GET /p', 'data ab', 'data cd', 'trailers sum=1']);
  it.respond(ok());
  it.end();
  assert.equal(it.info.flags, ResponseFlag.DelayInjected);
  assert.deepEqual([stat(it, 'delays_injected'), stat(it, 'active_faults')], [1, 0]);
});

test('a long body stops being read while it is held', () => {
  const it = run({ delay }, { limitBytes: 4 });
  it.request(undefined, 'abc', 'def', 'g');
  assert.deepEqual([it.toDownstream, it.requestPauses], [[], 1]);
  it.advance(120);
  assert.deepEqual([it.toUpstream.length, it.requestPauses], [4, 0]);
});

test('an abort answers, at once or after a delay', () => {
  const it = run({ abort, filter_metadata: { why: 'drill' } });
  it.request();
  assert.equal(it.toDownstream[0], 'local 503 fault filter abort fault_filter_abort');
  assert.deepEqual(it.info.dynamicMetadata?.get('envoy.filters.http.fault'), { why: 'drill' });
  const both = run({ delay, abort: { grpc_status: 8, percentage: ALWAYS } });
  both.request(undefined, 'ab');
  assert.deepEqual(both.toDownstream, []);
  both.advance(120);
  assert.equal(both.toDownstream[0], 'local 200 fault filter abort fault_filter_abort grpc 8');
  assert.deepEqual(both.toUpstream, []);
  assert.equal(both.info.flags, ResponseFlag.DelayInjected | ResponseFlag.FaultInjected);
});

test('the dice decide, a percentage of a header only below the configured', () => {
  const half = { http_status: 503, percentage: { numerator: 5000, denominator: 'TEN_THOUSAND' } };
  const byHeader = { header_abort: {}, percentage: { numerator: 50 } };
  const asks = (percentage: string) => ({
    'x-envoy-fault-abort-request': '429',
    'x-envoy-fault-abort-request-percentage': percentage,
  });
  for (const [parts, fields, random, aborted] of [
    [half, {}, 0.49, true],
    [half, {}, 0.5, false],
    [byHeader, asks('100'), 0.49, true],
    [byHeader, asks('100'), 0.5, false],
    [byHeader, asks('20'), 0.3, false],
    [byHeader, asks('20'), 0.1, true],
    [byHeader, {}, 0, false],
  ] as const) {
    const it = run({ abort: parts }, { fields: { ...fields }, random: () => random });
    it.request();
    assert.equal(it.toDownstream.length > 0, aborted, JSON.stringify([parts, fields, random]));
  }
});

test('only as many faults as may be are active at once', () => {
  const first = run({ delay, max_active_faults: 1 });
  first.request();
  const second = first.again();
  second.request();
  assert.deepEqual([second.toUpstream, stat(first, 'faults_overflow')], [['head GET /p end'], 1]);
  first.end();
  const third = first.again();
  third.request();
  assert.deepEqual([third.toUpstream, stat(first, 'active_faults')], [[], 1]);
});

test('a stream that ends while it is held is not let go any more', () => {
  const it = run({ delay });
  it.request();
  it.end();
  it.advance(200);
  assert.deepEqual([it.toUpstream, stat(it, 'active_faults'), it.timers.size], [[], 0, 0]);
});

test('the runtime takes the place of the configuration, and what it says of the caller comes first', () => {
  const shop = { 'x-envoy-downstream-service-cluster': 'shop' };
  for (const [runtime, fields, expected] of [
    [{ 'abort.percent': 0 }, {}, undefined],
    [{ 'abort.http': 418 }, {}, 418],
    [{ 'abort.http': 9000 }, {}, 503],
    [{ 'abort.http': 418, 'fault.http.shop.abort.http_status': 507 }, shop, 507],
    [{ 'fault.http.shop.abort.abort_percent': { numerator: 0 } }, shop, undefined],
    [{ max: 0 }, {}, undefined],
  ] as const) {
    const it = run({ abort }, { runtime, fields: { ...fields } });
    it.request();
    assert.equal(it.responseHead?.status, expected, JSON.stringify(runtime));
  }
});

test('a caller makes no more statistics than there is room for', () => {
  const it = run({ abort });
  for (let i = 0; i < 150; i++) {
    it.again(head({ 'x-envoy-downstream-service-cluster': `c${i}` })).request();
  }
  assert.deepEqual(
    [
      stat(it, 'c99.aborts_injected'),
      it.stats.get('http.test.fault.c100.aborts_injected'),
      stat(it, 'aborts_injected'),
    ],
    [1, undefined, 150],
  );
});

test('a request that is not meant passes', () => {
  for (const [parts, fields] of [
    [{ upstream_cluster: 'b' }, {}],
    [{ headers: [{ name: 'x-a' }] }, {}],
    [{ downstream_nodes: ['n'] }, {}],
    [{ downstream_nodes: ['n'] }, { 'x-envoy-downstream-service-node': 'm' }],
  ] as const) {
    const it = run({ abort, ...parts }, { fields: { ...fields } });
    it.request();
    assert.deepEqual(it.toUpstream, ['head GET /p end']);
  }
});

test('a route takes the place of the filter’s own', () => {
  const it = run({ abort }, { route: {} });
  it.request();
  assert.deepEqual(it.toUpstream, ['head GET /p end']);
});

const SLOW = { response_rate_limit: { fixed_limit: { limit_kbps: 1 }, percentage: ALWAYS } };

test('a response goes out as fast as its rate, its trailers last', () => {
  const it = run(SLOW);
  it.request();
  it.respond(ok(), 'x'.repeat(200), headers({ sum: '1' }));
  assert.equal(it.responseBody.length, 51);
  it.advance(60);
  assert.equal(it.responseBody.length, 112);
  it.advance(60);
  assert.equal(it.toDownstream.at(-1), `data ${'x'.repeat(62)}`);
  it.advance(60);
  assert.equal(it.toDownstream.at(-1), 'trailers sum=1');
  assert.equal(it.responseBody.length, 200);
});

test('a response that the rate allows goes at once', () => {
  const it = run(SLOW);
  it.request();
  it.respond(ok(), 'x', '');
  assert.deepEqual(it.toDownstream, ['head 200', 'data x', 'data  end']);
});

test('the upstream is paused while more waits than may', () => {
  const it = run(SLOW, { limitBytes: 100 });
  it.request();
  it.chain.sendHead(ok(), false);
  assert.equal(it.chain.sendData(Buffer.alloc(150, 'x'), false), true);
  assert.equal(it.chain.sendData(Buffer.alloc(50, 'x'), false), false);
  assert.equal(it.drains, 0);
  it.advance(120);
  assert.equal(it.drains, 1);
  assert.equal(it.chain.sendData(Buffer.alloc(1, 'x'), true), true);
});

test('nothing goes out while the downstream is full', () => {
  const it = run(SLOW);
  it.request();
  it.writable = false;
  it.chain.sendHead(ok(), false);
  it.chain.sendData(Buffer.alloc(80, 'x'), true);
  it.advance(200);
  assert.equal(it.responseBody.length, 0);
  it.writable = true;
  it.chain.onDownstreamDrain();
  assert.equal(it.toDownstream.at(-1)?.endsWith(' end'), true);
  assert.equal(it.responseBody.length, 80);
});

test('what is no fault is refused', () => {
  for (const [fault, message] of [
    [{ delay: { percentage: ALWAYS } }, /delay/],
    [{ delay: { fixed_delay: '0s' } }, /fixed_delay/],
    [{ abort: { http_status: 100 } }, /http_status/],
    [{ response_rate_limit: { fixed_limit: { limit_kbps: 0 } } }, /limit_kbps/],
  ] as const) {
    const errors = refusedFilter(TYPE, fault);
    assert.equal(errors.length, 1);
    assert.match(errors[0] ?? '', message);
  }
});
