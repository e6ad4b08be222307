/**
 * Who wants no more data in one direction of one stream, and who of its filters must not add any: those before a filter
 * that wants no more, and all of them while the sink is full or a gate is. Without the first, a filter that makes much of
 * little (a decompressor) would fill one behind it that is slow (a compressor), however still the source is.
 */

/** In the place of a filter's index: a gate that is full. */
export const GATE = -1;

export class Pauses {
  /** Filters and gates that want no more, counted each time. */
  count = 0;
  /** The sink is full. */
  full = false;
  private gates = 0;
  private readonly forward: boolean;
  private readonly tell: (index: number, blocked: boolean) => void;
  /** By filter: its pauses, and what it was told. */
  private readonly own: number[];
  private readonly told: boolean[];

  /** `forward`: the sink is behind the last filter. `tell` gives a filter its new state. */
  constructor(filters: number, forward: boolean, tell: (index: number, blocked: boolean) => void) {
    this.forward = forward;
    this.tell = tell;
    this.own = new Array<number>(filters).fill(0);
    this.told = new Array<boolean>(filters).fill(false);
  }

  pause(index: number): void {
    this.count++;
    this.change(index, 1);
  }

  /** False: nothing was paused. */
  resume(index: number): boolean {
    if (this.count === 0 || (index !== GATE && this.own[index] === 0)) return false;
    this.count--;
    this.change(index, -1);
    return true;
  }

  setFull(full: boolean): void {
    if (this.full === full) return;
    this.full = full;
    this.settle();
  }

  private change(index: number, by: 1 | -1): void {
    if (index === GATE) this.gates += by;
    else this.own[index] = (this.own[index] as number) + by;
    this.settle();
  }

  /** From the sink to the source. */
  private settle(): void {
    const { own, told, forward } = this;
    const last = own.length - 1;
    let blocked = this.full || this.gates > 0;
    for (let step = 0; step <= last; step++) {
      const index = forward ? last - step : step;
      if (told[index] !== blocked) {
        told[index] = blocked;
        this.tell(index, blocked);
      }
      if ((own[index] as number) > 0) blocked = true;
    }
  }
}
