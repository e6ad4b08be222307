/** What the demo's starter and its control plane tell each other over IPC. The starter is the certificate authority. */
import type { Pod } from '../istio/mesh.ts';

export type ToControlPlane =
  | { readonly type: 'pods'; readonly pods: readonly Pod[] }
  | {
      readonly type: 'certificate';
      readonly node: string;
      readonly chain: string;
      readonly key: string;
      readonly root: string;
    };

export interface ControlPlaneStatus {
  /** Responses that proxies accepted. */
  readonly pushes: number;
  /** Responses that a proxy refused (NACK). */
  readonly rejected: number;
  /** Streams open now. */
  readonly connected: number;
  /** What the mesh's YAML made it assume, and what a proxy refused. */
  readonly warnings: readonly string[];
  /** States of the folder that were taken so far. */
  readonly taken: number;
  /** Why the newest state of the folder is not served. */
  readonly error: string | undefined;
}

export type FromControlPlane =
  | { readonly type: 'status'; readonly status: ControlPlaneStatus }
  | { readonly type: 'issue'; readonly node: string; readonly spiffeId: string };
