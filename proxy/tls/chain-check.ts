/**
 * Is the chain good? OpenSSL's verdict is enough for most configurations. Where it is not (it tells one fault of perhaps
 * several, not which authority a chain ends in, nor how long it is), the chain is verified once more by our own rules.
 */
import type { X509Certificate } from 'node:crypto';
import { keyUsageOf, Usage } from '../../certs/chain/certificate.ts';
import { type RevocationList, readRevocationLists } from '../../certs/chain/revocation.ts';
import { type ChainRules, chainFault, presentedChain } from '../../certs/chain/verify.ts';
import { parseSpiffeId } from '../../certs/identity.ts';
import type { TrustMaterial } from '../../certs/material.ts';
import { parseCertificates } from '../../certs/tls-context.ts';
import { sansOf } from './sans.ts';
import type { TrustSecret } from './secret-table.ts';
import type { ExpectedPeer } from './validator.ts';
import type { ChainFault } from './verdict.ts';

/** What `allow_expired_certificate` lets pass, when nothing else is wrong. */
const TIME_FAULTS: ReadonlySet<string> = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']);
/** OpenSSL's and BoringSSL's. */
const DEFAULT_DEPTH = 100;

type FixedRules = Omit<ChainRules, 'now' | 'anchors'>;

export class ChainCheck {
  readonly #now: () => number;
  readonly #anyTime: boolean;
  /** The verdict alone does not do. */
  readonly #always: boolean;
  readonly #rules: FixedRules;
  readonly #anchors: readonly X509Certificate[];
  readonly #domains: ReadonlyMap<string, readonly X509Certificate[]> | undefined;

  /** Throws when material does not parse. */
  constructor({ rules, trust }: TrustSecret, role: ExpectedPeer['role'], now: () => number) {
    const { allowExpired, maxVerifyDepth, onlyLeafCrl, spiffe } = rules;
    this.#now = now;
    this.#anyTime = allowExpired;
    this.#always = spiffe !== undefined || maxVerifyDepth !== undefined || (onlyLeafCrl && trust.crl !== undefined);
    // what nobody will ask is not parsed
    const revocation: readonly RevocationList[] =
      trust.crl !== undefined && (this.#always || allowExpired) ? readRevocationLists(trust.crl) : [];
    this.#rules = {
      anyTime: allowExpired,
      purpose: role,
      maxLength: Math.max(1, maxVerifyDepth ?? DEFAULT_DEPTH) + 1,
      revocation,
      revocationOf: onlyLeafCrl ? 'leaf' : 'chain',
    };
    const needed = this.#always || allowExpired;
    this.#anchors = needed && trust.trustedCa !== undefined ? parseCertificates(trust.trustedCa) : [];
    this.#domains =
      spiffe === undefined
        ? undefined
        : new Map((trust.domains ?? []).map(({ name, authorities }) => [name, parseCertificates(authorities)]));
  }

  /** Why the chain is refused, `undefined` when it is good. `verdict`: OpenSSL's. */
  fault(certificate: X509Certificate, verdict: ChainFault | undefined, resumed: boolean): string | undefined {
    const late = verdict !== undefined && this.#anyTime && TIME_FAULTS.has(verdict.code);
    if (verdict !== undefined && !late) return verdict.reason;
    if (late || this.#always) {
      const anchors = this.#domains === undefined ? this.#anchors : anchorsOf(certificate, this.#domains);
      if (typeof anchors === 'string') return anchors;
      const now = this.#now();
      const fault = chainFault(presentedChain(certificate), { ...this.#rules, anchors, now });
      if (fault !== undefined) return fault;
    }
    // a session outlives the certificate that opened it; a connection must not
    if (resumed && !this.#anyTime && certificate.validToDate.getTime() < this.#now()) {
      return 'certificate has expired (resumed session)';
    }
    return undefined;
  }
}

/** What OpenSSL is to verify by: it can hold a list of revoked certificates against the whole chain only. */
export function opensslTrust({ trust, rules }: TrustSecret): TrustMaterial {
  return rules.onlyLeafCrl ? { ...trust, crl: undefined } : trust;
}

/** OpenSSL remembers a session's leaf alone, and these contexts have to see the chain again. */
export function needsWholeChain(rules: TrustSecret['rules']): boolean {
  return rules.allowExpired || rules.onlyLeafCrl || rules.maxVerifyDepth !== undefined || rules.spiffe !== undefined;
}

/**
 * The authorities of the peer's trust domain, or why there are none. As Envoy, with one thing more (X509-SVID §2): with two
 * ids an authority of one domain could vouch for members of another.
 */
function anchorsOf(
  certificate: X509Certificate,
  domains: ReadonlyMap<string, readonly X509Certificate[]>,
): readonly X509Certificate[] | string {
  if (certificate.ca) return 'the SVID is an authority';
  let usage: number | undefined;
  try {
    usage = keyUsageOf(certificate);
  } catch {
    return 'malformed certificate';
  }
  if (usage === undefined || (usage & (Usage.keyCertSign | Usage.crlSign)) !== 0)
    return 'the key usage is not of an SVID';
  const { uris } = sansOf(certificate);
  const [id] = uris;
  if (id === undefined) return 'there is no SPIFFE id';
  if (uris.length > 1) return `there are ${uris.length} URI names, an SVID has one`;
  const parsed = parseSpiffeId(id);
  if ('error' in parsed) return parsed.error;
  return domains.get(parsed.trustDomain) ?? `no trust bundle for trust domain "${parsed.trustDomain}"`;
}
