/** envoy.config.rbac.v3: who may do what. */
import type { CidrRange, HeaderMatch, StringMatch } from './common.ts';
import type { MetadataMatch } from './metadata-match.ts';

export interface RbacRules {
  /** `log`: nobody is refused. */
  readonly action: 'allow' | 'deny' | 'log';
  /** In the order of their names, which is how they are tried. */
  readonly policies: readonly RbacPolicy[];
}

/** Matches where one of the permissions and one of the principals do. */
export interface RbacPolicy {
  readonly name: string;
  readonly permissions: readonly RbacPermission[];
  readonly principals: readonly RbacPrincipal[];
}

type Either<Leaf> =
  | { readonly kind: 'and' | 'or'; readonly of: readonly Either<Leaf>[] }
  | { readonly kind: 'not'; readonly of: Either<Leaf> }
  | { readonly kind: 'any' }
  | { readonly kind: 'header'; readonly match: HeaderMatch }
  /** Of the path without its query. */
  | { readonly kind: 'path'; readonly match: StringMatch }
  | { readonly kind: 'metadata'; readonly match: MetadataMatch }
  | Leaf;

export type RbacPermission = Either<
  | { readonly kind: 'destination-ip'; readonly range: CidrRange }
  /** `from` is among them, `to` is not. */
  | { readonly kind: 'destination-port'; readonly from: number; readonly to: number }
  | { readonly kind: 'server-name'; readonly match: StringMatch }
>;

export type RbacPrincipal = Either<
  /** Without a name: whoever has shown a certificate that is trusted. */
  | { readonly kind: 'authenticated'; readonly name?: StringMatch }
  /** `direct`: the peer of the socket; otherwise the downstream as PROXY protocol or headers tell it. */
  | { readonly kind: 'source-ip'; readonly of: 'connection' | 'direct' | 'remote'; readonly range: CidrRange }
>;
