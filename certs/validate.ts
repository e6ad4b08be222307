/** Is this material fit for use? Reasons never hold content: they end in logs and in NACKs. */
import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import type { CertificateMaterial, TrustMaterial } from './material.ts';
import { mustStaple, readStaple } from './staple.ts';
import { buildSecureContext, parseCertificates } from './tls-context.ts';

/** Why a chain and key cannot be used, `undefined` when they can. An expired certificate is usable: the other side decides. */
export function certificateError(certificate: CertificateMaterial): string | undefined {
  if (certificate.chain.trim() === '') return 'the certificate chain is empty';
  if (certificate.key.trim() === '') return 'the private key is empty';
  let chain: X509Certificate[];
  try {
    chain = parseCertificates(certificate.chain);
  } catch (error) {
    return `the certificate chain does not parse: ${reason(error)}`;
  }
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: certificate.key, passphrase: certificate.password ?? '' });
  } catch (error) {
    return `the private key does not parse: ${reason(error)}`;
  }
  const [leaf] = chain;
  if (leaf?.checkPrivateKey(key) !== true) return 'the private key does not belong to the certificate';
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'secp256k1') {
    return 'the private key is on secp256k1: use P-256';
  }
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && bits < 2048) return `the private key has ${bits} bits: RSA needs 2048 or more`;
  return stapleError(leaf, certificate.ocspStaple) ?? contextError({ certificate, trust: undefined });
}

function stapleError(leaf: X509Certificate, staple: string | undefined): string | undefined {
  try {
    if (staple !== undefined) readStaple(Buffer.from(staple, 'base64'), leaf);
    else if (mustStaple(leaf)) return 'the certificate must be stapled (RFC 7633) and there is no OCSP response';
    return undefined;
  } catch (error) {
    return reason(error);
  }
}

/** Why a trust bundle or revocation list cannot be used, `undefined` when it can. */
export function trustError(trust: TrustMaterial): string | undefined {
  if (trust.trustedCa?.trim() === '') return 'the trusted CA is empty';
  if (trust.trustedCa !== undefined) {
    try {
      parseCertificates(trust.trustedCa);
    } catch (error) {
      return `the trusted CA does not parse: ${reason(error)}`;
    }
  }
  for (const { name, authorities } of trust.domains ?? []) {
    try {
      parseCertificates(authorities);
    } catch (error) {
      return `the bundle of trust domain "${name}" does not parse: ${reason(error)}`;
    }
  }
  return contextError({ certificate: undefined, trust });
}

function contextError(material: {
  readonly certificate: CertificateMaterial | undefined;
  readonly trust: TrustMaterial | undefined;
}): string | undefined {
  try {
    buildSecureContext({
      certificates: material.certificate === undefined ? [] : [material.certificate],
      trust: material.trust,
      minVersion: undefined,
      maxVersion: undefined,
      cipherSuites: [],
      ecdhCurves: [],
      signatureAlgorithms: [],
      sessionTickets: true,
      sessionTimeoutMs: undefined,
      allowRenegotiation: false,
    });
    return undefined;
  } catch (error) {
    return `OpenSSL refuses it: ${reason(error)}`;
  }
}

/** OpenSSL's words; they name formats and functions, not the bytes they were given. */
function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
