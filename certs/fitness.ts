/** Is what a source sent an identity that a workload can show? Everything is asked before anybody is given it. */
import type { X509Certificate } from 'node:crypto';
import { parseSpiffeId } from './identity.ts';
import type { CertificateMaterial } from './material.ts';
import { namesInCertificate, type SubjectNames } from './names.ts';
import type { Validity } from './rotation.ts';
import { type IdentityCertificate, UnfitIdentity } from './source/contract.ts';
import { parseCertificates } from './tls-context.ts';
import { certificateError, trustError } from './validate.ts';

export interface Expectation {
  /** `undefined`: whatever it says, if it is one. */
  readonly spiffeId: string | undefined;
  /** PEM of the authorities that its chain has to end in. */
  readonly roots: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Clocks of authorities are ahead of ours by so much at most. */
const SKEW_MS = 60_000;

/**
 * The certificate as it is given on. Throws `UnfitIdentity`: it does not parse, its key is not the one that belongs to it, it
 * is for somebody else or for an authority, it has expired, or its chain does not end in the roots.
 */
export function fitCertificate(
  material: CertificateMaterial,
  expected: Expectation,
): Pick<IdentityCertificate, 'spiffeId' | 'material' | 'validity'> {
  const wrong = certificateError(material);
  if (wrong !== undefined) throw new UnfitIdentity(wrong);
  const [leaf, ...others] = parseCertificates(material.chain);
  if (leaf === undefined) throw new UnfitIdentity('there is no certificate');
  if (leaf.ca) throw new UnfitIdentity('the certificate is that of an authority');
  const spiffeId = identityOf(leaf, expected.spiffeId);
  const validity = validityOf(leaf);
  if (validity.notAfter <= expected.now) {
    throw new UnfitIdentity(`the certificate has expired at ${new Date(validity.notAfter).toISOString()} already`);
  }
  if (validity.notBefore > expected.now + SKEW_MS) {
    throw new UnfitIdentity(`the certificate is valid from ${new Date(validity.notBefore).toISOString()} only`);
  }
  const roots = fitBundle(expected.roots);
  if (!endsIn(leaf, others, roots)) {
    throw new UnfitIdentity('the chain of the certificate does not end in an authority that came with it');
  }
  return { spiffeId, material, validity };
}

/** The certificates of a bundle. Throws `UnfitIdentity`. */
export function fitBundle(pem: string): X509Certificate[] {
  const wrong = trustError({ trustedCa: pem, crl: undefined });
  if (wrong !== undefined) throw new UnfitIdentity(wrong);
  return parseCertificates(pem);
}

export function validityOf({ validFromDate, validToDate }: X509Certificate): Validity {
  return { notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() };
}

/** Throws `UnfitIdentity`: OpenSSL takes extensions that are no strict DER. */
export function namesOf(leaf: X509Certificate): SubjectNames {
  try {
    return namesInCertificate(leaf.raw);
  } catch (error) {
    throw new UnfitIdentity(
      `the certificate's names do not parse: ${error instanceof Error ? error.message : 'failed'}`,
    );
  }
}

/** X509-SVID §2: exactly one URI name, a SPIFFE id. */
function identityOf(leaf: X509Certificate, expected: string | undefined): string {
  const { uris } = namesOf(leaf);
  const [id, second] = uris;
  if (id === undefined) throw new UnfitIdentity('the certificate has no SPIFFE id');
  if (second !== undefined) throw new UnfitIdentity(`the certificate has ${uris.length} URI names, an SVID has one`);
  const parsed = parseSpiffeId(id);
  if ('error' in parsed) throw new UnfitIdentity(`the certificate: ${parsed.error}`);
  if (expected !== undefined && id !== expected) {
    throw new UnfitIdentity(`the certificate is for "${id}", not for "${expected}"`);
  }
  return id;
}

/** Each certificate is signed by the next one of the way; an anchor need not be self-signed. */
function endsIn(leaf: X509Certificate, others: readonly X509Certificate[], roots: readonly X509Certificate[]): boolean {
  let current = leaf;
  const left = new Set(others);
  for (;;) {
    const issues = (authority: X509Certificate): boolean =>
      current.checkIssued(authority) && current.verify(authority.publicKey);
    if (roots.some(issues)) return true;
    const next = [...left].find(issues);
    if (next === undefined) return false;
    left.delete(next);
    current = next;
  }
}
