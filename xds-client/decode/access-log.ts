/** Access logs: sinks, formats and filters. */
import type { MessageObject } from '../../protos/index.ts';
import type { AccessLog, AccessLogFilter, LogFormat } from '../model/access-log.ts';
import { decodeFractionalPercent, each, inside } from './common.ts';
import { type DecodeContext, type Extension, support } from './context.ts';
import { readDataSource } from './data.ts';
import { decodeExtension } from './extension.ts';
import { any, flag, has, message, messages, number, text, textOrNone, texts, word } from './fields.ts';
import { decodeHeaderMatch } from './matcher.ts';
import { structToJson } from './struct.ts';

const LOG = 'envoy.config.accesslog.v3';
const LOGGERS = 'envoy.extensions.access_loggers';

support(`${LOG}.AccessLog`, { acts: ['name', 'filter', 'typed_config'] });
support(`${LOG}.AccessLogFilter`, {
  acts: [
    'status_code_filter',
    'duration_filter',
    'not_health_check_filter',
    'traceable_filter',
    'runtime_filter',
    'and_filter',
    'or_filter',
    'header_filter',
    'response_flag_filter',
    'grpc_status_filter',
    'extension_filter',
  ],
  refused: {
    metadata_filter: 'log filters do not read dynamic metadata yet',
    log_type_filter: 'log filters do not tell log types apart yet',
  },
});
support(`${LOG}.StatusCodeFilter`, { acts: ['comparison'] });
support(`${LOG}.DurationFilter`, { acts: ['comparison'] });
support(`${LOG}.ComparisonFilter`, { acts: ['op', 'value'] });
support('envoy.config.core.v3.RuntimeUInt32', { acts: ['default_value', 'runtime_key'] });
support(`${LOG}.NotHealthCheckFilter`, { acts: [] });
support(`${LOG}.TraceableFilter`, { acts: [] });
support(`${LOG}.RuntimeFilter`, {
  acts: ['runtime_key', 'percent_sampled'],
  ignored: { use_independent_randomness: 'every line draws its own random number' },
});
support(`${LOG}.AndFilter`, { acts: ['filters'] });
support(`${LOG}.OrFilter`, { acts: ['filters'] });
support(`${LOG}.HeaderFilter`, { acts: ['header'] });
support(`${LOG}.ResponseFlagFilter`, { acts: ['flags'] });
support(`${LOG}.GrpcStatusFilter`, { acts: ['statuses', 'exclude'] });
support(`${LOG}.ExtensionFilter`, { acts: ['name', 'typed_config'] });
support(`${LOGGERS}.file.v3.FileAccessLog`, {
  acts: ['path', 'format', 'json_format', 'typed_json_format', 'log_format'],
});
support(`${LOGGERS}.stream.v3.StdoutAccessLog`, { acts: ['log_format'] });
support(`${LOGGERS}.stream.v3.StderrAccessLog`, { acts: ['log_format'] });
support('envoy.config.core.v3.SubstitutionFormatString', {
  acts: ['text_format', 'json_format', 'text_format_source', 'omit_empty_values', 'content_type'],
  ignored: {
    formatters: 'extra formatters are not built; their commands print as they stand',
    json_format_options: 'members keep the order they were given in',
  },
});

/** envoy SubstitutionFormatString. The content type is read by whoever needs it. */
export function decodeFormat(format: MessageObject, ctx: DecodeContext): LogFormat {
  const omitEmptyValues = flag(format, 'omit_empty_values');
  const json = message(format, 'json_format');
  if (json !== undefined) return sound({ kind: 'json', json: structToJson(json), omitEmptyValues }, 'json_format', ctx);
  const source = inside(format, 'text_format_source', ctx, (value) => readDataSource(value, ctx).toString());
  const field = source === undefined ? 'text_format' : 'text_format_source';
  return sound({ kind: 'text', text: source ?? text(format, 'text_format'), omitEmptyValues }, field, ctx);
}

function sound(format: LogFormat, field: string, ctx: DecodeContext): LogFormat {
  ctx.checked(ctx.checks.format(format), field);
  return format;
}

const COMPARISONS: { readonly [op: string]: 'eq' | 'ge' | 'le' | 'ne' } = { EQ: 'eq', GE: 'ge', LE: 'le', NE: 'ne' };

function decodeComparison(kind: 'status' | 'duration', filter: MessageObject): AccessLogFilter {
  const comparison = message(filter, 'comparison');
  const value = message(comparison, 'value');
  return {
    kind,
    op: COMPARISONS[word(comparison, 'op', 'EQ')] ?? 'eq',
    value: number(value, 'default_value'),
    runtimeKey: textOrNone(value, 'runtime_key'),
  };
}

function decodeFilters(kind: 'and' | 'or', of: MessageObject, ctx: DecodeContext): AccessLogFilter | undefined {
  const filters = each(of, 'filters', ctx, (filter) => decodeLogFilter(filter, ctx));
  // One that is left aside lets every line through, and so does the "or" it stands in.
  if (kind === 'or' && filters.includes(undefined)) return undefined;
  return { kind, filters: filters.filter((filter) => filter !== undefined) };
}

/** In the proto's order, 0 first. */
const GRPC_STATUSES = [
  'OK',
  'CANCELED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

type FilterDecoder = (filter: MessageObject, ctx: DecodeContext) => AccessLogFilter | undefined;

const FILTERS: { readonly [field: string]: FilterDecoder } = {
  status_code_filter: (filter) => decodeComparison('status', filter),
  duration_filter: (filter) => decodeComparison('duration', filter),
  not_health_check_filter: () => ({ kind: 'not-health-check' }),
  traceable_filter: () => ({ kind: 'traceable' }),
  runtime_filter: (filter) => ({
    kind: 'runtime',
    key: text(filter, 'runtime_key'),
    fraction: {
      ...decodeFractionalPercent(message(filter, 'percent_sampled')),
      runtimeKey: text(filter, 'runtime_key'),
    },
  }),
  and_filter: (filter, ctx) => decodeFilters('and', filter, ctx),
  or_filter: (filter, ctx) => decodeFilters('or', filter, ctx),
  header_filter: (filter, ctx) => ({
    kind: 'header',
    header: ctx.at('header', () => decodeHeaderMatch(message(filter, 'header') ?? {}, ctx)),
  }),
  response_flag_filter: (filter) => ({ kind: 'response-flag', flags: texts(filter, 'flags') }),
  grpc_status_filter: (filter) => ({
    kind: 'grpc-status',
    statuses: texts(filter, 'statuses').map((status) => GRPC_STATUSES.indexOf(status)),
    exclude: flag(filter, 'exclude'),
  }),
  extension_filter: (filter, ctx) => {
    const found = decodeExtension('access-log-filter', any(filter, 'typed_config'), text(filter, 'name'), ctx);
    return found.kind === 'acts' ? found.value : undefined;
  },
};

/** envoy AccessLogFilter; `undefined` where its extension is left aside, so that every line is written. */
export function decodeLogFilter(filter: MessageObject, ctx: DecodeContext): AccessLogFilter | undefined {
  for (const [field, decode] of Object.entries(FILTERS)) {
    const value = message(filter, field);
    if (value !== undefined) return ctx.at(field, () => decode(value, ctx));
  }
  if (Object.keys(filter).length === 0) ctx.error('a filter needs one of its kinds set');
  return undefined;
}

function decodeLogFormat(config: MessageObject, ctx: DecodeContext): LogFormat | undefined {
  return inside(config, 'log_format', ctx, (format) => decodeFormat(format, ctx));
}

/** The forms that were there before `log_format`. */
function decodeFileFormat(config: MessageObject, ctx: DecodeContext): LogFormat | undefined {
  if (has(config, 'format')) {
    const line = text(config, 'format');
    return line === '' ? undefined : sound({ kind: 'text', text: line, omitEmptyValues: false }, 'format', ctx);
  }
  for (const field of ['json_format', 'typed_json_format']) {
    const json = message(config, field);
    if (json !== undefined)
      return sound({ kind: 'json', json: structToJson(json), omitEmptyValues: false }, field, ctx);
  }
  return decodeLogFormat(config, ctx);
}

export const FILE_ACCESS_LOG: Extension<AccessLog['sink']> = {
  name: 'envoy.access_loggers.file',
  type: `${LOGGERS}.file.v3.FileAccessLog`,
  decode: (config, ctx) => {
    const path = text(config, 'path');
    const format = decodeFileFormat(config, ctx);
    if (path === '/dev/stdout') return { kind: 'stdout', format };
    if (path === '/dev/stderr') return { kind: 'stderr', format };
    return { kind: 'file', path, format };
  },
};

export const STDOUT_ACCESS_LOG: Extension<AccessLog['sink']> = {
  name: 'envoy.access_loggers.stdout',
  type: `${LOGGERS}.stream.v3.StdoutAccessLog`,
  decode: (config, ctx) => ({ kind: 'stdout', format: decodeLogFormat(config, ctx) }),
};

export const STDERR_ACCESS_LOG: Extension<AccessLog['sink']> = {
  name: 'envoy.access_loggers.stderr',
  type: `${LOGGERS}.stream.v3.StderrAccessLog`,
  decode: (config, ctx) => ({ kind: 'stderr', format: decodeLogFormat(config, ctx) }),
};

/** The access logs of a repeated field; those of a kind that is left aside are not in the list. */
export function decodeAccessLogs(of: MessageObject | undefined, field: string, ctx: DecodeContext): AccessLog[] {
  const logs: AccessLog[] = [];
  if (messages(of, field).length === 0) return logs;
  each(of, field, ctx, (log) => {
    const name = text(log, 'name');
    const filter = inside(log, 'filter', ctx, (value) => decodeLogFilter(value, ctx));
    const found = ctx.at('typed_config', () => decodeExtension('access-logger', any(log, 'typed_config'), name, ctx));
    if (found.kind === 'acts') logs.push({ name, filter, sink: found.value });
  });
  return logs;
}
