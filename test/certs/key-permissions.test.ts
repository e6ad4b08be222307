import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { WatchedFiles } from '../../certs/source/files.ts';
import { exposedKey } from '../../certs/source/key-permissions.ts';

/** A folder that everybody can enter. */
function openFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-keys-'));
  chmodSync(folder, 0o755);
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function keyFile(folder: string, mode: number, name = 'tls.key'): string {
  const path = join(folder, name);
  writeFileSync(path, 'a key');
  chmodSync(path, mode);
  return path;
}

test('a private key that everybody can read is refused by its mode', (t) => {
  const folder = openFolder(t);
  for (const mode of [0o644, 0o604, 0o777]) {
    assert.match(
      exposedKey(keyFile(folder, mode)) ?? '',
      new RegExp(`read by everybody \\(mode 0${mode.toString(8)}\\)`),
    );
  }
  for (const mode of [0o600, 0o400, 0o640, 0o440]) assert.equal(exposedKey(keyFile(folder, mode)), undefined);
});

test('a directory that others cannot enter hides what is in it', (t) => {
  const folder = openFolder(t);
  const hidden = join(folder, 'hidden');
  mkdirSync(join(hidden, 'below'), { recursive: true });
  const path = keyFile(join(hidden, 'below'), 0o644);
  assert.match(exposedKey(path) ?? '', /read by everybody/);
  chmodSync(hidden, 0o750);
  assert.equal(exposedKey(path), undefined);
  // a link from outside leads there all the same
  symlinkSync(path, join(folder, 'link.key'));
  assert.equal(exposedKey(join(folder, 'link.key')), undefined);
});

test('a volume of Kubernetes is let through with its default mode, a file beside it is not', (t) => {
  const folder = openFolder(t);
  mkdirSync(join(folder, '..2026_01_31'));
  keyFile(join(folder, '..2026_01_31'), 0o644);
  symlinkSync('..2026_01_31', join(folder, '..data'));
  symlinkSync('..data/tls.key', join(folder, 'tls.key'));
  assert.equal(exposedKey(join(folder, 'tls.key')), undefined);
  assert.match(exposedKey(keyFile(folder, 0o644, 'other.key')) ?? '', /read by everybody/);
});

test('watched files are not taken while the key is exposed, and are once it is not', async (t) => {
  const folder = openFolder(t);
  const path = keyFile(folder, 0o644);
  const first = await new Promise<string>((told) => {
    const files = new WatchedFiles({
      paths: { key: path },
      secrets: ['key'],
      directories: [],
      check: () => undefined,
      onChange: () => told('taken'),
      onError: (reason) => {
        told(reason);
        chmodSync(path, 0o600);
      },
      pollMs: 20,
    });
    t.after(() => files.close());
  });
  assert.match(first, /^the private key ".*tls\.key" can be read by everybody \(mode 0644\)/);
  await new Promise<void>((taken) => {
    const files = new WatchedFiles({
      paths: { key: path },
      secrets: ['key'],
      directories: [],
      check: () => undefined,
      onChange: () => taken(),
      onError: assert.fail,
    });
    t.after(() => files.close());
  });
});
