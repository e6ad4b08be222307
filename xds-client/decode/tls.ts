/** TLS contexts of listeners and clusters, and the secrets they name. */
import type { MessageObject } from '../../protos/index.ts';
import type {
  DownstreamTls,
  SanMatch,
  Secret,
  SecretRef,
  TlsCertificate,
  TlsParameters,
  TlsVersion,
  TransportSocket,
  UpstreamTls,
  ValidationContext,
} from '../model/tls.ts';
import { decodeConfigSource, decodeDataSource, duration, each, inside } from './common.ts';
import { type DecodeContext, type Extension, support } from './context.ts';
import { flag, has, message, text, textOrNone, texts, word, wrappedFlag, wrappedNumber } from './fields.ts';
import { decodeStringMatch } from './matcher.ts';

const TLS = 'envoy.extensions.transport_sockets.tls.v3';
const PROVIDERS = 'certificate providers are not built; use files or SDS';

support(`${TLS}.CommonTlsContext`, {
  acts: [
    'tls_params',
    'tls_certificates',
    'tls_certificate_sds_secret_configs',
    'validation_context',
    'validation_context_sds_secret_config',
    'combined_validation_context',
    'alpn_protocols',
  ],
  ignored: { key_log: 'TLS keys are never written down' },
  refused: {
    tls_certificate_provider_instance: PROVIDERS,
    tls_certificate_certificate_provider: PROVIDERS,
    tls_certificate_certificate_provider_instance: PROVIDERS,
    validation_context_certificate_provider: PROVIDERS,
    validation_context_certificate_provider_instance: PROVIDERS,
    custom_handshaker: 'custom handshakers are not built',
  },
});
support(`${TLS}.CommonTlsContext.CombinedCertificateValidationContext`, {
  acts: ['default_validation_context', 'validation_context_sds_secret_config'],
  refused: {
    validation_context_certificate_provider: PROVIDERS,
    validation_context_certificate_provider_instance: PROVIDERS,
  },
});
support(`${TLS}.TlsParameters`, {
  acts: [
    'tls_minimum_protocol_version',
    'tls_maximum_protocol_version',
    'cipher_suites',
    'ecdh_curves',
    'signature_algorithms',
  ],
});
support(`${TLS}.TlsCertificate`, {
  acts: ['certificate_chain', 'private_key', 'watched_directory', 'password', 'ocsp_staple'],
  ignored: { signed_certificate_timestamp: 'Envoy does not act on it either' },
  refused: {
    pkcs12: 'give certificate_chain and private_key in PEM',
    private_key_provider: 'private key providers are not built',
  },
});
support(`${TLS}.SubjectAltNameMatcher`, {
  acts: ['san_type', 'matcher'],
  refused: { oid: 'OTHER_NAME is not matched' },
});
support(`${TLS}.CertificateValidationContext`, {
  acts: [
    'trusted_ca',
    'watched_directory',
    'verify_certificate_spki',
    'verify_certificate_hash',
    'match_typed_subject_alt_names',
    'match_subject_alt_names',
    'crl',
    'allow_expired_certificate',
    'trust_chain_verification',
    'max_verify_depth',
  ],
  refused: {
    ca_certificate_provider_instance: PROVIDERS,
    system_root_certs: 'name the bundle with trusted_ca',
    require_signed_certificate_timestamp: 'certificate transparency is not checked',
    custom_validator_config: 'custom validators are not built',
    only_verify_leaf_cert_crl: 'a CRL is held against the whole chain',
  },
});
support(`${TLS}.SdsSecretConfig`, { acts: ['name', 'sds_config'] });
support(`${TLS}.DownstreamTlsContext`, {
  acts: [
    'common_tls_context',
    'require_client_certificate',
    'require_sni',
    'disable_stateless_session_resumption',
    'session_timeout',
  ],
  ignored: {
    disable_stateful_session_resumption: 'sessions are resumed by ticket alone',
    ocsp_staple_policy: 'staples are sent when they are configured',
    full_scan_certs_on_sni_mismatch: 'every certificate is looked at',
  },
  refused: {
    session_ticket_keys: 'shared ticket keys let a removed CA back in; tickets use random keys',
    session_ticket_keys_sds_secret_config: 'shared ticket keys let a removed CA back in; tickets use random keys',
  },
});
support(`${TLS}.UpstreamTlsContext`, {
  acts: ['common_tls_context', 'sni', 'max_session_keys', 'allow_renegotiation'],
  ignored: { enforce_rsa_key_usage: 'OpenSSL checks key usage by its own rules' },
});
support(`${TLS}.Secret`, {
  acts: ['name', 'tls_certificate', 'validation_context'],
  refused: {
    session_ticket_keys: 'shared ticket keys let a removed CA back in; tickets use random keys',
    generic_secret: 'nothing reads generic secrets',
  },
});

const VERSIONS: { readonly [version: string]: TlsVersion } = { TLSv1_2: 'TLSv1.2', TLSv1_3: 'TLSv1.3' };
const VERSION_FIELDS = ['tls_minimum_protocol_version', 'tls_maximum_protocol_version'] as const;

function decodeVersion(of: MessageObject | undefined, field: string, ctx: DecodeContext): TlsVersion | undefined {
  const value = word(of, field, 'TLS_AUTO');
  if (value === 'TLSv1_0' || value === 'TLSv1_1') {
    ctx.error(`${value} is not supported: TLS 1.2 is the lowest version spoken`, field);
  }
  return VERSIONS[value];
}

/**
 * Protocols that must not be offered: `istio-peer-exchange` opens with metadata that nothing here reads, and HTTP/2 is
 * not spoken yet. A peer that picked either would be answered with bytes it does not understand.
 */
const UNSPOKEN: { readonly [protocol: string]: string } = {
  'istio-peer-exchange': 'not offered: the metadata exchange is not built',
  h2: 'not offered: HTTP/2 is not spoken yet',
};

function decodeAlpn(common: MessageObject | undefined, ctx: DecodeContext): string[] {
  return texts(common, 'alpn_protocols').filter((protocol) => {
    const reason = Object.hasOwn(UNSPOKEN, protocol) ? UNSPOKEN[protocol] : undefined;
    if (reason !== undefined) {
      ctx.ignore(`${TLS}.CommonTlsContext.alpn_protocols`, `${protocol} is ${reason}`, 'alpn_protocols');
    }
    return reason === undefined;
  });
}

function decodeCertificate(certificate: MessageObject, ctx: DecodeContext): TlsCertificate {
  const chain = message(certificate, 'certificate_chain');
  const key = message(certificate, 'private_key');
  if (chain === undefined && !has(certificate, 'pkcs12')) ctx.error('value is required', 'certificate_chain');
  if (key === undefined && !has(certificate, 'pkcs12') && !has(certificate, 'private_key_provider')) {
    ctx.error('Failed to load incomplete private key from path: value is required', 'private_key');
  }
  return {
    certificateChain: decodeDataSource(chain ?? {}),
    privateKey: decodeDataSource(key ?? {}),
    password: inside(certificate, 'password', ctx, decodeDataSource),
    ocspStaple: inside(certificate, 'ocsp_staple', ctx, decodeDataSource),
    watchedDirectory: textOrNone(message(certificate, 'watched_directory'), 'path'),
  };
}

const SAN_TYPES: { readonly [type: string]: SanMatch['type'] } = {
  DNS: 'dns',
  URI: 'uri',
  EMAIL: 'email',
  IP_ADDRESS: 'ip',
};

function decodeSanMatch(matcher: MessageObject, ctx: DecodeContext): SanMatch {
  const type = SAN_TYPES[word(matcher, 'san_type', 'SAN_TYPE_UNSPECIFIED')];
  if (type === undefined) {
    ctx.error(
      `${word(matcher, 'san_type', 'SAN_TYPE_UNSPECIFIED')} is not matched; use DNS, URI, EMAIL or IP_ADDRESS`,
      'san_type',
    );
  }
  const match = ctx.at('matcher', () => decodeStringMatch(message(matcher, 'matcher'), ctx));
  return { type: type ?? 'any', match };
}

const HEX_SHA256 = /^[0-9a-f]{64}$/;

function decodeHashes(context: MessageObject, ctx: DecodeContext): string[] {
  return texts(context, 'verify_certificate_hash').map((hash) => {
    const plain = hash.replaceAll(':', '').toLowerCase();
    if (!HEX_SHA256.test(plain)) ctx.error(`Invalid hex-encoded SHA-256 ${hash}`, 'verify_certificate_hash');
    return plain;
  });
}

function decodeSpkiHashes(context: MessageObject, ctx: DecodeContext): string[] {
  return texts(context, 'verify_certificate_spki').map((hash) => {
    if (Buffer.from(hash, 'base64').length !== 32) {
      ctx.error(`Invalid base64-encoded SHA-256 ${hash}`, 'verify_certificate_spki');
    }
    return hash;
  });
}

function decodeValidation(context: MessageObject, ctx: DecodeContext): ValidationContext {
  return {
    trustedCa: inside(context, 'trusted_ca', ctx, decodeDataSource),
    watchedDirectory: textOrNone(message(context, 'watched_directory'), 'path'),
    sanMatches: [
      ...each(context, 'match_typed_subject_alt_names', ctx, (matcher) => decodeSanMatch(matcher, ctx)),
      ...each(
        context,
        'match_subject_alt_names',
        ctx,
        (matcher): SanMatch => ({
          type: 'any',
          match: decodeStringMatch(matcher, ctx),
        }),
      ),
    ],
    certificateHashes: decodeHashes(context, ctx),
    spkiHashes: decodeSpkiHashes(context, ctx),
    crl: inside(context, 'crl', ctx, decodeDataSource),
    allowExpired: flag(context, 'allow_expired_certificate'),
    trustChain: word(context, 'trust_chain_verification', '') === 'ACCEPT_UNTRUSTED' ? 'accept-untrusted' : 'verify',
    maxVerifyDepth: wrappedNumber(context, 'max_verify_depth'),
  };
}

/**
 * A context that is whole. A default that SDS completes is not held against this: its CA comes with the secret.
 */
function requireTrustedCa(validation: ValidationContext, ctx: DecodeContext): ValidationContext {
  if (validation.trustedCa !== undefined) return validation;
  if (validation.sanMatches.length > 0) {
    ctx.error('SAN-based verification of peer certificates without trusted CA is insecure and not allowed');
  }
  if (validation.allowExpired) ctx.error('Certificate validity period is always ignored without trusted CA');
  return validation;
}

/** A secret by name. Without `sds_config`, one of the bootstrap's own. */
function decodeSds(config: MessageObject, ctx: DecodeContext) {
  const source = inside(config, 'sds_config', ctx, (value) => decodeConfigSource(value, ctx));
  return { kind: 'sds', name: text(config, 'name'), source: source ?? { kind: 'self' } } as const;
}

function decodeCertificates(common: MessageObject | undefined, ctx: DecodeContext): SecretRef<TlsCertificate>[] {
  const sds = each(common, 'tls_certificate_sds_secret_configs', ctx, (config) => decodeSds(config, ctx));
  const inline = each(
    common,
    'tls_certificates',
    ctx,
    (certificate): SecretRef<TlsCertificate> => ({
      kind: 'inline',
      secret: decodeCertificate(certificate, ctx),
    }),
  );
  // Envoy reads the inline ones and leaves SDS alone where both are given.
  return inline.length > 0 ? inline : sds;
}

function decodeTrust(common: MessageObject | undefined, ctx: DecodeContext): TlsParameters['validation'] {
  const inline = inside(common, 'validation_context', ctx, (value) =>
    requireTrustedCa(decodeValidation(value, ctx), ctx),
  );
  if (inline !== undefined) return { kind: 'inline', context: inline };
  const sds = inside(common, 'validation_context_sds_secret_config', ctx, (value) => decodeSds(value, ctx));
  if (sds !== undefined) return { ...sds, defaults: undefined };
  return inside(common, 'combined_validation_context', ctx, (combined) => {
    const defaults = inside(combined, 'default_validation_context', ctx, (value) => decodeValidation(value, ctx));
    const named = inside(combined, 'validation_context_sds_secret_config', ctx, (value) => decodeSds(value, ctx));
    return named === undefined ? undefined : { ...named, defaults };
  });
}

function decodeCommon(context: MessageObject, ctx: DecodeContext): TlsParameters {
  const common = message(context, 'common_tls_context');
  return ctx.at('common_tls_context', () => {
    const params = message(common, 'tls_params');
    const [minVersion, maxVersion] = ctx.at('tls_params', () =>
      VERSION_FIELDS.map((field) => decodeVersion(params, field, ctx)),
    );
    return {
      minVersion,
      maxVersion,
      cipherSuites: texts(params, 'cipher_suites'),
      ecdhCurves: texts(params, 'ecdh_curves'),
      signatureAlgorithms: texts(params, 'signature_algorithms'),
      alpnProtocols: decodeAlpn(common, ctx),
      certificates: decodeCertificates(common, ctx),
      validation: decodeTrust(common, ctx),
      keyLogPath: undefined,
    };
  });
}

function decodeDownstream(context: MessageObject, ctx: DecodeContext): TransportSocket<DownstreamTls> {
  const common = decodeCommon(context, ctx);
  if (common.certificates.length === 0) {
    ctx.error('No TLS certificates found for server context', 'common_tls_context');
  }
  const requireClientCertificate = wrappedFlag(context, 'require_client_certificate') ?? false;
  return {
    kind: 'tls',
    tls: {
      common,
      requireClientCertificate,
      sessionTickets: !flag(context, 'disable_stateless_session_resumption'),
      sessionTimeoutMs: duration(context, 'session_timeout', ctx),
      requireSni: wrappedFlag(context, 'require_sni') ?? false,
    },
  };
}

function decodeUpstream(context: MessageObject, ctx: DecodeContext): TransportSocket<UpstreamTls> {
  return {
    kind: 'tls',
    tls: {
      common: decodeCommon(context, ctx),
      sni: textOrNone(context, 'sni'),
      // Fields of newer protos than those shipped here: never set.
      autoHostSni: false,
      autoSniSanValidation: false,
      allowRenegotiation: flag(context, 'allow_renegotiation'),
      maxSessionKeys: wrappedNumber(context, 'max_session_keys') ?? 1,
    },
  };
}

export const DOWNSTREAM_TLS: Extension<TransportSocket<DownstreamTls>> = {
  name: 'envoy.transport_sockets.tls',
  type: `${TLS}.DownstreamTlsContext`,
  decode: decodeDownstream,
};

export const UPSTREAM_TLS: Extension<TransportSocket<UpstreamTls>> = {
  name: 'envoy.transport_sockets.tls',
  type: `${TLS}.UpstreamTlsContext`,
  decode: decodeUpstream,
};

/** envoy Secret. */
export function decodeSecret(secret: MessageObject, ctx: DecodeContext): Secret {
  const name = text(secret, 'name');
  const certificate = inside(secret, 'tls_certificate', ctx, (value) => decodeCertificate(value, ctx));
  if (certificate !== undefined) return { kind: 'certificate', name, certificate };
  const validation = inside(secret, 'validation_context', ctx, (value) => decodeValidation(value, ctx));
  if (validation === undefined) ctx.error('a secret needs tls_certificate or validation_context');
  return { kind: 'validation', name, validation: validation ?? decodeValidation({}, ctx) };
}
