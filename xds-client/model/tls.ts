import type { CidrRange, ConfigSource, DataSource, StringMatch } from './common.ts';

/** A secret asked for by name, or given in place. */
export type SecretRef<T> =
  | { readonly kind: 'sds'; readonly name: string; readonly source: ConfigSource }
  | { readonly kind: 'inline'; readonly secret: T };

/** envoy TlsCertificate: chain and key in PEM. `password` opens an encrypted key. */
export interface TlsCertificate {
  readonly certificateChain: DataSource;
  readonly privateKey: DataSource;
  readonly password: DataSource | undefined;
  readonly ocspStaple: DataSource | undefined;
  /** The directory whose moves announce new files (atomic symlink swap). */
  readonly watchedDirectory: string | undefined;
}

/** One SubjectAltNameMatcher: which kind of SAN, and how its text must look. `any` comes from the deprecated list. */
export interface SanMatch {
  readonly type: 'dns' | 'uri' | 'email' | 'ip' | 'other' | 'any';
  /** Of an `other` name: its kind, dotted. */
  readonly oid?: string;
  readonly match: StringMatch;
}

/** envoy SPIFFECertValidatorConfig: each trust domain is vouched for by authorities of its own. */
export interface SpiffeValidation {
  readonly domains: readonly { readonly name: string; readonly bundle: DataSource }[];
  /** A SPIFFE bundle map in JSON; it stands alone. */
  readonly bundles: DataSource | undefined;
}

/** envoy CertificateValidationContext. */
export interface ValidationContext {
  readonly trustedCa: DataSource | undefined;
  readonly watchedDirectory: string | undefined;
  /** Empty: any SAN will do. Otherwise one must match. */
  readonly sanMatches: readonly SanMatch[];
  /** Lower-case hex SHA-256 of the DER certificate. */
  readonly certificateHashes: readonly string[];
  /** Base64 SHA-256 of the DER SubjectPublicKeyInfo. */
  readonly spkiHashes: readonly string[];
  readonly crl: DataSource | undefined;
  /** The CRL is held against the leaf alone. */
  readonly onlyLeafCrl: boolean;
  /** Periods of validity are not looked at. */
  readonly allowExpired: boolean;
  /** `accept-untrusted`: the chain is not verified (ACCEPT_UNTRUSTED). */
  readonly trustChain: 'verify' | 'accept-untrusted';
  /** As BoringSSL counts: so many certificates beside the leaf, the trusted one included; 0 is 1. */
  readonly maxVerifyDepth: number | undefined;
  readonly spiffe: SpiffeValidation | undefined;
}

/** A named secret as SDS delivers it. */
export type Secret =
  | { readonly kind: 'certificate'; readonly name: string; readonly certificate: TlsCertificate }
  | { readonly kind: 'validation'; readonly name: string; readonly validation: ValidationContext };

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/** envoy TlsKeyLog. Of connections in all the ranges that are given; an empty list takes every address. */
export interface KeyLog {
  readonly path: string;
  readonly localRanges: readonly CidrRange[];
  readonly remoteRanges: readonly CidrRange[];
}

/** envoy CommonTlsContext. */
export interface TlsParameters {
  readonly minVersion: TlsVersion | undefined;
  readonly maxVersion: TlsVersion | undefined;
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
  readonly signatureAlgorithms: readonly string[];
  readonly alpnProtocols: readonly string[];
  readonly certificates: readonly SecretRef<TlsCertificate>[];
  /** `undefined`: the peer is not validated. A combined context is `default` merged over what SDS brings. */
  readonly validation:
    | undefined
    | { readonly kind: 'inline'; readonly context: ValidationContext }
    | {
        readonly kind: 'sds';
        readonly name: string;
        readonly source: ConfigSource;
        readonly defaults: ValidationContext | undefined;
      };
  readonly keyLog: KeyLog | undefined;
}

/**
 * `lenient`: none or an expired one, and the handshake goes on without. `strict`: an expired one ends the handshake. `must`:
 * so does none. A certificate that says so itself is under `must` whatever the configuration says (RFC 7633).
 */
export type OcspStaplePolicy = 'lenient' | 'strict' | 'must';

/** envoy DownstreamTlsContext: the proxy is the TLS server. */
export interface DownstreamTls {
  readonly common: TlsParameters;
  readonly requireClientCertificate: boolean;
  readonly sessionTickets: boolean;
  /** Sessions by their id, of TLS 1.2, for callers that are given no tickets. */
  readonly sessionIds: boolean;
  readonly sessionTimeoutMs: number | undefined;
  readonly requireSni: boolean;
  /** What becomes of a caller that asks for an OCSP staple where there is none that is valid. */
  readonly ocspStaplePolicy: OcspStaplePolicy;
  /** A server name that no certificate is for: any certificate that the caller can verify, or else the first one. */
  readonly anyCertificateForUnknownNames: boolean;
}

/** envoy UpstreamTlsContext: the proxy is the TLS client. */
export interface UpstreamTls {
  readonly common: TlsParameters;
  readonly sni: string | undefined;
  readonly autoHostSni: boolean;
  readonly autoSniSanValidation: boolean;
  readonly allowRenegotiation: boolean;
  /** An RSA certificate whose key usage is there and does not allow signatures is refused. */
  readonly enforceRsaKeyUsage: boolean;
  /** Sessions kept for resumption a server name. */
  readonly maxSessionKeys: number;
}

/** What wraps a connection. */
export type TransportSocket<Tls> = { readonly kind: 'raw' } | { readonly kind: 'tls'; readonly tls: Tls };
