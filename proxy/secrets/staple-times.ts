/** What may be shown of an OCSP staple. */
import type { CertificateMaterial } from '../../certs/material.ts';
import { readStaple } from '../../certs/staple.ts';
import { parseCertificates } from '../../certs/tls-context.ts';

/** Milliseconds since the epoch. */
export interface StapleTimes {
  readonly validFrom: number | undefined;
  readonly expiration: number | undefined;
}

/** Of material that was checked. */
export function stapleOf({ chain, ocspStaple }: CertificateMaterial): { readonly staple?: StapleTimes } {
  if (ocspStaple === undefined) return {};
  const [leaf] = parseCertificates(chain);
  if (leaf === undefined) return {};
  const { thisUpdate, nextUpdate } = readStaple(Buffer.from(ocspStaple, 'base64'), leaf);
  return { staple: { validFrom: thisUpdate, expiration: nextUpdate } };
}
