/** The streams that ended last: what still comes for them is told apart by how they ended (RFC 9113 §5.1, "closed"). */
const KEPT = 256;

export class ClosedStreams {
  private readonly ids = new Int32Array(KEPT);
  private next = 0;

  /** `ours`: we reset it, so that frames which crossed ours are no fault. */
  add(id: number, ours: boolean): void {
    this.ids[this.next] = ours ? -id : id;
    this.next = (this.next + 1) % KEPT;
  }

  weReset(id: number): boolean {
    return this.ids.includes(-id);
  }

  knows(id: number): boolean {
    return this.ids.includes(id);
  }
}
