/**
 * Verifies a chain as RFC 5280 §6.1 wants it, for what OpenSSL's one verdict cannot tell: that nothing but the validity is
 * wrong, which authority the chain ends in, how long it is, and revocation of the leaf alone. What is not understood is
 * refused.
 */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { Oid } from '../oids.ts';
import { type Certificate, readCertificate, Usage, valueIn } from './certificate.ts';
import { parse } from './der-reader.ts';
import { NO_NAMES, readGeneralNames } from './general-names.ts';
import { constraintFault } from './name-constraints.ts';
import { REVOKED, type RevocationList } from './revocation.ts';
import { isStrong } from './signatures.ts';

export interface ChainRules {
  readonly anchors: readonly X509Certificate[];
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Periods of validity are not looked at; those of revocation lists are. */
  readonly anyTime: boolean;
  /** What the leaf has to be good for. */
  readonly purpose: 'client' | 'server';
  /** Of the whole chain, leaf and anchor included. */
  readonly maxLength: number;
  /** None: nothing is asked. */
  readonly revocation: readonly RevocationList[];
  readonly revocationOf: 'leaf' | 'chain';
}

/** Ways through cross-signed authorities are many; a stranger must not make us walk them all. */
const MAX_SIGNATURES = 64;
const MIN_RSA_BITS = 2048;
const CURVES: ReadonlySet<string | undefined> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);
const NO_ISSUER = 'unable to get local issuer certificate';
const PURPOSES = { client: '1.3.6.1.5.5.7.3.2', server: Oid.serverAuth } as const;
const UNDERSTOOD: ReadonlySet<string> = new Set([
  Oid.subjectKeyIdentifier,
  Oid.authorityKeyIdentifier,
  Oid.keyUsage,
  Oid.extendedKeyUsage,
  Oid.subjectAltName,
  Oid.basicConstraints,
  Oid.nameConstraints,
  Oid.certificatePolicies,
]);

/** Why the chain is refused, in the TLS libraries' words; `undefined` when it is good. `presented`: leaf first, in any order. */
export function chainFault(presented: readonly X509Certificate[], rules: ChainRules): string | undefined {
  const [first, ...others] = presented;
  if (first === undefined) return 'there is no certificate';
  try {
    const search = new Search(rules, others.map(readCertificate));
    return search.from([readCertificate(first)]);
  } catch (error) {
    if (error instanceof RangeError) return 'malformed certificate';
    throw error;
  }
}

/** The certificate and those that came with it, in the order they came. */
export function presentedChain(certificate: X509Certificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let one: X509Certificate | undefined = certificate; one !== undefined; one = one.issuerCertificate)
    chain.push(one);
  return chain;
}

class Search {
  readonly #rules: ChainRules;
  readonly #others: readonly Certificate[];
  readonly #anchors: readonly Certificate[];
  #signatures = 0;

  constructor(rules: ChainRules, others: readonly Certificate[]) {
    this.#rules = rules;
    this.#others = others;
    this.#anchors = rules.anchors.map(anchored);
  }

  /** Tries every way on from the end of the path; gives the first fault when none is good. */
  from(path: readonly Certificate[]): string | undefined {
    const last = path.at(-1) as Certificate;
    if (this.#anchors.some(({ x509 }) => x509.raw.equals(last.x509.raw))) return this.#pathFault(path);
    if (path.length >= this.#rules.maxLength) return 'certificate chain too long';
    let fault: string | undefined;
    for (const issuers of [this.#anchors, this.#others]) {
      for (const issuer of issuers) {
        if (!issuer.subject.equals(last.issuer) || path.includes(issuer)) continue;
        if (!last.x509.checkIssued(issuer.x509)) {
          fault ??=
            issuer.keyUsage !== undefined && (issuer.keyUsage & Usage.keyCertSign) === 0
              ? 'invalid CA certificate'
              : undefined;
          continue;
        }
        this.#signatures++;
        if (this.#signatures > MAX_SIGNATURES) return 'certificate chain too long';
        const found = this.#signed(last, issuer) ?? this.from([...path, issuer]);
        if (found === undefined) return undefined;
        fault ??= found;
      }
    }
    return fault ?? NO_ISSUER;
  }

  #signed({ x509 }: Certificate, issuer: Certificate): string | undefined {
    return x509.verify(issuer.x509.publicKey) ? undefined : 'certificate signature failure';
  }

  #pathFault(path: readonly Certificate[]): string | undefined {
    const { purpose } = this.#rules;
    let below = 0;
    for (const [at, certificate] of path.entries()) {
      const issuer = path[at + 1];
      const fault =
        this.#ownFault(certificate, at === path.length - 1) ??
        purposeFault(certificate, PURPOSES[purpose]) ??
        (at === 0 ? leafFault(certificate) : authorityFault(certificate, below)) ??
        (issuer === undefined ? undefined : this.#revocationFault(certificate, issuer, at));
      if (fault !== undefined) return fault;
      if (at > 0 && !certificate.subject.equals(certificate.issuer)) below++;
    }
    return namesFault(path);
  }

  #ownFault(certificate: Certificate, anchor: boolean): string | undefined {
    const { x509, extensions } = certificate;
    if (extensions.some(({ id, critical }) => critical && !UNDERSTOOD.has(id))) return 'unhandled critical extension';
    // nobody checks an anchor's own signature
    if (!anchor && !isStrong(certificate.signatureAlgorithm)) return 'CA signature digest algorithm too weak';
    if (isWeak(x509.publicKey)) return 'key too small';
    if (this.#rules.anyTime) return undefined;
    if (x509.validFromDate.getTime() > this.#rules.now) return 'certificate is not yet valid';
    return x509.validToDate.getTime() < this.#rules.now ? 'certificate has expired' : undefined;
  }

  #revocationFault(certificate: Certificate, issuer: Certificate, at: number): string | undefined {
    const { revocation, revocationOf, now } = this.#rules;
    if (revocation.length === 0 || (at > 0 && revocationOf === 'leaf')) return undefined;
    const faults = revocation
      .filter((list) => list.isOf(certificate.issuer))
      .map((list) => list.fault(certificate, issuer, now));
    // of lists that overlap, one that revokes counts, then one that is good
    if (faults.includes(REVOKED)) return REVOKED;
    if (faults.includes(undefined)) return undefined;
    return faults[0] ?? 'unable to get certificate CRL';
  }
}

const ANCHORS = new WeakMap<X509Certificate, Certificate>();

/** Anchors are read once and asked at every handshake. */
function anchored(x509: X509Certificate): Certificate {
  let read = ANCHORS.get(x509);
  if (read === undefined) {
    read = readCertificate(x509);
    ANCHORS.set(x509, read);
  }
  return read;
}

function leafFault({ keyUsage }: Certificate): string | undefined {
  return keyUsage === undefined || (keyUsage & Usage.digitalSignature) !== 0
    ? undefined
    : 'unsuitable certificate purpose';
}

function authorityFault({ x509, keyUsage, pathLength }: Certificate, below: number): string | undefined {
  if (!x509.ca || (keyUsage !== undefined && (keyUsage & Usage.keyCertSign) === 0)) return 'invalid CA certificate';
  return pathLength !== undefined && below > pathLength ? 'path length constraint exceeded' : undefined;
}

/** An authority's purposes bound those below it, as OpenSSL and BoringSSL take them. */
function purposeFault({ x509 }: Certificate, purpose: string): string | undefined {
  const purposes: readonly string[] | undefined = x509.keyUsage;
  return purposes === undefined || purposes.includes(purpose) ? undefined : 'unsuitable certificate purpose';
}

function namesFault(path: readonly Certificate[]): string | undefined {
  for (const [at, { extensions }] of path.entries()) {
    const constraints = at === 0 ? undefined : valueIn(extensions, Oid.nameConstraints);
    if (constraints === undefined) continue;
    for (const [place, { extensions: theirs, subject, issuer }] of path.slice(0, at).entries()) {
      if (place > 0 && subject.equals(issuer)) continue;
      const names = valueIn(theirs, Oid.subjectAltName);
      const fault = constraintFault(constraints, names === undefined ? NO_NAMES : readGeneralNames(parse(names)));
      if (fault !== undefined) return fault;
    }
  }
  return undefined;
}

function isWeak({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  switch (asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss':
      return (asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA_BITS;
    case 'ec':
      return !CURVES.has(asymmetricKeyDetails?.namedCurve);
    default:
      return asymmetricKeyType !== 'ed25519' && asymmetricKeyType !== 'ed448';
  }
}
