/** The verdict on a peer: chain, then pins, then names, in Envoy's order. Compiled once a generation. */
import { createHash, type X509Certificate } from 'node:crypto';
import { keyUsageOf, Usage } from '../../certs/chain/certificate.ts';
import { ChainCheck } from './chain-check.ts';
import type { TlsRefusal } from './contract.ts';
import { fingerprint } from './peer.ts';
import { compileSanMatches, hasExpectedSan, type SanMatcher, type Sans, sansOf } from './sans.ts';
import type { TrustSecret } from './secret-table.ts';
import type { ChainFault } from './verdict.ts';

export interface PeerToCheck {
  readonly certificate: X509Certificate | undefined;
  /** OpenSSL's, `undefined` when the chain is good. Asked only when it counts. */
  readonly verdict: () => ChainFault | undefined;
  /** A resumed session's chain was verified when the session began: its certificate may have expired since. */
  readonly resumed: boolean;
  readonly expectedSan: string | undefined;
  readonly certificateRequired: boolean;
  /** Told of what is wrong with a peer that is let in all the same (ACCEPT_UNTRUSTED). */
  readonly tolerated?: (fault: TlsRefusal) => void;
}

export interface Validator {
  /** True when a pass means that the chain was verified. */
  readonly validates: boolean;
  /** True when a pass of which no fault was told means that the peer is whom it shows: by its chain, or by a pin. */
  readonly identifies: boolean;
  check(peer: PeerToCheck): TlsRefusal | undefined;
}

export interface ExpectedPeer {
  /** Which side the peer is on: its certificate has to be good for that. */
  readonly role: 'client' | 'server';
  /** RSA keys, too, must be for signatures by their certificate's key usage; others always must. */
  readonly enforceRsaKeyUsage: boolean;
  /** The name that a connection was meant for counts in the place of the configured ones (auto_sni_san_validation). */
  readonly expectedSanAlone?: boolean;
}

const MAX_LISTED_SANS = 10;
const MAX_SAN_CHARACTERS = 256;

const NO_CERTIFICATE: TlsRefusal = {
  stat: 'fail_verify_no_cert',
  message: 'TLS_error: peer did not return a certificate',
};
const NO_SIGNATURES: TlsRefusal = {
  stat: 'connection_error',
  message: "the certificate's key usage does not include digital signatures",
};

/** `now`: milliseconds since the epoch. Throws when a SAN regex is not RE2's, or material does not parse. */
export function compileValidator(
  secret: TrustSecret | undefined,
  expected: ExpectedPeer,
  now: () => number,
): Validator {
  if (secret === undefined) return new OpenValidator(expected);
  const strict = new StrictValidator(secret, expected, now);
  return secret.rules.trustChain === 'accept-untrusted' ? new LenientValidator(strict, expected) : strict;
}

/** ACCEPT_UNTRUSTED: judges as strictly, lets in, and says what it found. */
class LenientValidator implements Validator {
  readonly validates = false;
  readonly identifies: boolean;
  readonly #strict: StrictValidator;
  readonly #expected: ExpectedPeer;

  constructor(strict: StrictValidator, expected: ExpectedPeer) {
    this.#strict = strict;
    this.#expected = expected;
    this.identifies = strict.identifies;
  }

  check(peer: PeerToCheck): TlsRefusal | undefined {
    const { certificate, certificateRequired, tolerated } = peer;
    if (certificate === undefined) return certificateRequired ? NO_CERTIFICATE : undefined;
    const usage = usageRefusal(certificate, this.#expected);
    if (usage !== undefined) return usage;
    const fault = this.#strict.check(peer);
    if (fault !== undefined) tolerated?.(fault);
    return undefined;
  }
}

/** No validation is configured: any certificate passes, and none where none is required. */
class OpenValidator implements Validator {
  readonly validates = false;
  readonly identifies = false;
  readonly #expected: ExpectedPeer;

  constructor(expected: ExpectedPeer) {
    this.#expected = expected;
  }

  check({ certificate, certificateRequired }: PeerToCheck): TlsRefusal | undefined {
    if (certificate === undefined) return certificateRequired ? NO_CERTIFICATE : undefined;
    return usageRefusal(certificate, this.#expected);
  }
}

class StrictValidator implements Validator {
  readonly validates: boolean;
  readonly identifies: boolean;
  readonly #expected: ExpectedPeer;
  readonly #chain: ChainCheck;
  readonly #hashes: ReadonlySet<string>;
  readonly #spki: ReadonlySet<string>;
  readonly #sans: SanMatcher | undefined;

  constructor(secret: TrustSecret, expected: ExpectedPeer, now: () => number) {
    const { rules, trust } = secret;
    this.#expected = expected;
    this.#chain = new ChainCheck(secret, expected.role, now);
    this.#hashes = new Set(rules.certificateHashes);
    this.#spki = new Set(rules.spkiHashes);
    this.#sans = rules.sanMatches.length === 0 ? undefined : compileSanMatches(rules.sanMatches);
    // names say nothing about a certificate that nobody vouches for: they make the chain count even without a CA
    this.validates = trust.trustedCa !== undefined || rules.spiffe !== undefined || this.#sans !== undefined;
    this.identifies = this.validates || this.#hashes.size > 0 || this.#spki.size > 0;
  }

  check(peer: PeerToCheck): TlsRefusal | undefined {
    const { certificate } = peer;
    if (certificate === undefined) return peer.certificateRequired ? NO_CERTIFICATE : undefined;
    if (this.validates || peer.expectedSan !== undefined) {
      const fault = this.#chain.fault(certificate, peer.verdict(), peer.resumed);
      if (fault !== undefined) return { stat: 'fail_verify_error', message: `verify cert failed: ${fault}` };
    }
    if (!this.#pinned(certificate)) {
      return { stat: 'fail_verify_cert_hash', message: 'verify cert failed: cert hash and spki' };
    }
    const names =
      this.#sans === undefined && peer.expectedSan === undefined
        ? undefined
        : this.#names(sansOf(certificate), peer.expectedSan);
    return names ?? usageRefusal(certificate, this.#expected);
  }

  #pinned(certificate: X509Certificate): boolean {
    if (this.#hashes.size === 0 && this.#spki.size === 0) return true;
    return this.#hashes.has(fingerprint(certificate)) || (this.#spki.size > 0 && this.#spki.has(spkiHash(certificate)));
  }

  #names(sans: Sans, expected: string | undefined): TlsRefusal | undefined {
    const replaced = expected !== undefined && this.#expected.expectedSanAlone === true;
    if (this.#sans !== undefined && !replaced && !this.#sans(sans)) {
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

/** OpenSSL lets a key sign the handshake that its certificate says is not for that; BoringSSL does not, but for servers' RSA keys where nobody asks. */
function usageRefusal(certificate: X509Certificate, { enforceRsaKeyUsage }: ExpectedPeer): TlsRefusal | undefined {
  let usage: number | undefined;
  try {
    usage = keyUsageOf(certificate);
  } catch (error) {
    if (error instanceof RangeError)
      return { stat: 'fail_verify_error', message: 'verify cert failed: malformed certificate' };
    throw error;
  }
  if (usage === undefined || (usage & Usage.digitalSignature) !== 0) return undefined;
  return !enforceRsaKeyUsage && certificate.publicKey.asymmetricKeyType === 'rsa' ? undefined : NO_SIGNATURES;
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
