/** Frames put on a connection and not yet written by its transport, for the guards against peers that do not read. */
import type { Output } from '../http/output.ts';
import type { Transport } from '../http/stream.ts';

/** How finely frames are told apart: what is written is taken off in sixteenths of the limit. */
const STEPS = 16;

/**
 * A count that is set right only when it reaches the limit. A busy transport is never seen empty (TLS never is right
 * after a write), so each step remembers where its first frame ends in the bytes of the connection.
 */
export class QueuedFrames {
  private readonly limit: number;
  private readonly step: number;
  private count = 0;
  private readonly marks: number[] = [];

  constructor(limit: number) {
    this.limit = limit;
    this.step = Math.max(1, Math.ceil(limit / STEPS));
  }

  /** One more frame was put. False where more than the limit (or a sixteenth above it) wait. */
  add(out: Output, transport: Transport): boolean {
    if (this.count % this.step === 0) this.marks.push(out.written + out.gathered);
    if (++this.count <= this.limit) return true;
    out.flush();
    const gone = out.written - transport.writableLength;
    const { marks } = this;
    let steps = 0;
    while (steps < marks.length && (marks[steps] as number) <= gone) steps++;
    this.count = steps === marks.length ? 0 : this.count - steps * this.step;
    marks.splice(0, steps);
    return this.count <= this.limit;
  }
}
