/** The messages that proto3 JSON writes in a way of their own, and the text forms of times. */

/** Seconds of the longest Duration, and of the Timestamps 0001-01-01 and 9999-12-31T23:59:59. */
const maxDuration = 315_576_000_000;
const minTimestamp = -62_135_596_800;
const maxTimestamp = 253_402_300_799;

export const wrappers: ReadonlySet<string> = new Set(
  ['Double', 'Float', 'Int64', 'UInt64', 'Int32', 'UInt32', 'Bool', 'String', 'Bytes'].map(
    (name) => `google.protobuf.${name}Value`,
  ),
);

const others: ReadonlySet<string> = new Set(
  ['Any', 'Duration', 'Timestamp', 'FieldMask', 'Struct', 'Value', 'ListValue'].map(
    (name) => `google.protobuf.${name}`,
  ),
);

/** Whether the type's JSON is not an object of its fields: inside an Any it stands under "value". */
export function hasOwnJson(type: string): boolean {
  return wrappers.has(type) || others.has(type);
}

export interface Time {
  readonly seconds: number;
  readonly nanos: number;
}

function fraction(digits: string | undefined): number {
  return digits === undefined ? 0 : Number(digits.padEnd(9, '0'));
}

/** `1.5s`, or undefined where the text is no duration or out of range. */
export function parseDuration(text: string): Time | undefined {
  const match = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(text);
  if (match === null) return undefined;
  const sign = match[1] === '-' ? -1 : 1;
  const seconds = Number(match[2]);
  if (seconds > maxDuration) return undefined;
  return { seconds: sign * seconds || 0, nanos: sign * fraction(match[3]) || 0 };
}

/** RFC 3339, or undefined where the text is no timestamp or out of range. */
export function parseTimestamp(text: string): Time | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return undefined;
  const seconds = Date.parse(`${match[1]}${match[3]}`) / 1000;
  if (!(seconds >= minTimestamp && seconds <= maxTimestamp)) return undefined;
  // Date.parse carries 30 February over into March.
  const day = new Date(Date.parse(`${match[1]}Z`)).toISOString().slice(0, 19);
  if (day !== match[1]) return undefined;
  return { seconds, nanos: fraction(match[2]) };
}

/** Three, six or nine digits, as protobuf prints them. */
function fractionText(nanos: number): string {
  if (nanos === 0) return '';
  const digits = String(nanos).padStart(9, '0');
  return `.${digits.replace(/(000){1,2}$/, '')}`;
}

export function formatDuration(seconds: number, nanos: number): string {
  const sign = seconds < 0 || nanos < 0 ? '-' : '';
  return `${sign}${Math.abs(seconds)}${fractionText(Math.abs(nanos))}s`;
}

/** RFC 3339 in UTC. A value outside the years 1 to 9999 is brought to the nearest that stands. */
export function formatTimestamp(seconds: number, nanos: number): string {
  const within = Math.min(Math.max(seconds, minTimestamp), maxTimestamp);
  const day = new Date(within * 1000).toISOString().slice(0, 19);
  return `${day}${fractionText(Math.min(Math.max(nanos, 0), 999_999_999))}Z`;
}

/** The full name in a type URL: what follows the last slash. */
export function typeOfUrl(url: string): string {
  return url.slice(url.lastIndexOf('/') + 1);
}

/** How deep messages may stand in one another, JSON and wire alike: protobuf's own limit. */
export const maxDepth = 100;
