/** Where the workload's own certificate comes from, when Tollway is its own agent: the bootstrap's `TOLLWAY_IDENTITY`. */

export type IdentityKeyType = 'ec-p256' | 'rsa-2048' | 'rsa-4096';

export type IdentitySourceSettings =
  | {
      readonly kind: 'istio-ca';
      /** A static cluster of the bootstrap: its addresses and its TLS. */
      readonly cluster: string;
      /** `undefined`: the cluster's client certificate says who we are. */
      readonly tokenPath: string | undefined;
      readonly clusterId: string | undefined;
      /** PEM of further roots, watched. */
      readonly rootsPath: string | undefined;
      readonly spiffeId: string;
      readonly keyType: IdentityKeyType;
      readonly ttlMs: number;
    }
  | {
      readonly kind: 'spiffe-workload-api';
      /** `unix:///run/spire/agent.sock`; `undefined`: the environment's SPIFFE_ENDPOINT_SOCKET. */
      readonly socket: string | undefined;
    }
  | {
      readonly kind: 'files';
      /** Paths of PEM files. */
      readonly certificateChain: string;
      readonly privateKey: string;
      readonly trustedCa: string;
    }
  /** An authority of its own, in memory. */
  | {
      readonly kind: 'development-ca';
      readonly spiffeId: string;
      readonly keyType: IdentityKeyType;
      readonly ttlMs: number;
    };

export interface IdentitySettings {
  readonly source: IdentitySourceSettings;
  /** The SDS source in whose place the secrets are supplied, and what they are called there. */
  readonly secrets: { readonly cluster: string; readonly certificate: string; readonly trust: string };
}
