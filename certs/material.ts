/**
 * TLS material as it crosses rooms and threads: PEM text, resolved from files, inline data or SDS. Holders keep it in
 * memory only; it is never logged, never dumped, never part of an error's message.
 */
export interface CertificateMaterial {
  /** PEM, leaf first. */
  readonly chain: string;
  /** PEM. */
  readonly key: string;
  readonly password: string | undefined;
  /** DER, base64. */
  readonly ocspStaple: string | undefined;
}

export interface TrustMaterial {
  /** PEM bundle; `undefined`: nothing is trusted unless the chain is not verified. */
  readonly trustedCa: string | undefined;
  readonly crl: string | undefined;
  /** Of an SPIFFE validator: whose authorities vouch for which trust domain. `trustedCa` is all of them together. */
  readonly domains?: readonly TrustDomain[];
}

export interface TrustDomain {
  readonly name: string;
  /** PEM. */
  readonly authorities: string;
}

/** What a secret key resolves to. `generation` rises with every change; contexts and sessions are keyed by it. */
export type SecretMaterial =
  | { readonly kind: 'certificate'; readonly generation: number; readonly certificate: CertificateMaterial }
  | { readonly kind: 'trust'; readonly generation: number; readonly trust: TrustMaterial };
