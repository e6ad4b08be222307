import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { WatchedFiles } from '../../certs/source/files.ts';

type Told = { readonly text: string } | { readonly problem: string };

/** Watches `a` and `b` in a folder; they fit when they are equal. */
function watched(t: TestContext, pollMs: number) {
  const base = mkdtempSync(join(tmpdir(), 'tollway-files-'));
  const folder = join(base, 'mount');
  mkdirSync(folder);
  const told: Told[] = [];
  let wake = (): void => {};
  const tell = (what: Told): void => {
    told.push(what);
    wake();
  };
  const write = (text: string, into = folder): void => {
    for (const name of ['a', 'b']) writeFileSync(join(into, name), text);
  };
  let files: WatchedFiles<'a' | 'b'> | undefined;
  t.after(() => {
    files?.close();
    rmSync(base, { recursive: true });
  });
  return {
    base,
    folder,
    told,
    write,
    start: (): void => {
      files = new WatchedFiles({
        paths: { a: join(folder, 'a'), b: join(folder, 'b') },
        directories: [],
        check: ({ a, b }) => (a !== undefined && b?.equals(a) ? undefined : 'they differ'),
        onChange: ({ a }) => tell({ text: String(a) }),
        onError: (problem) => tell({ problem }),
        pollMs,
      });
    },
    next: async (): Promise<Told> => {
      while (told.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return told.shift() as Told;
    },
  };
}

test('a directory that is replaced is watched again', async (t) => {
  const { base, folder, write, start, next } = watched(t, 100);
  write('one');
  start();
  assert.deepEqual(await next(), { text: 'one' });
  mkdirSync(join(base, 'next'));
  write('two', join(base, 'next'));
  renameSync(folder, join(base, 'gone'));
  renameSync(join(base, 'next'), folder);
  assert.deepEqual(await next(), { text: 'two' });
  write('three');
  assert.deepEqual(await next(), { text: 'three' });
});

test('a directory that comes later is found', async (t) => {
  const { folder, write, start, next } = watched(t, 50);
  rmSync(folder, { recursive: true });
  start();
  const missing = await next();
  assert.ok('problem' in missing && /cannot read ".*mount\/a": ENOENT/.test(missing.problem));
  mkdirSync(folder);
  write('one');
  assert.deepEqual(await next(), { text: 'one' });
});

test('the same problem is told once, and again after it was gone', async (t) => {
  const { folder, told, write, start, next } = watched(t, 20);
  write('one');
  start();
  await next();
  writeFileSync(join(folder, 'b'), 'other');
  assert.deepEqual(await next(), { problem: 'they differ' });
  // many polls long
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.deepEqual(told, []);
  write('two');
  assert.deepEqual(await next(), { text: 'two' });
  writeFileSync(join(folder, 'b'), 'other');
  assert.deepEqual(await next(), { problem: 'they differ' });
});

test('a file that is too large is not taken', async (t) => {
  const { write, start, next } = watched(t, 10_000);
  write('x'.repeat(1024 * 1024 + 1));
  start();
  const refused = await next();
  assert.ok('problem' in refused && /has more than 1048576 bytes/.test(refused.problem));
});
