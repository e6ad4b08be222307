import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HEADER_MUTATION } from '../../proxy/filters/http/header-mutation/header-mutation.ts';
import type { HeaderMap } from '../../proxy/http/headers.ts';
import { head, headers } from '../observe/stream-info.ts';
import { filterConfig, refusedFilter, refusedRoute, routeConfig } from './decoding.ts';
import { FilterRun } from './support.ts';

const PACKAGE = 'envoy.extensions.filters.http.header_mutation.v3';
type Mutation = { readonly [field: string]: unknown };

const append = (
  key: string,
  value: string,
  append_action = 'APPEND_IF_EXISTS_OR_ADD',
  more: object = {},
): Mutation => ({
  append: { header: { key, value }, append_action, ...more },
});
const filter = (request: readonly Mutation[], response: readonly Mutation[] = [], more: object = {}) =>
  filterConfig(`${PACKAGE}.HeaderMutation`, {
    mutations: { request_mutations: request, response_mutations: response },
    ...more,
  });
const routed = (request: readonly Mutation[], response: readonly Mutation[] = []) =>
  routeConfig(`${PACKAGE}.HeaderMutationPerRoute`, {
    mutations: { request_mutations: request, response_mutations: response },
  });
const lines = (of: HeaderMap | undefined) => of?.names.map((name, i) => `${name}: ${of.values[i]}`);

test('each step sees what the ones before it made', () => {
  const config = filter([
    append('X-One', '1'),
    append('x-one', '2', 'ADD_IF_ABSENT'),
    append('x-two', '%REQ(x-one)%', 'OVERWRITE_IF_EXISTS_OR_ADD'),
    append('x-three', '3', 'OVERWRITE_IF_EXISTS'),
    { remove: 'X-One' },
    append('x-one', 'again', 'ADD_IF_ABSENT'),
  ]);
  const it = new FilterRun([{ factory: HEADER_MUTATION, config }], { head: head({ 'x-old': 'o' }) });
  it.request();
  assert.deepEqual(lines(it.requestHead?.headers), ['x-old: o', 'x-two: 1', 'x-one: again']);
});

test('an empty value is written where the configuration keeps it', () => {
  const kept = { keep_empty_value: true };
  const config = filter([append('a', '%REQ(x-none)%'), append('b', '%REQ(x-none)%', undefined, kept), append('c', '')]);
  const it = new FilterRun([{ factory: HEADER_MUTATION, config }], { head: head({}) });
  it.request();
  assert.deepEqual(lines(it.requestHead?.headers), ['b: ']);
});

test('an answer is changed, a local reply too', () => {
  const config = filter([], [append('x-code', '%RESPONSE_CODE%'), { remove: 'x-inside' }]);
  const it = new FilterRun([{ factory: HEADER_MUTATION, config }]);
  it.request();
  it.respond({ status: 201, headers: headers({ 'x-inside': '1' }) }, 'ok');
  assert.deepEqual(lines(it.responseHead?.headers), ['x-code: 201']);
});

test('routes apply from the most specific to the table, or the other way round', () => {
  const perRoute = ['route', 'host', 'table'].map((name) => routed([append('x-level', name)]));
  for (const wins of [false, true]) {
    const config = filter([append('x-level', 'filter')], [], { most_specific_header_mutations_wins: wins });
    const it = new FilterRun([{ factory: HEADER_MUTATION, config, perRoute }], { head: head({}) });
    it.request();
    const levels = ['route', 'host', 'table'];
    if (wins) levels.reverse();
    assert.equal(it.requestHead?.headers.joined('x-level'), ['filter', ...levels].join(','));
  }
});

test('what routing depends on may not be changed', () => {
  const refused = (mutation: Mutation) =>
    refusedFilter(`${PACKAGE}.HeaderMutation`, { mutations: { request_mutations: [mutation] } });
  const where = 'typed_config.mutations.request_mutations[0]';
  for (const name of [':path', 'host']) {
    assert.deepEqual(refused(append(name, 'x')), [
      `${where}.append.header.key: :-prefixed or host headers may not be modified`,
    ]);
    assert.deepEqual(refused({ remove: name }), [`${where}.remove: :-prefixed or host headers may not be removed`]);
  }
  assert.equal(refused({}).length, 1);
  assert.deepEqual(
    refusedRoute(`${PACKAGE}.HeaderMutationPerRoute`, { mutations: { response_mutations: [{ remove: ':status' }] } }),
    ['mutations.response_mutations[0].remove: :-prefixed or host headers may not be removed'],
  );
});
