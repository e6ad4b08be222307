/**
 * Envoy's command line. Every flag of Envoy's is taken, `--flag value` and `--flag=value`; those that have no meaning in
 * one process (hot restart, core dumps, ...) are accepted and kept for `/server_info`.
 */
import { parseArgs } from 'node:util';
import { flags } from './command-line-flags.ts';
import { usage } from './command-line-help.ts';
import { errorMessage } from './errors.ts';
import { type LogLevel, parseLogLevel } from './log.ts';
import { logComponents } from './log-components.ts';

export interface Options {
  readonly configPath: string | undefined;
  readonly configYaml: string | undefined;
  readonly mode: 'serve' | 'validate';
  /** Worker threads; 0 serves in the main thread. */
  readonly concurrency: number;
  readonly serviceNode: string;
  readonly serviceCluster: string;
  readonly serviceZone: string;
  readonly logLevel: LogLevel;
  readonly componentLogLevels: { readonly [component: string]: LogLevel };
  readonly logPath: string | undefined;
  /** undefined: JSON. */
  readonly logFormat: string | undefined;
  readonly logFormatEscaped: boolean;
  readonly drainTimeS: number;
  readonly drainStrategy: 'gradual' | 'immediate';
  readonly parentShutdownTimeS: number;
  readonly adminAddressPath: string | undefined;
  readonly localAddressIpVersion: 'v4' | 'v6';
  readonly fileFlushIntervalMs: number;
  readonly fileFlushMinSizeKb: number;
  readonly allowUnknownStaticFields: boolean;
  readonly rejectUnknownDynamicFields: boolean;
  readonly ignoreUnknownDynamicFields: boolean;
  readonly skipDeprecatedLogs: boolean;
  readonly disabledExtensions: readonly string[];
  /** Tags of every statistic, `--stats-tag name:value`. */
  readonly statsTags: readonly { readonly name: string; readonly value: string }[];
  /** Flags given that change nothing, without dashes: worth a line in the log. */
  readonly withoutEffect: readonly string[];
}

/** Run with the options, or print and leave. */
export type CommandLine =
  | { readonly kind: 'run'; readonly options: Options }
  | { readonly kind: 'exit'; readonly code: 0 | 1; readonly stdout: string; readonly stderr: string };

class UsageError extends Error {}

type Values = ReadonlyMap<string, readonly string[]>;

function read(argv: readonly string[]): Values {
  const values = new Map<string, string[]>();
  const options = Object.fromEntries(
    flags.map(({ name, short, kind }) => [
      name,
      { type: kind === 'switch' ? ('boolean' as const) : ('string' as const), ...(short ? { short } : {}) },
    ]),
  );
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true });
  for (const token of tokens) {
    if (token.kind === 'option-terminator') break;
    if (token.kind === 'positional')
      throw new UsageError(`${token.value}\n             Couldn't find match for argument`);
    const flag = flags.find(({ name }) => name === token.name);
    if (flag === undefined) throw new UsageError(`${token.rawName}\n             Couldn't find match for argument`);
    const shown = flag.short === undefined ? `(--${flag.name})` : `-${flag.short} (--${flag.name})`;
    if (flag.kind === 'switch' && token.value !== undefined) {
      throw new UsageError(`${shown}\n             Takes no value, and was given '${token.value}'`);
    }
    if (flag.kind !== 'switch' && token.value === undefined) {
      throw new UsageError(`${shown}\n             Missing a value for this argument!`);
    }
    const given = values.get(flag.name);
    if (given !== undefined && flag.kind !== 'list')
      throw new UsageError(`${shown}\n             Argument already set!`);
    if (flag.kind === 'number' && !/^\d{1,10}$/.test(token.value ?? '')) {
      throw new UsageError(`${shown}\n             Couldn't read argument value from string '${token.value}'`);
    }
    values.set(flag.name, [...(given ?? []), token.value ?? '']);
  }
  return values;
}

class OptionError extends Error {}

function level(text: string): LogLevel {
  const parsed = parseLogLevel(text);
  if (parsed === undefined) throw new OptionError(`error: invalid log level specified '${text}'`);
  return parsed;
}

function componentLevels(text: string): { [component: string]: LogLevel } {
  const levels: { [component: string]: LogLevel } = {};
  for (const entry of text.split(',').filter((part) => part !== '')) {
    const [name = '', value, ...rest] = entry.split(':');
    if (value === undefined || rest.length > 0) {
      throw new OptionError(`error: component log level not correctly specified '${entry}'`);
    }
    if (!logComponents.includes(name)) throw new OptionError(`error: invalid component specified '${name}'`);
    levels[name] = level(value);
  }
  return levels;
}

function statsTags(given: readonly string[]): { name: string; value: string }[] {
  const tags: { name: string; value: string }[] = [];
  for (const text of given) {
    const colon = text.indexOf(':');
    const name = text.slice(0, Math.max(colon, 0));
    const value = text.slice(colon + 1);
    if (colon < 1 || value === '') throw new OptionError(`error: misformatted stats-tag '${text}'`);
    if (!/^[A-Za-z0-9_]+$/.test(name) || value.includes('.')) {
      throw new OptionError(`error: misformatted stats-tag '${text}' contains invalid char in '${name}' or '${value}'`);
    }
    if (tags.some((tag) => tag.name === name)) {
      throw new OptionError(`error: stats-tag name '${name}' is given twice`);
    }
    tags.push({ name, value });
  }
  return tags;
}

function choice<T extends string>(text: string, choices: readonly T[], error: string): T {
  const found = choices.find((each) => each === text);
  if (found === undefined) throw new OptionError(`error: ${error} '${text}'`);
  return found;
}

function optionsOf(values: Values): Options {
  const text = (name: string): string => values.get(name)?.[0] ?? '';
  const optional = (name: string): string | undefined => text(name) || undefined;
  const number = (name: string, otherwise: number): number => (values.has(name) ? Number(text(name)) : otherwise);
  return {
    configPath: optional('config-path'),
    configYaml: optional('config-yaml'),
    mode: choice(text('mode') || 'serve', ['serve', 'validate'], 'unknown mode'),
    concurrency: number('concurrency', 1),
    serviceNode: text('service-node'),
    serviceCluster: text('service-cluster'),
    serviceZone: text('service-zone'),
    logLevel: level(text('log-level') || 'info'),
    componentLogLevels: componentLevels(text('component-log-level')),
    logPath: optional('log-path'),
    logFormat: optional('log-format'),
    logFormatEscaped: values.has('log-format-escaped'),
    drainTimeS: number('drain-time-s', 600),
    drainStrategy: choice(text('drain-strategy') || 'gradual', ['gradual', 'immediate'], 'unknown drain-strategy'),
    parentShutdownTimeS: number('parent-shutdown-time-s', 900),
    adminAddressPath: optional('admin-address-path'),
    localAddressIpVersion: choice(text('local-address-ip-version') || 'v4', ['v4', 'v6'], 'unknown IP address version'),
    fileFlushIntervalMs: number('file-flush-interval-msec', 10_000),
    fileFlushMinSizeKb: number('file-flush-min-size-kb', 64),
    allowUnknownStaticFields: values.has('allow-unknown-static-fields') || values.has('allow-unknown-fields'),
    rejectUnknownDynamicFields: values.has('reject-unknown-dynamic-fields'),
    ignoreUnknownDynamicFields: values.has('ignore-unknown-dynamic-fields'),
    skipDeprecatedLogs: values.has('skip-deprecated-logs'),
    disabledExtensions: text('disable-extensions').split(',').filter(Boolean),
    statsTags: statsTags(values.get('stats-tag') ?? []),
    withoutEffect: flags.filter((flag) => flag.effect === false && values.has(flag.name)).map((flag) => flag.name),
  };
}

function exit(code: 0 | 1, stdout: string, stderr = ''): CommandLine {
  return { kind: 'exit', code, stdout, stderr };
}

/** `argv` is what follows the program's name. Nothing is read or printed. */
export function parseCommandLine(argv: readonly string[], version: string): CommandLine {
  try {
    const values = read(argv);
    if (values.has('help')) return exit(0, usage());
    if (values.has('version')) return exit(0, `\ntollway  version: ${version}\n\n`);
    if (values.has('hot-restart-version')) return exit(0, 'disabled\n');
    return { kind: 'run', options: optionsOf(values) };
  } catch (error) {
    if (error instanceof UsageError) {
      return exit(1, '', `PARSE ERROR: Argument: ${error.message}\n\nFor the flags: tollway --help\n`);
    }
    return exit(1, '', `${errorMessage(error)}\n`);
  }
}
