/**
 * Numbers that must be exact over all workers: int32 cells in shared memory, reached with `Atomics`. A cluster and an
 * endpoint have one slot each: sixteen cells, a cache line, so that two endpoints never slow each other down.
 *
 * The main thread allocates; workers attach the chunks that `shared` messages bring. A slot is owned by the main thread
 * and by every worker until each has let go, counted in the slot's own last cell: a request that ends late in one worker
 * can therefore never touch the numbers of the slot's next owner.
 */
import type { EndpointFlag } from './contract.ts';

export const CELLS_PER_SLOT = 16;
const SLOTS_PER_CHUNK = 1024;
const CHUNK_BYTES = SLOTS_PER_CHUNK * CELLS_PER_SLOT * Int32Array.BYTES_PER_ELEMENT;

/** Cells of a cluster's slot. The `high` priority's follow the `default` priority's at `PRIORITY_CELLS`. */
export const ClusterCell = { connections: 0, pending: 1, requests: 2, retries: 3 } as const;
export const PRIORITY_CELLS = 4;

/** Cells of an endpoint's slot: Envoy's nine host statistics, then health. Counters wrap at 2^32. */
export const EndpointCell = {
  requestsActive: 0,
  connectionsActive: 1,
  pendingActive: 2,
  connections: 3,
  connectFailures: 4,
  requests: 5,
  successes: 6,
  errors: 7,
  timeouts: 8,
  /** Bits of `HealthFlag`, set by the main thread; 0 is healthy. */
  healthFlags: 9,
} as const;

/** Bits of `EndpointCell.healthFlags`. Each is one party's: active health checks set all but the outlier's. */
export const HealthFlag = {
  failedActiveHealthCheck: 1,
  failedOutlierCheck: 2,
  /** Well, with the word that others would be better. */
  degradedActiveHealthCheck: 4,
  /** Not checked yet, and not to be counted before. */
  pendingActiveHealthCheck: 8,
  /** Discovery has taken it away; it stays while it passes its checks. */
  pendingDynamicRemoval: 16,
  /** Told us to stay away: does not count. */
  excludedByImmediateFailure: 32,
  activeHealthCheckTimeout: 64,
} as const satisfies { readonly [flag in EndpointFlag]: number };

/** The bits of active health checks. */
export const ACTIVE_CHECK_FLAGS =
  HealthFlag.failedActiveHealthCheck |
  HealthFlag.degradedActiveHealthCheck |
  HealthFlag.pendingActiveHealthCheck |
  HealthFlag.pendingDynamicRemoval |
  HealthFlag.excludedByImmediateFailure |
  HealthFlag.activeHealthCheckTimeout;
/** Any of these: unhealthy. */
export const FAILED_FLAGS = HealthFlag.failedActiveHealthCheck | HealthFlag.failedOutlierCheck;
/** Any of these: counts neither for nor against its priority. */
export const EXCLUDED_FLAGS = HealthFlag.pendingActiveHealthCheck | HealthFlag.excludedByImmediateFailure;

/** How many threads still hold the slot. */
const HOLDERS = CELLS_PER_SLOT - 1;

/** One slot as its users hold it: `cells[base + EndpointCell.requestsActive]`. */
export interface Slot {
  readonly cells: Int32Array;
  readonly base: number;
}

/** Announces a new chunk to every worker, before any slot in it is used. */
export type PublishChunk = (index: number, buffer: SharedArrayBuffer) => void;

/** The main thread's side. */
export class SharedCells {
  private readonly workers: number;
  private readonly publish: PublishChunk;
  private readonly chunks: Int32Array[] = [];
  private readonly free: number[] = [];
  /** Let go by the main thread, perhaps not yet by every worker. */
  private leaving: number[] = [];
  private fresh = 0;

  /** `workers`: how many tables will let go of each slot; every one of them gets every message. */
  constructor(workers: number, publish: PublishChunk) {
    this.workers = workers;
    this.publish = publish;
  }

  /** A slot with all cells 0, held by the main thread and all workers. */
  allocate(): number {
    if (this.free.length === 0) this.collect();
    const slot = this.free.pop() ?? this.take();
    const { cells, base } = this.slot(slot);
    cells.fill(0, base, base + CELLS_PER_SLOT);
    Atomics.store(cells, base + HOLDERS, this.workers + 1);
    return slot;
  }

  /** The main thread needs `slot` no more. It is given out again once every worker has let go too. */
  release(slot: number): void {
    letGo(this.slot(slot));
    this.leaving.push(slot);
  }

  slot(slot: number): Slot {
    const cells = this.chunks[Math.floor(slot / SLOTS_PER_CHUNK)];
    if (cells === undefined) throw new RangeError(`shared slot ${slot} was never allocated`);
    return { cells, base: (slot % SLOTS_PER_CHUNK) * CELLS_PER_SLOT };
  }

  private take(): number {
    if (this.fresh === this.chunks.length * SLOTS_PER_CHUNK) {
      const buffer = new SharedArrayBuffer(CHUNK_BYTES);
      this.chunks.push(new Int32Array(buffer));
      this.publish(this.chunks.length - 1, buffer);
    }
    return this.fresh++;
  }

  private collect(): void {
    const waiting: number[] = [];
    for (const slot of this.leaving) {
      const { cells, base } = this.slot(slot);
      if (Atomics.load(cells, base + HOLDERS) === 0) this.free.push(slot);
      else waiting.push(slot);
    }
    this.leaving = waiting;
  }
}

/** A worker's side. */
export class AttachedCells {
  private readonly chunks: Int32Array[] = [];

  attach(index: number, buffer: SharedArrayBuffer): void {
    this.chunks[index] = new Int32Array(buffer);
  }

  /** Throws RangeError when the slot's chunk was not announced before. */
  slot(slot: number): Slot {
    const cells = this.chunks[Math.floor(slot / SLOTS_PER_CHUNK)];
    if (cells === undefined) throw new RangeError(`shared slot ${slot} is in a chunk that was not announced`);
    return { cells, base: (slot % SLOTS_PER_CHUNK) * CELLS_PER_SLOT };
  }

  /** This worker touches the slot no more. Exactly once for each slot that a message brought. */
  release(slot: number): void {
    letGo(this.slot(slot));
  }
}

/** A slot of nobody else, for endpoints that only this worker knows (original destinations). */
export function privateSlot(): Slot {
  return { cells: new Int32Array(CELLS_PER_SLOT), base: 0 };
}

function letGo(slot: Slot): void {
  Atomics.sub(slot.cells, slot.base + HOLDERS, 1);
}
