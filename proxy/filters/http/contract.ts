/**
 * The HTTP filter contract. Synchronous where it can be: a filter returns what shall become of what it was shown; one
 * that stopped calls `continueRequest` or `continueResponse` later, or answers with `sendLocalReply`. No promise is made
 * per request.
 *
 * Adding a filter: one folder here with an exported `HttpFilterFactory`, one line in proxy/registry.ts, one decoder line
 * in xds-client/decode/extensions.ts, one test. Filters never import each other.
 *
 * Request callbacks run first to last, response callbacks last to first. A method that a filter does not have is not
 * called, and costs nothing. Behind every filter stands a gate: what the filter lets through while the gate is shut waits
 * there in its order. Buffers follow the rule of proxy/http/stream.ts: valid until the callback returns.
 */
import type { Json, RuntimeFlag } from '../../../xds-client/model/common.ts';
import type { HeaderMap, RequestHead, ResponseHead } from '../../http/headers.ts';
import type { ResetReason } from '../../http/stream.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import type { Stat, StatsStore } from '../../observe/stats/contract.ts';
import type { TimerWheel } from '../../timers.ts';
import type { ClusterTable } from '../../upstream/contract.ts';
import type { MatchedRoute } from './stream-ends.ts';

export type FilterStatus = 0 | 1 | 2 | 3;
/** It goes on, with everything that waited at this filter. */
export const CONTINUE: FilterStatus = 0;
/**
 * It waits here until the filter says continue; so does what follows, which the filter is still shown. More than the
 * limit is 413 for a request, 500 for a response (a reset when its head has gone).
 */
export const STOP: FilterStatus = 1;
/** As `STOP`, but more than the limit stops the reading of its source instead of failing. */
export const STOP_AND_WATERMARK: FilterStatus = 2;
/**
 * For data and trailers: the filter keeps it, nothing goes on by itself. The filter sends what it makes of it with `addRequestData` and
 * its like, at once or later, and the last part with `end` or as trailers.
 */
export const TAKE: FilterStatus = 3;

/** One request's instance of a filter. All callbacks are optional. */
export interface HttpFilter {
  onRequestHead?(head: RequestHead, end: boolean): FilterStatus;
  onRequestData?(chunk: Buffer, end: boolean): FilterStatus;
  onRequestTrailers?(trailers: HeaderMap): FilterStatus;
  onResponseHead?(head: ResponseHead, end: boolean): FilterStatus;
  onResponseData?(chunk: Buffer, end: boolean): FilterStatus;
  onResponseTrailers?(trailers: HeaderMap): FilterStatus;
  /** For filters that add data: what is behind it cannot take more or wants none (`true`), or does again. */
  onRequestBlocked?(blocked: boolean): void;
  onResponseBlocked?(blocked: boolean): void;
  /** The stream is over, however it ended; `info` is complete. Release timers; call nothing. */
  onDestroy?(): void;
}

/** What a filter may ask of the stream it stands in. */
export interface FilterCallbacks {
  readonly info: StreamInfo;
  /** Goes on after `STOP` in the request direction. */
  continueRequest(): void;
  continueResponse(): void;
  /** Sends data on from this filter, behind what waits at its gate. The bytes are the filter's again when it returns. */
  addRequestData(chunk: Buffer, end: boolean): void;
  addRequestTrailers(trailers: HeaderMap): void;
  addResponseData(chunk: Buffer, end: boolean): void;
  addResponseTrailers(trailers: HeaderMap): void;
  /** No further data is wanted from the side that it comes from, until `resume`. Calls nest by count. */
  pauseRequest(): void;
  resumeRequest(): void;
  pauseResponse(): void;
  resumeResponse(): void;
  /**
   * Answers the request here. `details` is Envoy's response code details. `grpcStatus` overrides the one derived from
   * `status` when the request is gRPC. The response callbacks of the filters see the reply, this one's included.
   */
  sendLocalReply(
    status: number,
    body: string,
    details: string,
    changes?: (headers: HeaderMap) => void,
    grpcStatus?: number,
  ): void;
  /**
   * Answers the request here with a response of the filter's own, which has no body: no mapping of local replies, no headers of
   * the route. The response callbacks of the filters see it, this one's included.
   */
  sendResponse(head: ResponseHead, details: string): void;
  /** Ends the stream without an answer. */
  resetStream(reason: ResetReason): void;
  /** What waits at this filter as one buffer, without the piece that it is being shown; `undefined` when nothing does. */
  bufferedRequestBody(): Buffer | undefined;
  bufferedResponseBody(): Buffer | undefined;
  /**
   * How many bytes may wait at this filter's gate, in place of the listener's `per_connection_buffer_limit_bytes`. As much of a
   * request is kept for its retries.
   */
  setRequestLimit(bytes: number): void;
  setResponseLimit(bytes: number): void;
  /** The listener's `per_connection_buffer_limit_bytes`: what a filter that keeps data itself may keep of either direction. */
  readonly bufferLimit: number;
  /** The route, matched once and again after `clearRouteCache`; `undefined`: none matches. */
  matchedRoute(): MatchedRoute | undefined;
  /** This filter's configuration for the matched route: the most specific of weighted cluster, route, virtual host, table. */
  perRouteConfig(): Json | undefined;
  /** All of them, the most general first. */
  perRouteConfigs(): readonly Json[];
  /** Chooses the route again, after a filter changed what it depends on. */
  clearRouteCache(): void;
}

/** Made once a listener configuration and worker. */
export interface HttpFilterInstance {
  /** Called per request; may return one shared object where the filter keeps no state. */
  create(callbacks: FilterCallbacks): HttpFilter;
  /** The configuration is gone: release statistics. */
  close?(): void;
}

export interface HttpFilterFactory {
  /** As in Envoy, `envoy.filters.http.fault`. */
  readonly name: string;
  /** Without `type.googleapis.com/`. */
  readonly typeUrl: string;
  /** Of its configuration on routes: one of another type is not the filter's, as in Envoy. `undefined`: any is. */
  readonly routeTypeUrl?: string;
  /** `config` is what the extension's decoder made. */
  build(config: Json, context: FilterContext): HttpFilterInstance;
}

/** `numerator` of `denominator` requests. */
export interface Share {
  readonly numerator: number;
  readonly denominator: number;
}

/** The runtime (`layered_runtime`): values that take the place of configured ones, by key. */
export interface Runtime {
  /** A boolean, or whether a number is not 0. */
  flag(key: string): boolean | undefined;
  number(key: string): number | undefined;
  /** A fraction, or a number of percent. */
  share(key: string): Share | undefined;
}

/** Whether a switch of a configuration is on. */
export function isOn({ value, key }: RuntimeFlag, runtime: Runtime): boolean {
  return key === undefined ? value : (runtime.flag(key) ?? value);
}

/** What a filter may know of the process. */
export interface ServerState {
  /** `/healthcheck/fail`: whoever asks is to be told that the server is not well. */
  readonly healthFailing: boolean;
  /** The cluster of the node: the bootstrap's, or `--service-cluster`. */
  readonly cluster: string;
}

/** What a filter may use beyond its request. */
export interface FilterContext {
  /** `http.<stat_prefix>.` */
  readonly statPrefix: string;
  readonly stats: StatsStore;
  /** For names that only a request brings, kept after the first look: `cluster.<name>.grpc.<service>.<method>.success`. */
  counter(name: string): Stat;
  readonly clusters: ClusterTable;
  readonly timers: TimerWheel;
  readonly runtime: Runtime;
  readonly server: ServerState;
  /** Milliseconds, monotonic. */
  now(): number;
  random(): number;
}
