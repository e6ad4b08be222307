/** OCSP staples as handshakes meet them. ASN.1 is loaded where a certificate has to do with one: few have. */
import type { X509Certificate } from 'node:crypto';
import { createRequire } from 'node:module';

export interface Staple {
  readonly der: Buffer;
  /** Milliseconds since the epoch: known to be good by then. */
  readonly thisUpdate: number | undefined;
  /** Milliseconds since the epoch; `undefined`: newer word is to be had at any time, and so this one is never valid. */
  readonly nextUpdate: number | undefined;
}

/** The id of the extension TLS features, 1.3.6.1.5.5.7.1.24, in DER. */
const TLS_FEATURES = Buffer.from('06082b06010505070118', 'hex');

function load(): typeof import('./ocsp.ts') {
  return createRequire(import.meta.url)('./ocsp.ts') as typeof import('./ocsp.ts');
}

/** `now`: milliseconds since the epoch. */
export function isValid({ nextUpdate }: Staple, now: number): boolean {
  return nextUpdate !== undefined && nextUpdate > now;
}

/** See ocsp.ts. */
export function readStaple(der: Buffer, certificate: X509Certificate): Staple {
  return load().readStaple(der, certificate);
}

/** RFC 7633: whoever asks for a staple must get one. */
export function mustStaple(certificate: X509Certificate): boolean {
  return certificate.raw.includes(TLS_FEATURES) && load().mustStaple(certificate);
}
