/** Time and allocation of one hot function. Figures compare two versions on one machine; they are no load test. */
import { getHeapStatistics } from 'node:v8';

export interface Bench {
  readonly name: string;
  /** Does the work `count` times. Returns something that depends on it, so that it cannot be left out. */
  run(count: number): number;
}

export interface Result {
  readonly name: string;
  readonly nsPerOp: number;
  /** On the JavaScript heap; buffers are outside of it. */
  readonly bytesPerOp: number;
}

const ROUNDS = 7;
const BATCH = 20_000;

/** The best of several rounds, after enough of them for the compiler. */
export function measure(bench: Bench): Result {
  for (let i = 0; i < 5; i++) bench.run(BATCH);
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ROUNDS; i++) {
    const start = process.hrtime.bigint();
    bench.run(BATCH);
    best = Math.min(best, Number(process.hrtime.bigint() - start) / BATCH);
  }
  const before = allocated();
  bench.run(BATCH);
  return { name: bench.name, nsPerOp: best, bytesPerOp: (allocated() - before) / BATCH };
}

function allocated(): number {
  return getHeapStatistics().total_allocated_bytes;
}
