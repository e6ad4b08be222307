/**
 * Runs one request through its filters, request callbacks first to last and response callbacks last to first. A request
 * whose only filter is the router does not come here. More than the limit held behind a stopped filter is 413 for a
 * request and 500 for a response, as in Envoy.
 */
import type { ExtensionConfig, Json } from '../../../xds-client/model/common.ts';
import type { HeaderMap, RequestHead, ResponseHead } from '../../http/headers.ts';
import { internalFault } from '../../http/internal-fault.ts';
import type { ResetReason } from '../../http/stream.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import { type FilterCallbacks, type FilterStatus, type HttpFilter, type HttpFilterInstance, STOP } from './contract.ts';
import { Lane, type LanePort } from './lane.ts';
import type { MatchedRoute, RequestSink, ResponseSink } from './stream-ends.ts';

/** One filter of a connection manager's chain. `name` is the key of its per-route configuration. */
export interface ChainFilter {
  readonly name: string;
  readonly instance: HttpFilterInstance;
}

/** What the chain needs of the connection manager's stream beyond the response's end. */
export interface ChainOwner extends ResponseSink {
  clearRouteCache(): void;
  perRouteConfig(filterName: string): ExtensionConfig | undefined;
  /** A filter has thrown: the request ends here. */
  failed(error: unknown): void;
}

/** Makes the last sink, the router's stream, given its response's end. */
export type MakeTerminal = (downstream: ResponseSink) => RequestSink;

export class ChainRun implements RequestSink, ResponseSink {
  readonly info: StreamInfo;
  readonly owner: ChainOwner;
  readonly places: readonly Place[];
  readonly terminal: RequestSink;
  readonly request: Lane<RequestHead>;
  readonly response: Lane<ResponseHead>;
  /** A local reply is under way: the request stops where it stands. */
  replying = false;
  over = false;

  constructor(owner: ChainOwner, filters: readonly ChainFilter[], limitBytes: number, terminal: MakeTerminal) {
    this.owner = owner;
    this.info = owner.info;
    this.places = filters.map((filter, index) => new Place(this, filter, index));
    this.terminal = terminal(this);
    this.request = new Lane(new RequestPort(this), filters.length, true, limitBytes);
    this.response = new Lane(new ResponsePort(this), filters.length, false, limitBytes);
  }

  onRequestHead(head: RequestHead, end: boolean): void {
    this.request.onHead(head, end);
  }

  onRequestData(chunk: Buffer, end: boolean): void {
    this.request.onData(chunk, end);
  }

  onRequestTrailers(trailers: HeaderMap): void {
    this.request.onTrailers(trailers);
  }

  onDownstreamDrain(): void {
    this.terminal.onDownstreamDrain();
  }

  onDestroy(): void {
    if (this.over) return;
    this.over = true;
    for (const place of this.places) {
      try {
        place.filter.onDestroy?.();
      } catch (error) {
        internalFault(`the end of filter "${place.name}"`, error);
      }
    }
    this.terminal.onDestroy();
  }

  matchedRoute(): MatchedRoute | undefined {
    return this.owner.matchedRoute();
  }

  virtualCluster(): string | undefined {
    return this.owner.virtualCluster();
  }

  sendInformational(head: ResponseHead): void {
    this.owner.sendInformational(head);
  }

  sendHead(head: ResponseHead, end: boolean): boolean {
    return this.response.onHead(head, end);
  }

  sendData(chunk: Buffer, end: boolean): boolean {
    return this.response.onData(chunk, end);
  }

  sendTrailers(trailers: HeaderMap): void {
    this.response.onTrailers(trailers);
  }

  sendLocalReply(
    status: number,
    body: string,
    details: string,
    changes?: (headers: HeaderMap) => void,
    grpcStatus?: number,
  ): void {
    if (this.over || this.replying) return;
    this.replying = true;
    this.request.clear();
    this.response.clear();
    this.terminal.onDestroy();
    this.owner.sendLocalReply(status, body, details, changes, grpcStatus);
  }

  /** Every filter sees a local reply's head on its way out; none can hold it. Called by the connection manager. */
  filterLocalReply(head: ResponseHead, end: boolean): void {
    this.replying = true;
    for (let i = this.places.length - 1; i >= 0; i--) {
      const place = this.places[i] as Place;
      try {
        place.filter.onResponseHead?.(head, end);
      } catch (error) {
        internalFault(`filter "${place.name}" at a local reply`, error);
      }
    }
  }

  resetStream(reason: ResetReason): void {
    this.owner.resetStream(reason);
  }

  failed(error: unknown): FilterStatus {
    this.owner.failed(error);
    return STOP;
  }

  pauseRequest(): void {
    this.owner.pauseRequest();
  }

  resumeRequest(): void {
    this.owner.resumeRequest();
  }
}

class RequestPort implements LanePort<RequestHead> {
  private readonly run: ChainRun;

  constructor(run: ChainRun) {
    this.run = run;
  }

  get halted(): boolean {
    return this.run.over || this.run.replying;
  }

  callHead(index: number, head: RequestHead, end: boolean): FilterStatus | undefined {
    try {
      return (this.run.places[index] as Place).filter.onRequestHead?.(head, end);
    } catch (error) {
      return this.run.failed(error);
    }
  }

  callData(index: number, chunk: Buffer, end: boolean): FilterStatus | undefined {
    try {
      return (this.run.places[index] as Place).filter.onRequestData?.(chunk, end);
    } catch (error) {
      return this.run.failed(error);
    }
  }

  callTrailers(index: number, trailers: HeaderMap): FilterStatus | undefined {
    try {
      return (this.run.places[index] as Place).filter.onRequestTrailers?.(trailers);
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
    this.run.sendLocalReply(413, 'Payload Too Large', 'request_payload_too_large');
  }
}

class ResponsePort implements LanePort<ResponseHead> {
  private readonly run: ChainRun;

  constructor(run: ChainRun) {
    this.run = run;
  }

  get halted(): boolean {
    return this.run.over || this.run.replying;
  }

  callHead(index: number, head: ResponseHead, end: boolean): FilterStatus | undefined {
    try {
      return (this.run.places[index] as Place).filter.onResponseHead?.(head, end);
    } catch (error) {
      return this.run.failed(error);
    }
  }

  callData(index: number, chunk: Buffer, end: boolean): FilterStatus | undefined {
    try {
      return (this.run.places[index] as Place).filter.onResponseData?.(chunk, end);
    } catch (error) {
      return this.run.failed(error);
    }
  }

  callTrailers(index: number, trailers: HeaderMap): FilterStatus | undefined {
    try {
      return (this.run.places[index] as Place).filter.onResponseTrailers?.(trailers);
    } catch (error) {
      return this.run.failed(error);
    }
  }

  sinkHead(head: ResponseHead, end: boolean): boolean {
    return this.run.owner.sendHead(head, end);
  }

  sinkData(chunk: Buffer, end: boolean): boolean {
    return this.run.owner.sendData(chunk, end);
  }

  sinkTrailers(trailers: HeaderMap): void {
    this.run.owner.sendTrailers(trailers);
  }

  overflow(): void {
    const { run } = this;
    if (run.response.headDone) {
      run.info.responseCodeDetails = 'response_payload_too_large';
      run.owner.resetStream('local-reset');
    } else run.sendLocalReply(500, 'Internal Server Error', 'response_payload_too_large');
  }
}

/** A filter's seat in one request's chain: what it is given as its callbacks. */
class Place implements FilterCallbacks {
  readonly filter: HttpFilter;
  readonly name: string;
  private readonly run: ChainRun;
  private readonly index: number;

  constructor(run: ChainRun, filter: ChainFilter, index: number) {
    this.run = run;
    this.name = filter.name;
    this.index = index;
    this.filter = filter.instance.create(this);
  }

  get info(): StreamInfo {
    return this.run.info;
  }

  continueRequest(): void {
    try {
      this.run.request.continueFrom(this.index);
    } catch (error) {
      this.run.failed(error);
    }
  }

  continueResponse(): void {
    try {
      this.run.response.continueFrom(this.index);
    } catch (error) {
      this.run.failed(error);
    }
  }

  sendLocalReply(
    status: number,
    body: string,
    details: string,
    changes?: (headers: HeaderMap) => void,
    grpcStatus?: number,
  ): void {
    this.run.sendLocalReply(status, body, details, changes, grpcStatus);
  }

  bufferedRequestBody(): Buffer | undefined {
    return this.run.request.whole();
  }

  perRouteConfig(): Json | undefined {
    return this.run.owner.perRouteConfig(this.name)?.config;
  }

  clearRouteCache(): void {
    this.run.owner.clearRouteCache();
  }
}
