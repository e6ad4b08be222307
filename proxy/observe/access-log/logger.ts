/** Compiles configured access logs to loggers. One factory a worker. */
import type { AccessLog, LogFormat } from '../../../xds-client/model/access-log.ts';
import type { Metadata } from '../../../xds-client/model/common.ts';
import { ProxyError } from '../../errors.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import type { AccessLogFactory, AccessLogger } from './contract.ts';
import { defaultLine } from './default-line.ts';
import { compileFilter, type FilterTools, type LogPredicate } from './filter.ts';
import { type Compiled, compileFormat, compileJsonFormat, DEFAULT_FORMAT, type FormatOptions } from './format.ts';
import type { LineQueue, SinkKey } from './queue.ts';

export interface LoggerFactoryOptions extends FilterTools {
  readonly queue: LineQueue;
  readonly clusterMetadata?: (cluster: string) => Metadata | undefined;
  /** Whether a connection manager without any access log writes the default JSON line to standard output. */
  readonly defaultLog: boolean;
}

/** Compiles a configured format to whole lines. `undefined` is Envoy's default text. */
export function compileLogFormat(format: LogFormat | undefined, options: FormatOptions = {}): Compiled {
  if (format === undefined) return compileFormat(DEFAULT_FORMAT, options);
  const wanted = { ...options, omitEmpty: format.omitEmptyValues };
  if (format.kind === 'text') return compileFormat(format.text, wanted);
  const compiled = compileJsonFormat(format.json, wanted);
  if ('error' in compiled) return compiled;
  const { format: write } = compiled;
  return { format: (info, extra) => `${write(info, extra)}\n` };
}

class FormattedLogger implements AccessLogger {
  private readonly passes: LogPredicate;
  private readonly write: (info: StreamInfo) => string;
  private readonly sink: SinkKey;
  private readonly queue: LineQueue;

  constructor(passes: LogPredicate, write: (info: StreamInfo) => string, sink: SinkKey, queue: LineQueue) {
    this.passes = passes;
    this.write = write;
    this.sink = sink;
    this.queue = queue;
  }

  log(info: StreamInfo): void {
    if (this.passes(info)) this.queue.push(this.sink, this.write(info));
  }
}

export class LoggerFactory implements AccessLogFactory {
  private readonly options: LoggerFactoryOptions;

  constructor(options: LoggerFactoryOptions) {
    this.options = options;
  }

  /**
   * The loggers of one connection manager, TCP proxy or listener. Decoders refuse bad formats before; what slips
   * through throws a `ProxyError` `access-log-invalid`.
   */
  create(logs: readonly AccessLog[]): readonly AccessLogger[] {
    const { options } = this;
    if (logs.length === 0) {
      return options.defaultLog ? [new FormattedLogger(() => true, defaultLine, 'stdout', options.queue)] : [];
    }
    const loggers: AccessLogger[] = [];
    for (const log of logs) {
      if (log.sink.kind === 'otel') continue;
      const compiled = compileLogFormat(log.sink.format, { clusterMetadata: options.clusterMetadata });
      if ('error' in compiled)
        throw new ProxyError('access-log-invalid', `access log "${log.name}": ${compiled.error}`);
      const sink = log.sink.kind === 'file' ? fileSink(log.sink.path) : log.sink.kind;
      loggers.push(new FormattedLogger(compileFilter(log.filter, options), compiled.format, sink, options.queue));
    }
    return loggers;
  }
}

/** Envoy's configurations often name the standard streams as files. */
function fileSink(path: string): SinkKey {
  if (path === '/dev/stdout') return 'stdout';
  return path === '/dev/stderr' ? 'stderr' : `file:${path}`;
}
