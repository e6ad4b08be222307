/** Certificates that no good authority signs: whatever a test wants in them, bit by bit. */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { keyPem, newKey, publicKeyDer } from '../../certs/csr.ts';
import {
  bits,
  boolean,
  decode,
  encode,
  explicit,
  implicit,
  integer,
  type Node,
  nothing,
  octets,
  oid,
  pem,
  sequence,
  time,
  utf8,
} from '../../certs/der.ts';
import { distinguishedName, extension, Oid, subjectAltName } from '../../certs/names.ts';

const HOUR_MS = 3_600_000;
const SIGNATURES = {
  ec: { sha1: '1.2.840.10045.4.1', sha256: '1.2.840.10045.4.3.2' },
  rsa: { sha1: '1.2.840.113549.1.1.5', sha256: '1.2.840.113549.1.1.11' },
} as const;
/** digitalSignature and keyEncipherment. */
export const LEAF_USAGE = bits(Buffer.from([0xa0]), 5);
/** keyCertSign and cRLSign. */
export const CA_USAGE = bits(Buffer.from([0x06]), 1);
export const SERVER_AUTH = Oid.serverAuth;
export const CLIENT_AUTH = Oid.clientAuth;

export interface Wanted {
  /** The subject's common name; unnamed when absent. */
  readonly name?: string;
  /** Signs itself when absent. */
  readonly issuer?: Made;
  /** Milliseconds from now. Defaults: an hour before, and after. */
  readonly from?: number;
  readonly until?: number;
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ips?: readonly string[];
  /** GeneralNames of other kinds. */
  readonly otherNames?: readonly Node[];
  /** Basic constraints; `none` leaves the extension out. */
  readonly ca?: boolean | 'none';
  readonly pathLength?: number;
  /** `none` leaves the extension out. */
  readonly keyUsage?: Node | 'none';
  /** Extended key usage; none when absent. */
  readonly purposes?: readonly string[];
  readonly extensions?: readonly Node[];
  readonly hash?: 'sha1' | 'sha256';
  readonly key?: KeyObject;
}

export interface Made {
  readonly pem: string;
  readonly der: Buffer;
  /** PEM. */
  readonly key: string;
  readonly privateKey: KeyObject;
  readonly subject: Node;
  readonly serial: Buffer;
}

const keyId = (key: KeyObject): Buffer => createHash('sha1').update(publicKeyDer(key)).digest();
const wholeSecond = (ms: number): number => Math.floor(ms / 1000) * 1000;

/** An RSA key of so many bits. */
export function rsaKey(modulusLength: number): KeyObject {
  return generateKeyPairSync('rsa', { modulusLength }).privateKey;
}

/** A certificate as wanted. `now`: milliseconds since the epoch. */
export function make(wanted: Wanted, now = Date.now()): Made {
  const privateKey = wanted.key ?? newKey();
  const publicKey = createPublicKey(privateKey);
  const signer = wanted.issuer?.privateKey ?? privateKey;
  const subject = distinguishedName(undefined, wanted.name);
  const serial = randomBytes(16);
  serial[0] = 0x40 | ((serial[0] as number) & 0x3f);
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(serial),
    algorithm(signer, wanted.hash),
    wanted.issuer?.subject ?? subject,
    sequence(time(wholeSecond(now + (wanted.from ?? -HOUR_MS))), time(wholeSecond(now + (wanted.until ?? HOUR_MS)))),
    subject,
    decode(publicKeyDer(publicKey)),
    explicit(3, sequence(...extensionsOf(wanted, publicKey, signer))),
  );
  const der = signedBy(body, signer, wanted.hash);
  return { pem: pem('CERTIFICATE', der), der, key: keyPem(privateKey), privateKey, subject, serial };
}

function extensionsOf(wanted: Wanted, publicKey: KeyObject, signer: KeyObject): Node[] {
  const { ca = false, keyUsage = ca === true ? CA_USAGE : LEAF_USAGE, pathLength } = wanted;
  const extensions: Node[] = [
    extension(Oid.subjectKeyIdentifier, false, octets(keyId(publicKey))),
    extension(Oid.authorityKeyIdentifier, false, sequence(implicit(0, keyId(signer)))),
  ];
  if (ca !== 'none') {
    const limit = pathLength === undefined ? [] : [integer(Buffer.from([pathLength]))];
    extensions.push(extension(Oid.basicConstraints, true, sequence(...(ca ? [boolean(true)] : []), ...limit)));
  }
  if (keyUsage !== 'none') extensions.push(extension(Oid.keyUsage, true, keyUsage));
  if (wanted.purposes !== undefined) {
    extensions.push(extension(Oid.extendedKeyUsage, false, sequence(...wanted.purposes.map(oid))));
  }
  const { uris = [], dnsNames = [], ips = [], otherNames = [] } = wanted;
  if (otherNames.length > 0) extensions.push(extension(Oid.subjectAltName, false, sequence(...otherNames)));
  else if (uris.length + dnsNames.length + ips.length > 0) {
    extensions.push(subjectAltName({ uris, dnsNames, ips }, wanted.name === undefined));
  }
  return [...extensions, ...(wanted.extensions ?? [])];
}

/** `otherName` (RFC 5280 §4.2.1.6) with a UTF8String. */
export const otherName = (id: string, text: string): Node => {
  const name = explicit(0, oid(id), explicit(0, utf8(text)));
  return name;
};
export const email = (text: string): Node => implicit(1, Buffer.from(text));
export const dnsName = (text: string): Node => implicit(2, Buffer.from(text));
export const uri = (text: string): Node => implicit(6, Buffer.from(text));

/** Name constraints with permitted or excluded GeneralNames (RFC 5280 §4.2.1.10). */
export function nameConstraints(names: {
  readonly permitted?: readonly Node[];
  readonly excluded?: readonly Node[];
}): Node {
  const subtrees = (list: readonly Node[]): Node[] => list.map((base) => sequence(base));
  const parts: Node[] = [];
  if (names.permitted !== undefined) parts.push(explicit(0, ...subtrees(names.permitted)));
  if (names.excluded !== undefined) parts.push(explicit(1, ...subtrees(names.excluded)));
  return extension(Oid.nameConstraints, true, sequence(...parts));
}

/** A critical extension that nobody knows. */
export const UNKNOWN_CRITICAL = extension('1.3.6.1.4.1.55555.7', true, utf8('?'));

/** A revocation list in PEM. */
export function revocationList(issuer: Made, revoked: readonly Made[], now = Date.now(), until = HOUR_MS): string {
  const entries = revoked.map(({ serial }) => sequence(integer(serial), time(wholeSecond(now - HOUR_MS))));
  const body = sequence(
    integer(Buffer.from([1])),
    algorithm(issuer.privateKey, 'sha256'),
    issuer.subject,
    time(wholeSecond(now - HOUR_MS)),
    time(wholeSecond(now + until)),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    explicit(
      0,
      sequence(extension(Oid.authorityKeyIdentifier, false, sequence(implicit(0, keyId(issuer.privateKey))))),
    ),
  );
  return pem('X509 CRL', signedBy(body, issuer.privateKey, 'sha256'));
}

function algorithm(key: KeyObject, hash: 'sha1' | 'sha256' = 'sha256'): Node {
  return key.asymmetricKeyType === 'rsa'
    ? sequence(oid(SIGNATURES.rsa[hash]), nothing())
    : sequence(oid(SIGNATURES.ec[hash]));
}

function signedBy(body: Node, key: KeyObject, hash: 'sha1' | 'sha256' = 'sha256'): Buffer {
  return encode(sequence(body, algorithm(key, hash), bits(sign(hash, encode(body), key))));
}
