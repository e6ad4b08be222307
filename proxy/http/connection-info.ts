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
  /** URI SANs of our own certificate. */
  readonly localUriSans: readonly string[];
  readonly localSubject: string | undefined;
}

export interface PeerCertificate {
  /** RFC 2253, as Envoy prints it. */
  readonly subject: string;
  readonly issuer: string;
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
  /** Hex, lower case. */
  readonly serial: string;
  /** SHA-256 of the DER, hex, lower case. */
  readonly fingerprint256: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** PEM; made only when somebody asks (XFCC `Cert`). */
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
  /** `performance.now()`. */
  readonly startedAt: number;
}
