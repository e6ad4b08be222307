/**
 * Earliest deadline first: each item comes back after 1/weight of virtual time, so that weights 3 and 1 give a a b a
 * and not a a a b. O(log n) a pick. Items with equal deadlines keep their order.
 */
import type { Random } from './contract.ts';

interface Entry<T> {
  readonly item: T;
  deadline: number;
  order: number;
}

export class EdfScheduler<T> {
  private readonly heap: Entry<T>[] = [];
  private readonly weightOf: (item: T) => number;
  private now = 0;
  private order = 0;

  /** `weightOf` is asked each time an item is put back; it must be above 0. `random` decides how far the rotation has turned. */
  constructor(items: readonly T[], weightOf: (item: T) => number, random: Random) {
    this.weightOf = weightOf;
    for (const item of items) this.push({ item, deadline: 1 / weightOf(item), order: this.order++ });
    for (let skip = Math.floor(random() * items.length); skip > 0; skip--) this.pick();
  }

  /** The next item. The list must not be empty. */
  pick(): T {
    const entry = this.heap[0] as Entry<T>;
    this.now = entry.deadline;
    entry.deadline = this.now + 1 / this.weightOf(entry.item);
    entry.order = this.order++;
    this.sink();
    return entry.item;
  }

  private push(entry: Entry<T>): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(entry, heap[parent] as Entry<T>)) break;
      heap[at] = heap[parent] as Entry<T>;
      at = parent;
    }
    heap[at] = entry;
  }

  /** The root's deadline has grown: moves it down to its place. */
  private sink(): void {
    const { heap } = this;
    const entry = heap[0] as Entry<T>;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Entry<T>, heap[child] as Entry<T>)) child++;
      if (!before(heap[child] as Entry<T>, entry)) break;
      heap[at] = heap[child] as Entry<T>;
      at = child;
    }
    heap[at] = entry;
  }
}

function before<T>(a: Entry<T>, b: Entry<T>): boolean {
  return a.deadline < b.deadline || (a.deadline === b.deadline && a.order < b.order);
}
