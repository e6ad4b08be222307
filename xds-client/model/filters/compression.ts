/** What the compressor and decompressor filters are configured with. */
import type { RuntimeFlag } from '../common.ts';

/** How a library compresses. `chunkSize` is bytes of an output buffer; other numbers are the library's own. */
export type CompressorLibrary = {
  readonly chunkSize: number;
} & (
  | {
      readonly kind: 'gzip';
      readonly level: number;
      readonly memoryLevel: number;
      readonly strategy: number;
      readonly windowBits: number;
    }
  | {
      readonly kind: 'brotli';
      readonly quality: number;
      readonly mode: number;
      readonly windowBits: number;
      readonly blockBits: number;
      readonly literalContext: boolean;
    }
  | { readonly kind: 'zstd'; readonly level: number; readonly checksum: boolean; readonly strategy: number }
);

/** How a library decompresses. `maxRatio`: bytes that may come of one; `freeBytes`: and of any body beyond that. */
export type DecompressorLibrary = {
  readonly chunkSize: number;
  readonly maxRatio: number;
  readonly freeBytes: number;
} & (
  | { readonly kind: 'gzip'; readonly windowBits: number }
  | { readonly kind: 'brotli'; readonly reallocate: boolean }
  | { readonly kind: 'zstd' }
);

export interface CompressedDirection {
  readonly enabled: RuntimeFlag;
  /** Of `content-length`; messages without one are of any length. */
  readonly minLength: number;
  /** Lower case. */
  readonly contentTypes: readonly string[];
}

export interface CompressorConfig {
  /** The library's name in the configuration: part of statistics' names. */
  readonly name: string;
  readonly library: CompressorLibrary;
  readonly request: CompressedDirection;
  readonly response: CompressedDirection & {
    readonly disableOnEtag: boolean;
    readonly removeAcceptEncoding: boolean;
  };
  /** The response's statistics are below `response.`. */
  readonly responseStats: boolean;
  readonly chooseFirst: boolean;
}

/** What a route says; what is not there is as the filter has it. */
export interface CompressorRouteConfig {
  readonly disabled?: boolean;
  readonly enabled?: boolean;
  readonly removeAcceptEncoding?: boolean;
}

export interface DecompressedDirection {
  readonly enabled: RuntimeFlag;
  readonly ignoreNoTransform: boolean;
}

export interface DecompressorConfig {
  readonly name: string;
  readonly library: DecompressorLibrary;
  readonly request: DecompressedDirection;
  readonly response: DecompressedDirection;
  readonly advertise: boolean;
}
