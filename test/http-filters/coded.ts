/** Bodies on their way through the thread pool, and libraries with their usual options. */
import type { CompressorLibrary, DecompressorLibrary } from '../../xds-client/model/filters/compression.ts';
import { until } from '../upstream/support.ts';
import type { FilterRun } from './support.ts';

export const GZIP = {
  kind: 'gzip',
  chunkSize: 4096,
  level: -1,
  memoryLevel: 5,
  strategy: 0,
  windowBits: 12,
} as const satisfies CompressorLibrary;
export const BROTLI = {
  kind: 'brotli',
  chunkSize: 4096,
  quality: 3,
  mode: 0,
  windowBits: 18,
  blockBits: 24,
  literalContext: true,
} as const satisfies CompressorLibrary;
export const ZSTD = {
  kind: 'zstd',
  chunkSize: 4096,
  level: 3,
  checksum: true,
  strategy: 0,
} as const satisfies CompressorLibrary;

export const GUNZIP = {
  kind: 'gzip',
  chunkSize: 4096,
  maxRatio: 100,
  freeBytes: 8192,
  windowBits: 15,
} as const satisfies DecompressorLibrary;
export const UNBROTLI = {
  kind: 'brotli',
  chunkSize: 4096,
  maxRatio: 1000,
  freeBytes: 16_384,
  reallocate: true,
} as const satisfies DecompressorLibrary;
export const UNZSTD = {
  kind: 'zstd',
  chunkSize: 4096,
  maxRatio: 1000,
  freeBytes: 131_072,
} as const satisfies DecompressorLibrary;

/** Waits for the message's last part in that direction, or the stream's early end. */
export async function ended(it: FilterRun, direction: 'request' | 'response'): Promise<void> {
  const parts = direction === 'request' ? it.toUpstream : it.toDownstream;
  await until(() => /^(trailers|local|reset)| end$/.test(parts.at(-1) ?? ''), `the ${direction} has ended`);
}
