/**
 * The two ends that the connection manager, the filter chain and the router are joined by. With no filter but the
 * router the connection manager's stream and the router's call each other directly; with filters the chain's runner
 * stands between and is the other's end for both.
 */
import type { HeaderMap, RequestHead, ResponseHead } from '../../http/headers.ts';
import type { ResetReason } from '../../http/stream.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import type { RouteDecision } from '../../route/table.ts';
import type { ClusterChoice } from '../../route/weighted.ts';

/** What a request was matched to, and the cluster that the dice chose where the route names several. */
export interface MatchedRoute {
  readonly decision: RouteDecision;
  /** `undefined`: the route's action names no cluster. */
  readonly choice: ClusterChoice | undefined;
}

/** Takes a request: the router, or the chain's runner in front of it. Order as in proxy/http/stream.ts. */
export interface RequestSink {
  onRequestHead(head: RequestHead, end: boolean): void;
  onRequestData(chunk: Buffer, end: boolean): void;
  onRequestTrailers(trailers: HeaderMap): void;
  /** The downstream reads again after a `send*` returned false. */
  onDownstreamDrain(): void;
  /** The stream is over, however it ended: release timers and the upstream, call nothing. */
  onDestroy(): void;
}

/** Takes the response: the connection manager's stream, or the chain's runner in front of it. */
export interface ResponseSink {
  readonly info: StreamInfo;
  /** How much of the request a filter lets be held, in place of the listener's limit: for retries too. */
  readonly requestLimit?: number | undefined;
  /** The route, matched once and again after `clearRouteCache`; `undefined`: none matches. */
  matchedRoute(): MatchedRoute | undefined;
  /** The name of the request's virtual cluster, `other` for none of them; `undefined` where the host has none. */
  virtualCluster(): string | undefined;
  sendInformational(head: ResponseHead): void;
  /** False: the downstream reads slowly, wait for `onDownstreamDrain`. */
  sendHead(head: ResponseHead, end: boolean): boolean;
  sendData(chunk: Buffer, end: boolean): boolean;
  sendTrailers(trailers: HeaderMap): void;
  /** Answers here; nothing may have been sent yet. `grpcStatus` overrides the one derived from `status`. */
  sendLocalReply(
    status: number,
    body: string,
    details: string,
    changes?: (headers: HeaderMap) => void,
    grpcStatus?: number,
  ): void;
  /**
   * Begins the request anew with the head as it is now, in the place of this one, which is over without an answer of its
   * own. All of the request has come: `body` and `trailers` are what is left of it.
   */
  restart(response: ResponseHead, body: readonly Buffer[], trailers: HeaderMap | undefined): void;
  /** The route is to be matched again: the head has changed. */
  clearRouteCache(): void;
  /** Ends the stream after its head was sent. Flags and details are in `info` already. */
  resetStream(reason: ResetReason): void;
  /** Backpressure: no request data until `resumeRequest`. Calls nest by count. */
  pauseRequest(): void;
  resumeRequest(): void;
}
