/**
 * Whether trust that has changed still lets in a peer that older trust let in. OpenSSL has verified its chain; what is asked
 * here is only whether the chain still leads to an anchor. In doubt the answer is no: the connection ends without loss, and
 * OpenSSL judges the next one.
 */
import { createHash, type X509Certificate } from 'node:crypto';
import { parseCertificates } from '../../certs/tls-context.ts';
import type { TrustSecret } from './secret-table.ts';

/** Certificates of a chain at most, as OpenSSL. */
const MAX_DEPTH = 100;

interface Anchors {
  readonly certificates: readonly X509Certificate[];
  readonly fingerprints: ReadonlySet<string>;
  /** Everything but the bundle, hashed: what else may turn a peer away. */
  readonly rest: string;
}

// parsed at the first change that concerns somebody, which is after most bundles are gone again
const parsed = new WeakMap<TrustSecret, Anchors>();

function anchorsOf(secret: TrustSecret): Anchors {
  let anchors = parsed.get(secret);
  if (anchors === undefined) {
    const { trustedCa, ...others } = secret.trust;
    const certificates = trustedCa === undefined ? [] : parseCertificates(trustedCa);
    anchors = {
      certificates,
      fingerprints: new Set(certificates.map(({ fingerprint256 }) => fingerprint256)),
      rest: createHash('sha256')
        .update(JSON.stringify([others, secret.rules]))
        .digest('base64'),
    };
    parsed.set(secret, anchors);
  }
  return anchors;
}

/** `next` lets in whomever `before` let in: it has the same anchors, and perhaps more. */
export function coversTrust(next: TrustSecret | undefined, before: TrustSecret | undefined): boolean {
  if (next === before) return true;
  if (next === undefined || before === undefined) return false;
  const [newer, older] = [anchorsOf(next), anchorsOf(before)];
  if (newer.rest !== older.rest) return false;
  for (const fingerprint of older.fingerprints) if (!newer.fingerprints.has(fingerprint)) return false;
  return true;
}

/**
 * The verdict on a chain that was good once, in OpenSSL's codes; `undefined`: it leads to an anchor. `now`: milliseconds since
 * the epoch. A chain that its peer did not send again (of a resumed session) is known by its leaf alone.
 */
export function chainVerdict(certificate: X509Certificate, trust: TrustSecret, now: number): string | undefined {
  // Revocation is OpenSSL's to judge.
  if (trust.trust.crl !== undefined) return 'UNABLE_TO_GET_CRL';
  const { certificates, fingerprints } = anchorsOf(trust);
  let current = certificate;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    // as in the handshake: what is in the bundle is an anchor, whoever signed it
    if (fingerprints.has(current.fingerprint256)) return undefined;
    const subject = current;
    if (certificates.some((anchor) => isIssuedBy(subject, anchor, now))) return undefined;
    const issuer = current.issuerCertificate;
    if (issuer === undefined || !isIssuedBy(current, issuer, now)) return 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY';
    current = issuer;
  }
  return 'CERT_CHAIN_TOO_LONG';
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate, now: number): boolean {
  return (
    certificate.checkIssued(issuer) &&
    issuer.ca &&
    issuer.validFromDate.getTime() <= now &&
    issuer.validToDate.getTime() >= now &&
    certificate.verify(issuer.publicKey)
  );
}
