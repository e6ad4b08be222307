/** The verdict on a peer: chain by OpenSSL, then pins, then names, in Envoy's order. Compiled once a generation. */
import { createHash, type X509Certificate } from 'node:crypto';
import type { TlsRefusal } from './contract.ts';
import { fingerprint } from './peer.ts';
import { compileSanMatches, hasExpectedSan, type SanMatcher, type Sans, sansOf } from './sans.ts';
import type { TrustSecret } from './secret-table.ts';

export interface PeerToCheck {
  readonly certificate: X509Certificate | undefined;
  /** OpenSSL's code, `undefined` when the chain is good. Asked only when it counts. */
  readonly verdict: () => string | undefined;
  /** A resumed session's chain was verified when the session began: its certificate may have expired since. */
  readonly resumed: boolean;
  readonly expectedSan: string | undefined;
  readonly certificateRequired: boolean;
}

export interface Validator {
  /** True when a pass means that the chain was verified. */
  readonly validates: boolean;
  check(peer: PeerToCheck): TlsRefusal | undefined;
}

const MAX_LISTED_SANS = 10;
const MAX_SAN_CHARACTERS = 256;

const NO_CERTIFICATE: TlsRefusal = {
  stat: 'fail_verify_no_cert',
  message: 'TLS_error: peer did not return a certificate',
};

/** `now`: milliseconds since the epoch. Throws when a SAN regex is not RE2's. */
export function compileValidator(secret: TrustSecret | undefined, now: () => number): Validator {
  if (secret === undefined || secret.rules.trustChain === 'accept-untrusted') return new OpenValidator();
  return new StrictValidator(secret, now);
}

/** No validation is configured: any certificate passes, and none where none is required. */
class OpenValidator implements Validator {
  readonly validates = false;

  check(peer: PeerToCheck): TlsRefusal | undefined {
    return peer.certificateRequired && peer.certificate === undefined ? NO_CERTIFICATE : undefined;
  }
}

class StrictValidator implements Validator {
  readonly validates: boolean;
  readonly #hashes: ReadonlySet<string>;
  readonly #spki: ReadonlySet<string>;
  readonly #sans: SanMatcher | undefined;
  readonly #now: () => number;

  constructor(secret: TrustSecret, now: () => number) {
    const { rules, trust } = secret;
    this.#hashes = new Set(rules.certificateHashes);
    this.#spki = new Set(rules.spkiHashes);
    this.#sans = rules.sanMatches.length === 0 ? undefined : compileSanMatches(rules.sanMatches);
    this.#now = now;
    // names say nothing about a certificate that nobody vouches for: they make the chain count even without a CA
    this.validates = trust.trustedCa !== undefined || this.#sans !== undefined;
  }

  check(peer: PeerToCheck): TlsRefusal | undefined {
    const { certificate } = peer;
    if (certificate === undefined) return peer.certificateRequired ? NO_CERTIFICATE : undefined;
    if (this.validates || peer.expectedSan !== undefined) {
      const refusal = this.#chain(peer, certificate);
      if (refusal !== undefined) return refusal;
    }
    if (!this.#pinned(certificate)) {
      return { stat: 'fail_verify_cert_hash', message: 'verify cert failed: cert hash and spki' };
    }
    if (this.#sans === undefined && peer.expectedSan === undefined) return undefined;
    return this.#names(sansOf(certificate), peer.expectedSan);
  }

  #chain(peer: PeerToCheck, certificate: X509Certificate): TlsRefusal | undefined {
    const code = peer.verdict();
    if (code !== undefined) return { stat: 'fail_verify_error', message: `verify cert failed: ${code}` };
    // a session outlives the certificate that opened it; a connection must not
    if (peer.resumed && certificate.validToDate.getTime() < this.#now()) {
      return { stat: 'fail_verify_error', message: 'verify cert failed: CERT_HAS_EXPIRED (resumed session)' };
    }
    return undefined;
  }

  #pinned(certificate: X509Certificate): boolean {
    if (this.#hashes.size === 0 && this.#spki.size === 0) return true;
    return this.#hashes.has(fingerprint(certificate)) || (this.#spki.size > 0 && this.#spki.has(spkiHash(certificate)));
  }

  #names(sans: Sans, expected: string | undefined): TlsRefusal | undefined {
    if (this.#sans !== undefined && !this.#sans(sans)) {
      return {
        stat: 'fail_verify_san',
        message: `verify cert failed: SAN matcher, certificate SANs are ${listed(sans)}`,
      };
    }
    if (expected !== undefined && !hasExpectedSan(sans, expected)) {
      return {
        stat: 'fail_verify_san',
        message: `verify cert failed: no SAN is "${expected}", certificate SANs are ${listed(sans)}`,
      };
    }
    return undefined;
  }
}

/** `[spiffe://mesh.test/server, server.test]`, in Envoy's order; at most so many, because a stranger made the list. */
function listed({ uris, dnsNames, ips, emails }: Sans): string {
  const all = [...uris, ...dnsNames, ...ips, ...emails];
  const shown = all.slice(0, MAX_LISTED_SANS).map((san) => san.slice(0, MAX_SAN_CHARACTERS));
  return `[${shown.join(', ')}${all.length > shown.length ? ', ...' : ''}]`;
}

/** SHA-256 of the DER SubjectPublicKeyInfo, base64. */
export function spkiHash(certificate: X509Certificate): string {
  const der = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest('base64');
}
