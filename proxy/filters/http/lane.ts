/**
 * One direction of one stream through its filters. A message moves as a whole: what has come of it visits a filter -
 * head, held data, trailers - before it goes to the next, so that a filter that stops holds everything behind it and
 * every filter sees each part once. When the head is through, later data streams past all filters piece by piece.
 */
import { keepBytes } from '../../http/bytes.ts';
import type { HeaderMap } from '../../http/headers.ts';
import { CONTINUE, type FilterStatus, STOP } from './contract.ts';

/**
 * Calls the filters and takes what passed them. `undefined`: the filter has no such callback, and whether it holds the
 * message does not change. The `sink*` that tell of backpressure return false for it.
 */
export interface LanePort<Head> {
  callHead(index: number, head: Head, end: boolean): FilterStatus | undefined;
  callData(index: number, chunk: Buffer, end: boolean): FilterStatus | undefined;
  callTrailers(index: number, trailers: HeaderMap): FilterStatus | undefined;
  sinkHead(head: Head, end: boolean): boolean;
  sinkData(chunk: Buffer, end: boolean): boolean;
  sinkTrailers(trailers: HeaderMap): void;
  /** More than the limit is held. */
  overflow(): void;
  /** The stream is over or a local reply is under way: stop where you are. */
  readonly halted: boolean;
}

export class Lane<Head> {
  /** The head has left the chain. */
  headDone = false;
  private readonly port: LanePort<Head>;
  private readonly first: number;
  private readonly end: number;
  private readonly step: 1 | -1;
  private readonly limit: number;
  private head: Head | undefined = undefined;
  private ended = false;
  private chunks: Buffer[] = [];
  private bytes = 0;
  private trailers: HeaderMap | undefined = undefined;
  /** The filter that the message is at. */
  private at: number;
  private stopped = false;
  /** A callback runs; a filter that continues from inside it is noted in `resumed`. */
  private calling = false;
  private resumed = false;

  /** Forward lanes go from 0 up, backward ones from `count - 1` down. */
  constructor(port: LanePort<Head>, count: number, forward: boolean, limit: number) {
    this.port = port;
    this.first = forward ? 0 : count - 1;
    this.end = forward ? count : -1;
    this.step = forward ? 1 : -1;
    this.limit = limit;
    this.at = this.first;
  }

  onHead(head: Head, end: boolean): boolean {
    this.head = head;
    this.ended = end;
    return this.run();
  }

  onData(chunk: Buffer, end: boolean): boolean {
    if (this.port.halted) return true;
    if (end) this.ended = true;
    if (this.headDone && !this.stopped && this.chunks.length === 0) return this.stream(chunk, end);
    this.hold(chunk);
    if (this.port.halted) return true;
    return this.stopped ? this.offer(() => this.port.callData(this.at, chunk, end)) : true;
  }

  onTrailers(trailers: HeaderMap): boolean {
    if (this.port.halted) return true;
    this.trailers = trailers;
    this.ended = true;
    if (this.stopped) return this.offer(() => this.port.callTrailers(this.at, trailers));
    this.at = this.first;
    return this.run();
  }

  /** The filter at `index` says continue. Ignored when it is not the one that stopped. */
  continueFrom(index: number): void {
    if (this.port.halted || index !== this.at) return;
    if (this.calling) {
      this.resumed = true;
      return;
    }
    if (!this.stopped) return;
    this.stopped = false;
    this.at += this.step;
    this.run();
  }

  /** Everything held as one buffer, which takes the place of the pieces; `undefined` when nothing is held. */
  whole(): Buffer | undefined {
    if (this.chunks.length > 1) this.chunks = [Buffer.concat(this.chunks)];
    return this.chunks[0];
  }

  clear(): void {
    this.chunks = [];
    this.bytes = 0;
    this.trailers = undefined;
    this.stopped = false;
  }

  private hold(chunk: Buffer): void {
    this.chunks.push(keepBytes(chunk));
    this.bytes += chunk.length;
    if (this.bytes > this.limit) this.port.overflow();
  }

  /** A stopped filter sees what it waits for, and may go on because of it. */
  private offer(call: () => FilterStatus | undefined): boolean {
    this.calling = true;
    this.resumed = false;
    const status = call() ?? STOP;
    this.calling = false;
    if (this.port.halted || (status !== CONTINUE && !this.resumed)) return true;
    this.stopped = false;
    this.at += this.step;
    return this.run();
  }

  private run(): boolean {
    while (this.at !== this.end) {
      if (!this.visit(this.at)) {
        this.stopped = !this.port.halted;
        return true;
      }
      this.at += this.step;
    }
    return this.emit();
  }

  /** Shows filter `index` the message as far as it has come. True: it goes on. */
  private visit(index: number): boolean {
    const { port, chunks, trailers } = this;
    let status: FilterStatus = CONTINUE;
    this.calling = true;
    this.resumed = false;
    if (!this.headDone) status = port.callHead(index, this.head as Head, this.endsWithHead()) ?? status;
    for (let i = 0; i < chunks.length && !port.halted; i++) {
      const last = this.ended && i === chunks.length - 1 && trailers === undefined;
      status = port.callData(index, chunks[i] as Buffer, last) ?? status;
    }
    if (trailers !== undefined && !port.halted) status = port.callTrailers(index, trailers) ?? status;
    this.calling = false;
    return !port.halted && (status === CONTINUE || this.resumed);
  }

  /** The message passed every filter. */
  private emit(): boolean {
    const { port } = this;
    let writable = true;
    if (!this.headDone) {
      this.headDone = true;
      writable = port.sinkHead(this.head as Head, this.endsWithHead());
    }
    while (this.chunks.length > 0 && !port.halted) {
      const chunk = this.chunks.shift() as Buffer;
      this.bytes -= chunk.length;
      writable = port.sinkData(chunk, this.ended && this.chunks.length === 0 && this.trailers === undefined);
    }
    const { trailers } = this;
    if (trailers !== undefined && !port.halted) {
      this.trailers = undefined;
      port.sinkTrailers(trailers);
    }
    return writable;
  }

  private stream(chunk: Buffer, end: boolean): boolean {
    for (let index = this.first; index !== this.end; index += this.step) {
      this.at = index;
      this.calling = true;
      this.resumed = false;
      const status = this.port.callData(index, chunk, end) ?? CONTINUE;
      this.calling = false;
      if (this.port.halted) return true;
      if (status === CONTINUE || this.resumed) continue;
      this.stopped = true;
      this.hold(chunk);
      return true;
    }
    return this.port.sinkData(chunk, end);
  }

  private endsWithHead(): boolean {
    return this.ended && this.chunks.length === 0 && this.trailers === undefined;
  }
}
