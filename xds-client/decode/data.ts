/** Data that the model holds itself: small bodies and format lines, read where they lie when a configuration comes in. */
import { readFileSync, statSync } from 'node:fs';
import type { MessageObject } from '../../protos/index.ts';
import { decodeDataSource } from './common.ts';
import type { DecodeContext } from './context.ts';

/** A file named by a configuration is not read beyond this. */
const MAX_FILE_BYTES = 1_048_576;

/** The bytes of a DataSource; empty after an error. */
export function readDataSource(source: MessageObject, ctx: DecodeContext): Buffer {
  const data = decodeDataSource(source);
  if (data.kind === 'inline') return Buffer.from(data.base64, 'base64');
  if (data.kind === 'environment') {
    const value = process.env[data.variable];
    if (value === undefined) ctx.error(`Environment variable doesn't exist: ${data.variable}`, 'environment_variable');
    return Buffer.from(value ?? '');
  }
  try {
    const file = statSync(data.path);
    const { size } = file;
    if (file.isFile() && size <= MAX_FILE_BYTES) return readFileSync(data.path);
    if (!file.isFile()) ctx.error(`${data.path} is not a file`, 'filename');
    else ctx.error(`file ${data.path} is ${size} bytes, the limit is ${MAX_FILE_BYTES}`, 'filename');
  } catch (cause) {
    ctx.error(
      `unable to read file: ${data.path} (${cause instanceof Error ? cause.message : String(cause)})`,
      'filename',
    );
  }
  return Buffer.alloc(0);
}
