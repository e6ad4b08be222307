/** Where the process log goes: JSON by pino, or Envoy's `--log-format` text, to standard error or `--log-path`. */
import { openSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { LogLevel, LogRecord, LogSink } from './log.ts';
import { logFormatter } from './log-format.ts';

export interface LogDestination {
  /** A file to append to; undefined is standard error. */
  readonly path?: string | undefined;
  /** Text in spdlog's syntax; undefined is JSON. */
  readonly format?: string | undefined;
  /** `--log-format-escaped`: control characters of text are written as escapes. */
  readonly escaped?: boolean | undefined;
}

export interface OpenLogSink {
  readonly sink: LogSink;
  /** Writes what is buffered: at the end of the process, before `exit`. Never throws. */
  flush(): void;
  /** Opens `path` again: for a file that was rotated away. */
  reopen(): void;
  /** Writes what is buffered and closes the file. */
  close(): Promise<void>;
}

/** Loaded with the first line: a start that has nothing to say listens without waiting for it. */
function loadPino(): typeof import('pino').pino {
  return (createRequire(import.meta.url)('pino') as typeof import('pino')).pino;
}

/** Line feeds alone would let a message forge a line; text is escaped where it can hold one. */
function escapeText(text: string): string {
  return JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');
}

/** Throws where the file cannot be opened. */
export function openLogSink(to: LogDestination): OpenLogSink {
  const descriptor = to.path === undefined ? 2 : openSync(to.path, 'a', 0o640);
  let open: OpenLogSink | undefined;
  const opened = (): OpenLogSink => {
    open ??= writerOn(descriptor, to);
    return open;
  };
  return {
    sink: (record) => opened().sink(record),
    flush: () => open?.flush(),
    reopen: () => opened().reopen(),
    close: () => opened().close(),
  };
}

function writerOn(descriptor: number, to: LogDestination): OpenLogSink {
  const pino = loadPino();
  // Not sync: a reader that stands still must not stop the control side.
  const stream = pino.destination({ dest: descriptor, sync: false, maxLength: 8 * 1024 * 1024 });
  // A full disk or a closed pipe loses log lines and nothing else.
  stream.on('error', () => {});
  const flush = (): void => {
    try {
      stream.flushSync();
    } catch {
      // Not open yet, or gone.
    }
  };
  const reopen = (): void => {
    if (to.path !== undefined) stream.reopen(to.path);
  };
  const close = (): Promise<void> => {
    // Standard error is not ours to close.
    if (to.path === undefined) return Promise.resolve(flush());
    return new Promise((resolve) => {
      stream.once('close', resolve);
      stream.end();
    });
  };
  if (to.format !== undefined) {
    const format = logFormatter(to.format);
    const escaped = to.escaped === true;
    const sink = (record: LogRecord): void => {
      const shown = escaped ? { ...record, message: escapeText(record.message) } : record;
      stream.write(`${format(shown)}\n`);
    };
    return { sink, flush, reopen, close };
  }
  const logger = pino(
    {
      level: 'trace',
      base: null,
      messageKey: 'message',
      timestamp: false,
      customLevels: { warning: 40, critical: 60 },
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
  const write: { readonly [level in LogLevel]: (fields: object, message: string) => void } = {
    trace: logger.trace.bind(logger),
    debug: logger.debug.bind(logger),
    info: logger.info.bind(logger),
    warning: logger.warning.bind(logger),
    error: logger.error.bind(logger),
    critical: logger.critical.bind(logger),
    off: () => {},
  };
  const sink = ({ time, level, component, message, fields }: LogRecord): void =>
    write[level]({ time: new Date(time).toISOString(), component, ...fields }, message);
  return { sink, flush, reopen, close };
}
