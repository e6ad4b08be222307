/** What a finished handshake tells: `TlsInfo`, made once a connection. */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { presentedChain } from '../../certs/chain/verify.ts';
import type { ChainMember, PeerCertificate, SubjectNames, TlsInfo } from '../http/connection-info.ts';
import type { Handshake } from './assembly.ts';
import { sansOf } from './sans.ts';
import type { TrustSecret } from './secret-table.ts';
import { anchorCertificates } from './trust-change.ts';

/** Our own certificate as `TlsInfo` shows it: parsed once a generation. */
export interface LocalIdentity {
  readonly sans: SubjectNames;
  readonly subject: string | undefined;
}

export const NO_IDENTITY: LocalIdentity = {
  sans: { uris: [], dnsNames: [], ips: [], emails: [], others: [] },
  subject: undefined,
};

export function localIdentity(leaf: X509Certificate | undefined): LocalIdentity {
  return leaf === undefined ? NO_IDENTITY : { sans: shownNames(leaf), subject: rfc2253(leaf.subject) };
}

/** `handshake`: `undefined` for a socket that nothing is known of. */
export function tlsInfo(socket: TLSSocket, handshake: Handshake | undefined, local: LocalIdentity): TlsInfo {
  const { certificate, tolerated } = handshake ?? { certificate: undefined, tolerated: undefined };
  const validated = handshake?.assembled.validator.identifies === true && tolerated === undefined;
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
    alpn: socket.alpnProtocol === false || socket.alpnProtocol === null ? undefined : socket.alpnProtocol,
    serverName: serverNameOf(socket),
    sessionReused: socket.isSessionReused(),
    peerValidated: validated && certificate !== undefined,
    peer:
      certificate === undefined ? undefined : new Peer(certificate, validated ? handshake?.assembled.trust : undefined),
    ...(tolerated === undefined ? {} : { tolerated: tolerated.stat }),
    localSans: local.sans,
    localSubject: local.subject,
  };
}

function shownNames(certificate: X509Certificate): SubjectNames {
  const { others, ...sans } = sansOf(certificate);
  return { ...sans, others: others.map(({ value }) => value) };
}

/** The SNI: on the server what the client sent, on the client what it was told to send. */
export function serverNameOf(socket: TLSSocket): string | undefined {
  const name: unknown = Reflect.get(socket, 'servername');
  return typeof name === 'string' && name !== '' ? name : undefined;
}

/** A certificate of the peer's chain, read member by member when asked. */
class Member implements ChainMember {
  protected readonly certificate: X509Certificate;

  constructor(certificate: X509Certificate) {
    this.certificate = certificate;
  }

  get serial(): string {
    return this.certificate.serialNumber.toLowerCase();
  }

  get fingerprint256(): string {
    return fingerprint(this.certificate);
  }

  get fingerprint1(): string {
    return this.certificate.fingerprint.replaceAll(':', '').toLowerCase();
  }

  pem(): string {
    return this.certificate.toString();
  }
}

/** Most connections are asked for the URI only. */
class Peer extends Member implements PeerCertificate {
  #sans: SubjectNames | undefined;
  readonly #trust: TrustSecret | undefined;

  /** `trust`: what it was verified by. */
  constructor(certificate: X509Certificate, trust: TrustSecret | undefined) {
    super(certificate);
    this.#trust = trust;
  }

  get subject(): string {
    return rfc2253(this.certificate.subject);
  }

  get issuer(): string {
    return rfc2253(this.certificate.issuer);
  }

  get sans(): SubjectNames {
    this.#sans ??= shownNames(this.certificate);
    return this.#sans;
  }

  get notBefore(): number {
    return this.certificate.validFromDate.getTime();
  }

  get notAfter(): number {
    return this.certificate.validToDate.getTime();
  }

  issuedBy(): ChainMember | undefined {
    if (this.#trust === undefined) return undefined;
    const { certificate } = this;
    const others = [...presentedChain(certificate).slice(1), ...anchorCertificates(this.#trust)];
    const issuer = others.find((other) => certificate.checkIssued(other) && certificate.verify(other.publicKey));
    return issuer === undefined ? undefined : new Member(issuer);
  }

  chain(): readonly ChainMember[] {
    return presentedChain(this.certificate).map((certificate) => new Member(certificate));
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
