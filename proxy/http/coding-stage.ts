/**
 * Compression and decompression of one body, as it streams. The work is done by node:zlib's streams: they run in the
 * thread pool (a MiB at gzip's level 6 takes 20 ms and more, in which no other request of the worker would move), and a
 * stream has one buffer in front and one behind, each with a limit. The source is told to stop when the first is full, and
 * nothing is worked on while the second is: what one body holds is bounded in both directions, however much comes of it.
 *
 * A small body that is there at once does not make the trip, which costs more than the work: 16 KiB of gzip take 0.12 ms.
 *
 * Every piece is flushed, as in Envoy: who streams messages through a compressor gets each when it is sent.
 *
 * A library's own memory is up to some MiB a body. All bodies of a worker together have a budget; beyond it `startStage`
 * gives nothing, and the caller does without.
 */
import type { Transform } from 'node:stream';
import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  createBrotliCompress,
  createBrotliDecompress,
  createGunzip,
  createGzip,
  createZstdCompress,
  createZstdDecompress,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib';
import type { CompressorLibrary, DecompressorLibrary } from '../../xds-client/model/filters/compression.ts';
import { keepBytes } from './bytes.ts';

/** Of `content-encoding`. */
export type Coding = 'gzip' | 'br' | 'zstd';

/** How to make a stage, and what one holds. */
export interface StageKind {
  readonly coding: Coding;
  /** An estimate of the library's memory and of the output buffer, in bytes. */
  readonly memory: number;
  make(): Transform;
  /** A whole body of at most `MAX_AT_ONCE` bytes; `undefined`: it is better streamed. Not there: all are. */
  atOnce?(body: Buffer): Buffer | undefined;
}

export interface StageOwner {
  /** What came of the input, a piece at a time. The bytes are the owner's. */
  onOutput(chunk: Buffer): void;
  /** The last of it was given. */
  onOutputEnd(): void;
  /** The input is broken or cut off; nothing more comes. */
  onBroken(error: NodeJS.ErrnoException): void;
  /** The input waits: its source is to stop, or go on. */
  onFull(full: boolean): void;
}

/** Bytes that the libraries may hold for the bodies of a worker, by `StageKind.memory`. */
const BUDGET = 256 * 1024 * 1024;
/** A trip to the thread pool costs more than the memory of a buffer: smaller ones are not made. */
const MIN_CHUNK = 16 * 1024;
const KIB = 1024;
/** Bytes of a body that is not worth a trip to the thread pool. */
const MAX_AT_ONCE = 16 * KIB;
/** Of what may come of one. */
const MAX_OUTPUT_AT_ONCE = 64 * KIB;

let spent = 0;

/** What all stages of this worker hold, by estimate, in bytes. */
export function stageMemory(): number {
  return spent;
}

/** A stage for one body; `undefined`: the budget is spent. */
export function startStage(kind: StageKind, owner: StageOwner): CodingStage | undefined {
  // One body may be beyond it all by itself: configurations that want so much are not refused.
  return spent > 0 && spent + kind.memory > BUDGET ? undefined : new CodingStage(kind, owner);
}

export class CodingStage {
  private readonly kind: StageKind;
  private readonly owner: StageOwner;
  /** Made with the first piece. */
  private stream: Transform | undefined = undefined;
  private held = false;
  private memory: number;
  private full = false;
  private over = false;

  constructor(kind: StageKind, owner: StageOwner) {
    this.kind = kind;
    this.owner = owner;
    this.memory = kind.memory;
    spent += kind.memory;
  }

  /** The bytes are the caller's again when it returns. `last`: no more come in, and `onOutputEnd` follows. */
  write(chunk: Buffer, last: boolean): void {
    if (this.over) return;
    if (last && this.stream === undefined && this.makesAtOnce(chunk)) return;
    if (chunk.length > 0) {
      this.stream ??= this.open();
      if (!this.stream.write(keepBytes(chunk))) this.setFull(true);
    }
    if (last) this.end();
  }

  /** No more comes in; `onOutputEnd` follows. */
  end(): void {
    if (this.over) return;
    // No 'drain' follows.
    this.setFull(false);
    this.stream ??= this.open();
    this.stream.end();
  }

  /** The output cannot go on, or can again. */
  hold(held: boolean): void {
    if (this.over) return;
    this.held = held;
    if (held) this.stream?.pause();
    else this.stream?.resume();
  }

  /** Gives everything back, even while the library works on a piece. Nothing is called any more. */
  destroy(): void {
    if (this.over) return;
    this.over = true;
    this.stream?.destroy();
    spent -= this.memory;
    this.memory = 0;
  }

  private makesAtOnce(body: Buffer): boolean {
    if (this.held || body.length > MAX_AT_ONCE) return false;
    const made = this.kind.atOnce?.(body);
    if (made === undefined) return false;
    this.destroy();
    this.owner.onOutput(made);
    this.owner.onOutputEnd();
    return true;
  }

  private open(): Transform {
    const { owner } = this;
    const stream = this.kind.make();
    stream.on('data', (chunk: Buffer) => {
      if (!this.over) owner.onOutput(chunk);
    });
    stream.on('end', () => {
      if (this.over) return;
      this.destroy();
      owner.onOutputEnd();
    });
    stream.on('error', (error) => {
      if (this.over) return;
      this.setFull(false);
      this.destroy();
      owner.onBroken(error);
    });
    stream.on('drain', () => this.setFull(false));
    if (this.held) stream.pause();
    return stream;
  }

  private setFull(full: boolean): void {
    if (this.over || this.full === full) return;
    this.full = full;
    this.owner.onFull(full);
  }
}

/** Of the qualities and levels that take a small body no time. */
const MAX_QUICK_BROTLI = 5;
const MAX_QUICK_ZSTD = 6;

export function compressing(library: CompressorLibrary): StageKind {
  const chunkSize = Math.max(MIN_CHUNK, library.chunkSize);
  switch (library.kind) {
    case 'gzip': {
      const { level, memoryLevel: memLevel, strategy, windowBits } = library;
      const options = { level, memLevel, strategy, windowBits, chunkSize, flush: constants.Z_SYNC_FLUSH };
      // zconf.h: the window twice, and the hash tables.
      const memory = 2 ** (windowBits + 2) + 2 ** (memLevel + 9) + chunkSize;
      return { coding: 'gzip', memory, make: () => createGzip(options), atOnce: (body) => gzipSync(body, options) };
    }
    case 'brotli': {
      const params = {
        [constants.BROTLI_PARAM_QUALITY]: library.quality,
        [constants.BROTLI_PARAM_MODE]: library.mode,
        [constants.BROTLI_PARAM_LGWIN]: library.windowBits,
        [constants.BROTLI_PARAM_LGBLOCK]: library.blockBits,
        [constants.BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING]: library.literalContext ? 0 : 1,
      };
      const options = { params, chunkSize, flush: constants.BROTLI_OPERATION_FLUSH };
      // The ring buffer and, for the higher qualities, hash tables of several times the window.
      const memory = 2 ** library.windowBits * (library.quality > 4 ? 8 : 3) + 256 * KIB + chunkSize;
      const kind: StageKind = { coding: 'br', memory, make: () => createBrotliCompress(options) };
      return library.quality > MAX_QUICK_BROTLI
        ? kind
        : { ...kind, atOnce: (body) => brotliCompressSync(body, options) };
    }
    case 'zstd': {
      const params = {
        [constants.ZSTD_c_compressionLevel]: library.level,
        [constants.ZSTD_c_checksumFlag]: library.checksum ? 1 : 0,
        ...(library.strategy === 0 ? {} : { [constants.ZSTD_c_strategy]: library.strategy }),
      };
      const options = { params, chunkSize, flush: constants.ZSTD_e_flush };
      // zstd's own estimates (ZSTD_estimateCStreamSize) of levels 1, 3, 9, 19 and 22, rounded up.
      const level = library.level === 0 ? 3 : library.level;
      const mebibytes = level <= 2 ? 1.5 : level <= 6 ? 4 : level <= 12 ? 14 : level <= 19 ? 90 : 770;
      const memory = mebibytes * KIB * KIB + chunkSize;
      const kind: StageKind = { coding: 'zstd', memory, make: () => createZstdCompress(options) };
      return level > MAX_QUICK_ZSTD ? kind : { ...kind, atOnce: (body) => zstdCompressSync(body, options) };
    }
  }
}

/** What is broken, or becomes more than a little, is left to the stream. */
function quick<Options extends object>(
  decode: (body: Buffer, options: Options & { readonly maxOutputLength: number }) => Buffer,
  options: Options,
): (body: Buffer) => Buffer | undefined {
  const limited = { ...options, maxOutputLength: MAX_OUTPUT_AT_ONCE };
  return (body) => {
    try {
      return decode(body, limited);
    } catch {
      return undefined;
    }
  };
}

export function decompressing(library: DecompressorLibrary): StageKind {
  const chunkSize = Math.max(MIN_CHUNK, library.chunkSize);
  switch (library.kind) {
    case 'gzip': {
      const options = { windowBits: library.windowBits, chunkSize };
      const memory = 2 ** library.windowBits + 8 * KIB + chunkSize;
      return { coding: 'gzip', memory, make: () => createGunzip(options), atOnce: quick(gunzipSync, options) };
    }
    case 'brotli': {
      const params = {
        [constants.BROTLI_DECODER_PARAM_DISABLE_RING_BUFFER_REALLOCATION]: library.reallocate ? 0 : 1,
      };
      // The window is the sender's choice: 4 MiB is what its libraries choose, 16 MiB the most.
      return {
        coding: 'br',
        memory: 4 * KIB * KIB + chunkSize,
        make: () => createBrotliDecompress({ params, chunkSize }),
        atOnce: quick(brotliDecompressSync, { params, chunkSize }),
      };
    }
    case 'zstd': {
      // RFC 9659: content of this coding needs a window of 8 MiB at most.
      const params = { [constants.ZSTD_d_windowLogMax]: 23 };
      return {
        coding: 'zstd',
        memory: 8 * KIB * KIB + chunkSize,
        make: () => createZstdDecompress({ params, chunkSize }),
        atOnce: quick(zstdDecompressSync, { params, chunkSize }),
      };
    }
  }
}
