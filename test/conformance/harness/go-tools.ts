/** The programs of `npm run peers` that are written in Go. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { env } from 'node:process';

const FOLDER = resolve(import.meta.dirname, '../../../.peers/go');

/** Path of the program, or what the environment's `variable` names. Throws with what to run when it is not there. */
export function goTool(program: string, variable: string): string {
  const path = env[variable] ?? join(FOLDER, program);
  if (!existsSync(path)) throw new Error(`${path} is not there: npm run peers -- h2spec grpc-interop`);
  return path;
}
