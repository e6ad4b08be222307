/** Stable names for TLS material, the same on the main thread and in the workers. */
import { createHash } from 'node:crypto';
import type {
  DownstreamTls,
  SecretRef,
  TlsCertificate,
  TlsParameters,
  UpstreamTls,
} from '../../xds-client/model/tls.ts';

export type ValidationRef = NonNullable<TlsParameters['validation']>;

/** Of a certificate: `sds:<name>@<source>` or `inline:<sha256 of its JSON>`. Nothing secret can be read from it. */
export function secretKey(ref: SecretRef<TlsCertificate>): string {
  if (ref.kind === 'sds') return sdsKey(ref.name, JSON.stringify(ref.source));
  return inlineKey('certificate', JSON.stringify(ref.secret));
}

/** Of a validation context. The defaults of a combined one are part of the key: they change what comes out. */
export function validationKey(ref: ValidationRef): string {
  if (ref.kind === 'inline') return inlineKey('validation', JSON.stringify(ref.context));
  const key = `${sdsKey(ref.name, JSON.stringify(ref.source))}#validation`;
  return ref.defaults === undefined ? key : `${key}+${hash(JSON.stringify(ref.defaults))}`;
}

/** Every key that a TLS configuration waits for. */
export function secretKeys(tls: DownstreamTls | UpstreamTls): string[] {
  const keys = tls.common.certificates.map(secretKey);
  if (tls.common.validation !== undefined) keys.push(validationKey(tls.common.validation));
  return keys;
}

function sdsKey(name: string, source: string): string {
  return `sds:${name}@${source}`;
}

function inlineKey(kind: string, json: string): string {
  return `inline-${kind}:${hash(json)}`;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
