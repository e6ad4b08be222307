/** What is read as TLS material: a file that ends, and is not larger than any bundle. */
import type { Stats } from 'node:fs';

/** TLS material is kilobytes; a bundle of every public authority is 220 KiB. */
const MAX_BYTES = 1024 * 1024;

/** Why a file is not read: `is not a file`. `undefined` when it may be. */
export function unfitFile(file: Stats): string | undefined {
  if (!file.isFile()) return 'is not a file';
  return file.size > MAX_BYTES ? `has more than ${MAX_BYTES} bytes` : undefined;
}
