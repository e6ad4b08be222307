/** Certificates, what a peer's must look like, and the secrets that bring either. */
import type { MessageObject } from '../../protos/index.ts';
import type { SanMatch, Secret, SpiffeValidation, TlsCertificate, ValidationContext } from '../model/tls.ts';
import { decodeDataSource, each, inside } from './common.ts';
import { type DecodeContext, support } from './context.ts';
import { decodeExtension } from './extension.ts';
import { any, flag, has, message, text, textOrNone, texts, word, wrappedNumber } from './fields.ts';
import { decodeStringMatch } from './matcher.ts';

const TLS = 'envoy.extensions.transport_sockets.tls.v3';
/** Why certificate providers are refused. */
export const PROVIDERS = 'certificate providers are not built; use files or SDS';

support(`${TLS}.TlsCertificate`, {
  acts: ['certificate_chain', 'private_key', 'watched_directory', 'password', 'ocsp_staple'],
  ignored: {
    signed_certificate_timestamp: 'Envoy does not act on it either',
  },
  refused: {
    pkcs12: 'give certificate_chain and private_key in PEM',
    private_key_provider: 'private key providers are not built',
  },
});
support(`${TLS}.SubjectAltNameMatcher`, {
  acts: ['san_type', 'matcher', 'oid'],
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
    'trust_chain_verification',
    'allow_expired_certificate',
    'max_verify_depth',
    'only_verify_leaf_cert_crl',
    'custom_validator_config',
  ],
  ignored: { suppress_client_ca_list: 'clients are told which authorities are trusted' },
  refused: {
    ca_certificate_provider_instance: PROVIDERS,
    system_root_certs: 'name the bundle with trusted_ca',
    require_signed_certificate_timestamp: 'certificate transparency is not checked',
  },
});
support(`${TLS}.Secret`, {
  acts: ['name', 'tls_certificate', 'validation_context'],
  refused: {
    session_ticket_keys: 'shared ticket keys let a removed CA back in; tickets use random keys',
    generic_secret: 'nothing reads generic secrets',
  },
});

/** envoy TlsCertificate. */
export function decodeCertificate(certificate: MessageObject, ctx: DecodeContext): TlsCertificate {
  const chain = message(certificate, 'certificate_chain');
  const key = message(certificate, 'private_key');
  if (chain === undefined && !has(certificate, 'pkcs12')) ctx.error('value is required', 'certificate_chain');
  if (key === undefined && !has(certificate, 'pkcs12') && !has(certificate, 'private_key_provider')) {
    ctx.error('Failed to load incomplete private key from path: value is required', 'private_key');
  }
  const decoded: TlsCertificate = {
    certificateChain: decodeDataSource(chain ?? {}),
    privateKey: decodeDataSource(key ?? {}),
    password: inside(certificate, 'password', ctx, decodeDataSource),
    ocspStaple: inside(certificate, 'ocsp_staple', ctx, decodeDataSource),
    watchedDirectory: textOrNone(message(certificate, 'watched_directory'), 'path'),
  };
  if (chain !== undefined && key !== undefined) ctx.checked(ctx.checks.certificate(decoded));
  return decoded;
}

const SAN_TYPES: { readonly [type: string]: SanMatch['type'] } = {
  DNS: 'dns',
  URI: 'uri',
  EMAIL: 'email',
  IP_ADDRESS: 'ip',
  OTHER_NAME: 'other',
};
/** Dotted, as X.660 §7 has its arcs. */
const OID = /^[0-2](\.(0|[1-9]\d*))+$/;

function decodeSanMatch(matcher: MessageObject, ctx: DecodeContext): SanMatch {
  const type = SAN_TYPES[word(matcher, 'san_type', 'SAN_TYPE_UNSPECIFIED')];
  if (type === undefined) {
    ctx.error(
      `${word(matcher, 'san_type', 'SAN_TYPE_UNSPECIFIED')} is not matched; use DNS, URI, EMAIL, IP_ADDRESS or OTHER_NAME`,
      'san_type',
    );
  }
  const match = ctx.at('matcher', () => decodeStringMatch(message(matcher, 'matcher'), ctx));
  if (type !== 'other') return { type: type ?? 'any', match };
  const oid = text(matcher, 'oid');
  if (!OID.test(oid)) ctx.error(`"${oid}" is no OID: an OTHER_NAME needs the dotted id of its kind`, 'oid');
  return { type, oid, match };
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

function decodeValidator(extension: MessageObject, ctx: DecodeContext): SpiffeValidation | undefined {
  const name = text(extension, 'name');
  const found = ctx.at('typed_config', () =>
    decodeExtension('certificate-validator', any(extension, 'typed_config'), name, ctx),
  );
  return found.kind === 'acts' ? found.value : undefined;
}

/** envoy CertificateValidationContext. */
export function decodeValidation(context: MessageObject, ctx: DecodeContext): ValidationContext {
  const decoded: ValidationContext = {
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
    onlyLeafCrl: flag(context, 'only_verify_leaf_cert_crl'),
    allowExpired: flag(context, 'allow_expired_certificate'),
    trustChain: word(context, 'trust_chain_verification', '') === 'ACCEPT_UNTRUSTED' ? 'accept-untrusted' : 'verify',
    maxVerifyDepth: wrappedNumber(context, 'max_verify_depth'),
    spiffe: inside(context, 'custom_validator_config', ctx, (config) => decodeValidator(config, ctx)),
  };
  if (decoded.trustedCa !== undefined || decoded.crl !== undefined || decoded.spiffe !== undefined)
    ctx.checked(ctx.checks.trust(decoded));
  return decoded;
}

/**
 * A context that is whole. A default that SDS completes is not held against this: its CA comes with the secret.
 */
export function requireTrustedCa(validation: ValidationContext, ctx: DecodeContext): ValidationContext {
  if (validation.trustedCa !== undefined || validation.spiffe !== undefined) return validation;
  if (validation.sanMatches.length > 0) {
    ctx.error('SAN-based verification of peer certificates without trusted CA is insecure and not allowed');
  }
  if (validation.allowExpired) ctx.error('Certificate validity period is always ignored without trusted CA');
  return validation;
}

/** envoy Secret. */
export function decodeSecret(secret: MessageObject, ctx: DecodeContext): Secret {
  const name = text(secret, 'name');
  const certificate = inside(secret, 'tls_certificate', ctx, (value) => decodeCertificate(value, ctx));
  if (certificate !== undefined) return { kind: 'certificate', name, certificate };
  const validation = inside(secret, 'validation_context', ctx, (value) => decodeValidation(value, ctx));
  if (validation === undefined) ctx.error('a secret needs tls_certificate or validation_context');
  return { kind: 'validation', name, validation: validation ?? decodeValidation({}, ctx) };
}
