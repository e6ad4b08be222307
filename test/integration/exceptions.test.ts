/** Exceptions that nobody catches end the process: with a word in its log, and the code of a failure. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { answering, bootstrapOf, httpListener, Tollway } from './tollway.ts';

/** A proxy in one of whose threads something throws a while after its start. */
function failing(t: TestContext, thread: 'main' | 'worker', how: string): Tollway {
  const code = `import { isMainThread } from 'node:worker_threads'; if (isMainThread === ${thread === 'main'}) setTimeout(() => { ${how} }, 1500)`;
  const before = process.env.NODE_OPTIONS;
  process.env.NODE_OPTIONS = `${before ?? ''} --import data:text/javascript,${encodeURIComponent(code)}`;
  try {
    return new Tollway(t, bootstrapOf([httpListener('in', 0, [answering('fine')])]), ['--concurrency', '1']);
  } finally {
    if (before === undefined) delete process.env.NODE_OPTIONS;
    else process.env.NODE_OPTIONS = before;
  }
}

for (const [thread, words] of [
  ['main', 'internal error on the main thread: '],
  ['worker', 'a worker failed: '],
] as const) {
  for (const how of ["throw new Error('not expected')", "Promise.reject(new Error('not expected'))"]) {
    test(`what nobody catches in the ${thread} thread is logged with its stack and ends the process (${how.slice(0, 5)})`, async (t) => {
      const proxy = failing(t, thread, how);
      assert.deepEqual(await proxy.ended, { code: 1, signal: null });
      const line = `${proxy.stdout}${proxy.stderr}`.split('\n').find((one) => one.includes(words));
      assert.ok(line !== undefined, proxy.stderr);
      assert.match(`${proxy.stdout}${proxy.stderr}`, /Error: not expected(\n|\\n) +at /);
    });
  }
}
