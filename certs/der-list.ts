/** Certificates in DER, one after the other, as the SPIFFE Workload API sends them. */
import { pem } from './der.ts';

const SEQUENCE = 0x30;

/** The outer structures. Throws when bytes are left over or missing (X.690 §8.1.3: definite lengths only). */
export function splitDer(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = lengthAt(bytes, at);
    if (bytes[at] !== SEQUENCE || length === undefined || at + length > bytes.length) {
      throw new Error(`byte ${at} of ${bytes.length} begins no whole DER structure`);
    }
    parts.push(bytes.subarray(at, at + length));
    at += length;
  }
  return parts;
}

/** PEM blocks of them. Throws when they are no DER structures. */
export function pemOfDer(label: string, bytes: Buffer): string {
  return splitDer(bytes)
    .map((der) => pem(label, der))
    .join('');
}

/** Of tag, length and content. */
function lengthAt(bytes: Buffer, at: number): number | undefined {
  const first = bytes[at + 1];
  if (first === undefined) return undefined;
  if (first < 0x80) return 2 + first;
  const size = first & 0x7f;
  if (size === 0 || size > 4 || at + 2 + size > bytes.length) return undefined;
  return 2 + size + bytes.readUIntBE(at + 2, size);
}
