/** Arguments, bootstrap, run. */
import { stderr, stdout } from 'node:process';
import { decodeBootstrap } from '../xds-client/decode/index.ts';
import { App } from './app.ts';
import { loadBootstrap, problemText } from './bootstrap/load.ts';
import { type Options, parseCommandLine } from './command-line.ts';
import { decodeChecks } from './decode-checks.ts';
import { errorMessage } from './errors.ts';
import { createLog } from './log.ts';
import { logComponents } from './log-components.ts';
import { openLogSink } from './log-sink.ts';
import { FULL_VERSION } from './version.ts';

/** The decoder itself knows the bootstrap's clusters. */
const BOOTSTRAP_CHECKS = decodeChecks(() => true);

async function main(options: Options): Promise<void> {
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
  try {
    const loaded = loadBootstrap({ ...options, allowUnknownFields: options.allowUnknownStaticFields }, (message) =>
      decodeBootstrap(message, BOOTSTRAP_CHECKS),
    );
    if (options.withoutEffect.length > 0) {
      const flags = options.withoutEffect.map((flag) => `--${flag}`).join(', ');
      mainLog.info({}, `accepted for compatibility, changes nothing: ${flags}`);
    }
    for (const warning of loaded.warnings) mainLog.warning({}, problemText(warning));
    if (options.mode === 'validate') {
      stdout.write(`configuration '${options.configPath ?? '--config-yaml'}' OK\n`);
      return;
    }
    const app = new App({ options, loaded, log, reopenLogs: () => output.reopen(), exit: leave });
    await app.start();
  } catch (error) {
    mainLog.critical({}, errorMessage(error));
    leave(1);
  }
}

const commandLine = parseCommandLine(process.argv.slice(2), FULL_VERSION);
if (commandLine.kind === 'exit') {
  stdout.write(commandLine.stdout);
  stderr.write(commandLine.stderr);
  process.exitCode = commandLine.code;
} else await main(commandLine.options);
