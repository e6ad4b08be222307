import type { Json } from '../common.ts';

/** What is put below one namespace of a request's dynamic metadata. */
export interface MetadataEntry {
  readonly namespace: string;
  readonly value: { readonly [key: string]: Json };
  /** Merges into what is there; otherwise that stays. */
  readonly overwrite: boolean;
}

/** envoy.extensions.filters.http.set_metadata.v3.Config. */
export interface SetMetadataConfig {
  readonly entries: readonly MetadataEntry[];
}
