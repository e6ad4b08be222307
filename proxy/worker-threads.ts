/** The workers' threads, started before anybody knows what they will do: they load their code while the bootstrap is read. */
import { Worker } from 'node:worker_threads';

/** None for 0: the data side then runs in the main thread. */
export function startWorkerThreads(concurrency: number): readonly Worker[] {
  return Array.from(
    { length: concurrency },
    (_, index) => new Worker(new URL('./worker.ts', import.meta.url), { name: `wrk:${index}` }),
  );
}
