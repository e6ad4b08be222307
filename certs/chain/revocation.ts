/** Revocation lists (RFC 5280 §5): read once a generation, asked at handshakes. */
import { verify, type X509Certificate } from 'node:crypto';
import { algorithmOf, type Certificate, extensionsIn, Usage } from './certificate.ts';
import { children, contentOf, contextTag, malformed, parse, Tag, timeOf, wholeOf } from './der-reader.ts';
import { HASHES } from './signatures.ts';

export const REVOKED = 'certificate revoked';
const TIMES: ReadonlySet<number> = new Set([Tag.utcTime, Tag.generalizedTime]);

export class RevocationList {
  readonly #issuer: Buffer;
  readonly #thisUpdate: number;
  readonly #nextUpdate: number | undefined;
  readonly #revoked = new Set<string>();
  readonly #body: Buffer;
  readonly #signature: Buffer;
  readonly #algorithm: string;
  /** There is a critical extension: it is a part of a list, or something that is not understood. */
  readonly #partial: boolean;
  #signer: X509Certificate | undefined;

  /** Throws `RangeError` when it is malformed. */
  constructor(der: Buffer) {
    const [body, algorithm, signature] = children(parse(der));
    if (body === undefined || algorithm === undefined || signature === undefined) throw malformed();
    const parts = children(body);
    if (parts[0]?.tag === Tag.integer) parts.shift();
    const [, issuer, thisUpdate, ...rest] = parts;
    if (issuer === undefined || thisUpdate === undefined) throw malformed();
    this.#issuer = wholeOf(issuer);
    this.#thisUpdate = timeOf(thisUpdate);
    const next = rest[0] !== undefined && TIMES.has(rest[0].tag) ? rest.shift() : undefined;
    this.#nextUpdate = next === undefined ? undefined : timeOf(next);
    let partial = false;
    for (const part of rest) {
      if (part.tag === contextTag(0)) partial ||= extensionsIn(part).some(({ critical }) => critical);
      else if (part.tag !== Tag.sequence) throw malformed();
      else for (const entry of children(part)) partial = this.#entry(children(entry)) || partial;
    }
    this.#partial = partial;
    this.#body = wholeOf(body);
    this.#signature = contentOf(signature).subarray(1);
    this.#algorithm = algorithmOf(algorithm);
  }

  /** Whether it speaks for certificates of this authority's name. */
  isOf(issuer: Buffer): boolean {
    return this.#issuer.equals(issuer);
  }

  /** Why the certificate may not be used. `authority`: its issuer. `at`: milliseconds since the epoch. */
  fault(certificate: Certificate, authority: Certificate, at: number): string | undefined {
    if (this.#partial) return 'unhandled critical CRL extension';
    if (authority.keyUsage !== undefined && (authority.keyUsage & Usage.crlSign) === 0) {
      return 'key usage does not include CRL signing';
    }
    if (!this.#signedBy(authority.x509)) return 'CRL signature failure';
    if (this.#thisUpdate > at) return 'CRL is not yet valid';
    if (this.#nextUpdate !== undefined && this.#nextUpdate < at) return 'CRL has expired';
    return this.#revoked.has(certificate.serial.toString('latin1')) ? REVOKED : undefined;
  }

  /** True when the entry has a critical extension. */
  #entry(parts: ReturnType<typeof children>): boolean {
    const [serial, , extensions] = parts;
    if (serial?.tag !== Tag.integer) throw malformed();
    this.#revoked.add(contentOf(serial).toString('latin1'));
    if (extensions === undefined) return false;
    // the entry's list is not wrapped in a tag of its own: its first content octets are an extension's
    return children(extensions).some((one) => children(one).length === 3);
  }

  #signedBy(authority: X509Certificate): boolean {
    // the same authority signs every certificate that this list is asked about
    if (this.#signer?.raw.equals(authority.raw) === true) return true;
    const hash = HASHES[this.#algorithm];
    if (hash === undefined || !verify(hash.digest, this.#body, authority.publicKey, this.#signature)) return false;
    this.#signer = authority;
    return true;
  }
}

/** The lists of a PEM text. Throws when one is malformed. */
export function readRevocationLists(pem: string): RevocationList[] {
  return crlBlocks(pem).map(
    (block) => new RevocationList(Buffer.from(block.replace(/-----[^-]+-----/g, ''), 'base64')),
  );
}

/** Each list of a PEM text by itself, as Node wants them: of a text with several it reads the first. */
export function crlBlocks(pem: string): string[] {
  return pem.match(/-----BEGIN X509 CRL-----[^-]*-----END X509 CRL-----/g) ?? [];
}
