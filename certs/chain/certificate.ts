/** The parts of a certificate that verification asks for and Node does not tell (RFC 5280 §4.1, §4.2). */
import type { X509Certificate } from 'node:crypto';
import { Oid } from '../oids.ts';
import {
  children,
  contentOf,
  contextTag,
  type Element,
  elementAt,
  malformed,
  oidOf,
  parse,
  Tag,
  wholeOf,
} from './der-reader.ts';

export interface Extension {
  readonly id: string;
  readonly critical: boolean;
  /** DER of its value. */
  readonly value: Buffer;
}

/** Bits of key usage (RFC 5280 §4.2.1.3), as a mask with bit 0 lowest. */
export const Usage = { digitalSignature: 1 << 0, keyCertSign: 1 << 5, crlSign: 1 << 6 } as const;

export interface Certificate {
  readonly x509: X509Certificate;
  /** DER of the names. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly serial: Buffer;
  readonly signatureAlgorithm: string;
  readonly extensions: readonly Extension[];
  /** `undefined`: the extension is not there. */
  readonly keyUsage: number | undefined;
  readonly pathLength: number | undefined;
}

/** Reads it. Throws `RangeError` when it is malformed, or when an extension comes twice. */
export function readCertificate(x509: X509Certificate): Certificate {
  const [body] = children(parse(x509.raw));
  if (body === undefined) throw malformed();
  const parts = children(body);
  // the version is absent in v1
  if (parts[0]?.tag === contextTag(0)) parts.shift();
  const [serial, algorithm, issuer, , subject] = parts;
  if (serial === undefined || algorithm === undefined || issuer === undefined || subject === undefined)
    throw malformed();
  const extensions = extensionsIn(parts.find(({ tag }) => tag === contextTag(3)));
  const constraints = valueIn(extensions, Oid.basicConstraints);
  return {
    x509,
    issuer: wholeOf(issuer),
    subject: wholeOf(subject),
    serial: contentOf(serial),
    signatureAlgorithm: algorithmOf(algorithm),
    extensions,
    keyUsage: usageOf(valueIn(extensions, Oid.keyUsage)),
    pathLength: constraints === undefined ? undefined : pathLengthOf(constraints),
  };
}

const usages = new WeakMap<X509Certificate, { readonly usage: number | undefined }>();

/** Key usage alone, `undefined` where there is none: of every peer, so nothing else is read, and once an object. */
export function keyUsageOf(x509: X509Certificate): number | undefined {
  let known = usages.get(x509);
  if (known === undefined) {
    known = { usage: usageOf(extensionValue(x509.raw, Oid.keyUsage)) };
    usages.set(x509, known);
  }
  return known.usage;
}

/** The value of one extension. Throws `RangeError` when the certificate is malformed. */
export function extensionValue(der: Buffer, id: string): Buffer | undefined {
  const { start, end } = parse(der);
  const body = elementAt(der, start, end);
  for (let at = body.start; at < body.end; ) {
    const part = elementAt(der, at, body.end);
    if (part.tag === contextTag(3)) return valueIn(extensionsIn(part), id);
    at = part.end;
  }
  return undefined;
}

export function valueIn(extensions: readonly Extension[], id: string): Buffer | undefined {
  return extensions.find((one) => one.id === id)?.value;
}

/** `AlgorithmIdentifier`'s id. */
export function algorithmOf(element: Element): string {
  const [id] = children(element);
  if (id === undefined) throw malformed();
  return oidOf(id);
}

/** Extensions of a certificate or revocation list, below their `[n]`. */
export function extensionsIn(wrapped: Element | undefined): Extension[] {
  if (wrapped === undefined) return [];
  const [list] = children(wrapped);
  if (list === undefined) throw malformed();
  const found = children(list).map((one): Extension => {
    const parts = children(one);
    const [id] = parts;
    const value = parts.at(-1);
    if (id === undefined || value?.tag !== Tag.octetString) throw malformed();
    const flag = parts.length === 3 ? parts[1] : undefined;
    return { id: oidOf(id), critical: flag !== undefined && flag.bytes[flag.start] !== 0, value: contentOf(value) };
  });
  // two of a kind: readers could pick either (RFC 5280 §4.2)
  if (new Set(found.map(({ id }) => id)).size !== found.length) throw malformed();
  return found;
}

function usageOf(value: Buffer | undefined): number | undefined {
  if (value === undefined) return undefined;
  const { bytes, start, end, tag } = parse(value);
  if (tag !== Tag.bitString || end - start < 1) throw malformed();
  let mask = 0;
  // the first content octet counts unused bits; the usages we know are in the second
  for (let bit = 0; bit < 8 && start + 1 < end; bit++) {
    if (((bytes[start + 1] as number) & (0x80 >> bit)) !== 0) mask |= 1 << bit;
  }
  return mask;
}

function pathLengthOf(value: Buffer): number | undefined {
  const limit = children(parse(value)).find(({ tag }) => tag === Tag.integer);
  if (limit === undefined) return undefined;
  const bytes = contentOf(limit);
  if (bytes.length === 0 || ((bytes[0] as number) & 0x80) !== 0) throw malformed();
  // longer than any chain there is
  return bytes.length > 2 ? 0xffff : bytes.readUIntBE(0, bytes.length);
}
