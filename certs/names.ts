/** X.509 names and extensions that requests and certificates share (RFC 5280 §4.2). */
import { isIP } from 'node:net';
import {
  boolean,
  bytesOf,
  children,
  decode,
  encode,
  explicit,
  implicit,
  type Node,
  octets,
  oid,
  oidOf,
  sequence,
  set,
  utf8,
} from './der.ts';
import { Oid } from './oids.ts';

export { Oid };

/** What a certificate is for: its subject alternative names. */
export interface SubjectNames {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  /** IPv4 or IPv6 in text. */
  readonly ips: readonly string[];
}

/** GeneralName choices (RFC 5280 §4.2.1.6). */
const GENERAL = { dns: 2, uri: 6, ip: 7 };

/** `[3]` of a TBSCertificate (RFC 5280 §4.1). */
const EXTENSIONS = 3;

/** `O=..., CN=...`; an empty name where both are `undefined`. */
export function distinguishedName(organization: string | undefined, commonName: string | undefined): Node {
  const parts: Node[] = [];
  if (organization !== undefined) parts.push(set(sequence(oid(Oid.organization), utf8(organization))));
  if (commonName !== undefined) parts.push(set(sequence(oid(Oid.commonName), utf8(commonName))));
  return sequence(...parts);
}

export function extension(id: string, critical: boolean, value: Node): Node {
  return critical ? sequence(oid(id), boolean(true), octets(encode(value))) : sequence(oid(id), octets(encode(value)));
}

export function subjectAltName(names: SubjectNames, critical: boolean): Node {
  return extension(
    Oid.subjectAltName,
    critical,
    sequence(
      ...names.uris.map((uri) => implicit(GENERAL.uri, Buffer.from(uri, 'latin1'))),
      ...names.dnsNames.map((name) => implicit(GENERAL.dns, Buffer.from(name, 'latin1'))),
      ...names.ips.map((ip) => implicit(GENERAL.ip, ipBytes(ip))),
    ),
  );
}

export function hasNames(names: SubjectNames): boolean {
  return names.uris.length + names.dnsNames.length + names.ips.length > 0;
}

/** Names of a decoded GeneralNames sequence; kinds not listed in `SubjectNames` are left out. */
export function readGeneralNames(general: Node): SubjectNames {
  const uris: string[] = [];
  const dnsNames: string[] = [];
  const ips: string[] = [];
  for (const name of children(general)) {
    const bytes = bytesOf(name);
    if (bytes === undefined) continue;
    if (name.type === GENERAL.uri) uris.push(bytes.toString('latin1'));
    else if (name.type === GENERAL.dns) dnsNames.push(bytes.toString('latin1'));
    else if (name.type === GENERAL.ip) ips.push(ipText(bytes));
  }
  return { uris, dnsNames, ips };
}

/** The subject alternative names of a certificate in DER. Throws when it is not strict DER. */
export function namesInCertificate(der: Buffer): SubjectNames {
  const value = extensionValue(der, Oid.subjectAltName);
  return value === undefined ? { uris: [], dnsNames: [], ips: [] } : readGeneralNames(decode(value));
}

/** What a certificate in DER has under an extension's id, still in DER. Throws when the certificate is not strict DER. */
export function extensionValue(der: Buffer, id: string): Buffer | undefined {
  const [body] = children(decode(der));
  const { tagClass, type } = explicit(EXTENSIONS);
  for (const part of children(body)) {
    if (part.tagClass !== tagClass || part.type !== type) continue;
    for (const one of children(children(part)[0])) {
      const parts = children(one);
      if (oidOf(parts[0]) === id) return bytesOf(parts[parts.length - 1]);
    }
  }
  return undefined;
}

function ipText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups: string[] = [];
  for (let i = 0; i + 1 < bytes.length; i += 2) groups.push(bytes.readUInt16BE(i).toString(16));
  return groups.join(':');
}

function ipBytes(text: string): Buffer {
  const family = isIP(text);
  if (family === 0) throw new Error(`"${text}" is not an IP address`);
  if (family === 4) return Buffer.from(text.split('.').map(Number));
  const [head = '', tail] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const bytes = Buffer.alloc(16);
  [...left, ...Array<string>(zeros).fill('0'), ...right].forEach((group, i) => {
    bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2);
  });
  return bytes;
}
