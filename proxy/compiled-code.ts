/** The compile cache, kept on disk while the process runs: it is not left in good order everywhere. */
import { flushCompileCache } from 'node:module';

/** After the start is over and its functions are compiled. */
const LATER_MS = 3_000;

/** Once a thread. Without a cache (see bin/launch.js) nothing happens. */
export function keepCompiledCode(): void {
  setTimeout(() => flushCompileCache(), LATER_MS).unref();
}
