/** What happens between Tollway and its configuration sources, for statistics, logs and the admin pages. */
import type { UnsupportedField } from './decode/context.ts';
import type { ResourceError } from './nack.ts';
import type { ResourceKind } from './resource-types.ts';
import type { StreamClosed } from './stream.ts';

/** `source`: wants.ts `sourceKey`. `name` is absent for LDS and CDS, which are one subscription each. */
export type XdsEvent =
  | { readonly type: 'connected'; readonly source: string }
  | { readonly type: 'disconnected'; readonly source: string; readonly reason: StreamClosed }
  /** `control_plane.identifier` of a response. */
  | { readonly type: 'server'; readonly source: string; readonly identifier: string }
  /** A subscription started, or an answer was dealt with: Envoy's `update_attempt`. */
  | { readonly type: 'attempt'; readonly kind: ResourceKind; readonly name: string | undefined }
  | {
      readonly type: 'success';
      readonly kind: ResourceKind;
      readonly name: string | undefined;
      readonly version: string;
      readonly at: number;
      /** Something is other than before. */
      readonly changed: boolean;
    }
  | { readonly type: 'rejected'; readonly kind: ResourceKind; readonly name: string | undefined }
  /** The stream ended, in whatever way: Envoy counts each. */
  | { readonly type: 'failure'; readonly kind: ResourceKind; readonly name: string | undefined }
  | { readonly type: 'timeout'; readonly kind: ResourceKind; readonly name: string | undefined }
  /** A response was refused; its good resources count all the same. `message` is what the control plane was told. */
  | {
      readonly type: 'nack';
      readonly source: string;
      /** `undefined`: a type Tollway does not know. */
      readonly kind: ResourceKind | undefined;
      readonly typeUrl: string;
      readonly version: string;
      readonly nonce: string;
      readonly errors: readonly ResourceError[];
      readonly message: string;
    }
  | { readonly type: 'ack'; readonly source: string; readonly kind: ResourceKind; readonly version: string }
  /** Bytes that are no DiscoveryResponse: there is nothing to answer to. */
  | { readonly type: 'malformed'; readonly source: string; readonly message: string }
  /** An accepted resource has fields that do nothing. */
  | {
      readonly type: 'unsupported';
      readonly kind: ResourceKind;
      readonly name: string;
      readonly fields: readonly UnsupportedField[];
    };
