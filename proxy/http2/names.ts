/**
 * Field names as objects: one for each name a thread has seen, with what the codec must know of it, so that a name is looked
 * at once and compared by pointer from then on. The table is bounded: names beyond it are made for the one field.
 */

/** What a codec does with a field beyond passing it on. */
export const NameKind = {
  Ordinary: 0,
  Method: 1,
  Path: 2,
  Scheme: 3,
  Authority: 4,
  Protocol: 5,
  Status: 6,
  /** Not a lower-case token, or a pseudo-field that nobody knows: a message with it is malformed (RFC 9113 §8.2.1, §8.3). */
  Invalid: 7,
  Host: 8,
  ContentLength: 9,
  /** Of an HTTP/1.1 connection: malformed here (RFC 9113 §8.2.2). */
  ConnectionSpecific: 10,
  Te: 11,
  Cookie: 12,
  Underscore: 13,
} as const;

export class FieldName {
  readonly text: string;
  readonly kind: number;
  /** A sender asked that it never get into a table, or it is known to carry secrets (RFC 7541 §7.1.3). */
  sensitive: boolean;

  constructor(text: string, kind: number) {
    this.text = text;
    this.kind = kind;
    this.sensitive = text === 'authorization' || text === 'proxy-authorization';
  }
}

const MAX_NAMES = 4096;
const LONGEST = 128;
const names = new Map<string, FieldName>();

/** The name of that text. */
export function fieldName(text: string): FieldName {
  const known = names.get(text);
  if (known !== undefined) return known;
  const kind = kindOf(text);
  if (names.size >= MAX_NAMES || text.length > LONGEST || kind === NameKind.Invalid) return new FieldName(text, kind);
  const made = new FieldName(internal(text), kind);
  names.set(made.text, made);
  return made;
}

/** The engine's own internalised string, so that equality is a pointer comparison: a property key is always one. */
function internal(name: string): string {
  return Object.keys({ [name]: 0 })[0] ?? name;
}

/** 1 for the bytes of a lower-case token (RFC 9110 §5.6.2). */
export const LOWER_TOKEN = new Uint8Array(256);
for (const c of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") LOWER_TOKEN[c.charCodeAt(0)] = 1;

function kindOf(text: string): number {
  switch (text) {
    case ':method':
      return NameKind.Method;
    case ':path':
      return NameKind.Path;
    case ':scheme':
      return NameKind.Scheme;
    case ':authority':
      return NameKind.Authority;
    case ':protocol':
      return NameKind.Protocol;
    case ':status':
      return NameKind.Status;
    case 'host':
      return NameKind.Host;
    case 'content-length':
      return NameKind.ContentLength;
    case 'connection':
    case 'keep-alive':
    case 'proxy-connection':
    case 'transfer-encoding':
    case 'upgrade':
      return NameKind.ConnectionSpecific;
    case 'te':
      return NameKind.Te;
    case 'cookie':
      return NameKind.Cookie;
    default:
      break;
  }
  let kind: number = text === '' ? NameKind.Invalid : NameKind.Ordinary;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (LOWER_TOKEN[code] !== 1) return NameKind.Invalid;
    if (code === 95) kind = NameKind.Underscore;
  }
  return kind;
}
