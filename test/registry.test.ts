import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HTTP_FILTERS, httpFilter } from '../proxy/registry.ts';
import { EXTENSIONS } from '../xds-client/decode/extensions.ts';

const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';

test('every HTTP filter that a decoder lets in is registered, and no other', () => {
  const decoded = EXTENSIONS['http-filter'].filter((extension) => 'decode' in extension).map(({ type }) => type);
  assert.deepEqual([...HTTP_FILTERS.keys(), ROUTER].sort(), decoded.sort());
});

test('a registered HTTP filter says the name and the type that its decoder knows', () => {
  for (const { name, type } of EXTENSIONS['http-filter']) {
    const factory = httpFilter(type);
    if (factory === undefined) continue;
    assert.deepEqual([factory.name, factory.typeUrl], [name, type]);
  }
  assert.equal(httpFilter('envoy.extensions.filters.http.none.v3.None'), undefined);
});

test('the type that a filter takes on routes has a decoder', () => {
  const types = EXTENSIONS['http-filter-route'].map(({ type }) => type);
  for (const typeUrl of HTTP_FILTERS.keys()) {
    const wanted = httpFilter(typeUrl)?.routeTypeUrl;
    if (wanted !== undefined) assert.ok(types.includes(wanted), wanted);
  }
});
