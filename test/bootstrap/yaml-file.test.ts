import assert from 'node:assert/strict';
import { test } from 'node:test';
import { locate, stepsOf } from '../../proxy/bootstrap/locate.ts';
import { readYaml } from '../../proxy/bootstrap/yaml-file.ts';

function json(text: string): unknown {
  return readYaml('f', text).json;
}

test('types plain scalars as yaml-cpp does', () => {
  assert.deepEqual(
    json('[yes, Off, TRUE, yEs, 12, 0x1F, 010, 1.5, 1e3, ~, "80", \'on\', !!str 7, 1.5s, -3, 99999999999999999999]'),
    [true, false, true, 'yEs', 12, 31, 8, '1.5', '1e3', null, '80', 'on', '7', '1.5s', -3, '99999999999999999999'],
  );
});

test('follows anchors, and leaves out what is tagged !ignore', () => {
  assert.deepEqual(json('!ignore shared: &a {x: 1}\nb: *a\nc: [*a]'), { b: { x: 1 }, c: [{ x: 1 }] });
});

test('refuses a key that is given twice, by its line', () => {
  assert.throws(() => json('a: 1\nb: 2\na: 3'), /^ProxyError: f:3:1: Map keys must be unique/);
});

test('refuses aliases that grow without end', () => {
  const lines = ['a0: &a0 [x,x,x,x,x,x,x,x,x,x]'];
  for (let level = 1; level < 10; level += 1) {
    lines.push(
      `a${level}: &a${level} [${Array(10)
        .fill(`*a${level - 1}`)
        .join(',')}]`,
    );
  }
  assert.throws(() => json(lines.join('\n')), /is made of more than 200000 aliased values/);
});

test('refuses an alias of what is around it, and lists in lists without end', () => {
  assert.throws(() => json('a: &a [*a]'), /^ProxyError: f:1:/);
  assert.throws(() => json('['.repeat(5000)), /^ProxyError: f:1:/);
});

test('keeps a key called __proto__ a key', () => {
  assert.deepEqual(Object.keys(json('__proto__: {a: 1}') as object), ['__proto__']);
});

test('splits paths with indices and quoted keys', () => {
  assert.deepEqual(stepsOf('a.b[0].c["d.e"].@type'), ['a', 'b', 0, 'c', 'd.e', '@type']);
  assert.deepEqual(stepsOf(''), []);
});

test('finds the nearest thing around a path that was written', () => {
  const base = readYaml('f', 'a:\n  b:\n  - c: 1\n  - x.y: 2\n');
  const line = (path: string) => locate(base, undefined, path)?.line;
  assert.deepEqual(['a', 'a.b[0].c', 'a.b[0].none', 'a.b[1]["x.y"]', 'a.b[7]', ''].map(line), [1, 3, 3, 4, 2, 1]);
});

test('finds what stands in a typed_config that the path leaves out', () => {
  const base = readYaml('f', 'filters:\n- name: a\n  typed_config:\n    "@type": t\n    routes: 1\n');
  assert.equal(locate(base, undefined, 'filters[0].routes')?.line, 5);
});
