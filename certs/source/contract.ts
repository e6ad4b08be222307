/**
 * Where a workload's identity comes from. A source gives the whole of it, certificates with their keys and the bundles to
 * trust, now and again; what it gives was checked and replaces what it gave before. What it gave last stays good until
 * then, whatever goes wrong meanwhile.
 */
import type { CertificateMaterial } from '../material.ts';
import type { Validity } from '../rotation.ts';

export interface IdentityCertificate {
  /** The URI name of the certificate; `undefined` where a file has none. */
  readonly spiffeId: string | undefined;
  /** What the source calls it, for workloads with several. */
  readonly hint: string | undefined;
  readonly material: CertificateMaterial;
  readonly validity: Validity;
  /** Its life counts from here: when it was signed for us, or `notBefore`. Milliseconds since the epoch. */
  readonly since: number;
}

export interface TrustBundle {
  /** `undefined`: the source knows no trust domains. */
  readonly trustDomain: string | undefined;
  /** PEM, one certificate or more. */
  readonly pem: string;
}

export interface Identity {
  /** The first is the default. None: the workload may only verify others. */
  readonly certificates: readonly IdentityCertificate[];
  /** The first is the workload's own trust domain. */
  readonly bundles: readonly TrustBundle[];
  /** Revocation lists in PEM. */
  readonly crl: string | undefined;
}

export interface IdentityProblem {
  /** `unreachable`: nobody answered, or with an error. `refused`: what came cannot be used. */
  readonly kind: 'unreachable' | 'refused';
  /** Without keys and tokens: `the certificate is for "spiffe://td/x"`. */
  readonly reason: string;
  /** When it is tried again; `undefined`: when the source has something new. */
  readonly retryInMs: number | undefined;
}

export interface IdentityListener {
  updated(identity: Identity): void;
  problem(problem: IdentityProblem): void;
}

export interface IdentitySource {
  /** Once. What follows comes in a later turn. */
  start(listener: IdentityListener): void;
  /** Nothing is told afterwards. */
  close(): void;
}

/** What came from a source cannot be used; other errors mean that it was not reached. */
export class UnfitIdentity extends Error {
  override readonly name = 'UnfitIdentity';
}

/** An authority that signs when it is asked; `RotatingSource` asks it in time. */
export interface CertificateAuthority {
  /**
   * A new key and its certificate. `urgent`: nothing valid is left, so do not wait long for a connection. Rejects with
   * `UnfitIdentity` when the answer cannot be used, with anything else when there was none.
   */
  issue(urgent: boolean): Promise<Identity>;
  close(): void;
}
