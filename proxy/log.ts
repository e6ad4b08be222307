/**
 * The process log: one logger a component, each with its level, so that a disabled line costs a comparison. The main
 * thread writes; a worker's log has the same face and posts its lines to the main thread. Fields are scalars by type,
 * and every text passes the mask.
 */
import { maskSecrets } from './observe/mask.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warning' | 'error' | 'critical' | 'off';

/** What may be logged beside a message: never a header map, a body or an error object. */
export interface LogFields {
  readonly [key: string]: string | number | boolean;
}

/** One line. `time` is milliseconds since the epoch. */
export interface LogRecord {
  readonly time: number;
  readonly level: LogLevel;
  readonly component: string;
  readonly message: string;
  readonly fields: LogFields;
}

export type LogSink = (record: LogRecord) => void;

export interface ComponentLog {
  /** Whether a line of that level is written: ask before making an expensive field. */
  enabled(level: LogLevel): boolean;
  trace(fields: LogFields, message: string): void;
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warning(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  critical(fields: LogFields, message: string): void;
}

export interface Log {
  /** The same object every time; keep it rather than ask for each line. */
  component(name: string): ComponentLog;
  /** Every component, and those to come. */
  setLevel(level: LogLevel): void;
  setComponentLevel(name: string, level: LogLevel): void;
  /** Component to level, sorted by name: for `/logging`. */
  levels(): ReadonlyMap<string, LogLevel>;
  /** Writes a line made elsewhere (a worker), where the component's level allows it. */
  write(record: LogRecord): void;
}

const severities: { readonly [level in LogLevel]: number } = {
  trace: 10,
  debug: 20,
  info: 30,
  warning: 40,
  error: 50,
  critical: 60,
  off: 100,
};

/** Names of fields whose value is a secret whatever it looks like. */
const secretField = /authorization|cookie|token|secret|password|private.?key|pem/i;

/** Thirteen digits. */
const smallestCard = 1e12;

/** `warn` is Envoy's other word for `warning`. Undefined where the text is no level. */
export function parseLogLevel(text: string): LogLevel | undefined {
  if (text === 'warn') return 'warning';
  return Object.hasOwn(severities, text) ? (text as LogLevel) : undefined;
}

function safeValue(key: string, value: string | number | boolean): string | number | boolean {
  if (typeof value === 'string') return secretField.test(key) ? '[masked]' : maskSecrets(value);
  if (typeof value !== 'number' || value < smallestCard) return value;
  const text = String(value);
  const masked = maskSecrets(text);
  return masked === text ? value : masked;
}

function safe(fields: LogFields): LogFields {
  const made: { [key: string]: string | number | boolean } = {};
  for (const [key, value] of Object.entries(fields)) made[key] = safeValue(key, value);
  return made;
}

class Component implements ComponentLog {
  level: LogLevel;
  private readonly name: string;
  private readonly sink: LogSink;
  private readonly now: () => number;

  constructor(name: string, level: LogLevel, sink: LogSink, now: () => number) {
    this.name = name;
    this.level = level;
    this.sink = sink;
    this.now = now;
  }

  enabled(level: LogLevel): boolean {
    return level !== 'off' && severities[level] >= severities[this.level];
  }

  trace(fields: LogFields, message: string): void {
    if (this.level === 'trace') this.line('trace', fields, message);
  }

  debug(fields: LogFields, message: string): void {
    if (this.level === 'trace' || this.level === 'debug') this.line('debug', fields, message);
  }

  info(fields: LogFields, message: string): void {
    if (severities[this.level] <= 30) this.line('info', fields, message);
  }

  warning(fields: LogFields, message: string): void {
    if (severities[this.level] <= 40) this.line('warning', fields, message);
  }

  error(fields: LogFields, message: string): void {
    if (severities[this.level] <= 50) this.line('error', fields, message);
  }

  critical(fields: LogFields, message: string): void {
    if (severities[this.level] <= 60) this.line('critical', fields, message);
  }

  line(level: LogLevel, fields: LogFields, message: string, time: number = this.now()): void {
    this.sink({ time, level, component: this.name, message: maskSecrets(message), fields: safe(fields) });
  }
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly componentLevels?: { readonly [component: string]: LogLevel };
  /** Components to list before they log: Envoy's names. */
  readonly components?: readonly string[];
  readonly sink: LogSink;
  readonly now?: () => number;
}

/** A log over any sink: `proxy/log-sink.ts` makes those that write; a worker's posts to the main thread. */
export function createLog(options: LogOptions): Log {
  const { sink, now = Date.now } = options;
  const components = new Map<string, Component>();
  const chosen = new Map<string, LogLevel>(Object.entries(options.componentLevels ?? {}));
  let level = options.level;
  const component = (name: string): Component => {
    let made = components.get(name);
    if (made === undefined) {
      made = new Component(name, chosen.get(name) ?? level, sink, now);
      components.set(name, made);
    }
    return made;
  };
  for (const name of options.components ?? []) component(name);
  return {
    component,
    setLevel(next) {
      level = next;
      chosen.clear();
      for (const each of components.values()) each.level = next;
    },
    setComponentLevel(name, next) {
      chosen.set(name, next);
      component(name).level = next;
    },
    levels: () =>
      new Map([...components].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, each]) => [name, each.level] as const)),
    write(record) {
      const each = component(record.component);
      if (each.enabled(record.level)) each.line(record.level, record.fields, record.message, record.time);
    },
  };
}
