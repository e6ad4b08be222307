import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDemoOptions } from '../../deploy/local/command-line.ts';

test('without arguments the mesh runs until it is stopped', () => {
  const options = parseDemoOptions([]);
  assert.equal(options.forMs, undefined);
  assert.equal(options.rate, 50);
  assert.equal(options.json, false);
  assert.match(options.mesh, /deploy\/local\/mesh$/);
});

for (const [text, ms] of [
  ['500ms', 500],
  ['20s', 20_000],
  ['1.5m', 90_000],
] as const)
  test(`--for ${text} is ${ms} ms`, () => assert.equal(parseDemoOptions(['--for', text]).forMs, ms));

for (const args of [
  ['--for', '20'],
  ['--for', 'soon'],
  ['--rate', '0'],
  ['--rate', 'fast'],
  ['--rate', '2001'],
])
  test(`${args.join(' ')} is refused with what it wants`, () => {
    assert.throws(() => parseDemoOptions(args), new RegExp(`${args[0]} must be .*not ${args[1]}`));
  });

test('an unknown option is refused', () => assert.throws(() => parseDemoOptions(['--fro', '1s']), TypeError));
