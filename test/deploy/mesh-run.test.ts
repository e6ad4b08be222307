/** The whole demo, as a newcomer runs it, for a few seconds. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const MAIN = join(import.meta.dirname, '../../deploy/local/main.ts');

test('payments cross the mesh over mutual TLS, and the last line says how it went', { timeout: 90_000 }, async () => {
  const { code, out } = await new Promise<{ readonly code: number; readonly out: string }>((done) => {
    const child = execFile(
      process.execPath,
      [MAIN, '--for', '5s', '--json', '--rate', '20'],
      { timeout: 80_000 },
      (_, stdout, stderr) => done({ code: child.exitCode ?? -1, out: `${stdout}${stderr}` }),
    );
  });
  assert.equal(code, 0, out);
  const result = JSON.parse(out.trimEnd().split('\n').at(-1) ?? '') as { readonly [name: string]: number };
  assert.equal(result.failed, 0, out);
  assert.ok((result.requests ?? 0) >= 80, out);
  assert.equal(result.ok, result.requests);
  assert.equal(result.mtls, result.ok, 'every payment went over mutual TLS');
  assert.equal(result.lost, 0);
  assert.equal(result.doubled, 0);
  assert.equal(result.rejectedPushes, 0);
  assert.ok((result.configPushes ?? 0) > 0);
  assert.ok((result.spans ?? 0) > 0);
  assert.ok((result.p99Ms ?? 0) > 0);
  assert.ok('rotations' in result);
});
