/** Reads DER in place: a stranger's certificate may hold ten thousand names, and nothing is made of what nobody asks for. */

/** One element: its content lies in `bytes` from `start` to `end`. */
export interface Element {
  readonly bytes: Buffer;
  /** The identifier octet (X.690 §8.1.2): class, constructed bit, number. */
  readonly tag: number;
  /** Of the identifier. */
  readonly at: number;
  readonly start: number;
  readonly end: number;
}

export const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  sequence: 0x30,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const;

/** `[n]`, constructed or primitive. */
export const contextTag = (n: number, constructed = true): number => (constructed ? 0xa0 : 0x80) | n;

/** The element at `at`, which must end at `limit` or before. Throws `RangeError` on anything but definite, minimal DER. */
export function elementAt(bytes: Buffer, at: number, limit: number): Element {
  const tag = bytes[at];
  let length = bytes[at + 1];
  if (tag === undefined || length === undefined || (tag & 0x1f) === 0x1f) throw malformed();
  let start = at + 2;
  if (length >= 0x80) {
    const count = length & 0x7f;
    if (count === 0 || count > 4 || start + count > limit) throw malformed();
    length = bytes.readUIntBE(start, count);
    start += count;
    // DER takes the shortest form
    if (length < 0x80 || length < 2 ** (8 * (count - 1))) throw malformed();
  }
  const end = start + length;
  if (end > limit) throw malformed();
  return { bytes, tag, at, start, end };
}

/** The whole of `bytes`, with nothing behind. */
export function parse(bytes: Buffer): Element {
  const element = elementAt(bytes, 0, bytes.length);
  if (element.end !== bytes.length) throw malformed();
  return element;
}

export function children(element: Element): Element[] {
  const found: Element[] = [];
  for (let at = element.start; at < element.end; ) {
    const child = elementAt(element.bytes, at, element.end);
    found.push(child);
    at = child.end;
  }
  return found;
}

export const contentOf = ({ bytes, start, end }: Element): Buffer => bytes.subarray(start, end);
/** With identifier and length. */
export const wholeOf = ({ bytes, at, end }: Element): Buffer => bytes.subarray(at, end);

export function textOf({ bytes, start, end }: Element): string {
  return bytes.toString('latin1', start, end);
}

/** Dotted (X.690 §8.19). */
export function oidOf(element: Element): string {
  const parts: number[] = [];
  let value = 0;
  for (const byte of contentOf(element)) {
    value = value * 128 + (byte & 0x7f);
    if (!Number.isSafeInteger(value)) throw malformed();
    if (byte >= 0x80) continue;
    if (parts.length === 0)
      parts.push(Math.min(2, Math.floor(value / 40)), value - 40 * Math.min(2, Math.floor(value / 40)));
    else parts.push(value);
    value = 0;
  }
  return parts.join('.');
}

/** UTCTime or GeneralizedTime as RFC 5280 §4.1.2.5 has them. Milliseconds since the epoch. */
export function timeOf(element: Element): number {
  const text = textOf(element);
  const match = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  const years = match?.[1] ?? '';
  if (match === null || (years.length === 4) !== (element.tag === Tag.generalizedTime)) throw malformed();
  const short = Number(years);
  const year = years.length === 4 ? short : short + (short < 50 ? 2000 : 1900);
  const [month, day, hour, minute, second] = match.slice(2).map(Number);
  return Date.UTC(year, (month ?? 1) - 1, day, hour, minute, second);
}

export function malformed(): RangeError {
  return new RangeError('malformed DER');
}
