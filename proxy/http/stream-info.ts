/**
 * What is known of one request, filled in as it goes through the rooms and read once at its end by access log, span,
 * decision record and statistics. One object a request: every member is set in the constructor so that its shape never
 * changes. Times are `performance.now()` milliseconds; 0 means not reached.
 */
import type { Json } from '../../xds-client/model/common.ts';
import type { Endpoint } from '../../xds-client/model/endpoint.ts';
import type { Route, VirtualHost } from '../../xds-client/model/route.ts';
import type { RequestTrace } from '../observe/tracing/contract.ts';
import type { ConnectionInfo, TlsInfo } from './connection-info.ts';
import type { HeaderMap, RequestHead, ResponseHead } from './headers.ts';

/** Envoy's response flags, as bits. `flagText` in proxy/observe/access-log/ spells them (`UH`, `UF`, ...). */
export const ResponseFlag = {
  NoHealthyUpstream: 1 << 0, // UH
  UpstreamConnectionFailure: 1 << 1, // UF
  UpstreamOverflow: 1 << 2, // UO
  NoRouteFound: 1 << 3, // NR
  UpstreamRetryLimitExceeded: 1 << 4, // URX
  NoClusterFound: 1 << 5, // NC
  DurationTimeout: 1 << 6, // DT
  DownstreamConnectionTermination: 1 << 7, // DC
  FailedLocalHealthCheck: 1 << 8, // LH
  UpstreamRequestTimeout: 1 << 9, // UT
  LocalReset: 1 << 10, // LR
  UpstreamRemoteReset: 1 << 11, // UR
  UpstreamConnectionTermination: 1 << 12, // UC
  DelayInjected: 1 << 13, // DI
  FaultInjected: 1 << 14, // FI
  RateLimited: 1 << 15, // RL
  UnauthorizedExternalService: 1 << 16, // UAEX
  RateLimitServiceError: 1 << 17, // RLSE
  InvalidEnvoyRequestHeaders: 1 << 18, // IH
  StreamIdleTimeout: 1 << 19, // SI
  DownstreamProtocolError: 1 << 20, // DPE
  UpstreamProtocolError: 1 << 21, // UPE
  UpstreamMaxStreamDurationReached: 1 << 22, // UMSDR
  ResponseFromCacheFilter: 1 << 23, // RFCF
  NoFilterConfigFound: 1 << 24, // NFCF
  OverloadManagerTerminated: 1 << 25, // OM
  DnsResolutionFailed: 1 << 26, // DF
  DropOverload: 1 << 27, // DO
  DownstreamRemoteReset: 1 << 28, // DR
} as const;

/** What is known of a failed attempt's bytes: see the design's "A payment is never silently sent twice". */
export type AttemptClass =
  /** No byte of the request reached the wire. */
  | 'not-sent'
  /** The peer says that it did not process it. */
  | 'unprocessed'
  /** It may have been processed. */
  | 'unknown'
  /** A response came. */
  | 'answered';

/** One try at an endpoint, for the decision record. */
export interface Attempt {
  endpoint: Endpoint | undefined;
  startedAt: number;
  endedAt: number;
  class: AttemptClass;
  /** Status, or the reset reason. */
  outcome: string;
  /** Why it was or was not followed by another. */
  decision: string;
}

/** What redirects have led to one request. */
export interface FollowedRedirects {
  count: number;
  /** The routes that redirects of one route led to, by that route's name. */
  readonly targets: Map<string, Set<string>>;
}

/** What a filter keeps of a request for those who write about it: `%FILTER_STATE(name)%`. */
export interface FilterState {
  readonly stateName: string;
  /** As one text (`PLAIN`). */
  stateText(): string;
  /** As a message: its fields by their proto names, or by those of proto's JSON (`TYPED` within JSON, within text). */
  stateFields(protoNames: boolean): { readonly [field: string]: Json };
}

export class StreamInfo {
  readonly connection: ConnectionInfo;
  /** Wall clock, milliseconds since the epoch. */
  startTime: number;
  startedAt: number;
  request: RequestHead;
  /** Path as it was matched: normalised, before any rewrite. */
  originalPath: string;
  requestId: string | undefined = undefined;
  /** The client's address where a hop before us told it (`x-forwarded-for`); `undefined`: the connection's. */
  clientAddress: string | undefined = undefined;
  response: ResponseHead | undefined = undefined;
  responseTrailers: HeaderMap | undefined = undefined;
  requestTrailers: HeaderMap | undefined = undefined;
  /** Of the downstream request, without framing. */
  requestBodyBytes = 0;
  responseBodyBytes = 0;
  requestCompleteAt = 0;
  upstreamRequestFirstByteAt = 0;
  upstreamRequestLastByteAt = 0;
  upstreamResponseFirstByteAt = 0;
  upstreamResponseLastByteAt = 0;
  downstreamResponseFirstByteAt = 0;
  completeAt = 0;
  flags = 0;
  /** Envoy's RESPONSE_CODE_DETAILS (`via_upstream`, `route_not_found`, ...). */
  responseCodeDetails: string | undefined = undefined;
  connectionTerminationDetails: string | undefined = undefined;
  upstreamTransportFailureReason: string | undefined = undefined;
  routeConfigName = '';
  virtualHost: VirtualHost | undefined = undefined;
  route: Route | undefined = undefined;
  virtualClusterName: string | undefined = undefined;
  /** The cluster's name once chosen. */
  cluster: string | undefined = undefined;
  /** What its statistics, logs and spans call it: `alt_stat_name`, or its name. */
  clusterStatName: string | undefined = undefined;
  endpoint: Endpoint | undefined = undefined;
  upstreamLocalAddress: string | undefined = undefined;
  /** `HTTP/1.1`, `HTTP/2`. */
  upstreamProtocol: string | undefined = undefined;
  /** Of the TLS connection to the upstream, when there is one. */
  upstreamTls: TlsInfo | undefined = undefined;
  attemptCount = 0;
  /** An attempt's bytes may have reached the application: what the response says of it must not be `unprocessed`. */
  maybeProcessed = false;
  /** Filled only when an attempt failed or when the request is traced. */
  attempts: Attempt[] | undefined = undefined;
  /** The service wants it traced (`x-envoy-force-trace`), whether or not anybody gets the spans. */
  traceForced = false;
  /** The span's ids when sampled; `undefined` allocates nothing. */
  trace: RequestTrace | undefined = undefined;
  /** Filters' dynamic metadata, by namespace. Values may be shared with other requests: replace, never change in place. */
  dynamicMetadata: Map<string, { readonly [key: string]: unknown }> | undefined = undefined;
  /** What filters keep of it; few, so a list. */
  filterState: FilterState[] | undefined = undefined;
  /** What the filters of one kind share about this request, one object a kind. */
  shared: object[] | undefined = undefined;
  healthCheck = false;
  /** Redirects of upstreams that were followed to come here; `undefined`: none. */
  redirects: FollowedRedirects | undefined = undefined;
  /** A TCP session; `request` is empty. */
  tcp = false;

  constructor(connection: ConnectionInfo, request: RequestHead, startTime: number, startedAt: number) {
    this.connection = connection;
    this.request = request;
    this.originalPath = request.path;
    this.startTime = startTime;
    this.startedAt = startedAt;
  }
}
