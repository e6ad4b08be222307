/**
 * Counts gRPC calls and their messages in the statistics of their cluster, as they pass; nothing is changed or held. Calls
 * of Connect are counted as gRPC's: a unary one as one message each way, a stream frame by frame.
 */
import type { Json } from '../../../../xds-client/model/common.ts';
import type { GrpcStatsConfig } from '../../../../xds-client/model/filters/grpc-stats.ts';
import { fromPlain } from '../../../../xds-client/model/plain.ts';
import { isGrpcType } from '../../../http/grpc-type.ts';
import type { HeaderMap, RequestHead, ResponseHead } from '../../../http/headers.ts';
import type { FilterState } from '../../../http/stream-info.ts';
import type { ClusterHandle } from '../../../upstream/contract.ts';
import {
  CONTINUE,
  type FilterCallbacks,
  type FilterContext,
  type FilterStatus,
  type HttpFilter,
  type HttpFilterFactory,
  type HttpFilterInstance,
} from '../contract.ts';
import { AllCalls, type CallStats } from './call-stats.ts';
import { MessageCounter } from './message-counter.ts';

const NAME = 'envoy.filters.http.grpc_stats';

/** What a message's bytes are read as. */
const OTHER = 0;
const GRPC = 1;
const CONNECT_UNARY = 2;
const CONNECT_STREAM = 3;
const CONNECT_STREAM_TYPE = 'application/connect+';

type Protocol = typeof OTHER | typeof GRPC | typeof CONNECT_UNARY | typeof CONNECT_STREAM;

class GrpcStats implements HttpFilterInstance {
  readonly config: GrpcStatsConfig;
  private readonly context: FilterContext;
  private readonly calls: AllCalls;

  constructor(config: GrpcStatsConfig, context: FilterContext) {
    this.config = config;
    this.context = context;
    this.calls = new AllCalls(context.stats, config);
  }

  create(callbacks: FilterCallbacks): HttpFilter {
    return new GrpcStatsStream(this, callbacks);
  }

  /** Where the call is counted; `undefined`: nowhere. */
  callsOf(callbacks: FilterCallbacks, path: string): CallStats | undefined {
    const cluster = clusterOf(callbacks, this.context);
    return cluster === undefined ? undefined : this.calls.of(cluster, path);
  }
}

class GrpcStatsStream implements HttpFilter, FilterState {
  readonly stateName = NAME;
  private readonly filter: GrpcStats;
  private readonly callbacks: FilterCallbacks;
  private request: Protocol = OTHER;
  private response: Protocol = OTHER;
  private calls: CallStats | undefined = undefined;
  private requestMessages = 0;
  private responseMessages = 0;
  private requestCounter: MessageCounter | undefined = undefined;
  private responseCounter: MessageCounter | undefined = undefined;

  constructor(filter: GrpcStats, callbacks: FilterCallbacks) {
    this.filter = filter;
    this.callbacks = callbacks;
  }

  onRequestHead(head: RequestHead): FilterStatus {
    this.request = protocolOf(head);
    if (this.request !== OTHER) this.calls = this.filter.callsOf(this.callbacks, head.path);
    return CONTINUE;
  }

  onRequestData(chunk: Buffer, end: boolean): FilterStatus {
    const { request } = this;
    if (request === OTHER) return CONTINUE;
    let messages = end ? 1 : 0;
    if (request !== CONNECT_UNARY) {
      this.requestCounter ??= new MessageCounter(false);
      messages = this.requestCounter.inspect(chunk);
    }
    if (messages === 0) return CONTINUE;
    this.requestMessages += messages;
    this.calls?.countRequests(messages);
    this.keepState();
    return CONTINUE;
  }

  onResponseHead(head: ResponseHead, end: boolean): FilterStatus {
    const { calls, request } = this;
    const grpc = isGrpcResponse(head, end);
    this.response = grpc ? GRPC : request === GRPC ? OTHER : request;
    if (calls === undefined) return CONTINUE;
    if (request === CONNECT_UNARY) calls.countEnd(head.status === 200);
    else if (request === GRPC || !isConnectStream(head.headers) || head.status !== 200) this.countStatus(head.headers);
    if (end) this.recordTime();
    return CONTINUE;
  }

  onResponseData(chunk: Buffer, end: boolean): FilterStatus {
    const { response } = this;
    if (response === OTHER) return CONTINUE;
    let messages = end ? 1 : 0;
    if (response !== CONNECT_UNARY) {
      this.responseCounter ??= new MessageCounter(true);
      messages = this.responseCounter.inspect(chunk);
    }
    if (messages > 0) {
      this.responseMessages += messages;
      this.calls?.countResponses(messages);
      this.keepState();
    }
    if (!end || response === GRPC) return CONTINUE;
    if (response === CONNECT_STREAM) this.calls?.countEnd(this.responseCounter?.endedWell === true);
    this.recordTime();
    return CONTINUE;
  }

  onResponseTrailers(trailers: HeaderMap): FilterStatus {
    if (this.request !== GRPC || this.calls === undefined) return CONTINUE;
    this.countStatus(trailers);
    this.recordTime();
    return CONTINUE;
  }

  stateText(): string {
    return `${this.requestMessages},${this.responseMessages}`;
  }

  /** Envoy's FilterObject: 64-bit numbers are text, and 0 is left out. */
  stateFields(protoNames: boolean): { readonly [field: string]: Json } {
    const fields: { [field: string]: Json } = {};
    const { requestMessages, responseMessages } = this;
    if (requestMessages > 0)
      fields[protoNames ? 'request_message_count' : 'requestMessageCount'] = `${requestMessages}`;
    if (responseMessages > 0) {
      fields[protoNames ? 'response_message_count' : 'responseMessageCount'] = `${responseMessages}`;
    }
    return fields;
  }

  private countStatus(fields: HeaderMap): void {
    const status = fields.get('grpc-status');
    if (status !== undefined) this.calls?.countStatus(status);
  }

  private recordTime(): void {
    if (!this.filter.config.upstreamTime) return;
    const { upstreamRequestLastByteAt: sent, upstreamResponseLastByteAt: received } = this.callbacks.info;
    if (sent > 0 && received > 0) this.calls?.recordTime(received - sent);
  }

  /** From the first message on. */
  private keepState(): void {
    if (!this.filter.config.emitFilterState || this.requestMessages + this.responseMessages === 0) return;
    const { info } = this.callbacks;
    if (info.filterState === undefined) info.filterState = [this];
    else if (!info.filterState.includes(this)) info.filterState.push(this);
  }
}

function clusterOf(callbacks: FilterCallbacks, context: FilterContext): ClusterHandle | undefined {
  const name = callbacks.matchedRoute()?.choice?.name;
  return name === undefined ? undefined : context.clusters.get(name);
}

function protocolOf({ headers }: RequestHead): Protocol {
  const type = headers.get('content-type');
  if (isGrpcType(type)) return GRPC;
  if (type?.startsWith(CONNECT_STREAM_TYPE) === true) return CONNECT_STREAM;
  return headers.get('connect-protocol-version') === '1' ? CONNECT_UNARY : OTHER;
}

function isGrpcResponse({ status, headers }: ResponseHead, end: boolean): boolean {
  if (end) return headers.has('grpc-status');
  return status === 200 && isGrpcType(headers.get('content-type'));
}

function isConnectStream(headers: HeaderMap): boolean {
  return headers.get('content-type')?.startsWith(CONNECT_STREAM_TYPE) === true;
}

export const GRPC_STATS: HttpFilterFactory = {
  name: NAME,
  typeUrl: 'envoy.extensions.filters.http.grpc_stats.v3.FilterConfig',
  build: (config, context) => new GrpcStats(fromPlain<GrpcStatsConfig>(config), context),
};
