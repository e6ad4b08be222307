/** GeneralNames (RFC 5280 §4.2.1.6) read in place: subject alternative names, and the bases of name constraints. */
import type { X509Certificate } from 'node:crypto';
import { SocketAddress } from 'node:net';
import { Oid } from '../oids.ts';
import { extensionValue } from './certificate.ts';
import { children, contentOf, contextTag, type Element, elementAt, oidOf, parse, textOf } from './der-reader.ts';

export interface OtherName {
  /** Dotted. */
  readonly oid: string;
  readonly value: string;
}

export interface GeneralNames {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  /** In their shortest text. */
  readonly ips: readonly string[];
  readonly emails: readonly string[];
  readonly others: readonly OtherName[];
}

export const NO_NAMES: GeneralNames = { uris: [], dnsNames: [], ips: [], emails: [], others: [] };

const OTHER = contextTag(0);
const EMAIL = contextTag(1, false);
const DNS = contextTag(2, false);
const URI = contextTag(6, false);
const IP = contextTag(7, false);
/** UTF8String, PrintableString, TeletexString, IA5String, VisibleString: what Envoy turns to text as it stands. */
const TEXTS = new Set([0x0c, 0x13, 0x14, 0x16, 0x1a]);
/**
 * What ends in headers and logs. A name with other characters is left out: it matches nothing and is shown nowhere, and
 * a NUL or a line break in it can cut or forge nothing.
 */
const PRINTABLE = /^[\x20-\x7e]*$/;

/** Names of a certificate; none when it is malformed or has none. */
export function subjectNames(certificate: X509Certificate): GeneralNames {
  try {
    const value = extensionValue(certificate.raw, Oid.subjectAltName);
    return value === undefined ? NO_NAMES : readGeneralNames(parse(value));
  } catch {
    // Node has parsed the certificate, but its names need not be DER; nobody is anybody then
    return NO_NAMES;
  }
}

/** Throws `RangeError` when it is malformed. Kinds that nobody asks for are left out. */
export function readGeneralNames(list: Element): GeneralNames {
  const found = { uris: [] as string[], dnsNames: [] as string[], ips: [] as string[], emails: [] as string[] };
  const others: OtherName[] = [];
  for (let at = list.start; at < list.end; ) {
    const name = elementAt(list.bytes, at, list.end);
    at = name.end;
    if (name.tag === URI) keep(found.uris, name);
    else if (name.tag === DNS) keep(found.dnsNames, name);
    else if (name.tag === EMAIL) keep(found.emails, name);
    else if (name.tag === IP) {
      const ip = ipText(contentOf(name));
      if (ip !== undefined) found.ips.push(ip);
    } else if (name.tag === OTHER) {
      const other = otherName(name);
      if (other !== undefined) others.push(other);
    }
  }
  return { ...found, others };
}

function keep(names: string[], name: Element): void {
  const text = textOf(name);
  if (PRINTABLE.test(text)) names.push(text);
}

function otherName(name: Element): OtherName | undefined {
  const [id, wrapped] = children(name);
  const [value] = wrapped === undefined ? [] : children(wrapped);
  if (id === undefined || value === undefined || !TEXTS.has(value.tag)) return undefined;
  const text = contentOf(value).toString('utf8');
  return PRINTABLE.test(text) ? { oid: oidOf(id), value: text } : undefined;
}

function ipText(bytes: Buffer): string | undefined {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return undefined;
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}
