import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SET_METADATA } from '../../proxy/filters/http/set-metadata/set-metadata.ts';
import { compileFormat } from '../../proxy/observe/access-log/format.ts';
import { compileTag } from '../../proxy/observe/tracing/attributes.ts';
import type { Json } from '../../xds-client/model/common.ts';
import { filterConfig } from './decoding.ts';
import { FilterRun } from './support.ts';

const TYPE = 'envoy.extensions.filters.http.set_metadata.v3.Config';

/** The metadata of a request that passed filters of these configurations. */
function after(...configs: readonly { readonly [field: string]: Json }[]): FilterRun {
  const it = new FilterRun(configs.map((config) => ({ factory: SET_METADATA, config: filterConfig(TYPE, config) })));
  it.request();
  return it;
}

const value = { text: 't', list: [1], inner: { a: { b: 'deep' }, c: 1 }, flag: true };
const change = { text: 'new', list: [2], inner: { a: { z: 1 } }, flag: { now: 'a struct' }, more: null };

test('a value is there for logs and headers', () => {
  const { info } = after({ metadata: [{ metadata_namespace: 'one', value }] });
  const compiled = compileFormat('%DYNAMIC_METADATA(one:inner:a:b)% %DYNAMIC_METADATA(one:inner)%');
  assert.ok('format' in compiled);
  assert.equal(compiled.format(info), 'deep {"a":{"b":"deep"},"c":1}');
});

test('a value is there for the tags of spans', () => {
  const { info } = after({ metadata: [{ metadata_namespace: 'one', value: { ...value, inner: { z: 1, a: [2] } } }] });
  const tagOf = (...path: readonly string[]) => {
    const from = { kind: 'metadata' as const, of: 'request' as const, namespace: 'one', path, fallback: 'none' };
    return compileTag({ tag: 't', from })[1](info);
  };
  assert.deepEqual([tagOf('text'), tagOf('inner'), tagOf('nothing')], ['t', '{"a":[2],"z":1}', 'none']);
});

test('the deprecated form is written first and merges', () => {
  const { info } = after({
    metadata_namespace: 'one',
    value: { a: 1 },
    metadata: [{ metadata_namespace: 'one', value: { a: 2 } }],
  });
  assert.deepEqual(info.dynamicMetadata?.get('one'), { a: 1 });
});

test('what is there stays, and that is counted', () => {
  const entry = { metadata_namespace: 'one', value: { a: 2 } };
  const it = after({ metadata: [{ metadata_namespace: 'one', value: { a: 1 } }, entry] }, { metadata: [entry] });
  assert.deepEqual(it.info.dynamicMetadata?.get('one'), { a: 1 });
  assert.equal(it.stat('http.test.set_metadata.overwrite_denied'), 2);
});

test('where it may overwrite, structs merge, lists grow and other values are replaced', () => {
  const configs = [
    { metadata: [{ metadata_namespace: 'one', value }] },
    { metadata: [{ metadata_namespace: 'one', value: change, allow_overwrite: true }] },
  ];
  for (let i = 0; i < 2; i++) {
    // Twice: nothing of the first request is left in the configuration.
    assert.deepEqual(after(...configs).info.dynamicMetadata?.get('one'), {
      text: 'new',
      list: [1, 2],
      inner: { a: { b: 'deep', z: 1 }, c: 1 },
      flag: { now: 'a struct' },
      more: null,
    });
  }
});

test('a request’s metadata is not another’s', () => {
  const config = filterConfig(TYPE, { metadata: [{ metadata_namespace: 'one', value, allow_overwrite: true }] });
  const setups = [{ factory: SET_METADATA, config }];
  const first = new FilterRun([...setups, ...setups]);
  first.request();
  const second = new FilterRun(setups);
  second.request();
  assert.deepEqual(first.info.dynamicMetadata?.get('one')?.list, [1, 1]);
  assert.deepEqual(second.info.dynamicMetadata?.get('one')?.list, [1]);
});

test('an entry without a value does nothing', () => {
  assert.equal(after({ metadata: [{ metadata_namespace: 'one' }] }).info.dynamicMetadata, undefined);
});
