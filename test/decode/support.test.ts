import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { hasMessage, messageFields } from '../../protos/index.ts';
import { declaredSupport } from '../../xds-client/decode/context.ts';
import { EXTENSIONS } from '../../xds-client/decode/extensions.ts';
import { rulesFile, supportTable } from '../../xds-client/decode/support-table.ts';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET } from './decoding.ts';

test('every declared message names each of its fields once', () => {
  for (const { message, acts, ignored, refused } of declaredSupport().values()) {
    assert.ok(hasMessage(message), `${message} is in no proto`);
    const declared = [...acts, ...Object.keys(ignored), ...Object.keys(refused)].sort();
    const fields = messageFields(message).map(({ name }) => name);
    assert.deepEqual(declared, fields.sort(), `fields of ${message}`);
  }
});

test('every message that an acting field holds is declared', () => {
  const extensions = Object.values(EXTENSIONS).flat();
  const acting = extensions.filter((extension) => 'decode' in extension).map(({ type }) => type);
  const roots = [LISTENER, ROUTES, CLUSTER, ENDPOINTS, SECRET, 'envoy.config.bootstrap.v3.Bootstrap', ...acting];
  const reached = new Set<string>();
  const pending = [...roots];
  for (let type = pending.pop(); type !== undefined; type = pending.pop()) {
    if (reached.has(type)) continue;
    reached.add(type);
    const declared = declaredSupport().get(type);
    assert.ok(declared !== undefined, `${type} is read and declares no support`);
    for (const field of messageFields(type)) {
      const walked = declared.acts.includes(field.name) && hasMessage(field.type);
      if (walked && !field.type.startsWith('google.protobuf.')) pending.push(field.type);
    }
  }
  const unreached = [...declaredSupport().keys()].filter((type) => !reached.has(type));
  // It is the payload of an Any that names its own type.
  assert.deepEqual(unreached, ['envoy.config.route.v3.FilterConfig']);
});

test('no kind of extension lists a type twice', () => {
  for (const [category, table] of Object.entries(EXTENSIONS)) {
    const types = table.map(({ type }) => type);
    assert.deepEqual([...new Set(types)], types, category);
  }
});

test('docs/support.md says what the decoders declare', () => {
  const written = readFileSync(new URL('../../docs/support.md', import.meta.url), 'utf8');
  assert.ok(written === supportTable(), 'is stale: run npm run support');
});

test('the constraints are those of the protos', () => {
  const written = readFileSync(new URL('../../xds-client/decode/rules/rules.json', import.meta.url), 'utf8');
  assert.ok(written === rulesFile(), 'rules.json is stale: run npm run support');
});
