import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';

const launcher = resolve(import.meta.dirname, '../bin/launch.js');

/** A project whose proxy/main.ts is `main`, with the launcher's code and, if asked, a Node shipped beside it. */
function project(t: TestContext, main: string, options: { major: number; shipped: boolean }): string {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-launch-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'proxy'));
  writeFileSync(join(folder, 'proxy/main.ts'), main);
  mkdirSync(join(folder, 'bin'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  symlinkSync(launcher, join(folder, 'bin/launch.js'));
  if (options.shipped) {
    const shipped = join(folder, `node_modules/node-linux-${process.arch}/bin`);
    mkdirSync(shipped, { recursive: true });
    symlinkSync(process.execPath, join(shipped, 'node'));
  }
  const start = join(folder, 'bin/start.js');
  // The launcher asks which Node it runs on: this one says it is another.
  writeFileSync(
    start,
    `Object.defineProperty(process.versions, 'node', { value: '${options.major}.0.0' });
     const { launch } = await import('./launch.js');
     await launch('proxy/main.ts', process.argv.slice(2));`,
  );
  return start;
}

function run(
  start: string,
  args: string[],
  onOutput: (output: string, kill: (signal: NodeJS.Signals) => void) => void = () => {},
) {
  // Without this the launcher is found under its own folder, with the modules beside that.
  const child = spawn(process.execPath, ['--preserve-symlinks', start, ...args]);
  let output = '';
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  child.stdout.on('data', (chunk) => {
    output += chunk;
    onOutput(output, (signal) => child.kill(signal));
  });
  return new Promise<{ code: number | null; output: string; errors: string }>((resolved) => {
    child.on('close', (code) => resolved({ code, output, errors }));
  });
}

const echo = 'console.log(JSON.stringify(process.argv.slice(2))); process.exitCode = 7;';

test('runs the file with its arguments and its exit code, here or on the shipped Node', async (t) => {
  for (const options of [
    { major: 26, shipped: false },
    { major: 24, shipped: false },
    { major: 20, shipped: true },
  ]) {
    const { code, output, errors } = await run(project(t, echo, options), ['-c', 'a b']);
    assert.deepEqual(
      { code, output, errors },
      { code: 7, output: '["-c","a b"]\n', errors: '' },
      JSON.stringify(options),
    );
  }
});

test('passes signals on, and waits for the end', async (t) => {
  const main = `process.on('SIGTERM', () => { console.log('drained'); process.exit(3); });
    setInterval(() => {}, 1000); console.log('up');`;
  const start = project(t, main, { major: 20, shipped: true });
  const { code, output } = await run(start, [], (seen, kill) => {
    if (seen === 'up\n') kill('SIGTERM');
  });
  assert.deepEqual([code, output], [3, 'up\ndrained\n']);
});

test('reports the end by a signal as a shell does', async (t) => {
  const start = project(t, "process.kill(process.pid, 'SIGKILL');", { major: 20, shipped: true });
  assert.equal((await run(start, [])).code, 137);
});

test('says which Node is needed where there is none', async (t) => {
  const { code, errors } = await run(project(t, echo, { major: 20, shipped: false }), []);
  assert.equal(code, 1);
  assert.match(errors, /tollway needs Node 24 or later/);
});
