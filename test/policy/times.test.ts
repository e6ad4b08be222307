import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HeaderMap } from '../../proxy/http/headers.ts';
import { exponentialBackoff, rateLimitedBackoff } from '../../proxy/policy/backoff.ts';
import {
  expectedTimeout,
  formatGrpcTimeout,
  globalTimeout,
  parseGrpcTimeout,
  perTryTimeout,
} from '../../proxy/policy/timeout.ts';
import { retryPolicy } from '../http-connection-manager/support.ts';
import { action } from '../route/build.ts';

function fields(...pairs: readonly (readonly [string, string])[]): HeaderMap {
  const headers = new HeaderMap();
  for (const [name, value] of pairs) headers.add(name, value);
  return headers;
}

test('backoff doubles up to its maximum and is jittered over the whole range', () => {
  const ceilings = [1, 2, 3, 4, 5, 6].map((retry) => exponentialBackoff(25, 250, retry, 0.999_999) + 1);
  assert.deepEqual(ceilings, [25, 50, 100, 200, 250, 250]);
  assert.equal(exponentialBackoff(25, 250, 3, 0), 0);
});

test('backoff stays in its range for any retry', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1000 }),
      fc.double({ min: 0, max: 0.999_999, noNaN: true }),
      (retry, random) => {
        const wait = exponentialBackoff(25, 250, retry, random);
        assert.ok(wait >= 0 && wait < 250);
      },
    ),
  );
});

test('a rate limit header says how long to wait, up to a half more, and no longer than the policy allows', () => {
  const policy = {
    maxMs: 60_000,
    resetHeaders: [
      { name: 'retry-after', format: 'seconds' },
      { name: 'x-reset', format: 'unix-timestamp' },
    ],
  } as const;
  assert.equal(rateLimitedBackoff(policy, fields(['retry-after', '2']), 0, 0), 2000);
  assert.equal(rateLimitedBackoff(policy, fields(['retry-after', '2']), 0, 0.5), 2500);
  assert.equal(rateLimitedBackoff(policy, fields(['x-reset', '1010']), 1_000_000, 0), 10_000);
  assert.equal(rateLimitedBackoff(policy, fields(['retry-after', '61']), 0, 0), undefined);
  assert.equal(rateLimitedBackoff(policy, fields(['retry-after', 'soon']), 0, 0), undefined);
});

test('the route timeout gives way to the header of an internal request, which is taken off', () => {
  const headers = fields(['x-envoy-upstream-rq-timeout-ms', '70']);
  assert.equal(globalTimeout(action(), headers, false), 70);
  assert.equal(headers.size, 0);
  assert.equal(globalTimeout(action(), headers, false), 15_000);
  assert.equal(globalTimeout(action({ usesStreamDuration: true, maxStreamDurationMs: 5 }), headers, false), 0);
});

test('grpc-timeout counts up to the route maximum, less its offset', () => {
  const route = action({ grpcTimeoutHeaderMaxMs: 1000, grpcTimeoutOffsetMs: 10 });
  assert.equal(globalTimeout(route, fields(['grpc-timeout', '200m']), true), 190);
  assert.equal(globalTimeout(route, fields(['grpc-timeout', '5S']), true), 1000);
  assert.equal(globalTimeout(route, fields(['grpc-timeout', '10m']), true), 10);
  assert.equal(globalTimeout(route, fields(), true), 1000);
  assert.equal(globalTimeout(route, fields(['grpc-timeout', '200m']), false), 15_000);
});

test('grpc-timeout is read in every unit and refused when it is malformed', () => {
  assert.deepEqual(['1H', '2M', '3S', '4m', '5000u', '1n'].map(parseGrpcTimeout), [3_600_000, 120_000, 3000, 4, 5, 1]);
  for (const bad of ['', '5', 'S', '123456789m', '-1S', '1.5S', '1s']) assert.equal(parseGrpcTimeout(bad), undefined);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 99_999_999 }), (ms) => {
      assert.equal(parseGrpcTimeout(formatGrpcTimeout(ms)), ms);
    }),
  );
});

test('a long time is written in the unit that it fits', () => {
  assert.equal(formatGrpcTimeout(100_000_000), '100000S');
  assert.equal(formatGrpcTimeout(99_999_999 * 60_000), '99999999M');
  assert.equal(formatGrpcTimeout(99_999_999 * 3_600_000), '99999999H');
});

test('a per-try timeout that would outlast the whole is no timeout', () => {
  const retry = retryPolicy(['5xx'], { perTryTimeoutMs: 100 });
  assert.equal(perTryTimeout(retry, fields(), 1000), 100);
  assert.equal(perTryTimeout(retry, fields(), 100), 0);
  assert.equal(perTryTimeout(retry, fields(), 0), 100);
  assert.equal(perTryTimeout(retry, fields(['x-envoy-upstream-rq-per-try-timeout-ms', '20']), 1000), 20);
});

test('the upstream is told the time of the attempt, and no more than is left', () => {
  assert.equal(expectedTimeout(15_000, 0, 0), 15_000);
  assert.equal(expectedTimeout(15_000, 100, 0), 100);
  assert.equal(expectedTimeout(15_000, 100, 14_950), 50);
  assert.equal(expectedTimeout(15_000, 0, 20_000), 1);
  assert.equal(expectedTimeout(0, 0, 5), 0);
  assert.equal(expectedTimeout(0, 70, 5), 70);
});
