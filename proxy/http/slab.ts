/**
 * Buffers that are used again and again by one owner at a time, and lent to transports that have not written yet what they
 * were given. A slab is used again when its owner has left it and the last loan has ended.
 */
import { Buffer } from 'node:buffer';

export class Slab {
  readonly buffer: Buffer;
  readonly pool: SlabPool;
  loans = 0;
  /** Its owner goes on with another. */
  left = false;

  constructor(pool: SlabPool, bytes: number) {
    this.pool = pool;
    this.buffer = Buffer.allocUnsafeSlow(bytes);
  }

  /** The owner puts nothing more into it. */
  leave(): void {
    this.left = true;
    if (this.loans === 0) this.pool.put(this);
  }

  lend(): void {
    this.loans++;
  }

  giveBack(): void {
    this.loans--;
    if (this.loans === 0 && this.left) this.pool.put(this);
  }
}

/** Slabs of one size. Beyond `maxIdle` of them, one that comes back is let go. */
export class SlabPool {
  /** Slabs that are neither idle nor let go. */
  out = 0;
  private readonly bytes: number;
  private readonly maxIdle: number;
  private readonly idle: Slab[] = [];
  /** The fewest that were idle since the last `trim`. */
  private spare = 0;
  private readonly onMade: ((slab: Slab) => void) | undefined;
  private readonly onGone: ((slab: Slab) => void) | undefined;

  constructor(bytes: number, maxIdle: number, onMade?: (slab: Slab) => void, onGone?: (slab: Slab) => void) {
    this.bytes = bytes;
    this.maxIdle = maxIdle;
    this.onMade = onMade;
    this.onGone = onGone;
  }

  take(): Slab {
    this.out++;
    const used = this.idle.pop();
    if (used !== undefined) {
      this.spare = Math.min(this.spare, this.idle.length);
      used.left = false;
      return used;
    }
    const slab = new Slab(this, this.bytes);
    this.onMade?.(slab);
    return slab;
  }

  /** Lets go of the slabs that nobody needed since the last call. */
  trim(): void {
    for (; this.spare > 0; this.spare--) {
      const slab = this.idle.shift();
      if (slab !== undefined) this.onGone?.(slab);
    }
    this.spare = this.idle.length;
  }

  /** Of `Slab`: nobody uses it. */
  put(slab: Slab): void {
    this.out--;
    if (this.idle.length < this.maxIdle) this.idle.push(slab);
    else this.onGone?.(slab);
  }
}
