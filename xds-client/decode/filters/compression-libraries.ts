/** The libraries of the compressor and decompressor filters: gzip, brotli and zstd, with Envoy's defaults. */
import type { MessageObject } from '../../../protos/index.ts';
import type { CompressorLibrary, DecompressorLibrary } from '../../model/filters/compression.ts';
import { type DecodeContext, type Extension, type ExtensionCategory, support } from '../context.ts';
import { decodeExtension } from '../extension.ts';
import { any, flag, message, text, word, wrappedNumber } from '../fields.ts';

const LIBRARIES = 'envoy.extensions.compression';
const CHUNK = 4096;
/** Bytes that may come of one: the default of gzip's field, and what Envoy holds the others to. */
const MAX_INFLATE_RATIO = 100;
const MAX_RATIO = 1000;
/** Envoy looks at the ratio when so much has come: chunks of gzip and brotli, a block of zstd. */
const GZIP_CHUNKS = 2;
const BROTLI_CHUNKS = 4;
const ZSTD_BLOCK = 128 * 1024;
const DICTIONARIES = 'dictionaries are not supported: compress without one';

support(`${LIBRARIES}.gzip.compressor.v3.Gzip`, {
  acts: ['memory_level', 'compression_level', 'compression_strategy', 'window_bits', 'chunk_size'],
});
support(`${LIBRARIES}.brotli.compressor.v3.Brotli`, {
  acts: [
    'quality',
    'encoder_mode',
    'window_bits',
    'input_block_bits',
    'chunk_size',
    'disable_literal_context_modeling',
  ],
});
support(`${LIBRARIES}.zstd.compressor.v3.Zstd`, {
  acts: ['compression_level', 'enable_checksum', 'strategy', 'chunk_size'],
  refused: { dictionary: DICTIONARIES },
});
support(`${LIBRARIES}.gzip.decompressor.v3.Gzip`, { acts: ['window_bits', 'chunk_size', 'max_inflate_ratio'] });
support(`${LIBRARIES}.brotli.decompressor.v3.Brotli`, { acts: ['disable_ring_buffer_reallocation', 'chunk_size'] });
support(`${LIBRARIES}.zstd.decompressor.v3.Zstd`, { acts: ['chunk_size'], refused: { dictionaries: DICTIONARIES } });

const chunkSize = (config: MessageObject): number => wrappedNumber(config, 'chunk_size') ?? CHUNK;

/** zlib's: -1 is its default, 1 the fastest, 9 the best. */
const LEVELS: { readonly [word: string]: number } = {
  DEFAULT_COMPRESSION: -1,
  BEST_SPEED: 1,
  BEST_COMPRESSION: 9,
};

/** In zlib's order, 0 first. */
const STRATEGIES = ['DEFAULT_STRATEGY', 'FILTERED', 'HUFFMAN_ONLY', 'RLE', 'FIXED'];
/** Brotli's modes; `DEFAULT` is its generic one. */
const MODES: { readonly [word: string]: number } = { DEFAULT: 0, GENERIC: 0, TEXT: 1, FONT: 2 };
/** In zstd's order, 0 (what the level says) first. */
const ZSTD_STRATEGIES = [
  'DEFAULT',
  'FAST',
  'DFAST',
  'GREEDY',
  'LAZY',
  'LAZY2',
  'BTLAZY2',
  'BTOPT',
  'BTULTRA',
  'BTULTRA2',
];
/** zstd takes no more, whatever is asked for. */
const MAX_ZSTD_LEVEL = 22;

function levelOf(level: string): number {
  return LEVELS[level] ?? Number(level.replace('COMPRESSION_LEVEL_', ''));
}

export const COMPRESSOR_LIBRARIES: readonly Extension<CompressorLibrary>[] = [
  {
    name: 'envoy.compression.gzip.compressor',
    type: `${LIBRARIES}.gzip.compressor.v3.Gzip`,
    decode: (config) => ({
      kind: 'gzip',
      chunkSize: chunkSize(config),
      level: levelOf(word(config, 'compression_level', 'DEFAULT_COMPRESSION')),
      memoryLevel: wrappedNumber(config, 'memory_level') ?? 5,
      strategy: Math.max(0, STRATEGIES.indexOf(word(config, 'compression_strategy', 'DEFAULT_STRATEGY'))),
      windowBits: wrappedNumber(config, 'window_bits') ?? 12,
    }),
  },
  {
    name: 'envoy.compression.brotli.compressor',
    type: `${LIBRARIES}.brotli.compressor.v3.Brotli`,
    decode: (config) => ({
      kind: 'brotli',
      chunkSize: chunkSize(config),
      quality: wrappedNumber(config, 'quality') ?? 3,
      mode: MODES[word(config, 'encoder_mode', 'DEFAULT')] ?? 0,
      windowBits: wrappedNumber(config, 'window_bits') ?? 18,
      blockBits: wrappedNumber(config, 'input_block_bits') ?? 24,
      literalContext: !flag(config, 'disable_literal_context_modeling'),
    }),
  },
  {
    name: 'envoy.compression.zstd.compressor',
    type: `${LIBRARIES}.zstd.compressor.v3.Zstd`,
    decode: (config) => ({
      kind: 'zstd',
      chunkSize: chunkSize(config),
      level: Math.min(MAX_ZSTD_LEVEL, wrappedNumber(config, 'compression_level') ?? 3),
      checksum: flag(config, 'enable_checksum'),
      strategy: Math.max(0, ZSTD_STRATEGIES.indexOf(word(config, 'strategy', 'DEFAULT'))),
    }),
  },
];

export const DECOMPRESSOR_LIBRARIES: readonly Extension<DecompressorLibrary>[] = [
  {
    name: 'envoy.compression.gzip.decompressor',
    type: `${LIBRARIES}.gzip.decompressor.v3.Gzip`,
    decode: (config) => ({
      kind: 'gzip',
      chunkSize: chunkSize(config),
      maxRatio: wrappedNumber(config, 'max_inflate_ratio') ?? MAX_INFLATE_RATIO,
      freeBytes: GZIP_CHUNKS * chunkSize(config),
      windowBits: wrappedNumber(config, 'window_bits') ?? 15,
    }),
  },
  {
    name: 'envoy.compression.brotli.decompressor',
    type: `${LIBRARIES}.brotli.decompressor.v3.Brotli`,
    decode: (config) => ({
      kind: 'brotli',
      chunkSize: chunkSize(config),
      maxRatio: MAX_RATIO,
      freeBytes: BROTLI_CHUNKS * chunkSize(config),
      reallocate: !flag(config, 'disable_ring_buffer_reallocation'),
    }),
  },
  {
    name: 'envoy.compression.zstd.decompressor',
    type: `${LIBRARIES}.zstd.decompressor.v3.Zstd`,
    decode: (config) => ({ kind: 'zstd', chunkSize: chunkSize(config), maxRatio: MAX_RATIO, freeBytes: ZSTD_BLOCK }),
  },
];

/** The library that a filter's field names, with its name; `undefined` after an error. */
export function decodeLibrary<C extends ExtensionCategory & ('compressor-library' | 'decompressor-library')>(
  category: C,
  filter: MessageObject,
  ctx: DecodeContext,
) {
  const field = category === 'compressor-library' ? 'compressor_library' : 'decompressor_library';
  const config = message(filter, field);
  if (config === undefined) return undefined;
  const name = text(config, 'name');
  return ctx.at(field, () =>
    ctx.at('typed_config', () => {
      const found = decodeExtension(category, any(config, 'typed_config'), name, ctx);
      return found.kind === 'acts' ? { name, library: found.value } : undefined;
    }),
  );
}
