/** `--log-format`: spdlog's pattern syntax, as far as a process without source lines has something to say. */
import { threadId } from 'node:worker_threads';
import type { LogLevel, LogRecord } from './log.ts';

const initials: { readonly [level in LogLevel]: string } = {
  trace: 'T',
  debug: 'D',
  info: 'I',
  warning: 'W',
  error: 'E',
  critical: 'C',
  off: 'O',
};
const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function two(value: number): string {
  return String(value).padStart(2, '0');
}

/** The message with its fields behind it, `key=value`, in the order given. */
function payload({ message, fields }: LogRecord): string {
  const entries = Object.entries(fields);
  if (entries.length === 0) return message;
  return `${message} ${entries.map(([key, value]) => `${key}=${value}`).join(' ')}`;
}

function clock(date: Date): string {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function offset(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

const flags: { readonly [flag: string]: (record: LogRecord, date: Date) => string } = {
  v: payload,
  _: payload,
  // Envoy's own two: the message with line feeds escaped, and nothing else.
  j: (record) => JSON.stringify(payload(record)).slice(1, -1),
  n: (record) => record.component,
  l: (record) => record.level,
  L: (record) => initials[record.level],
  t: () => String(threadId),
  P: () => String(process.pid),
  Y: (_, date) => String(date.getFullYear()),
  y: (_, date) => two(date.getFullYear() % 100),
  C: (_, date) => two(date.getFullYear() % 100),
  m: (_, date) => two(date.getMonth() + 1),
  d: (_, date) => two(date.getDate()),
  H: (_, date) => two(date.getHours()),
  I: (_, date) => two(date.getHours() % 12 || 12),
  M: (_, date) => two(date.getMinutes()),
  S: (_, date) => two(date.getSeconds()),
  p: (_, date) => (date.getHours() < 12 ? 'AM' : 'PM'),
  e: (_, date) => String(date.getMilliseconds()).padStart(3, '0'),
  f: (_, date) => String(date.getMilliseconds() * 1000).padStart(6, '0'),
  F: (_, date) => String(date.getMilliseconds() * 1_000_000).padStart(9, '0'),
  E: (_, date) => String(Math.floor(date.getTime() / 1000)),
  T: (_, date) => clock(date),
  X: (_, date) => clock(date),
  R: (_, date) => `${two(date.getHours())}:${two(date.getMinutes())}`,
  D: (_, date) => `${two(date.getMonth() + 1)}/${two(date.getDate())}/${two(date.getFullYear() % 100)}`,
  x: (_, date) => `${two(date.getMonth() + 1)}/${two(date.getDate())}/${two(date.getFullYear() % 100)}`,
  a: (_, date) => days[date.getDay()] ?? '',
  b: (_, date) => months[date.getMonth()] ?? '',
  z: (_, date) => offset(date),
  // Source places and colour: nothing to say.
  g: () => '',
  s: () => '',
  '#': () => '0',
  '@': () => '',
  '!': () => '',
  '^': () => '',
  $: () => '',
  '%': () => '%',
};

/** Makes the formatter once; a flag that is unknown stays as it was written, as spdlog leaves it. */
export function logFormatter(pattern: string): (record: LogRecord) => string {
  const parts = [...pattern.matchAll(/%([-=]?\d*!?)(.)|[^%]+|%/gs)].map((match) => {
    const flag = match[2] === undefined ? undefined : flags[match[2]];
    if (flag === undefined || match[2] === undefined) return () => match[0];
    return padded(match[1] ?? '', flag);
  });
  return (record) => {
    const date = new Date(record.time);
    let text = '';
    for (const part of parts) text += part(record, date);
    return text;
  };
}

/** `%8l` aligns right, `%-8l` left, `%=8l` centred. */
function padded(
  spec: string,
  flag: (record: LogRecord, date: Date) => string,
): (record: LogRecord, date: Date) => string {
  const width = Number(/\d+/.exec(spec)?.[0] ?? 0);
  if (width === 0) return flag;
  return (record, date) => {
    const text = flag(record, date);
    if (spec.startsWith('-')) return text.padEnd(width);
    if (!spec.startsWith('=')) return text.padStart(width);
    const before = Math.floor((width - text.length) / 2);
    return text.padStart(text.length + Math.max(before, 0)).padEnd(width);
  };
}
