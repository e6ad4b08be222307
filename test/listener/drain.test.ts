import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DrainState } from '../../proxy/listener/drain.ts';

test('nothing drains until it is told to', () => {
  const state = new DrainState(
    () => 0,
    () => 0,
  );
  assert.equal(state.shouldDrain(), false);
  assert.equal(state.draining, false);
});

test('a gradual drain grows from never to always over its time', () => {
  let now = 1000;
  let random = 0.5;
  const state = new DrainState(
    () => now,
    () => random,
  );
  state.start('gradual', 100);
  assert.equal(state.shouldDrain(), false);
  now = 1049;
  assert.equal(state.shouldDrain(), false);
  now = 1051;
  assert.equal(state.shouldDrain(), true);
  random = 0.999;
  assert.equal(state.shouldDrain(), false);
  now = 1100;
  assert.equal(state.shouldDrain(), true);
});

test('an immediate drain is always, and stays so', () => {
  const state = new DrainState(
    () => 0,
    () => 0.99,
  );
  state.start('immediate', 1000);
  state.start('gradual', 1000);
  assert.equal(state.shouldDrain(), true);
});

test('a chain drains with its listener', () => {
  const parent = new DrainState(
    () => 0,
    () => 0.5,
  );
  const child = new DrainState(
    () => 0,
    () => 0.5,
    parent,
  );
  parent.start('immediate', 1);
  assert.equal(child.shouldDrain(), true);
  assert.equal(child.draining, true);
});
