import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
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
const mutations = (lists: { readonly [list: string]: readonly object[] }) =>
  filterConfig(`${PACKAGE}.HeaderMutation`, { mutations: lists });
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

test('fields are removed by a match of their names, and the rest stays', () => {
  const matcher = (key_matcher: object) => ({ remove_on_match: { key_matcher } });
  const config = filter(
    [matcher({ prefix: 'x-a' }), matcher({ exact: 'X-CASED', ignore_case: true })],
    [matcher({ safe_regex: { regex: 'x-[0-9]' } })],
  );
  const fields = { 'x-a': '1', 'x-b': '2', 'x-ab': '3', 'x-cased': '4' };
  const it = new FilterRun([{ factory: HEADER_MUTATION, config }], { head: head(fields) });
  it.info.request.headers.add('x-a', 'again');
  it.request();
  assert.deepEqual(lines(it.requestHead?.headers), ['x-b: 2']);
  it.respond({ status: 200, headers: headers({ 'x-1': '1', 'x-12': '2' }) });
  assert.deepEqual(lines(it.responseHead?.headers), ['x-12: 2']);
});

test('trailers of both directions are changed', () => {
  const config = mutations({
    request_trailers_mutations: [append('x-from', '%REQ(x-v)%'), { remove: 'x-gone' }],
    response_trailers_mutations: [append('x-seen', '%TRAILER(x-sum)%')],
  });
  const it = new FilterRun([{ factory: HEADER_MUTATION, config }], { head: head({ 'x-v': 'v' }, '/p') });
  it.request(undefined, 'a', headers({ 'x-gone': '1' }));
  it.respond({ status: 200, headers: headers({}) }, 'b', headers({ 'x-sum': 's' }));
  assert.equal(it.toUpstream.at(-1), 'trailers x-from=v');
  assert.equal(it.toDownstream.at(-1), 'trailers x-sum=s x-seen=s');
});

const parameter = (key: string, value: string, action = 'APPEND_IF_EXISTS_OR_ADD') => ({
  append: { record: { key, value }, action },
});

/** The path after the steps. */
function pathAfter(path: string, ...steps: readonly object[]): string | undefined {
  const config = mutations({ query_parameter_mutations: steps });
  const it = new FilterRun([{ factory: HEADER_MUTATION, config }], { head: head({ 'x-v': 'a&b=ü' }, path) });
  it.request();
  return it.requestHead?.path;
}

test('query parameters are added, replaced and removed, and go out sorted', () => {
  assert.equal(pathAfter('/p', parameter('b', '1'), parameter('a', '2')), '/p?a=2&b=1');
  assert.equal(pathAfter('/p?z=1&a=0', parameter('a', '2')), '/p?a=0&a=2&z=1');
  assert.equal(pathAfter('/p?a=0', parameter('a', '2', 'ADD_IF_ABSENT')), '/p?a=0');
  assert.equal(pathAfter('/p?b', parameter('a', '2', 'OVERWRITE_IF_EXISTS')), '/p?b=');
  assert.equal(pathAfter('/p?a=0&a=1', parameter('a', '2', 'OVERWRITE_IF_EXISTS_OR_ADD')), '/p?a=2');
  assert.equal(pathAfter('/p?a=0&b=1&a=1', { remove: 'a' }), '/p?b=1');
  assert.equal(pathAfter('/p?a=0', { remove: 'a' }), '/p');
});

test('what is written is escaped, what is there keeps its bytes', () => {
  assert.equal(pathAfter('/p', parameter('k e&y', '%REQ(x-v)%/€')), '/p?k%20e%26y=a%26b%3D%FC%2F%E2%82%AC');
  assert.equal(pathAfter('/p?x=%26y%3d%0d%0a&%61=1', parameter('b', '2')), '/p?%61=1&b=2&x=%26y%3d%0d%0a');
  assert.equal(pathAfter('/p?%61=1&a=2', { remove: 'a' }), '/p');
});

test('parameters that no step touches keep their bytes, whatever they are', () => {
  const config = mutations({
    query_parameter_mutations: [parameter('added', '1', 'OVERWRITE_IF_EXISTS_OR_ADD'), { remove: 'gone' }],
  });
  const piece = fc.string({ unit: fc.constantFrom('a', 'B', '%', '2', '6', '0', 'd', '+', ';', '='), maxLength: 8 });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      const given = pieces.filter((text) => text !== '');
      const it = new FilterRun([{ factory: HEADER_MUTATION, config }], { head: head({}, `/p?${given.join('&')}`) });
      it.request();
      const out = it.requestHead?.path.replace('/p?', '').split('&') ?? [];
      const kept = given.map((text) => (text.includes('=') ? text : `${text}=`));
      assert.deepEqual(out.sort(), [...kept, 'added=1'].sort());
    }),
    { seed: 5, numRuns: 300 },
  );
});

test('a query step that says nothing or too much is refused', () => {
  const refused = (step: object) =>
    refusedFilter(`${PACKAGE}.HeaderMutation`, { mutations: { query_parameter_mutations: [step] } }).map((line) =>
      line.replace('typed_config.mutations.query_parameter_mutations[0]', ''),
    );
  const value = (given: unknown) => ({ append: { record: { key: 'a', value: given } } });
  assert.deepEqual(refused({}), [": One of 'append'/'remove' must be specified."]);
  assert.deepEqual(refused({ ...value('b'), remove: 'c' }), [": Only one of 'append'/'remove' can be specified."]);
  assert.deepEqual(refused({ append: {} }), ['.append: No record specified for append mutation.']);
  assert.deepEqual(refused(value(3)), ['.append.record: Only string value is allowed for record value.']);
  assert.deepEqual(refused({ append: { record: { key: '', value: 'b' } } }), [
    '.append.record.key: value length must be at least 1 characters',
  ]);
  const entry = refused({ append: { entry: { key: 'a', value: 'Yg==' } } });
  assert.match(entry.join('\n'), /entry.* give record/);
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
