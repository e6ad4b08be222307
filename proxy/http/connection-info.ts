/** What is known of one connection, shared by every request on it. */
import type { FilterChain, Listener } from '../../xds-client/model/listener.ts';

/** What the TLS handshake told. Peer members are `undefined` when the peer sent no certificate. */
export interface TlsInfo {
  /** `TLSv1.3` */
  readonly version: string;
  /** OpenSSL's cipher name. */
  readonly cipher: string;
  readonly alpn: string | undefined;
  readonly serverName: string | undefined;
  readonly sessionReused: boolean;
  /** The peer's certificate was verified against the configured trust. */
  readonly peerValidated: boolean;
  readonly peer: PeerCertificate | undefined;
  /** The statistic of the fault that the peer was let in with (ACCEPT_UNTRUSTED). */
  readonly tolerated?: string;
  readonly localSans: SubjectNames;
  readonly localSubject: string | undefined;
}

/** Subject alternative names by kind. */
export interface SubjectNames {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ips: readonly string[];
  readonly emails: readonly string[];
  /** Of other kinds: the text alone. */
  readonly others: readonly string[];
}

export interface PeerCertificate {
  /** RFC 2253, as Envoy prints it. */
  readonly subject: string;
  readonly issuer: string;
  readonly sans: SubjectNames;
  /** Hex, lower case. */
  readonly serial: string;
  /** SHA-256 of the DER, hex, lower case. */
  readonly fingerprint256: string;
  /** SHA-1 of the DER, hex, lower case. */
  readonly fingerprint1: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** PEM; made only when somebody asks (XFCC `Cert`). */
  pem(): string;
  /** The certificate and those that came with it. */
  chain(): readonly ChainMember[];
  /** Who signed the certificate, of what came with it or of the trusted; `undefined` where nobody vouches for it. */
  issuedBy(): ChainMember | undefined;
}

export interface ChainMember {
  readonly serial: string;
  readonly fingerprint256: string;
  readonly fingerprint1: string;
  pem(): string;
}

export interface ConnectionInfo {
  /** Unique within the process. */
  readonly id: number;
  readonly listener: Listener;
  readonly chain: FilterChain;
  /** The peer of the socket. */
  readonly directRemoteAddress: string;
  readonly directRemotePort: number;
  /** The downstream's address: of the socket, PROXY protocol or the original source. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Where the connection was meant to go: of the socket, or the original destination. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly localAddressRestored: boolean;
  readonly requestedServerName: string | undefined;
  readonly tls: TlsInfo | undefined;
  /** The cluster that a network filter has chosen in the place of the TCP proxy's. */
  tcpCluster?: string;
  /** `performance.now()`. */
  readonly startedAt: number;
}
