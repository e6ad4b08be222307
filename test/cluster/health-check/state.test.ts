import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BAD_ANSWER,
  type CheckResult,
  DEGRADED,
  EXCLUDED,
  RETRIABLE_ANSWER,
  SUCCESS,
  TIMED_OUT,
  UNREACHABLE,
} from '../../../proxy/cluster/health-check/contract.ts';
import { HealthState, pauseMs, type Transition } from '../../../proxy/cluster/health-check/state.ts';
import { HealthFlag } from '../../../proxy/cluster/shared.ts';
import { healthCheck } from './support.ts';

const thresholds = { healthyThreshold: 2, unhealthyThreshold: 3 };

function after(...results: readonly CheckResult[]): HealthState {
  const state = new HealthState(thresholds, false);
  for (const result of results) state.apply(result);
  return state;
}

const transitions = (state: HealthState, ...results: readonly CheckResult[]): Transition[] =>
  results.map((result) => state.apply(result));

test('an endpoint is unhealthy until its first check, which alone makes it healthy', () => {
  const state = new HealthState(thresholds, false);
  assert.equal(state.flags, HealthFlag.failedActiveHealthCheck);
  assert.equal(state.unchecked, true);
  assert.deepEqual(transitions(state, SUCCESS), ['changed']);
  assert.equal(state.flags, 0);
  assert.equal(state.unchecked, false);
});

test('after a failed first check the healthy threshold counts', () => {
  const state = new HealthState(thresholds, false);
  assert.deepEqual(transitions(state, UNREACHABLE, SUCCESS, SUCCESS), ['unchanged', 'pending', 'changed']);
  assert.equal(state.healthy, true);
});

test('a failure between two successes begins the count anew', () => {
  const state = after(UNREACHABLE);
  assert.deepEqual(transitions(state, SUCCESS, UNREACHABLE, SUCCESS), ['pending', 'unchanged', 'pending']);
  assert.equal(state.healthy, false);
});

test('an endpoint that cannot be reached is unhealthy at the threshold', () => {
  const state = after(SUCCESS);
  assert.deepEqual(transitions(state, UNREACHABLE, TIMED_OUT, UNREACHABLE), ['pending', 'pending', 'changed']);
});

test('a success in between forgives failures', () => {
  const state = after(SUCCESS, UNREACHABLE, UNREACHABLE, SUCCESS);
  assert.deepEqual(transitions(state, UNREACHABLE, UNREACHABLE), ['pending', 'pending']);
  assert.equal(state.healthy, true);
});

test('a bad answer makes an endpoint unhealthy at once, a retriable one at the threshold', () => {
  assert.deepEqual(transitions(after(SUCCESS), BAD_ANSWER), ['changed']);
  assert.deepEqual(transitions(after(SUCCESS), RETRIABLE_ANSWER, RETRIABLE_ANSWER, RETRIABLE_ANSWER), [
    'pending',
    'pending',
    'changed',
  ]);
});

test('a threshold of 0 is never reached', () => {
  const state = new HealthState({ healthyThreshold: 0, unhealthyThreshold: 0 }, false);
  state.apply(SUCCESS);
  for (let i = 0; i < 10; i++) state.apply(UNREACHABLE);
  assert.equal(state.healthy, true);
});

test('timed out is said of an unhealthy endpoint only, until it fails otherwise or is well again', () => {
  const timedOut = HealthFlag.activeHealthCheckTimeout;
  assert.equal(after(SUCCESS, TIMED_OUT).flags & timedOut, 0);
  const state = after(TIMED_OUT);
  assert.equal(state.flags & timedOut, timedOut);
  state.apply(SUCCESS);
  assert.equal(state.flags & timedOut, timedOut);
  state.apply(SUCCESS);
  assert.equal(state.flags, 0);
  assert.equal(after(TIMED_OUT, UNREACHABLE).flags & timedOut, 0);
});

test('an endpoint says that it is degraded, and stops saying so', () => {
  const state = after(SUCCESS);
  assert.deepEqual(transitions(state, DEGRADED, DEGRADED), ['changed', 'unchanged']);
  assert.equal(state.flags, HealthFlag.degradedActiveHealthCheck);
  assert.deepEqual(transitions(state, SUCCESS), ['changed']);
  assert.equal(state.flags, 0);
});

test('an endpoint that asks to be left alone is excluded until it is healthy', () => {
  const state = after(SUCCESS, EXCLUDED);
  const both = HealthFlag.failedActiveHealthCheck | HealthFlag.excludedByImmediateFailure;
  assert.equal(state.flags, both);
  state.apply(SUCCESS);
  assert.equal(state.flags, both);
  state.apply(SUCCESS);
  assert.equal(state.flags, 0);
});

test('an awaited endpoint counts from its first check on, whatever came of it', () => {
  const state = new HealthState(thresholds, true);
  assert.ok((state.flags & HealthFlag.pendingActiveHealthCheck) !== 0);
  assert.deepEqual(transitions(state, UNREACHABLE), ['changed']);
  assert.equal(state.flags, HealthFlag.failedActiveHealthCheck);
});

const NO_JITTER = (): number => 0;

for (const [what, good, transition, traffic, ms] of [
  ['good as ever', true, 'unchanged', true, 5000],
  ['healthy again', true, 'changed', true, 5000],
  ['good, not yet healthy', true, 'pending', true, 500],
  ['bad as ever', false, 'unchanged', true, 2000],
  ['unhealthy now', false, 'changed', true, 2000],
  ['bad, still healthy', false, 'pending', true, 200],
  ['no traffic, good', true, 'unchanged', false, 90_000],
  ['no traffic, not yet healthy', true, 'pending', false, 60_000],
  ['no traffic, bad', false, 'unchanged', false, 60_000],
] as const) {
  test(`the pause: ${what}`, () => {
    assert.equal(pauseMs(healthCheck(), good, transition, traffic, NO_JITTER), ms);
  });
}

test('jitter lengthens the pause, by time and by share', () => {
  const config = healthCheck({ intervalJitterMs: 100, intervalJitterPercent: 10 });
  assert.equal(
    pauseMs(config, true, 'unchanged', true, () => 0.5),
    5000 + 250 + 50,
  );
});
