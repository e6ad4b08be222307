/** TLS contexts of listeners and clusters, and the secrets they name. */
import type { MessageObject } from '../../protos/index.ts';
import type {
  DownstreamTls,
  KeyLog,
  OcspStaplePolicy,
  SecretRef,
  TlsCertificate,
  TlsParameters,
  TlsVersion,
  TransportSocket,
  UpstreamTls,
} from '../model/tls.ts';
import { decodeCidrs, decodeConfigSource, duration, each, inside } from './common.ts';
import { type DecodeContext, type Extension, support } from './context.ts';
import { flag, message, text, textOrNone, texts, word, wrappedFlag, wrappedNumber } from './fields.ts';
import { decodeCertificate, decodeValidation, PROVIDERS, requireTrustedCa } from './tls-material.ts';

const TLS = 'envoy.extensions.transport_sockets.tls.v3';

support(`${TLS}.CommonTlsContext`, {
  acts: [
    'tls_params',
    'tls_certificates',
    'tls_certificate_sds_secret_configs',
    'validation_context',
    'validation_context_sds_secret_config',
    'combined_validation_context',
    'alpn_protocols',
    'key_log',
  ],
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
support(`${TLS}.TlsKeyLog`, { acts: ['path', 'local_address_range', 'remote_address_range'] });
support(`${TLS}.SdsSecretConfig`, { acts: ['name', 'sds_config'] });
support(`${TLS}.DownstreamTlsContext`, {
  acts: [
    'common_tls_context',
    'require_client_certificate',
    'require_sni',
    'disable_stateless_session_resumption',
    'session_timeout',
    'disable_stateful_session_resumption',
    'ocsp_staple_policy',
    'full_scan_certs_on_sni_mismatch',
  ],
  refused: {
    session_ticket_keys: 'shared ticket keys let a removed CA back in; tickets use random keys',
    session_ticket_keys_sds_secret_config: 'shared ticket keys let a removed CA back in; tickets use random keys',
  },
});
support(`${TLS}.UpstreamTlsContext`, {
  acts: [
    'common_tls_context',
    'sni',
    'auto_host_sni',
    'auto_sni_san_validation',
    'max_session_keys',
    'allow_renegotiation',
    'enforce_rsa_key_usage',
  ],
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
 * Protocols that must not be offered: `istio-peer-exchange` opens with metadata that nothing here reads. A peer that picked
 * it would be answered with bytes it does not understand.
 */
const UNSPOKEN: { readonly [protocol: string]: string } = {
  'istio-peer-exchange': 'not offered: the metadata exchange is not built',
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

/** Whoever reads the file reads the traffic, so that the operator's own configuration has to say it. */
function decodeKeyLog(log: MessageObject, ctx: DecodeContext): KeyLog | undefined {
  if (!ctx.checks.writesKeys) {
    ctx.ignore(`${TLS}.CommonTlsContext.key_log`, 'TLS keys are written down for contexts in the bootstrap alone');
    return undefined;
  }
  return {
    path: text(log, 'path'),
    localRanges: decodeCidrs(log, 'local_address_range', ctx),
    remoteRanges: decodeCidrs(log, 'remote_address_range', ctx),
  };
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
      keyLog: inside(common, 'key_log', ctx, (log) => decodeKeyLog(log, ctx)),
    };
  });
}

const STAPLE_POLICIES: { readonly [policy: string]: OcspStaplePolicy } = {
  STRICT_STAPLING: 'strict',
  MUST_STAPLE: 'must',
};

function decodeDownstream(context: MessageObject, ctx: DecodeContext): TransportSocket<DownstreamTls> {
  const common = decodeCommon(context, ctx);
  if (common.certificates.length === 0) {
    ctx.error('No TLS certificates found for server context', 'common_tls_context');
  }
  const ocspStaplePolicy = STAPLE_POLICIES[word(context, 'ocsp_staple_policy', '')] ?? 'lenient';
  for (const certificate of common.certificates) {
    if (ocspStaplePolicy !== 'must' || certificate.kind !== 'inline') continue;
    if (certificate.secret.ocspStaple !== undefined) continue;
    ctx.error('Required OCSP response is missing from TLS context', 'ocsp_staple_policy');
  }
  const requireClientCertificate = wrappedFlag(context, 'require_client_certificate') ?? false;
  return {
    kind: 'tls',
    tls: {
      common,
      requireClientCertificate,
      sessionTickets: !flag(context, 'disable_stateless_session_resumption'),
      sessionIds: !flag(context, 'disable_stateful_session_resumption'),
      sessionTimeoutMs: duration(context, 'session_timeout', ctx),
      requireSni: wrappedFlag(context, 'require_sni') ?? false,
      ocspStaplePolicy,
      anyCertificateForUnknownNames: wrappedFlag(context, 'full_scan_certs_on_sni_mismatch') ?? false,
    },
  };
}

/**
 * Envoy keeps one. A ticket of TLS 1.3 is used once, so of connections that are opened together all but one would begin
 * with nothing.
 */
const SESSION_KEYS = 8;

function decodeUpstream(context: MessageObject, ctx: DecodeContext): TransportSocket<UpstreamTls> {
  const common = decodeCommon(context, ctx);
  if (common.certificates.length > 1) {
    ctx.error('Multiple TLS certificates are not supported for client contexts', 'common_tls_context');
  }
  return {
    kind: 'tls',
    tls: {
      common,
      sni: textOrNone(context, 'sni'),
      autoHostSni: flag(context, 'auto_host_sni'),
      autoSniSanValidation: flag(context, 'auto_sni_san_validation'),
      allowRenegotiation: flag(context, 'allow_renegotiation'),
      enforceRsaKeyUsage: wrappedFlag(context, 'enforce_rsa_key_usage') ?? false,
      maxSessionKeys: wrappedNumber(context, 'max_session_keys') ?? SESSION_KEYS,
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
