/** Takes and gives back units of a shared threshold as fast as it can, and counts when more are out than allowed. */
import { parentPort, workerData } from 'node:worker_threads';
import { ClusterLimits } from '../../proxy/cluster/limits.ts';
import { AttachedCells } from '../../proxy/cluster/shared.ts';
import { limited } from './support.ts';

interface Task {
  readonly announced: readonly { readonly index: number; readonly buffer: SharedArrayBuffer }[];
  readonly slot: number;
  readonly max: number;
  /** Units out now; times that there were too many. */
  readonly proof: Int32Array;
  readonly rounds: number;
}

const { announced, slot, max, proof, rounds } = workerData as Task;
const cells = new AttachedCells();
for (const { index, buffer } of announced) cells.attach(index, buffer);
const limits = new ClusterLimits(cells.slot(slot), limited({ maxRequests: max }));

let held = 0;
let taken = 0;
// The other may hold every unit while the machine lets it wait: then this goes on until it had one.
for (let round = 0; round < rounds || taken === 0; round++) {
  if (held < max && limits.tryAcquire('requests', 'default')) {
    if (Atomics.add(proof, 0, 1) >= max) Atomics.add(proof, 1, 1);
    held++;
    taken++;
  } else if (held > 0) {
    Atomics.sub(proof, 0, 1);
    limits.release('requests', 'default');
    held--;
  }
}
for (; held > 0; held--) {
  Atomics.sub(proof, 0, 1);
  limits.release('requests', 'default');
}
parentPort?.postMessage(taken);
