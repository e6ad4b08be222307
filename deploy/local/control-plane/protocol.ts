/** What the demo's starter and its control plane tell each other over IPC. */
import type { Pod } from '../istio/mesh.ts';

export interface ToControlPlane {
  readonly type: 'pods';
  readonly pods: readonly Pod[];
}

export interface ControlPlaneStatus {
  /** Responses sent to proxies. */
  readonly pushes: number;
  /** Responses that a proxy refused (NACK). */
  readonly rejected: number;
  /** Streams open now. */
  readonly connected: number;
  /** Certificates issued, rotations included. */
  readonly certificates: number;
  readonly warnings: readonly string[];
  /** Why the newest state of the folder is not served. */
  readonly error: string | undefined;
}

export interface FromControlPlane {
  readonly type: 'status';
  readonly status: ControlPlaneStatus;
}
