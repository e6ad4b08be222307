/** TLS material to Node's secure contexts: one a generation, shared by all of its connections. */
import { constants, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureVersion } from 'node:tls';
import { crlBlocks } from './chain/revocation.ts';
import type { CertificateMaterial, TrustMaterial } from './material.ts';

export interface ContextSettings {
  /** Several: one a key type (ECDSA and RSA), OpenSSL picks by what the other side can verify. */
  readonly certificates: readonly CertificateMaterial[];
  /** `undefined`: nothing is trusted. Never Node's bundled roots. */
  readonly trust: TrustMaterial | undefined;
  /** Default TLS 1.2. */
  readonly minVersion: SecureVersion | undefined;
  /** Default TLS 1.3. */
  readonly maxVersion: SecureVersion | undefined;
  /** BoringSSL's list, `[A|B]` groups allowed; of TLS 1.2. Empty: Envoy's default. TLS 1.3's suites are not configurable. */
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
  /** BoringSSL's names (`ecdsa_secp256r1_sha256`), which are OpenSSL's too. */
  readonly signatureAlgorithms: readonly string[];
  readonly sessionTickets: boolean;
  readonly sessionTimeoutMs: number | undefined;
  readonly allowRenegotiation: boolean;
}

/** Envoy's default for TLS 1.2 and below. */
const CIPHERS = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
];
// without these in the list Node turns TLS 1.3 off
const TLS13_CIPHERS = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];
/** P-256 at a third of P-384's cost; X25519 first, as Envoy's. */
const CURVES = ['X25519', 'P-256'];
// any constant will do: contexts never share tickets, since each has random keys of its own
const SESSION_ID_CONTEXT = 'tollway';

/**
 * Builds the context. Throws what OpenSSL says of material or settings that do not parse. Ticket keys are OpenSSL's own,
 * random and new with each context: a ticket from before a change of trust opens nothing after it.
 */
export function buildSecureContext(settings: ContextSettings): SecureContext {
  const { trust } = settings;
  let secureOptions = constants.SSL_OP_CIPHER_SERVER_PREFERENCE;
  if (!settings.sessionTickets) secureOptions |= constants.SSL_OP_NO_TICKET;
  if (!settings.allowRenegotiation) secureOptions |= constants.SSL_OP_NO_RENEGOTIATION;
  return createSecureContext({
    cert: settings.certificates.map((certificate) => certificate.chain),
    key: settings.certificates.map(({ key, password }) =>
      password === undefined ? { pem: key } : { pem: key, passphrase: password },
    ),
    ca: trust?.trustedCa === undefined ? [] : [trust.trustedCa],
    ...(trust?.crl === undefined ? {} : { crl: crlBlocks(trust.crl) }),
    // as Envoy: an intermediate in the bundle is an anchor too
    allowPartialTrustChain: true,
    minVersion: settings.minVersion ?? 'TLSv1.2',
    maxVersion: settings.maxVersion ?? 'TLSv1.3',
    ciphers: [...TLS13_CIPHERS, ...ciphers(settings.cipherSuites)].join(':'),
    ecdhCurve: (settings.ecdhCurves.length === 0 ? CURVES : settings.ecdhCurves).join(':'),
    ...(settings.signatureAlgorithms.length === 0 ? {} : { sigalgs: settings.signatureAlgorithms.join(':') }),
    ...(settings.sessionTimeoutMs === undefined ? {} : { sessionTimeout: Math.ceil(settings.sessionTimeoutMs / 1000) }),
    sessionIdContext: SESSION_ID_CONTEXT,
    secureOptions,
  });
}

/** BoringSSL writes groups of equal preference as `[A|B]`; OpenSSL knows no groups and takes them in order. */
function ciphers(configured: readonly string[]): readonly string[] {
  if (configured.length === 0) return CIPHERS;
  return configured.flatMap((entry) => entry.replace(/^\[(.*)\]$/, '$1').split('|'));
}

/** All certificates of a PEM text. Throws when one does not parse or when there is none. */
export function parseCertificates(pem: string): X509Certificate[] {
  const blocks = pem.match(
    /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g,
  );
  if (blocks === null) throw new Error('no PEM certificate found');
  return blocks.map((block) => new X509Certificate(block));
}
