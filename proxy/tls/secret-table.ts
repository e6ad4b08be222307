/** A worker's secrets, fed by `secret` messages. Contexts ask it lazily: a changed version makes them look again. */
import type { SecretMaterial } from '../../certs/material.ts';
import type { ValidationContext } from '../../xds-client/model/tls.ts';

/** What of a validation context is not material: combined defaults and what SDS brought, merged. */
export type ValidationRules = Omit<ValidationContext, 'trustedCa' | 'crl' | 'watchedDirectory'>;

/** The JSON of a `secret` message. Rules travel with the trust, because SDS may bring them both. */
export type SecretPayload =
  | Extract<SecretMaterial, { kind: 'certificate' }>
  | (Extract<SecretMaterial, { kind: 'trust' }> & { readonly rules: ValidationRules });

export type CertificateSecret = Extract<SecretPayload, { kind: 'certificate' }>;
export type TrustSecret = Extract<SecretPayload, { kind: 'trust' }>;

export class SecretTable {
  readonly #secrets = new Map<string, SecretPayload>();
  /** Rises with every change of any secret. */
  version = 1;
  /** Told of every new trust, once contexts see it. */
  onTrustChange: (() => void) | undefined = undefined;

  set(key: string, payload: SecretPayload): void {
    this.#secrets.set(key, payload);
    this.version++;
    if (payload.kind === 'trust') this.onTrustChange?.();
  }

  delete(key: string): void {
    if (this.#secrets.delete(key)) this.version++;
  }

  certificate(key: string): CertificateSecret | undefined {
    const secret = this.#secrets.get(key);
    return secret?.kind === 'certificate' ? secret : undefined;
  }

  trust(key: string): TrustSecret | undefined {
    const secret = this.#secrets.get(key);
    return secret?.kind === 'trust' ? secret : undefined;
  }
}
