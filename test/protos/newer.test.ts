import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type DescriptorFile, descriptorFileUrl } from '../../protos/descriptor-file.ts';
import { decodeMessage, encodeMessage, fromJson, hasMessage, messageFields } from '../../protos/index.ts';
import { NEWER } from '../../protos/newer.ts';

test('the packaged protos have none of what is kept as newer, and all that it builds on', () => {
  const { messages, enums } = JSON.parse(readFileSync(descriptorFileUrl, 'utf8')) as DescriptorFile;
  for (const [name, { whole, fields }] of Object.entries(NEWER)) {
    const packaged = messages[name];
    assert.equal(packaged === undefined, whole === true, name);
    const numbers = Object.values(packaged?.fields ?? {}).map(({ id }) => id);
    for (const [field, { id, type }] of Object.entries(fields)) {
      assert.equal(packaged?.fields[field], undefined, `${name}.${field} is packaged: take it out`);
      assert.ok(!numbers.includes(id), `${name} has a field ${id}`);
      const known = !type.startsWith('.') || hasMessage(type.slice(1)) || enums[type.slice(1)] !== undefined;
      assert.ok(known, `${name}.${field} is of ${type}`);
    }
  }
});

test('a newer field is read and written, in JSON and on the wire', () => {
  const type = 'envoy.config.core.v3.KeyValueMutation';
  const json = { append: { record: { key: 'a', value: 'b' }, action: 'ADD_IF_ABSENT' } };
  const message = fromJson(type, json, []);
  assert.deepEqual(decodeMessage(type, encodeMessage(type, message)), message);
  assert.ok(messageFields('envoy.config.core.v3.KeyValueAppend').some(({ name }) => name === 'record'));
});
