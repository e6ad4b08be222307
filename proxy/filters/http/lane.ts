/**
 * One direction of one stream through its filters. Each part of the message - head, data, trailers - visits the filters in
 * order until one stops it; behind every filter stands a gate where parts wait in their order. A filter that keeps its gate
 * shut is still shown what follows, and its word on that opens the gate or leaves it shut.
 */
import type { HeaderMap } from '../../http/headers.ts';
import { CONTINUE, type FilterStatus, STOP_AND_WATERMARK, TAKE } from './contract.ts';
import { Gate } from './gate.ts';

/**
 * Calls the filters and takes what passed them. `undefined`: the filter has no such callback, and whether its gate is shut
 * does not change. The `sink*` that tell of backpressure return false for it.
 */
export interface LanePort<Head> {
  callHead(index: number, head: Head, end: boolean): FilterStatus | undefined;
  callData(index: number, chunk: Buffer, end: boolean): FilterStatus | undefined;
  callTrailers(index: number, trailers: HeaderMap): FilterStatus | undefined;
  sinkHead(head: Head, end: boolean): boolean;
  sinkData(chunk: Buffer, end: boolean): boolean;
  sinkTrailers(trailers: HeaderMap): void;
  /** More than the limit waits at a gate. */
  overflow(): void;
  /** A gate is full, or no longer: the source is to stop, or go on. */
  pauseSource(): void;
  resumeSource(): void;
  /** The stream is over or a local reply is under way: stop where you are. */
  readonly halted: boolean;
}

/** Marks of a filter, by bit: one of its callbacks runs; it said continue from inside it. */
const CALLING = 1;
const RESUMED = 2;

export class Lane<Head> {
  /** The head has left the chain. */
  headDone = false;
  private readonly port: LanePort<Head>;
  private readonly first: number;
  private readonly end: number;
  private readonly step: 1 | -1;
  private readonly limit: number;
  private readonly marks: number[];
  private gates: (Gate<Head> | undefined)[] | undefined = undefined;
  /** What the sink last said; sources are told. */
  private writable = true;

  /** Forward lanes go from 0 up, backward ones from `count - 1` down. `limit` is bytes a gate. */
  constructor(port: LanePort<Head>, count: number, forward: boolean, limit: number) {
    this.port = port;
    this.first = forward ? 0 : count - 1;
    this.end = forward ? count : -1;
    this.step = forward ? 1 : -1;
    this.limit = limit;
    this.marks = new Array<number>(count).fill(0);
  }

  /** False: the sink is full. */
  onHead(head: Head, end: boolean): boolean {
    this.passHead(this.first, head, end);
    return this.writable;
  }

  onData(chunk: Buffer, end: boolean): boolean {
    this.passData(this.first, chunk, end);
    return this.writable;
  }

  onTrailers(trailers: HeaderMap): boolean {
    this.passTrailers(this.first, trailers);
    return this.writable;
  }

  /** The sink takes again. */
  onDrain(): void {
    this.writable = true;
  }

  /** The filter at `index` says continue. Ignored when its gate is open. */
  continueFrom(index: number): void {
    if (this.port.halted) return;
    const mark = this.marks[index] as number;
    if ((mark & CALLING) !== 0) this.marks[index] = mark | RESUMED;
    else {
      const gate = this.gates?.[index];
      if (gate?.shut) this.open(index, gate);
    }
  }

  /** The filter at `index` adds data of its own. */
  addData(index: number, chunk: Buffer, end: boolean): void {
    if (this.port.halted) return;
    const gate = this.gates?.[index];
    if (gate?.holds) this.hold(gate, chunk, end);
    else this.passData(index + this.step, chunk, end);
  }

  addTrailers(index: number, trailers: HeaderMap): void {
    if (this.port.halted) return;
    const gate = this.gates?.[index];
    if (gate?.holds) this.holdTrailers(gate, trailers);
    else this.passTrailers(index + this.step, trailers);
  }

  /** What waits behind the filter at `index`. */
  whole(index: number): Buffer | undefined {
    return this.gates?.[index]?.whole();
  }

  setLimit(index: number, bytes: number): void {
    this.gateOf(index).limit = bytes;
  }

  /** Nothing waits any more. */
  clear(): void {
    if (this.gates === undefined) return;
    for (const gate of this.gates) {
      if (gate === undefined) continue;
      gate.clear();
      this.relieve(gate);
    }
  }

  private passHead(from: number, head: Head, end: boolean): void {
    const { port } = this;
    for (let index = from; index !== this.end; index += this.step) {
      const before = this.enter(index);
      const status = port.callHead(index, head, end) ?? CONTINUE;
      const goesOn = this.leave(index, before) || status === CONTINUE;
      if (port.halted) return;
      if (goesOn) continue;
      const gate = this.gateOf(index);
      gate.shut = true;
      gate.watermark = status === STOP_AND_WATERMARK;
      gate.head = head;
      gate.ended = end;
      return;
    }
    this.headDone = true;
    this.writable = port.sinkHead(head, end);
  }

  private passData(from: number, chunk: Buffer, end: boolean): void {
    const { port } = this;
    for (let index = from; index !== this.end && !port.halted; index += this.step) {
      const before = this.enter(index);
      const status = port.callData(index, chunk, end);
      const resumed = this.leave(index, before);
      if (port.halted) return;
      const gate = this.gates?.[index];
      if (status === TAKE) {
        if (resumed && gate?.shut) this.open(index, gate);
        return;
      }
      if (status === undefined || status === CONTINUE || resumed) {
        if (gate === undefined || !gate.holds) continue;
        // What the filter waited for counts too, though it goes on at once.
        this.hold(gate, chunk, end);
        if (gate.shut && status !== undefined && !port.halted) this.open(index, gate);
      } else this.shut(index, status, chunk, end);
      return;
    }
    if (!port.halted) this.writable = port.sinkData(chunk, end);
  }

  private passTrailers(from: number, trailers: HeaderMap): void {
    const { port } = this;
    for (let index = from; index !== this.end && !port.halted; index += this.step) {
      const before = this.enter(index);
      const status = port.callTrailers(index, trailers);
      const resumed = this.leave(index, before);
      if (port.halted) return;
      const gate = this.gates?.[index];
      if (status === TAKE) {
        if (resumed && gate?.shut) this.open(index, gate);
        return;
      }
      if (status === undefined || status === CONTINUE || resumed) {
        if (gate === undefined || !gate.holds) continue;
        this.holdTrailers(gate, trailers);
        if (gate.shut && status !== undefined) this.open(index, gate);
      } else {
        const shut = this.gateOf(index);
        shut.shut = true;
        this.holdTrailers(shut, trailers);
      }
      return;
    }
    if (!port.halted) port.sinkTrailers(trailers);
  }

  private enter(index: number): number {
    const before = this.marks[index] as number;
    this.marks[index] = CALLING;
    return before;
  }

  /** True: the filter said continue from inside. A call inside a call leaves the outer one's marks as they were. */
  private leave(index: number, before: number): boolean {
    const resumed = ((this.marks[index] as number) & RESUMED) !== 0;
    this.marks[index] = before;
    return resumed;
  }

  private gateOf(index: number): Gate<Head> {
    this.gates ??= new Array<Gate<Head> | undefined>(this.marks.length).fill(undefined);
    let gate = this.gates[index];
    if (gate === undefined) {
      gate = new Gate(this.limit);
      this.gates[index] = gate;
    }
    return gate;
  }

  private shut(index: number, status: FilterStatus, chunk: Buffer, end: boolean): void {
    const gate = this.gateOf(index);
    gate.shut = true;
    gate.watermark = status === STOP_AND_WATERMARK;
    this.hold(gate, chunk, end);
  }

  private hold(gate: Gate<Head>, chunk: Buffer, end: boolean): void {
    gate.add(chunk, end);
    this.measure(gate);
  }

  private measure(gate: Gate<Head>): void {
    if (gate.bytes <= gate.limit || gate.full) return;
    if (!gate.watermark) {
      this.port.overflow();
      return;
    }
    gate.full = true;
    this.port.pauseSource();
  }

  private relieve(gate: Gate<Head>): void {
    if (!gate.full || gate.bytes > gate.limit / 2) return;
    gate.full = false;
    this.port.resumeSource();
  }

  private holdTrailers(gate: Gate<Head>, trailers: HeaderMap): void {
    gate.trailers = trailers;
    gate.ended = true;
  }

  /** Lets go what waits, in its order; what comes meanwhile goes behind it. */
  private open(index: number, gate: Gate<Head>): void {
    const { port } = this;
    gate.shut = false;
    if (gate.emptying) return;
    gate.emptying = true;
    const next = index + this.step;
    const { head } = gate;
    if (head !== undefined) {
      gate.head = undefined;
      this.passHead(next, head, gate.headEnds);
    }
    while (gate.pieces > 0 && !gate.shut && !port.halted) {
      const chunk = gate.take();
      this.passData(next, chunk, gate.ended && gate.pieces === 0 && gate.trailers === undefined);
    }
    const { trailers } = gate;
    if (trailers !== undefined && !gate.shut && !port.halted) {
      gate.trailers = undefined;
      this.passTrailers(next, trailers);
    }
    gate.emptying = false;
    if (!port.halted) this.relieve(gate);
  }
}
