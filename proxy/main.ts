/** Arguments, then the threads, then everything else: the workers load their code beside the main thread. */
import { stderr, stdout } from 'node:process';
import { parseCommandLine } from './command-line.ts';
import { FULL_VERSION } from './version.ts';
import { startWorkerThreads } from './worker-threads.ts';

const commandLine = parseCommandLine(process.argv.slice(2), FULL_VERSION);
if (commandLine.kind === 'exit') {
  stdout.write(commandLine.stdout);
  stderr.write(commandLine.stderr);
  process.exitCode = commandLine.code;
} else {
  const { options } = commandLine;
  const threads = options.mode === 'serve' ? startWorkerThreads(options.concurrency) : [];
  const { serve } = await import('./serve.ts');
  await serve(options, threads);
}
