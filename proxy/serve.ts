/** Bootstrap, log, run: everything after the command line. */
import { stdout } from 'node:process';
import type { Worker } from 'node:worker_threads';
import { decodeBootstrap } from '../xds-client/decode/index.ts';
import { App } from './app.ts';
import { loadBootstrap, problemText } from './bootstrap/load.ts';
import type { Options } from './command-line.ts';
import { keepCompiledCode } from './compiled-code.ts';
import { decodeChecks } from './decode-checks.ts';
import { errorMessage } from './errors.ts';
import { createLog } from './log.ts';
import { logComponents } from './log-components.ts';
import { openLogSink } from './log-sink.ts';

/** The decoder itself knows the bootstrap's clusters. */
const BOOTSTRAP_CHECKS = decodeChecks(() => true, true);

/** `threads`: the workers, loading. None for `--mode validate`. */
export async function serve(options: Options, threads: readonly Worker[]): Promise<void> {
  const output = openLogSink({ path: options.logPath, format: options.logFormat, escaped: options.logFormatEscaped });
  const log = createLog({
    level: options.logLevel,
    componentLevels: options.componentLogLevels,
    components: logComponents,
    sink: output.sink,
  });
  const mainLog = log.component('main');
  const leave = (code: number): void => {
    output.flush();
    process.exit(code);
  };
  // Workers have theirs in the pool. Rejections that nobody handles come here too.
  process.on('uncaughtException', (error) => {
    mainLog.critical({}, `internal error on the main thread: ${error.stack ?? errorMessage(error)}`);
    leave(1);
  });
  try {
    const loaded = loadBootstrap({ ...options, allowUnknownFields: options.allowUnknownStaticFields }, (message) =>
      decodeBootstrap(message, BOOTSTRAP_CHECKS),
    );
    // Not before the listeners: lines can wait for them.
    const say = (): void => {
      if (options.withoutEffect.length > 0) {
        const flags = options.withoutEffect.map((flag) => `--${flag}`).join(', ');
        mainLog.info({}, `accepted for compatibility, changes nothing: ${flags}`);
      }
      for (const warning of loaded.warnings) mainLog.warning({}, problemText(warning));
    };
    if (options.mode === 'validate') {
      say();
      stdout.write(`configuration '${options.configPath ?? '--config-yaml'}' OK\n`);
      return;
    }
    const app = new App({ options, loaded, threads, log, reopenLogs: () => output.reopen(), exit: leave });
    await app.start();
    say();
    keepCompiledCode();
  } catch (error) {
    mainLog.critical({}, errorMessage(error));
    leave(1);
  }
}
