/** TLS towards the control plane, from the material that its bootstrap cluster names; read anew on every attempt. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import type { CertificateMaterial } from '../certs/material.ts';
import { lifeUsedAt } from '../certs/rotation.ts';
import { buildSecureContext, parseCertificates } from '../certs/tls-context.ts';
import type { Address, DataSource } from '../xds-client/model/common.ts';
import type { Secret, TlsCertificate, TlsParameters, UpstreamTls, ValidationContext } from '../xds-client/model/tls.ts';
import { ProxyError } from './errors.ts';
import { mergeValidation } from './secrets/merge.ts';
import { needsWholeChain } from './tls/chain-check.ts';
import { compileValidator } from './tls/validator.ts';

export interface ControlPlaneCredentials {
  readonly credentials: ChannelCredentials;
  /** Milliseconds since the epoch: the client certificate is late in its life. `Infinity` without one. */
  readonly reopenAt: number;
}

/** Of the client certificate's life. */
const REOPEN_SHARE = 0.75;
/** Sent where nothing names the server: Node refuses an address for a server name, and gRPC would take the address. */
const NAMELESS = 'control-plane';

/**
 * `secrets`: the bootstrap's own, and those that are supplied here. Verifies as Envoy does: the chain against the trusted CA where one is given, names and
 * pins as the validation context says. Throws `control-plane-tls` for SDS, and what the files or OpenSSL say.
 */
export function controlPlaneCredentials(
  cluster: string,
  { common }: UpstreamTls,
  secrets: readonly Secret[],
): ControlPlaneCredentials {
  const validation = validationOf(cluster, common.validation, secrets);
  const trust = { trustedCa: textOf(validation?.trustedCa), crl: textOf(validation?.crl) };
  if (validation !== undefined && needsWholeChain({ ...validation, allowExpired: false })) {
    throw new ProxyError(
      'control-plane-tls',
      `cluster "${cluster}": max_verify_depth, only_verify_leaf_cert_crl and custom validators are not for the control plane's own TLS`,
    );
  }
  const certificates = common.certificates.map((ref) =>
    materialOf(ref.kind === 'inline' ? ref.secret : staticSecret(cluster, ref.name, 'certificate', secrets)),
  );
  const secureContext = buildSecureContext({
    certificates,
    trust,
    minVersion: common.minVersion,
    maxVersion: common.maxVersion,
    cipherSuites: common.cipherSuites,
    ecdhCurves: common.ecdhCurves,
    signatureAlgorithms: common.signatureAlgorithms,
    sessionTickets: true,
    sessionTimeoutMs: undefined,
    allowRenegotiation: false,
  });
  const validator = compileValidator(
    validation === undefined ? undefined : { kind: 'trust', generation: 0, trust, rules: validation },
    { role: 'server', enforceRsaKeyUsage: false },
    Date.now,
  );
  const made = credentials.createFromSecureContext(secureContext, {
    rejectUnauthorized: validator.validates,
    // asked once the chain is good
    checkServerIdentity: (_host, { raw }) => {
      const refusal = validator.check({
        certificate: new X509Certificate(raw),
        verdict: () => undefined,
        resumed: false,
        expectedSan: undefined,
        certificateRequired: true,
      });
      return refusal === undefined ? undefined : new Error(refusal.message);
    },
  });
  return { credentials: made, reopenAt: Math.min(...certificates.map(({ chain }) => lateInLife(chain))) };
}

/** Renewed long before by whoever renews it; `Infinity` where it does not say. */
function lateInLife(chain: string): number {
  const [leaf] = parseCertificates(chain);
  if (leaf === undefined) return Number.POSITIVE_INFINITY;
  const validity = { notBefore: leaf.validFromDate.getTime(), notAfter: leaf.validToDate.getTime() };
  return lifeUsedAt(validity, validity.notBefore, REOPEN_SHARE);
}

/** The SNI: what the cluster says, or the DNS name dialled, or one that the certificate has to carry anyway. */
export function controlPlaneServerName({ sni, common }: UpstreamTls, address: Address): string {
  if (sni !== undefined) return sni;
  if (address.kind === 'socket' && isIP(address.host) === 0) return address.host;
  const { validation } = common;
  const rules = validation?.kind === 'inline' ? validation.context : validation?.defaults;
  const named = rules?.sanMatches.find(
    ({ type, match }) => (type === 'dns' || type === 'any') && match.kind === 'exact' && isDnsName(match.value),
  );
  return named?.match.value ?? NAMELESS;
}

function isDnsName(text: string): boolean {
  return /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(text) && isIP(text) === 0;
}

function validationOf(
  cluster: string,
  ref: TlsParameters['validation'],
  secrets: readonly Secret[],
): ValidationContext | undefined {
  if (ref === undefined) return undefined;
  if (ref.kind === 'inline') return ref.context;
  return mergeValidation(ref.defaults, staticSecret(cluster, ref.name, 'validation', secrets));
}

function staticSecret(cluster: string, name: string, kind: 'certificate', secrets: readonly Secret[]): TlsCertificate;
function staticSecret(cluster: string, name: string, kind: 'validation', secrets: readonly Secret[]): ValidationContext;
function staticSecret(cluster: string, name: string, kind: Secret['kind'], secrets: readonly Secret[]) {
  const secret = secrets.find((candidate) => candidate.name === name && candidate.kind === kind);
  if (secret !== undefined) return secret.kind === 'certificate' ? secret.certificate : secret.validation;
  throw new ProxyError(
    'control-plane-tls',
    `cluster "${cluster}": the control plane's own TLS takes files, inline material, the bootstrap's secrets or its identity, and "${name}" is none of them yet`,
  );
}

function materialOf(certificate: TlsCertificate): CertificateMaterial {
  return {
    chain: bytesOf(certificate.certificateChain).toString(),
    key: bytesOf(certificate.privateKey).toString(),
    password: textOf(certificate.password)?.trimEnd(),
    ocspStaple: undefined,
  };
}

function textOf(source: DataSource | undefined): string | undefined {
  return source === undefined ? undefined : bytesOf(source).toString();
}

function bytesOf(source: DataSource): Buffer {
  switch (source.kind) {
    case 'inline':
      return Buffer.from(source.base64, 'base64');
    case 'file':
      return readFileSync(source.path);
    case 'environment':
      return Buffer.from(process.env[source.variable] ?? '');
  }
}
