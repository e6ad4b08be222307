/**
 * The development certificate authority: a root, an optional intermediate, and leaves that live seconds. For one
 * machine and for tests: its keys are in memory, it asks nobody who they are. Not for production.
 */
import { createHash, createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { type KeyType, keyPem, newKey, parseCsr, publicKeyDer, signatureAlgorithm, signed } from '../csr.ts';
import {
  bits,
  boolean,
  bytesOf,
  children,
  decode,
  explicit,
  implicit,
  integer,
  type Node,
  octets,
  oid,
  pem,
  sequence,
  time,
} from '../der.ts';
import { distinguishedName, extension, hasNames, Oid, type SubjectNames, subjectAltName } from '../names.ts';
import type { CertificateAuthority, Identity } from './contract.ts';
import { ocspResponse } from './ocsp-response.ts';

export interface DevCaOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly trustDomain: string;
  /** Leaves are signed by an intermediate, which they bring along in their chain. */
  readonly intermediate?: boolean;
  readonly keyType?: KeyType;
  /** How long before `now` a certificate starts to be valid, for clocks that are behind. Default 10 000. */
  readonly skewMs?: number;
  /** Life of the root and the intermediate. Default ten days. */
  readonly caTtlMs?: number;
}

export interface LeafRequest {
  readonly spiffeId?: string;
  readonly dnsNames?: readonly string[];
  readonly ips?: readonly string[];
  /** From `now`; the skew comes on top, before it. Default 30 000. */
  readonly ttlMs?: number;
  /** Made when absent. */
  readonly key?: KeyObject;
  readonly keyType?: KeyType;
  /** The certificate says that it must come with an OCSP staple (RFC 7633). */
  readonly mustStaple?: boolean;
}

export interface IssuedCertificate {
  /** PEM, leaf first, without the root. */
  readonly chain: string;
  readonly serial: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface IssuedLeaf extends IssuedCertificate {
  /** PEM. A secret. */
  readonly key: string;
}

interface Authority {
  readonly name: Node;
  readonly key: KeyObject;
  readonly keyId: Buffer;
  readonly pem: string;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** TLS feature 5, status_request (RFC 7633 §4.1). */
const MUST_STAPLE = extension('1.3.6.1.5.5.7.1.24', false, sequence(integer(Buffer.from([5]))));
const DEFAULT_SKEW_MS = 10_000;
const DEFAULT_TTL_MS = 30_000;

export class DevCa {
  /** PEM: what the others trust. */
  readonly rootPem: string;
  readonly trustDomain: string;
  readonly #options: DevCaOptions;
  readonly #issuer: Authority;
  readonly #extraChain: string;

  constructor(options: DevCaOptions) {
    this.#options = options;
    this.trustDomain = options.trustDomain;
    const root = this.#authority('Root CA', undefined);
    this.rootPem = root.pem;
    this.#issuer = options.intermediate === true ? this.#authority('Intermediate CA', root) : root;
    this.#extraChain = options.intermediate === true ? this.#issuer.pem : '';
  }

  /** A key and its certificate. */
  issue(request: LeafRequest): IssuedLeaf {
    const key = request.key ?? newKey(request.keyType ?? this.#options.keyType);
    const names = {
      uris: request.spiffeId === undefined ? [] : [request.spiffeId],
      dnsNames: request.dnsNames ?? [],
      ips: request.ips ?? [],
    };
    const more = request.mustStaple === true ? [MUST_STAPLE] : [];
    return { ...this.#leaf(createPublicKey(key), names, request.ttlMs ?? DEFAULT_TTL_MS, more), key: keyPem(key) };
  }

  /**
   * Signs a request, with the names it asks for or those that are given instead. Throws when it does not parse or is not
   * signed by its key.
   */
  sign(csrPem: string, ttlMs = DEFAULT_TTL_MS, names?: SubjectNames): IssuedCertificate {
    const csr = parseCsr(csrPem);
    return this.#leaf(csr.publicKey, names ?? csr.names, ttlMs);
  }

  /**
   * An OCSP response, DER: the certificate with this serial (hex) is good, from `now` on. `validMs`: until the next one;
   * `undefined`: it does not say.
   */
  staple(serial: string, validMs: number | undefined): Buffer {
    const { name, key } = this.#issuer;
    const now = this.#options.now();
    const keyBits = bytesOf(children(decode(publicKeyDer(key)))[1])?.subarray(1) ?? Buffer.alloc(0);
    const request = { serial, issuerName: name, issuerKey: key, thisUpdate: now - HOUR_MS };
    return ocspResponse({ ...request, nextUpdate: validMs === undefined ? undefined : now + validMs }, keyBits);
  }

  #leaf(publicKey: KeyObject, names: SubjectNames, ttlMs: number, more: readonly Node[] = []): IssuedCertificate {
    const issuer = this.#issuer;
    const extensions = [
      extension(Oid.basicConstraints, true, sequence()),
      // digitalSignature and keyEncipherment (RSA key transport in TLS 1.2)
      extension(Oid.keyUsage, true, bits(Buffer.from([0xa0]), 5)),
      extension(Oid.extendedKeyUsage, false, sequence(oid(Oid.serverAuth), oid(Oid.clientAuth))),
      extension(Oid.authorityKeyIdentifier, false, sequence(implicit(0, issuer.keyId))),
      extension(Oid.subjectKeyIdentifier, false, octets(keyIdOf(publicKey))),
      ...more,
    ];
    // the subject is empty, so the names are critical (RFC 5280 §4.2.1.6)
    if (hasNames(names)) extensions.push(subjectAltName(names, true));
    const made = this.#certificate(distinguishedName(undefined, undefined), publicKey, issuer, ttlMs, extensions);
    return { ...made, chain: made.chain + this.#extraChain };
  }

  #authority(role: string, issuer: Authority | undefined): Authority {
    const key = newKey(this.#options.keyType);
    const publicKey = createPublicKey(key);
    const keyId = keyIdOf(publicKey);
    const name = distinguishedName('Tollway development', `${this.trustDomain} ${role} ${keyId.toString('hex', 0, 4)}`);
    const self: Authority = { name, key, keyId, pem: '' };
    const extensions = [
      extension(Oid.basicConstraints, true, sequence(boolean(true))),
      // keyCertSign and cRLSign
      extension(Oid.keyUsage, true, bits(Buffer.from([0x06]), 1)),
      extension(Oid.subjectKeyIdentifier, false, octets(keyId)),
    ];
    if (issuer !== undefined) {
      extensions.push(extension(Oid.authorityKeyIdentifier, false, sequence(implicit(0, issuer.keyId))));
    }
    const ttlMs = this.#options.caTtlMs ?? 10 * DAY_MS;
    return { ...self, pem: this.#certificate(name, publicKey, issuer ?? self, ttlMs, extensions).chain };
  }

  #certificate(
    subject: Node,
    publicKey: KeyObject,
    issuer: Authority,
    ttlMs: number,
    extensions: readonly Node[],
  ): IssuedCertificate {
    // positive, and never zero (RFC 5280 §4.1.2.2)
    const serial = randomBytes(16);
    serial[0] = ((serial[0] as number) & 0x3f) | 0x40;
    const now = this.#options.now();
    const notBefore = wholeSecond(now - (this.#options.skewMs ?? DEFAULT_SKEW_MS));
    const notAfter = wholeSecond(now + ttlMs);
    const body = sequence(
      explicit(0, integer(Buffer.from([2]))),
      integer(serial),
      signatureAlgorithm(issuer.key),
      issuer.name,
      sequence(time(notBefore), time(notAfter)),
      subject,
      decode(publicKeyDer(publicKey)),
      explicit(3, sequence(...extensions)),
    );
    const der = signed(body, issuer.key);
    return { chain: pem('CERTIFICATE', der), serial: serial.toString('hex'), notBefore, notAfter };
  }
}

/** The development CA as a source: it signs for whoever is named. */
export class DevAuthority implements CertificateAuthority {
  readonly #ca: DevCa;
  readonly #request: LeafRequest;
  readonly #now: () => number;

  constructor(ca: DevCa, request: LeafRequest, now: () => number) {
    this.#ca = ca;
    this.#request = request;
    this.#now = now;
  }

  async issue(): Promise<Identity> {
    const { chain, key, notBefore, notAfter } = this.#ca.issue(this.#request);
    const material = { chain, key, password: undefined, ocspStaple: undefined };
    const { spiffeId } = this.#request;
    const certificate = { spiffeId, hint: undefined, material, validity: { notBefore, notAfter }, since: this.#now() };
    return {
      certificates: [certificate],
      bundles: [{ trustDomain: this.#ca.trustDomain, pem: this.#ca.rootPem }],
      crl: undefined,
    };
  }

  /** There is nothing to let go. */
  close(): void {}
}

function wholeSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

/** RFC 7093 §2 (1): the first 160 bits of the SHA-256 of the key. */
function keyIdOf(publicKey: KeyObject): Buffer {
  return createHash('sha256').update(publicKeyDer(publicKey)).digest().subarray(0, 20);
}
