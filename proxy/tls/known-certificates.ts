/**
 * Peers of a mesh are few and come back: what Node reads of a certificate it keeps with the object, so the same bytes are
 * given the same object. Only the reading is shared; every connection is judged anew.
 */
import type { X509Certificate } from 'node:crypto';

const MAX_CERTIFICATES = 512;
/** A stranger may send what it likes; what is larger is read each time. */
const MAX_BYTES = 4_096;

const known = new Map<string, X509Certificate>();

/** The object that is known for these bytes, or the one given. */
export function knownCertificate(certificate: X509Certificate | undefined): X509Certificate | undefined {
  if (certificate === undefined) return undefined;
  // what came with it hangs on the object, and the same certificate can come with another chain
  let key = '';
  for (let one: X509Certificate | undefined = certificate; one !== undefined; one = one.issuerCertificate) {
    key += one.raw.toString('latin1');
    if (key.length > MAX_BYTES) return certificate;
  }
  const before = known.get(key);
  if (before !== undefined) return before;
  // oldest first: those that are in use come back soon
  if (known.size >= MAX_CERTIFICATES) known.delete(known.keys().next().value ?? '');
  known.set(key, certificate);
  return certificate;
}
