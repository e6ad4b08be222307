/**
 * Runs one of the project's TypeScript files on a Node that can: the one that npm installed beside it (26), or the one
 * that runs this file, from 24. Written for any Node that npm runs on.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';

const oldest = 24;
const shipped = 26;
const forwarded = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'];

/**
 * Compiled code is kept here, which halves the time of imports. Among the project's own modules and not in /tmp: what
 * others can write must not be run. Where it cannot be written, nothing is kept.
 */
const cache = fileURLToPath(new URL('../node_modules/.cache/tollway', import.meta.url));

const major = Number(process.versions.node.split('.')[0]);

/** Beside the project's own modules, or among those of a project that depends on it. */
function shippedNode() {
  for (const modules of ['../node_modules/', '../../']) {
    const path = fileURLToPath(new URL(`${modules}node-linux-${process.arch}/bin/node`, import.meta.url));
    if (existsSync(path)) return path;
  }
  return undefined;
}

/** Resolves when the child has ended; its exit code is ours then. */
function spawned(node, script, args) {
  const child = spawn(node, [script, ...args], {
    stdio: 'inherit',
    env: { NODE_COMPILE_CACHE: cache, ...process.env },
  });
  // The child decides what a signal means and when the process ends.
  for (const signal of forwarded) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`${node} cannot be run: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0);
  });
  return new Promise((done) => {
    child.on('error', done);
    child.on('exit', done);
  });
}

/** `file` is relative to the project; `args` follow it. */
export async function launch(file, args) {
  const script = fileURLToPath(new URL(`../${file}`, import.meta.url));
  const node = major >= shipped || process.platform !== 'linux' ? undefined : shippedNode();
  if (node !== undefined) await spawned(node, script, args);
  else if (major >= oldest) {
    // Worker threads read it from the environment.
    process.env.NODE_COMPILE_CACHE ??= cache;
    nodeModule.enableCompileCache?.(process.env.NODE_COMPILE_CACHE);
    // As if it had been started so: the file reads its arguments from here.
    process.argv = [process.argv[0], script, ...args];
    await import(pathToFileURL(script).href);
  } else {
    process.stderr.write(
      `tollway needs Node ${oldest} or later, and this is ${process.version}: install a newer Node, or install on Linux ` +
        `x64 or arm64 with optional dependencies ("npm ci" without --omit=optional), which brings Node ${shipped}\n`,
    );
    process.exitCode = 1;
  }
}
