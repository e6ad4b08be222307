/** A filter's seat in one request's chain: what it is given as its callbacks. */
import type { ExtensionConfig, Json } from '../../../xds-client/model/common.ts';
import type { HeaderMap, RequestHead, ResponseHead } from '../../http/headers.ts';
import type { ResetReason } from '../../http/stream.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import type { FilterCallbacks, FilterStatus, HttpFilter, HttpFilterInstance } from './contract.ts';
import type { Lane } from './lane.ts';
import type { MatchedRoute } from './stream-ends.ts';

/** The type of a per-route configuration that only switches a filter: `{disabled}`. */
export const SWITCH_TYPE = 'envoy.config.route.v3.FilterConfig';

/** What a seat is of. */
export interface PlacedFilter {
  /** The key of its per-route configuration. */
  readonly name: string;
  readonly instance: HttpFilterInstance;
  /** As in HttpFilterFactory. */
  readonly routeTypeUrl?: string | undefined;
}

/** The run that a seat belongs to: ./chain.ts. */
export interface PlaceRun {
  readonly info: StreamInfo;
  readonly request: Lane<RequestHead>;
  readonly response: Lane<ResponseHead>;
  readonly bufferLimit: number;
  requestLimit: number | undefined;
  readonly owner: {
    matchedRoute(): MatchedRoute | undefined;
    perRouteConfigs(filterName: string): readonly ExtensionConfig[];
    clearRouteCache(): void;
  };
  pauseOwnRequest(index: number): void;
  resumeOwnRequest(index: number): void;
  pauseResponse(index: number): void;
  resumeResponse(index: number): void;
  sendLocalReply: FilterCallbacks['sendLocalReply'];
  sendResponse(head: ResponseHead, details: string): void;
  resetStream(reason: ResetReason): void;
  failed(error: unknown): FilterStatus;
}

export class Place implements FilterCallbacks {
  readonly filter: HttpFilter;
  readonly name: string;
  private readonly run: PlaceRun;
  private readonly index: number;
  private readonly routeTypeUrl: string | undefined;

  constructor(run: PlaceRun, filter: PlacedFilter, index: number) {
    this.run = run;
    this.name = filter.name;
    this.routeTypeUrl = filter.routeTypeUrl;
    this.index = index;
    this.filter = filter.instance.create(this);
  }

  get info(): StreamInfo {
    return this.run.info;
  }

  continueRequest(): void {
    this.guarded(() => this.run.request.continueFrom(this.index));
  }

  continueResponse(): void {
    this.guarded(() => this.run.response.continueFrom(this.index));
  }

  addRequestData(chunk: Buffer, end: boolean): void {
    this.guarded(() => this.run.request.addData(this.index, chunk, end));
  }

  addRequestTrailers(trailers: HeaderMap): void {
    this.guarded(() => this.run.request.addTrailers(this.index, trailers));
  }

  addResponseData(chunk: Buffer, end: boolean): void {
    this.guarded(() => this.run.response.addData(this.index, chunk, end));
  }

  addResponseTrailers(trailers: HeaderMap): void {
    this.guarded(() => this.run.response.addTrailers(this.index, trailers));
  }

  pauseRequest(): void {
    this.run.pauseOwnRequest(this.index);
  }

  resumeRequest(): void {
    this.run.resumeOwnRequest(this.index);
  }

  pauseResponse(): void {
    this.run.pauseResponse(this.index);
  }

  resumeResponse(): void {
    this.run.resumeResponse(this.index);
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

  sendResponse(head: ResponseHead, details: string): void {
    this.guarded(() => this.run.sendResponse(head, details));
  }

  resetStream(reason: ResetReason): void {
    this.run.resetStream(reason);
  }

  bufferedRequestBody(): Buffer | undefined {
    return this.run.request.whole(this.index);
  }

  bufferedResponseBody(): Buffer | undefined {
    return this.run.response.whole(this.index);
  }

  setRequestLimit(bytes: number): void {
    this.run.requestLimit = bytes;
    this.run.request.setLimit(this.index, bytes);
  }

  setResponseLimit(bytes: number): void {
    this.run.response.setLimit(this.index, bytes);
  }

  get bufferLimit(): number {
    return this.run.bufferLimit;
  }

  matchedRoute(): MatchedRoute | undefined {
    return this.run.owner.matchedRoute();
  }

  perRouteConfig(): Json | undefined {
    for (const said of this.run.owner.perRouteConfigs(this.name)) {
      // As in Envoy: another filter's configuration hides the less specific ones.
      if (said.typeUrl !== SWITCH_TYPE) return this.isOwn(said) ? said.config : undefined;
    }
    return undefined;
  }

  perRouteConfigs(): readonly Json[] {
    const all: Json[] = [];
    for (const said of this.run.owner.perRouteConfigs(this.name)) {
      if (this.isOwn(said)) all.unshift(said.config);
    }
    return all;
  }

  /** A configuration of the filter, no mere switch and not another filter's. */
  private isOwn({ typeUrl }: ExtensionConfig): boolean {
    return this.routeTypeUrl === undefined ? typeUrl !== SWITCH_TYPE : typeUrl === this.routeTypeUrl;
  }

  clearRouteCache(): void {
    this.run.owner.clearRouteCache();
  }

  /** A filter calls from a timer or a callback of its own: what throws behind it ends this request alone. */
  private guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.run.failed(error);
    }
  }
}
