/** What a finished handshake tells: `TlsInfo`, made once a connection. */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { PeerCertificate, TlsInfo } from '../http/connection-info.ts';
import { sansOf } from './sans.ts';

/** Our own certificate as `TlsInfo` shows it: parsed once a generation. */
export interface LocalIdentity {
  readonly uriSans: readonly string[];
  readonly subject: string | undefined;
}

export const NO_IDENTITY: LocalIdentity = { uriSans: [], subject: undefined };

export function localIdentity(leaf: X509Certificate | undefined): LocalIdentity {
  return leaf === undefined ? NO_IDENTITY : { uriSans: sansOf(leaf).uris, subject: rfc2253(leaf.subject) };
}

export function tlsInfo(
  socket: TLSSocket,
  certificate: X509Certificate | undefined,
  validated: boolean,
  local: LocalIdentity,
): TlsInfo {
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
    alpn: socket.alpnProtocol === false || socket.alpnProtocol === null ? undefined : socket.alpnProtocol,
    serverName: serverNameOf(socket),
    sessionReused: socket.isSessionReused(),
    peerValidated: validated && certificate !== undefined,
    peer: certificate === undefined ? undefined : new Peer(certificate),
    localUriSans: local.uriSans,
    localSubject: local.subject,
  };
}

/** The SNI: on the server what the client sent, on the client what it was told to send. */
export function serverNameOf(socket: TLSSocket): string | undefined {
  const name: unknown = Reflect.get(socket, 'servername');
  return typeof name === 'string' && name !== '' ? name : undefined;
}

/** Parsed member by member when asked: most connections are asked for the URI only. */
class Peer implements PeerCertificate {
  readonly #certificate: X509Certificate;
  #sans: { readonly uris: readonly string[]; readonly dnsNames: readonly string[] } | undefined;

  constructor(certificate: X509Certificate) {
    this.#certificate = certificate;
  }

  get subject(): string {
    return rfc2253(this.#certificate.subject);
  }

  get issuer(): string {
    return rfc2253(this.#certificate.issuer);
  }

  get uriSans(): readonly string[] {
    this.#sans ??= sansOf(this.#certificate);
    return this.#sans.uris;
  }

  get dnsSans(): readonly string[] {
    this.#sans ??= sansOf(this.#certificate);
    return this.#sans.dnsNames;
  }

  get serial(): string {
    return this.#certificate.serialNumber.toLowerCase();
  }

  get fingerprint256(): string {
    return fingerprint(this.#certificate);
  }

  get notBefore(): number {
    return this.#certificate.validFromDate.getTime();
  }

  get notAfter(): number {
    return this.#certificate.validToDate.getTime();
  }

  pem(): string {
    return this.#certificate.toString();
  }
}

/** SHA-256 of the DER, hex, lower case, no colons. */
export function fingerprint(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}

/** Node lists the parts one a line in the certificate's order; RFC 2253 §2.1 wants them reversed, with commas. */
export function rfc2253(name: string | undefined): string {
  return name === undefined || name === '' ? '' : name.split('\n').reverse().join(',');
}
