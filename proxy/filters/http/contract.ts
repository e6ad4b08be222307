/**
 * The HTTP filter contract. Synchronous where it can be: a filter returns `CONTINUE` or `STOP`; one that stopped calls
 * `continueRequest` or `continueResponse` later, or answers with `sendLocalReply`. No promise is made per request.
 *
 * Adding a filter: one folder here with an exported `HttpFilterFactory`, one line in proxy/registry.ts, one decoder line
 * in xds-client/decode/extensions.ts, one test. Filters never import each other.
 *
 * Request callbacks run first to last, response callbacks last to first. A method that a filter does not have is not
 * called, and costs nothing.
 */
import type { Json } from '../../../xds-client/model/common.ts';
import type { HeaderMap, RequestHead, ResponseHead } from '../../http/headers.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import type { StatsStore } from '../../observe/stats/contract.ts';

export type FilterStatus = 0 | 1;
export const CONTINUE: FilterStatus = 0;
/** Nothing further happens in this direction until the filter says continue. Data that arrives is buffered to the limit. */
export const STOP: FilterStatus = 1;

/** One request's instance of a filter. All callbacks are optional. */
export interface HttpFilter {
  onRequestHead?(head: RequestHead, end: boolean): FilterStatus;
  onRequestData?(chunk: Buffer, end: boolean): FilterStatus;
  onRequestTrailers?(trailers: HeaderMap): FilterStatus;
  onResponseHead?(head: ResponseHead, end: boolean): FilterStatus;
  onResponseData?(chunk: Buffer, end: boolean): FilterStatus;
  onResponseTrailers?(trailers: HeaderMap): FilterStatus;
  /** The stream is over, however it ended. Release timers; call nothing. */
  onDestroy?(): void;
}

/** What a filter may ask of the stream it stands in. */
export interface FilterCallbacks {
  readonly info: StreamInfo;
  /** Goes on after `STOP` in the request direction. */
  continueRequest(): void;
  continueResponse(): void;
  /**
   * Answers the request here. `details` is Envoy's response code details. `grpcStatus` overrides the one derived from
   * `status` when the request is gRPC.
   */
  sendLocalReply(
    status: number,
    body: string,
    details: string,
    changes?: (headers: HeaderMap) => void,
    grpcStatus?: number,
  ): void;
  /** Replaces the data buffered while stopped; `null` keeps it. */
  bufferedRequestBody(): Buffer | undefined;
  /** This filter's configuration for the matched route: the most specific of weighted cluster, route, virtual host. */
  perRouteConfig(): Json | undefined;
  /** Chooses the route again, after a filter changed what it depends on. */
  clearRouteCache(): void;
}

/** Made once a listener configuration and worker. */
export interface HttpFilterInstance {
  /** Called per request; may return one shared object where the filter keeps no state. */
  create(callbacks: FilterCallbacks): HttpFilter;
}

export interface HttpFilterFactory {
  /** As in Envoy, `envoy.filters.http.fault`. */
  readonly name: string;
  /** Without `type.googleapis.com/`. */
  readonly typeUrl: string;
  /** `config` is what the extension's decoder made. */
  build(config: Json, context: FilterContext): HttpFilterInstance;
}

/** What a filter may use beyond its request. */
export interface FilterContext {
  /** `http.<stat_prefix>.` */
  readonly statPrefix: string;
  readonly stats: StatsStore;
  /** Milliseconds, monotonic. */
  now(): number;
  random(): number;
}
