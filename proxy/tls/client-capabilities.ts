/** What a caller's ClientHello says it can verify and wants: asked only where a listener has a choice of certificates. */
import type { ClientHello } from './contract.ts';

/** Code points of the TLS registries. */
const SUPPORTED_GROUPS = 10;
const SIGNATURE_ALGORITHMS = 13;
const STATUS_REQUEST = 5;
const SESSION_TICKET = 35;
const SUPPORTED_VERSIONS = 43;
const SECP256R1 = 23;

/** ECDSA certificates' curves, as Node names them, to the signature scheme of TLS 1.3 (RFC 8446 §4.2.3). */
const SCHEMES: { readonly [curve: string]: number } = { prime256v1: 0x0403, secp384r1: 0x0503, secp521r1: 0x0603 };
/** ECDHE_ECDSA suites of TLS 1.2 that are spoken: 128 and 256 bits of AES-GCM, ChaCha20, and the CBC ones. */
const ECDSA_SUITES: ReadonlySet<number> = new Set([0xc02b, 0xc02c, 0xcca9, 0xc009, 0xc00a, 0xc023, 0xc024]);

/**
 * Can the caller verify an ECDSA certificate on this curve? Envoy's rule: with TLS 1.3 on both sides its signature
 * algorithms say so, otherwise its groups and its cipher suites do.
 */
export function verifiesEcdsa(hello: ClientHello, curve: string, upToTls13: boolean): boolean {
  if (upToTls13 && hello.extension(SUPPORTED_VERSIONS) !== undefined) {
    const scheme = SCHEMES[curve];
    return scheme !== undefined && list(hello.extension(SIGNATURE_ALGORITHMS)).includes(scheme);
  }
  if (!list(hello.extension(SUPPORTED_GROUPS)).includes(SECP256R1)) return false;
  return words(hello.cipherSuites).some((suite) => ECDSA_SUITES.has(suite));
}

/** Does the caller ask for an OCSP staple (RFC 6066 §8)? */
export function wantsStaple(hello: ClientHello): boolean {
  return hello.extension(STATUS_REQUEST) !== undefined;
}

/** A caller of TLS 1.2 that takes no tickets (RFC 5077 §3.2): it comes back with the id of its session or not at all. */
export function resumesById(hello: ClientHello, upToTls13: boolean): boolean {
  if (upToTls13 && hello.extension(SUPPORTED_VERSIONS) !== undefined) return false;
  return hello.extension(SESSION_TICKET) === undefined;
}

/** A vector of two-byte values behind its length. */
function list(extension: Buffer | undefined): number[] {
  return extension === undefined || extension.length < 2 ? [] : words(extension.subarray(2));
}

function words(bytes: Buffer): number[] {
  const found: number[] = [];
  for (let i = 0; i + 1 < bytes.length; i += 2) found.push(bytes.readUInt16BE(i));
  return found;
}
