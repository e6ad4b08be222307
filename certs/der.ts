/**
 * Small words over node-forge's ASN.1, for building and reading requests and certificates. Binary strings are forge's way.
 * Of node-forge only ASN.1 is loaded, and only when it is first used: a proxy that neither asks for certificates nor
 * reads their extensions has no need of it.
 */
import { createRequire } from 'node:module';
import type forge from 'node-forge';

// forge takes options, its types know only `strict`; a bit string must stay bytes even where it looks like DER (signatures)
declare module 'node-forge' {
  namespace asn1 {
    function fromDer(
      bytes: Bytes,
      options: { readonly strict: boolean; readonly parseAllBytes: boolean; readonly decodeBitStrings: boolean },
    ): Asn1;
  }
}

export type Node = forge.asn1.Asn1;

const require = createRequire(import.meta.url);
let loaded: typeof forge.asn1 | undefined;

function asn1(): typeof forge.asn1 {
  loaded ??= require('node-forge/lib/asn1.js') as typeof forge.asn1;
  return loaded;
}

const UNIVERSAL = 0x00;
const CONTEXT = 0x80;

/** ASN.1 universal tags that are used here (X.680 §8.4). */
const Tag = { boolean: 1, integer: 2, bitString: 3, octetString: 4, null: 5, oid: 6, utf8: 12, sequence: 16, set: 17 };

function primitive(type: number, value: string): Node {
  return asn1().create(UNIVERSAL, type, false, value);
}

export const sequence = (...children: Node[]): Node => asn1().create(UNIVERSAL, Tag.sequence, true, children);
export const set = (...children: Node[]): Node => asn1().create(UNIVERSAL, Tag.set, true, children);
export const oid = (dotted: string): Node => primitive(Tag.oid, asn1().oidToDer(dotted).getBytes());
export const nothing = (): Node => primitive(Tag.null, '');
export const boolean = (value: boolean): Node => primitive(Tag.boolean, value ? '\xff' : '\x00');
export const utf8 = (text: string): Node => primitive(Tag.utf8, Buffer.from(text).toString('latin1'));
export const integer = (bytes: Buffer): Node => primitive(Tag.integer, bytes.toString('latin1'));
export const octets = (bytes: Buffer): Node => primitive(Tag.octetString, bytes.toString('latin1'));
/** `unused`: bits of the last byte that do not count. */
export const bits = (bytes: Buffer, unused = 0): Node =>
  primitive(Tag.bitString, String.fromCharCode(unused) + bytes.toString('latin1'));
/** `[n]` around children. */
export const explicit = (n: number, ...children: Node[]): Node => asn1().create(CONTEXT, n, true, children);
/** `[n]` in place of a primitive's own tag. */
export const implicit = (n: number, bytes: Buffer): Node => asn1().create(CONTEXT, n, false, bytes.toString('latin1'));

/** RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime after. `ms` since the epoch; seconds count. */
export function time(ms: number): Node {
  const date = new Date(ms);
  const late = date.getUTCFullYear() >= 2050;
  return primitive(late ? 24 : 23, late ? asn1().dateToGeneralizedTime(date) : asn1().dateToUtcTime(date));
}

/** OCSP knows no other (RFC 6960 §4.2.2.1). `ms` since the epoch; seconds count. */
export function generalizedTime(ms: number): Node {
  return primitive(24, asn1().dateToGeneralizedTime(new Date(ms)));
}

export function encode(node: Node): Buffer {
  return Buffer.from(asn1().toDer(node).getBytes(), 'latin1');
}

/** Throws when `der` is not strict DER. */
export function decode(der: Buffer): Node {
  return asn1().fromDer(der.toString('latin1'), { strict: true, parseAllBytes: true, decodeBitStrings: false });
}

/** The children of a constructed node, none of a primitive one. */
export function children(node: Node | undefined): readonly Node[] {
  return node !== undefined && Array.isArray(node.value) ? node.value : [];
}

/** The bytes of a primitive node, `undefined` of a constructed one. */
export function bytesOf(node: Node | undefined): Buffer | undefined {
  return node !== undefined && typeof node.value === 'string' ? Buffer.from(node.value, 'latin1') : undefined;
}

export function oidOf(node: Node | undefined): string | undefined {
  if (node === undefined || node.type !== Tag.oid || typeof node.value !== 'string') return undefined;
  return asn1().derToOid(node.value);
}

export function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** DER of the first PEM block with this label. Throws when there is none. */
export function fromPem(label: string, text: string): Buffer {
  const start = text.indexOf(`-----BEGIN ${label}-----`);
  const end = text.indexOf(`-----END ${label}-----`, start);
  if (start < 0 || end < 0) throw new Error(`no ${label} block found`);
  const body = text.slice(start + label.length + 16, end);
  return Buffer.from(body.replaceAll(/\s/g, ''), 'base64');
}
