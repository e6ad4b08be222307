/** What each lane of a request's run calls: the filters' callbacks, and the ends behind the last of them. */
import type { HeaderMap, RequestHead, ResponseHead } from '../../http/headers.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import type { FilterCallbacks, FilterStatus, HttpFilter } from './contract.ts';
import type { LanePort } from './lane.ts';
import { GATE } from './pauses.ts';
import type { RequestSink, ResponseSink } from './stream-ends.ts';

interface Seat {
  readonly filter: HttpFilter;
}

/** The run that a port belongs to: ./chain.ts. */
export interface PortRun {
  readonly info: StreamInfo;
  readonly places: readonly Seat[];
  readonly over: boolean;
  readonly replying: boolean;
  readonly terminal: RequestSink;
  readonly owner: ResponseSink & { tooLarge(request: boolean): void };
  readonly response: { readonly headDone: boolean };
  sendLocalReply: FilterCallbacks['sendLocalReply'];
  /** Passes on what the downstream said of its room. */
  noteResponse(writable: boolean): boolean;
  pauseOwnRequest(index: number): void;
  resumeOwnRequest(index: number): void;
  pauseResponse(index: number): void;
  resumeResponse(index: number): void;
  failed(error: unknown): FilterStatus;
}

export class RequestPort implements LanePort<RequestHead> {
  private readonly run: PortRun;

  constructor(run: PortRun) {
    this.run = run;
  }

  get halted(): boolean {
    return this.run.over || this.run.replying;
  }

  callHead(index: number, head: RequestHead, end: boolean): FilterStatus | undefined {
    try {
      return (this.run.places[index] as Seat).filter.onRequestHead?.(head, end);
    } catch (error) {
      return this.run.failed(error);
    }
  }

  callData(index: number, chunk: Buffer, end: boolean): FilterStatus | undefined {
    try {
      return (this.run.places[index] as Seat).filter.onRequestData?.(chunk, end);
    } catch (error) {
      return this.run.failed(error);
    }
  }

  callTrailers(index: number, trailers: HeaderMap): FilterStatus | undefined {
    try {
      return (this.run.places[index] as Seat).filter.onRequestTrailers?.(trailers);
    } catch (error) {
      return this.run.failed(error);
    }
  }

  sinkHead(head: RequestHead, end: boolean): boolean {
    this.run.terminal.onRequestHead(head, end);
    return true;
  }

  sinkData(chunk: Buffer, end: boolean): boolean {
    this.run.terminal.onRequestData(chunk, end);
    return true;
  }

  sinkTrailers(trailers: HeaderMap): void {
    this.run.terminal.onRequestTrailers(trailers);
  }

  overflow(): void {
    this.run.owner.tooLarge(true);
    this.run.sendLocalReply(413, 'Payload Too Large', 'request_payload_too_large');
  }

  pauseSource(): void {
    this.run.pauseOwnRequest(GATE);
  }

  resumeSource(): void {
    this.run.resumeOwnRequest(GATE);
  }
}

export class ResponsePort implements LanePort<ResponseHead> {
  private readonly run: PortRun;

  constructor(run: PortRun) {
    this.run = run;
  }

  get halted(): boolean {
    return this.run.over;
  }

  callHead(index: number, head: ResponseHead, end: boolean): FilterStatus | undefined {
    try {
      return (this.run.places[index] as Seat).filter.onResponseHead?.(head, end);
    } catch (error) {
      return this.run.failed(error);
    }
  }

  callData(index: number, chunk: Buffer, end: boolean): FilterStatus | undefined {
    try {
      return (this.run.places[index] as Seat).filter.onResponseData?.(chunk, end);
    } catch (error) {
      return this.run.failed(error);
    }
  }

  callTrailers(index: number, trailers: HeaderMap): FilterStatus | undefined {
    try {
      return (this.run.places[index] as Seat).filter.onResponseTrailers?.(trailers);
    } catch (error) {
      return this.run.failed(error);
    }
  }

  sinkHead(head: ResponseHead, end: boolean): boolean {
    return this.run.noteResponse(this.run.owner.sendHead(head, end));
  }

  sinkData(chunk: Buffer, end: boolean): boolean {
    return this.run.noteResponse(this.run.owner.sendData(chunk, end));
  }

  sinkTrailers(trailers: HeaderMap): void {
    this.run.owner.sendTrailers(trailers);
  }

  overflow(): void {
    const { run } = this;
    run.owner.tooLarge(false);
    if (run.response.headDone) {
      run.info.responseCodeDetails = 'response_payload_too_large';
      run.owner.resetStream('local-reset');
    } else run.sendLocalReply(500, 'Internal Server Error', 'response_payload_too_large');
  }

  pauseSource(): void {
    this.run.pauseResponse(GATE);
  }

  resumeSource(): void {
    this.run.resumeResponse(GATE);
  }
}
