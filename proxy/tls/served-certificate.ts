/** A certificate as a handshake shows it: read once a generation. */
import type { X509Certificate } from 'node:crypto';
import type { SecureContext, Server } from 'node:tls';
import type { CertificateMaterial } from '../../certs/material.ts';
import { mustStaple, readStaple } from '../../certs/staple.ts';
import { parseCertificates } from '../../certs/tls-context.ts';
import type { ServedCertificate } from './certificate-choice.ts';
import { localIdentity } from './peer.ts';
import { sansOf } from './sans.ts';
import { sessionHooks } from './session-hooks.ts';

/** `secureContext` holds this certificate alone. Throws when the staple is not the certificate's. */
export function servedCertificate(
  material: CertificateMaterial,
  secureContext: SecureContext,
  sessionIds: boolean,
  now: () => number,
): ServedCertificate {
  const chain = parseCertificates(material.chain);
  const [leaf] = chain;
  if (leaf === undefined) throw new Error('no PEM certificate found');
  const { ocspStaple } = material;
  let hooks: Server | undefined;
  const staple = ocspStaple === undefined ? undefined : readStaple(Buffer.from(ocspStaple, 'base64'), leaf);
  return {
    secureContext,
    local: localIdentity(leaf),
    endsAt: Math.min(...chain.map(({ validToDate }) => validToDate.getTime())),
    serverNames: serverNames(leaf),
    curve: leaf.publicKey.asymmetricKeyDetails?.namedCurve,
    staple,
    mustStaple: mustStaple(leaf),
    hooks: () => {
      hooks ??= sessionHooks(material, { staple, sessionIds, now });
      return hooks;
    },
  };
}

/** The common name counts only where there is no list of names at all (RFC 6125 §6.4.4). */
function serverNames(leaf: X509Certificate): string[] {
  if (leaf.subjectAltName !== undefined) return sansOf(leaf).dnsNames.map((name) => name.toLowerCase());
  const name = /^CN=(.+)$/m.exec(leaf.subject ?? '')?.[1];
  return name === undefined ? [] : [name.toLowerCase()];
}
