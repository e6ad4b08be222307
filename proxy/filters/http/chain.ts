/**
 * Runs one request through its filters, request callbacks first to last and response callbacks last to first. A request
 * whose only filter is the router does not come here. More than the limit held behind a stopped filter is 413 for a
 * request and 500 for a response, as in Envoy. A local reply goes out through the response callbacks of all filters.
 */
import type { ExtensionConfig } from '../../../xds-client/model/common.ts';
import type { HeaderMap, RequestHead, ResponseHead } from '../../http/headers.ts';
import { internalFault } from '../../http/internal-fault.ts';
import type { ResetReason } from '../../http/stream.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import { type FilterStatus, STOP } from './contract.ts';
import { Lane } from './lane.ts';
import { Pauses } from './pauses.ts';
import { Place, type PlacedFilter, type PlaceRun, SWITCH_TYPE } from './place.ts';
import { type PortRun, RequestPort, ResponsePort } from './ports.ts';
import type { MatchedRoute, RequestSink, ResponseSink } from './stream-ends.ts';

/** One filter of a connection manager's chain. `name` is the key of its per-route configuration. */
export interface ChainFilter extends PlacedFilter {
  /** It runs only where a route's configuration asks for it. */
  readonly disabled: boolean;
}

/** What the chain needs of the connection manager's stream beyond the response's end. */
export interface ChainOwner extends ResponseSink {
  /** The most specific first: weighted cluster, route, virtual host, table; those that say something. */
  perRouteConfigs(filterName: string): readonly ExtensionConfig[];
  /** A filter has thrown: the request ends here. */
  failed(error: unknown): void;
  /** A filter answers with that: for the log. */
  answering(head: ResponseHead, details: string): void;
  /** More than the limit waits, of the request or of the response: for the statistics. */
  tooLarge(request: boolean): void;
}

/** Makes the last sink, the router's stream, given its response's end. */
export type MakeTerminal = (downstream: ResponseSink) => RequestSink;

/** The filters that run for this request: what the most specific route configuration says, or the chain's own word. */
export function filtersFor(owner: ChainOwner, filters: readonly ChainFilter[]): readonly ChainFilter[] {
  let kept: ChainFilter[] | undefined;
  for (let i = 0; i < filters.length; i++) {
    const filter = filters[i] as ChainFilter;
    const said = owner.perRouteConfigs(filter.name)[0];
    if (said === undefined ? filter.disabled : isOff(said)) kept ??= filters.slice(0, i);
    else kept?.push(filter);
  }
  return kept ?? filters;
}

function isOff({ typeUrl, config }: ExtensionConfig): boolean {
  if (typeUrl !== SWITCH_TYPE || config === null || typeof config !== 'object') return false;
  return 'disabled' in config && config.disabled === true;
}

const NO_BODY = Buffer.alloc(0);

export class ChainRun implements RequestSink, ResponseSink, PlaceRun, PortRun {
  readonly info: StreamInfo;
  readonly owner: ChainOwner;
  readonly places: readonly Place[];
  readonly terminal: RequestSink;
  readonly request: Lane<RequestHead>;
  readonly response: Lane<ResponseHead>;
  readonly bufferLimit: number;
  /** A local reply is under way: the request stops where it stands. */
  replying = false;
  over = false;
  requestLimit: number | undefined = undefined;
  /** Without the router's pauses of the request: those make it `full`. */
  private requestPauses: Pauses | undefined = undefined;
  private responsePauses: Pauses | undefined = undefined;

  constructor(owner: ChainOwner, filters: readonly ChainFilter[], limitBytes: number, terminal: MakeTerminal) {
    this.owner = owner;
    this.info = owner.info;
    this.places = filters.map((filter, index) => new Place(this, filter, index));
    this.terminal = terminal(this);
    this.bufferLimit = limitBytes;
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
    this.response.onDrain();
    if (!this.over) this.responsePauses?.setFull(false);
    if (!this.isResponsePaused()) this.terminal.onDownstreamDrain();
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
    return this.response.onHead(head, end) && !this.isResponsePaused();
  }

  sendData(chunk: Buffer, end: boolean): boolean {
    return this.response.onData(chunk, end) && !this.isResponsePaused();
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
    this.endRequest();
    this.owner.sendLocalReply(status, body, details, changes, grpcStatus);
  }

  restart(response: ResponseHead, body: readonly Buffer[], trailers: HeaderMap | undefined): void {
    this.giveUpRequestPauses();
    this.owner.restart(response, body, trailers);
  }

  clearRouteCache(): void {
    this.owner.clearRouteCache();
  }

  /** Sends the local reply that the connection manager made through the filters. `body` may be empty. */
  sendReply(head: ResponseHead, body: Buffer): void {
    this.endRequest();
    const empty = body.length === 0;
    this.response.onHead(head, empty);
    if (!empty) this.response.onData(body, true);
  }

  sendResponse(head: ResponseHead, details: string): void {
    if (this.over || this.replying) return;
    this.owner.answering(head, details);
    this.sendReply(head, NO_BODY);
  }

  private endRequest(): void {
    if (this.replying) return;
    this.replying = true;
    this.request.clear();
    this.response.clear();
    this.giveUpRequestPauses();
    this.terminal.onDestroy();
  }

  private giveUpRequestPauses(): void {
    for (let left = this.requestPauses?.count ?? 0; left > 0; left--) this.owner.resumeRequest();
    this.requestPauses = undefined;
  }

  /** The sink of responses says whether it is full. */
  noteResponse(writable: boolean): boolean {
    if (!writable && !this.over) this.pausesOfResponse().setFull(true);
    return writable;
  }

  private isResponsePaused(): boolean {
    return this.responsePauses !== undefined && this.responsePauses.count > 0;
  }

  private pausesOfResponse(): Pauses {
    this.responsePauses ??= new Pauses(this.places.length, false, (index, blocked) =>
      this.places[index]?.filter.onResponseBlocked?.(blocked),
    );
    return this.responsePauses;
  }

  private pausesOfRequest(): Pauses {
    this.requestPauses ??= new Pauses(this.places.length, true, (index, blocked) =>
      this.places[index]?.filter.onRequestBlocked?.(blocked),
    );
    return this.requestPauses;
  }

  /** `index`: the filter's, or `GATE`. */
  pauseResponse(index: number): void {
    if (!this.over) this.pausesOfResponse().pause(index);
  }

  resumeResponse(index: number): void {
    const pauses = this.responsePauses;
    if (this.over || pauses?.resume(index) !== true) return;
    if (pauses.count === 0 && !pauses.full) this.terminal.onDownstreamDrain();
  }

  pauseOwnRequest(index: number): void {
    if (this.over || this.replying) return;
    this.pausesOfRequest().pause(index);
    this.owner.pauseRequest();
  }

  resumeOwnRequest(index: number): void {
    if (this.requestPauses?.resume(index) === true) this.owner.resumeRequest();
  }

  resetStream(reason: ResetReason): void {
    this.owner.resetStream(reason);
  }

  failed(error: unknown): FilterStatus {
    this.owner.failed(error);
    return STOP;
  }

  /** The router's: the upstream is full. */
  pauseRequest(): void {
    this.owner.pauseRequest();
    if (!this.over && !this.replying) this.pausesOfRequest().setFull(true);
  }

  resumeRequest(): void {
    if (!this.over) this.requestPauses?.setFull(false);
    this.owner.resumeRequest();
  }
}
