import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HEALTH_CHECK } from '../../proxy/filters/http/health-check/health-check.ts';
import { HeaderMap, type ResponseHead } from '../../proxy/http/headers.ts';
import { ResponseFlag } from '../../proxy/http/stream-info.ts';
import { head, headers } from '../observe/stream-info.ts';
import { clustersOf } from './clusters.ts';
import { filterConfig, refusedFilter } from './decoding.ts';
import { FilterRun } from './support.ts';

const TYPE = 'envoy.extensions.filters.http.health_check.v3.HealthCheck';
const CLUSTERS = clustersOf({ half: [2, 1], empty: [0, 0] });

function run(changes: { readonly [field: string]: unknown } = {}, path = '/healthz'): FilterRun {
  const config = filterConfig(TYPE, {
    pass_through_mode: false,
    headers: [{ name: ':path', string_match: { exact: '/healthz' } }],
    ...changes,
  });
  return new FilterRun([{ factory: HEALTH_CHECK, config }], { head: head({}, path), clusters: CLUSTERS });
}

function answer(status: number, fields: { readonly [name: string]: string } = {}): ResponseHead {
  return { status, headers: headers(fields) };
}

const stat = (it: FilterRun, name: string) => it.stat(`http.test.health_check.${name}`);

test('a check is answered here, once it has come whole', () => {
  const it = run();
  it.chain.onRequestHead(it.info.request, false);
  it.chain.onRequestData(Buffer.from('are you'), false);
  assert.deepEqual(it.toDownstream, []);
  it.chain.onRequestTrailers(new HeaderMap());
  assert.equal(it.toDownstream[0], 'local 200  health_check_ok');
  assert.equal(it.responseHead?.headers.get('x-envoy-upstream-healthchecked-cluster'), 'test');
  assert.deepEqual([it.toUpstream, it.info.healthCheck, it.info.flags], [[], true, 0]);
});

test('other requests pass and are none', () => {
  const it = run({}, '/');
  it.request();
  it.respond(answer(200));
  assert.deepEqual([it.toUpstream, it.info.healthCheck], [['head GET / end'], false]);
  assert.equal(it.responseHead?.headers.size, 0);
});

test('clusters have to have enough endpoints', () => {
  for (const [percentages, expected, counted] of [
    [{ half: { value: 50.9 } }, 'local 200  health_check_ok_cluster_healthy', 'ok'],
    [{ half: { value: 51 } }, 'local 503  health_check_failed_cluster_unhealthy', 'failed_cluster_unhealthy'],
    [{ empty: { value: 0 } }, 'local 200  health_check_ok_cluster_healthy', 'ok'],
    [{ empty: { value: 1 } }, 'local 503  health_check_failed_cluster_empty', 'failed_cluster_empty'],
    [
      { half: { value: 10 }, nowhere: { value: 0 } },
      'local 503  health_check_failed_no_cluster_found',
      'failed_cluster_not_found',
    ],
  ] as const) {
    const it = run({ cluster_min_healthy_percentages: percentages });
    it.request();
    assert.equal(it.toDownstream[0], expected);
    assert.deepEqual([stat(it, counted), stat(it, 'request_total')], [1, 1]);
    assert.equal(it.info.flags, counted === 'ok' ? 0 : ResponseFlag.FailedLocalHealthCheck);
  }
});

test('a server that is to fail its checks says so to everybody', () => {
  const check = run({ pass_through_mode: true });
  check.failHealth(true);
  check.request();
  assert.equal(check.toDownstream[0], 'local 503  health_check_failed');
  const other = check.again(head({}, '/'));
  other.request();
  other.respond(answer(200));
  assert.equal(other.responseHead?.headers.get('x-envoy-immediate-health-check-fail'), 'true');
  check.failHealth(false);
  const well = check.again();
  well.request();
  well.respond(answer(200));
  assert.deepEqual(well.toUpstream, ['head GET /healthz end']);
  assert.equal(well.responseHead?.headers.has('x-envoy-immediate-health-check-fail'), false);
});

test('the answer of the upstream stands until its time is over', () => {
  const it = run({ pass_through_mode: true, cache_time: '1s' });
  it.advance(900);
  const first = it.again();
  first.request();
  first.respond(answer(404, { 'x-envoy-degraded': '' }));
  const second = it.again();
  second.request();
  assert.equal(second.toDownstream[0], 'local 404  health_check_cached');
  assert.equal(second.responseHead?.headers.get('x-envoy-degraded'), '');
  assert.deepEqual([stat(it, 'cached_response'), stat(it, 'degraded'), stat(it, 'failed')], [1, 1, 1]);
  it.advance(200);
  const third = it.again();
  third.request();
  assert.deepEqual(third.toUpstream, ['head GET /healthz end']);
});

test('a check is not traced', () => {
  const it = run({ pass_through_mode: true });
  it.info.trace = {
    traceId: 'a',
    spanId: 'b',
    parentSpanId: undefined,
    traceState: undefined,
    clientSpanId: undefined,
  };
  it.request();
  assert.equal(it.info.trace, undefined);
});

test('an answer is kept only where there is one of the upstream', () => {
  assert.deepEqual(refusedFilter(TYPE, { pass_through_mode: false, cache_time: '1s' }), [
    'typed_config.cache_time: cache_time_ms must not be set when path_through_mode is disabled',
  ]);
  assert.equal(refusedFilter(TYPE, {}).length, 1);
});
