/** Key pairs (node:crypto) and PKCS#10 requests (RFC 2986), for every source that signs requests. */
import { createPublicKey, generateKeyPair, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { promisify } from 'node:util';
import {
  bits,
  bytesOf,
  children,
  decode,
  encode,
  explicit,
  fromPem,
  integer,
  type Node,
  nothing,
  oid,
  oidOf,
  pem,
  sequence,
  set,
} from './der.ts';
import { distinguishedName, hasNames, Oid, readGeneralNames, type SubjectNames, subjectAltName } from './names.ts';

export type KeyType = 'ec-p256' | 'rsa-2048' | 'rsa-4096';

/** A new private key. P-256 takes 0.1 ms, RSA tens to hundreds: make it once a rotation, outside the data path. */
export function newKey(type: KeyType = 'ec-p256'): KeyObject {
  if (type === 'ec-p256') return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  return generateKeyPairSync('rsa', { modulusLength: type === 'rsa-2048' ? 2048 : 4096 }).privateKey;
}

/** The same on another thread. */
export async function newKeyApart(type: KeyType): Promise<KeyObject> {
  const generate = promisify(generateKeyPair);
  if (type === 'ec-p256') return (await generate('ec', { namedCurve: 'P-256' })).privateKey;
  return (await generate('rsa', { modulusLength: type === 'rsa-2048' ? 2048 : 4096 })).privateKey;
}

/** PKCS#8 PEM. A secret. */
export function keyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** DER of the SubjectPublicKeyInfo that belongs to a private or public key. */
export function publicKeyDer(key: KeyObject): Buffer {
  return (key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' });
}

/** AlgorithmIdentifier of `signDer`. */
export function signatureAlgorithm(key: KeyObject): Node {
  return key.asymmetricKeyType === 'rsa'
    ? sequence(oid(Oid.sha256WithRsa), nothing())
    : sequence(oid(Oid.ecdsaWithSha256));
}

/** A signed structure: what is signed, how, and the signature (RFC 5280 §4.1.1, RFC 2986 §4.2). */
export function signed(body: Node, key: KeyObject): Buffer {
  const signature = sign('sha256', encode(body), key);
  return encode(sequence(body, signatureAlgorithm(key), bits(signature)));
}

/** A certificate request in PEM, with the names as requested extensions. */
export function buildCsr(key: KeyObject, names: SubjectNames, commonName?: string): string {
  const attributes = hasNames(names)
    ? [sequence(oid(Oid.extensionRequest), set(sequence(subjectAltName(names, false))))]
    : [];
  const info = sequence(
    integer(Buffer.from([0])),
    distinguishedName(undefined, commonName),
    decode(publicKeyDer(key)),
    explicit(0, ...attributes),
  );
  return pem('CERTIFICATE REQUEST', signed(info, key));
}

export interface ParsedCsr {
  readonly publicKey: KeyObject;
  readonly names: SubjectNames;
}

/** Reads a request and checks that its sender holds the key. Throws with the reason, never with the content. */
export function parseCsr(text: string): ParsedCsr {
  const der = fromPem('CERTIFICATE REQUEST', text);
  const [info, , signature] = children(decode(der));
  const [, , spki, attributes] = children(info);
  const signatureBytes = bytesOf(signature);
  if (info === undefined || spki === undefined || signatureBytes === undefined) {
    throw new Error('the certificate request lacks a part');
  }
  const publicKey = createPublicKey({ key: encode(spki), format: 'der', type: 'spki' });
  // the whole must be what we would have written around these parts: no other algorithm, nothing left over
  const expected = encode(sequence(info, signatureAlgorithm(publicKey), bits(signatureBytes.subarray(1))));
  if (!expected.equals(der) || !verify('sha256', encode(info), publicKey, signatureBytes.subarray(1))) {
    throw new Error('the certificate request is not signed by its own key with SHA-256');
  }
  return { publicKey, names: requestedNames(attributes) };
}

function requestedNames(attributes: Node | undefined): SubjectNames {
  for (const attribute of children(attributes)) {
    const [type, values] = children(attribute);
    if (oidOf(type) !== Oid.extensionRequest) continue;
    for (const requested of children(children(values)[0])) {
      const parts = children(requested);
      const value = bytesOf(parts[parts.length - 1]);
      if (oidOf(parts[0]) === Oid.subjectAltName && value !== undefined) return readGeneralNames(decode(value));
    }
  }
  return { uris: [], dnsNames: [], ips: [] };
}
