/** Numbers that all workers have in common: what a limit or a bucket over the whole process counts with. */

export interface SharedNumber {
  get(): bigint;
  /** Stores `next` when the value is still `expected`; says whether it was. */
  exchange(expected: bigint, next: bigint): boolean;
  /** Once, by each who claimed it. The last one makes it forgotten. */
  release(): void;
}

export interface SharedNumbers {
  /** The number of that key; `initial` is for whoever comes first. Throws when there are too many. */
  claim(key: string, initial: bigint): SharedNumber;
}

/** Adds one, unless that makes more than `limit`; says whether it did. */
export function addUpTo(number: SharedNumber, limit: bigint): boolean {
  for (;;) {
    const value = number.get();
    if (value >= limit) return false;
    if (number.exchange(value, value + 1n)) return true;
  }
}

export function subtractOne(number: SharedNumber): void {
  for (;;) {
    const value = number.get();
    if (number.exchange(value, value - 1n)) return;
  }
}
