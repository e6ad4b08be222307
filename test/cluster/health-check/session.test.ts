import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CheckResult, SUCCESS, UNREACHABLE } from '../../../proxy/cluster/health-check/contract.ts';
import { Session } from '../../../proxy/cluster/health-check/session.ts';
import type { HealthCheck } from '../../../xds-client/model/health-check.ts';
import { healthCheck, ManualTimers } from './support.ts';

function setUp(config: Partial<HealthCheck> = {}, refuses = false) {
  const timers = new ManualTimers();
  const calls: string[] = [];
  const results: CheckResult[] = [];
  let report: (result: CheckResult) => void = () => {};
  const session = new Session({
    config: healthCheck(config),
    timers,
    random: () => 0.5,
    hasTraffic: () => true,
    awaited: false,
    checker: (tell) => {
      report = tell;
      return {
        check: () => {
          calls.push('check');
          if (refuses) throw new Error('no such address');
        },
        abort: () => calls.push('abort'),
        close: () => calls.push('close'),
      };
    },
    onAttempt: () => calls.push('attempt'),
    onResult: (result) => results.push(result),
  });
  return { session, timers, calls, results, report: (result: CheckResult) => report(result) };
}

test('the first check waits for its jitter, the next for the pause', () => {
  const { session, timers, calls, report } = setUp({ initialJitterMs: 800 });
  session.start();
  timers.pass(399);
  assert.deepEqual(calls, []);
  timers.pass(1);
  assert.deepEqual(calls, ['attempt', 'check']);
  report(SUCCESS);
  timers.pass(4999);
  assert.deepEqual(calls, ['attempt', 'check']);
  timers.pass(1);
  assert.deepEqual(calls, ['attempt', 'check', 'attempt', 'check']);
});

test('a check without an answer is given up', () => {
  const { session, timers, calls, results } = setUp();
  session.start();
  timers.pass(0);
  timers.pass(1000);
  assert.deepEqual(calls, ['attempt', 'check', 'abort']);
  assert.deepEqual(
    results.map((result) => result.kind === 'failure' && result.by),
    ['timeout'],
  );
  assert.equal(timers.next(), 2000);
});

test('an address that nobody can connect to is a failure, not an exception', () => {
  const { session, timers, results } = setUp({}, true);
  session.start();
  timers.pass(0);
  assert.deepEqual(results, [UNREACHABLE]);
});

test('what happens between two checks counts, and the pause begins anew', () => {
  const { session, timers, results, report } = setUp();
  session.start();
  timers.pass(0);
  report(SUCCESS);
  timers.pass(4000);
  report(UNREACHABLE);
  assert.equal(results.length, 2);
  assert.equal(timers.next(), 200);
});

test('a closed session is silent', () => {
  const { session, timers, calls, results, report } = setUp();
  session.start();
  timers.pass(0);
  session.close();
  report(SUCCESS);
  assert.equal(timers.next(), undefined);
  assert.deepEqual(calls, ['attempt', 'check', 'close']);
  assert.deepEqual(results, []);
});
