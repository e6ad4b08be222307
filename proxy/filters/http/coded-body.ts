/**
 * A body on its way through a stage of compression or decompression, in one direction of a filter's stream: what the
 * filter takes goes in, what comes out is sent on from the filter's place, and pauses pass both ways.
 */
import { type CodingStage, type StageKind, type StageOwner, startStage } from '../../http/coding-stage.ts';
import type { HeaderMap } from '../../http/headers.ts';
import type { StatBlock } from '../../observe/stats/contract.ts';
import type { FilterCallbacks } from './contract.ts';

const NOTHING = Buffer.alloc(0);

export interface BodyUser {
  /** Before what came last is sent on; false: it is too much, and nothing more is. */
  passes?(body: CodedBody): boolean;
  /** What ends the body: these trailers (`undefined`: none), or others. */
  ending?(body: CodedBody, trailers: HeaderMap | undefined): HeaderMap | undefined;
  broken(body: CodedBody, error: NodeJS.ErrnoException): void;
}

/** Where the bytes are counted: indices of the block. */
export interface BodyCounts {
  readonly block: StatBlock;
  readonly taken: number;
  readonly given: number;
}

/** `undefined`: there is no room for another stage. `held`: the next stage is full from the start. */
export function startBody(
  kind: StageKind,
  callbacks: FilterCallbacks,
  ofRequest: boolean,
  counts: BodyCounts,
  user: BodyUser,
  held: boolean,
): CodedBody | undefined {
  const body = new CodedBody(callbacks, ofRequest, counts, user);
  return body.start(kind, held) ? body : undefined;
}

export class CodedBody implements StageOwner {
  readonly ofRequest: boolean;
  bytesIn = 0;
  bytesOut = 0;
  private readonly callbacks: FilterCallbacks;
  private readonly counts: BodyCounts;
  private readonly user: BodyUser;
  private stage: CodingStage | undefined = undefined;
  private trailers: HeaderMap | undefined = undefined;
  private over = false;

  constructor(callbacks: FilterCallbacks, ofRequest: boolean, counts: BodyCounts, user: BodyUser) {
    this.callbacks = callbacks;
    this.ofRequest = ofRequest;
    this.counts = counts;
    this.user = user;
  }

  start(kind: StageKind, held: boolean): boolean {
    this.stage = startStage(kind, this);
    if (held) this.stage?.hold(true);
    return this.stage !== undefined;
  }

  write(chunk: Buffer, end: boolean): void {
    this.bytesIn += chunk.length;
    this.counts.block.add(this.counts.taken, chunk.length);
    this.stage?.write(chunk, end);
  }

  finish(trailers: HeaderMap): void {
    this.trailers = trailers;
    this.stage?.end();
  }

  hold(held: boolean): void {
    this.stage?.hold(held);
  }

  destroy(): void {
    this.over = true;
    this.stage?.destroy();
    this.stage = undefined;
  }

  onOutput(chunk: Buffer): void {
    if (this.over) return;
    this.bytesOut += chunk.length;
    if (this.user.passes?.(this) === false) return;
    this.counts.block.add(this.counts.given, chunk.length);
    this.send(chunk, false);
  }

  onOutputEnd(): void {
    if (this.over) return;
    this.stage = undefined;
    const trailers = this.user.ending === undefined ? this.trailers : this.user.ending(this, this.trailers);
    if (trailers === undefined) this.send(NOTHING, true);
    else if (this.ofRequest) this.callbacks.addRequestTrailers(trailers);
    else this.callbacks.addResponseTrailers(trailers);
  }

  onBroken(error: NodeJS.ErrnoException): void {
    this.stage = undefined;
    this.user.broken(this, error);
  }

  onFull(full: boolean): void {
    const { callbacks } = this;
    if (this.ofRequest) {
      if (full) callbacks.pauseRequest();
      else callbacks.resumeRequest();
    } else if (full) callbacks.pauseResponse();
    else callbacks.resumeResponse();
  }

  private send(chunk: Buffer, end: boolean): void {
    if (this.ofRequest) this.callbacks.addRequestData(chunk, end);
    else this.callbacks.addResponseData(chunk, end);
  }
}
