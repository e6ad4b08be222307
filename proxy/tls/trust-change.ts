/**
 * Whether trust that has changed still lets in a peer that older trust let in. OpenSSL verified its chain then and cannot be
 * asked again, so our own rules say whether the chain still leads to an anchor. In doubt the answer is no: the connection
 * ends without loss, and OpenSSL judges the next one.
 */
import { createHash, type X509Certificate } from 'node:crypto';
import { type RevocationList, readRevocationLists } from '../../certs/chain/revocation.ts';
import { type ChainRules, chainFault, presentedChain } from '../../certs/chain/verify.ts';
import { parseCertificates } from '../../certs/tls-context.ts';
import type { TrustSecret } from './secret-table.ts';
import type { ChainFault } from './verdict.ts';

/** OpenSSL's and BoringSSL's. */
const DEFAULT_DEPTH = 100;
const code = 'UNSPECIFIED';

interface Anchors {
  readonly certificates: readonly X509Certificate[];
  readonly fingerprints: ReadonlySet<string>;
  /** `undefined`: it is not what OpenSSL takes for one. */
  readonly revocation: readonly RevocationList[] | undefined;
  /** Everything but the bundle, hashed: what else may turn a peer away. */
  readonly rest: string;
}

// parsed at the first change that concerns somebody, which is after most bundles are gone again
const parsed = new WeakMap<TrustSecret, Anchors>();

/** The trusted certificates, parsed once. */
export function anchorCertificates(secret: TrustSecret): readonly X509Certificate[] {
  return anchorsOf(secret).certificates;
}

function anchorsOf(secret: TrustSecret): Anchors {
  let anchors = parsed.get(secret);
  if (anchors === undefined) {
    const { trustedCa, ...others } = secret.trust;
    const certificates = trustedCa === undefined ? [] : parseCertificates(trustedCa);
    anchors = {
      certificates,
      fingerprints: new Set(certificates.map(({ fingerprint256 }) => fingerprint256)),
      revocation: listsOf(secret),
      rest: createHash('sha256')
        .update(JSON.stringify([others, secret.rules]))
        .digest('base64'),
    };
    parsed.set(secret, anchors);
  }
  return anchors;
}

function listsOf({ trust }: TrustSecret): readonly RevocationList[] | undefined {
  try {
    return trust.crl === undefined ? [] : readRevocationLists(trust.crl);
  } catch {
    return undefined;
  }
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
 * What is wrong with a chain that was good once; `undefined`: it leads to an anchor, and nobody has revoked it. `now`:
 * milliseconds since the epoch. Of a resumed session whose peer did not send its chain again only the leaf is known.
 */
export function changedVerdict(
  certificate: X509Certificate,
  secret: TrustSecret,
  purpose: ChainRules['purpose'],
  now: number,
): ChainFault | undefined {
  const { allowExpired, onlyLeafCrl, maxVerifyDepth } = secret.rules;
  const { certificates, revocation } = anchorsOf(secret);
  if (revocation === undefined) return { code, reason: 'the revocation list does not parse' };
  const reason = chainFault(presentedChain(certificate), {
    anchors: certificates,
    now,
    anyTime: allowExpired,
    purpose,
    maxLength: Math.max(1, maxVerifyDepth ?? DEFAULT_DEPTH) + 1,
    revocation,
    revocationOf: onlyLeafCrl ? 'leaf' : 'chain',
  });
  return reason === undefined ? undefined : { code, reason };
}
