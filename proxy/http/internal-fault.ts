/**
 * Exceptions that no code of ours expects: caught where a connection or a request can be given up alone, told here, and
 * the worker goes on. One that repeats is told the first time and then each tenth, hundredth, ... time.
 */
const MAX_REMEMBERED = 200;

const seen = new Map<string, number>();
let tell: ((message: string) => void) | undefined;

/** Whom to tell in this thread. */
export function tellInternalFaults(log: (message: string) => void): void {
  tell = log;
}

/** `what` was given up because of it. Where nobody listens, the exception is what it would have been: uncaught. */
export function internalFault(what: string, error: unknown): void {
  if (tell === undefined) {
    setImmediate(() => {
      throw error;
    });
    return;
  }
  const stack = (error instanceof Error ? error.stack : undefined) ?? String(error);
  const key = `${what} ${stack}`;
  const times = (seen.get(key) ?? 0) + 1;
  if (times === 1 && seen.size >= MAX_REMEMBERED) seen.clear();
  seen.set(key, times);
  if (!Number.isInteger(Math.log10(times))) return;
  tell(`internal error, ${what} was given up${times === 1 ? '' : ` (${times} times)`}: ${stack}`);
}
