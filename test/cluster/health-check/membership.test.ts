import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stabilized } from '../../../proxy/cluster/health-check/membership.ts';
import type { Assignment, LocalityEndpoints } from '../../../xds-client/model/endpoint.ts';
import { assignment, endpoint, locality } from '../support.ts';

const [a, b, c] = [endpoint('10.0.0.1', 80), endpoint('10.0.0.2', 80), endpoint('10.0.0.3', 80)] as const;
const of = (...localities: LocalityEndpoints[]): Assignment => ({ ...assignment('pay', []), localities });
const all = (): boolean => true;

test('what discovery names is all there is when nobody speaks for the rest', () => {
  const next = of(locality([a]));
  const { assignment: made, kept } = stabilized(of(locality([a, b])), next, () => false);
  assert.equal(made, next);
  assert.equal(kept.size, 0);
});

test('an endpoint that is spoken for stays in its locality', () => {
  const { assignment: made, kept } = stabilized(of(locality([a, b])), of(locality([a])), all);
  assert.deepEqual(made.localities, [locality([a, b])]);
  assert.deepEqual([...kept], ['10.0.0.2:80']);
});

test('its locality comes back for it', () => {
  const { assignment: made } = stabilized(of(locality([a]), locality([b], 1)), of(locality([a])), all);
  assert.deepEqual(made.localities, [locality([a]), locality([b], 1)]);
});

test('an endpoint that moved to another priority is not there twice', () => {
  const { assignment: made, kept } = stabilized(of(locality([a, b])), of(locality([a]), locality([b], 1)), all);
  assert.deepEqual(made.localities, [locality([a]), locality([b], 1)]);
  assert.equal(kept.size, 0);
});

test('a locality that lost all endpoints keeps those that are spoken for', () => {
  const { assignment: made } = stabilized(
    of(locality([a, b, c])),
    of(),
    (_endpoint, address) => address === '10.0.0.3:80',
  );
  assert.deepEqual(made.localities, [locality([c])]);
});
