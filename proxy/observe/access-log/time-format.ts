/** Times as Envoy's access log writes them: strftime, with `%f` and its like for fractions of a second. */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/** Milliseconds since the epoch, with fractions, to text. */
export type TimeFormat = (ms: number) => string;

interface Parts {
  readonly ms: number;
  readonly year: number;
  /** 0 to 11. */
  readonly month: number;
  readonly day: number;
  readonly weekday: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  /** East of Greenwich. */
  readonly offsetMinutes: number;
}

type Piece = (at: Parts) => string;

const two = (value: number): string => (value < 10 ? `0${value}` : String(value));
const hour12 = (hour: number): number => hour % 12 || 12;

/** Fraction of the second with `digits` digits, cut, not rounded. */
function fraction(ms: number, digits: number): string {
  // A double holds the epoch to about a quarter of a microsecond.
  const nanos = Math.min(999_999, Math.round((ms - Math.floor(ms / 1000) * 1000) * 1000)) * 1000;
  return String(nanos).padStart(9, '0').slice(0, digits);
}

function zone(minutes: number, colon: string): string {
  const distance = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(distance / 60))}${colon}${two(distance % 60)}`;
}

function dayOfYear(at: Parts): number {
  return Math.floor((Date.UTC(at.year, at.month, at.day) - Date.UTC(at.year, 0, 1)) / 86_400_000) + 1;
}

const SPECIFIERS: { readonly [letter: string]: Piece } = {
  a: (at) => (DAYS[at.weekday] as string).slice(0, 3),
  A: (at) => DAYS[at.weekday] as string,
  b: (at) => (MONTHS[at.month] as string).slice(0, 3),
  B: (at) => MONTHS[at.month] as string,
  C: (at) => two(Math.floor(at.year / 100)),
  d: (at) => two(at.day),
  e: (at) => String(at.day).padStart(2, ' '),
  f: (at) => fraction(at.ms, 9),
  h: (at) => (MONTHS[at.month] as string).slice(0, 3),
  H: (at) => two(at.hour),
  I: (at) => two(hour12(at.hour)),
  j: (at) => String(dayOfYear(at)).padStart(3, '0'),
  k: (at) => String(at.hour).padStart(2, ' '),
  l: (at) => String(hour12(at.hour)).padStart(2, ' '),
  m: (at) => two(at.month + 1),
  M: (at) => two(at.minute),
  n: () => '\n',
  p: (at) => (at.hour < 12 ? 'AM' : 'PM'),
  s: (at) => String(Math.floor(at.ms / 1000)),
  S: (at) => two(at.second),
  t: () => '\t',
  u: (at) => String(at.weekday || 7),
  w: (at) => String(at.weekday),
  y: (at) => two(at.year % 100),
  Y: (at) => String(at.year),
  z: (at) => zone(at.offsetMinutes, ''),
  Z: (at) => (at.offsetMinutes === 0 ? 'UTC' : zone(at.offsetMinutes, ':')),
  '%': () => '%',
};

const COMPOSED: { readonly [letter: string]: string } = {
  c: '%a %b %e %H:%M:%S %Y',
  D: '%m/%d/%y',
  F: '%Y-%m-%d',
  r: '%I:%M:%S %p',
  R: '%H:%M',
  T: '%H:%M:%S',
  x: '%m/%d/%y',
  X: '%H:%M:%S',
};

/** Compiles a format; `undefined` text is RFC 3339 with milliseconds. `error` names the specifier that is unknown. */
export function compileTime(text: string | undefined, local: boolean): TimeFormat | { readonly error: string } {
  if (text === undefined || text === '') {
    return local ? isoLocal : isoUtc();
  }
  const pieces: Piece[] = [];
  const error = parse(text, pieces);
  if (error !== undefined) return { error };
  return (ms) => {
    const at = local ? localParts(ms) : utcParts(ms);
    let out = '';
    for (const piece of pieces) out += piece(at);
    return out;
  };
}

function parse(text: string, pieces: Piece[]): string | undefined {
  const pattern = /%(?:E([1-9*])S|E([1-9])f|(E)z|([1-9])f|(.))|[^%]+|%$/gsu;
  for (const [whole, seconds, digits, wideZone, plainDigits, letter] of text.matchAll(pattern)) {
    if (seconds !== undefined) pieces.push((at) => secondsWith(at, seconds));
    else if (digits !== undefined || plainDigits !== undefined) {
      const count = Number(digits ?? plainDigits);
      pieces.push((at) => fraction(at.ms, count));
    } else if (wideZone !== undefined) pieces.push((at) => zone(at.offsetMinutes, ':'));
    else if (letter !== undefined) {
      const composed = COMPOSED[letter];
      if (composed !== undefined) parse(composed, pieces);
      else {
        const piece = SPECIFIERS[letter];
        if (piece === undefined) return `time specifier "%${letter}" is unknown`;
        pieces.push(piece);
      }
    } else pieces.push(() => whole);
  }
  return undefined;
}

function secondsWith(at: Parts, digits: string): string {
  if (digits !== '*') return `${two(at.second)}.${fraction(at.ms, Number(digits))}`;
  const rest = fraction(at.ms, 9).replace(/0+$/, '');
  return rest === '' ? two(at.second) : `${two(at.second)}.${rest}`;
}

function utcParts(ms: number): Parts {
  const date = new Date(ms);
  return {
    ms,
    year: date.getUTCFullYear(),
    month: date.getUTCMonth(),
    day: date.getUTCDate(),
    weekday: date.getUTCDay(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
    offsetMinutes: 0,
  };
}

function localParts(ms: number): Parts {
  const date = new Date(ms);
  return {
    ms,
    year: date.getFullYear(),
    month: date.getMonth(),
    day: date.getDate(),
    weekday: date.getDay(),
    hour: date.getHours(),
    minute: date.getMinutes(),
    second: date.getSeconds(),
    offsetMinutes: -date.getTimezoneOffset(),
  };
}

/** RFC 3339 with milliseconds. The lines of one second share all but the end. */
function isoUtc(): TimeFormat {
  let second = Number.NaN;
  let text = '';
  return (ms) => {
    const now = Math.floor(ms / 1000);
    if (now !== second) {
      second = now;
      text = new Date(now * 1000).toISOString().slice(0, -4);
    }
    const rest = Math.floor(ms) - now * 1000;
    return `${text}${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}Z`;
  };
}

function isoLocal(ms: number): string {
  const at = localParts(ms);
  const day = `${at.year}-${two(at.month + 1)}-${two(at.day)}`;
  return `${day}T${two(at.hour)}:${two(at.minute)}:${two(at.second)}.${fraction(ms, 3)}${zone(at.offsetMinutes, ':')}`;
}
