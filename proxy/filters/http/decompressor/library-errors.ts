/** What Envoy's libraries count of broken bodies, below `decompressor_library.`; a name appears with its first count. */
import type { DecompressorLibrary } from '../../../../xds-client/model/filters/compression.ts';
import type { Stat } from '../../../observe/stats/contract.ts';

const ZLIB: { readonly [code: string]: string } = {
  Z_ERRNO: 'zlib_errno',
  Z_STREAM_ERROR: 'zlib_stream_error',
  Z_DATA_ERROR: 'zlib_data_error',
  Z_MEM_ERROR: 'zlib_mem_error',
  Z_BUF_ERROR: 'zlib_buf_error',
  Z_VERSION_ERROR: 'zlib_version_error',
};
const ZSTD: { readonly [code: string]: string } = {
  ZSTD_error_checksum_wrong: 'zstd_checksum_wrong_error',
  ZSTD_error_dictionary_corrupted: 'zstd_dictionary_error',
  ZSTD_error_dictionary_wrong: 'zstd_dictionary_error',
  ZSTD_error_memory_allocation: 'zstd_memory_error',
};

/** More came of it than may. */
export const TOO_MUCH = 'too much';

/** `code`: Node's code of the error, or `TOO_MUCH`. */
function nameOf(kind: DecompressorLibrary['kind'], code: string): string {
  if (kind === 'gzip') return ZLIB[code] ?? 'zlib_data_error';
  if (kind === 'zstd') return ZSTD[code] ?? 'zstd_generic_error';
  return code === TOO_MUCH ? 'brotli_output_overflow' : 'brotli_error';
}

/** `prefix` ends with the library's dot; `counter` keeps what it was asked for. */
export class LibraryErrors {
  private readonly prefix: string;
  private readonly kind: DecompressorLibrary['kind'];
  private readonly counter: (name: string) => Stat;

  constructor(prefix: string, kind: DecompressorLibrary['kind'], counter: (name: string) => Stat) {
    this.prefix = `${prefix}decompressor_library.`;
    this.kind = kind;
    this.counter = counter;
  }

  count(code: string): void {
    this.counter(this.prefix + nameOf(this.kind, code)).inc();
  }
}
