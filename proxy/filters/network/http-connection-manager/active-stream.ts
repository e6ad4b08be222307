import type { HeaderMap, ResponseHead } from '../../../http/headers.ts';
import { HeaderMap as Headers } from '../../../http/headers.ts';
import { internalFault } from '../../../http/internal-fault.ts';
import type { ProtocolFault, ResetReason, ServerStream, ServerStreamHandler } from '../../../http/stream.ts';
import { ResponseFlag, type StreamInfo } from '../../../http/stream-info.ts';
import { isGrpc } from '../../../route/match.ts';
import { type ChainOwner, ChainRun, filtersFor } from '../../http/chain.ts';
import type { RequestSink } from '../../http/stream-ends.ts';
import type { HttpConnection } from './connection.ts';
import { reasonOf } from './local-reply.ts';
import { settleAuthority, settlePath, upgradeAllowed, upgradeOf } from './request-checks.ts';
import { mutateRequest } from './request-headers.ts';
import { completeHead, countCode } from './response-head.ts';
import { RoutedStream } from './routed-stream.ts';
import { ManagerStat } from './stats.ts';
import { MAX_DURATION, REQUEST_TIMEOUT, STREAM_IDLE } from './stream-clocks.ts';

const {
  DOWNSTREAM_CX_UPGRADES_ACTIVE: CX_UPGRADES_ACTIVE,
  DOWNSTREAM_CX_UPGRADES_TOTAL: CX_UPGRADES,
  DOWNSTREAM_RQ_ACTIVE: RQ_ACTIVE,
  DOWNSTREAM_RQ_FAILED_PATH_NORMALIZATION: RQ_FAILED_PATH,
  DOWNSTREAM_RQ_HTTP1_TOTAL: RQ_HTTP1_TOTAL,
  DOWNSTREAM_RQ_HTTP2_TOTAL: RQ_HTTP2_TOTAL,
  DOWNSTREAM_RQ_IDLE_TIMEOUT: RQ_IDLE_TIMEOUT,
  DOWNSTREAM_RQ_MAX_DURATION_REACHED: RQ_MAX_DURATION,
  DOWNSTREAM_RQ_NON_RELATIVE_PATH: RQ_NON_RELATIVE_PATH,
  DOWNSTREAM_RQ_REDIRECTED_WITH_NORMALIZED_PATH: RQ_REDIRECTED_PATH,
  DOWNSTREAM_RQ_RX_RESET: RQ_RX_RESET,
  DOWNSTREAM_RQ_TIMEOUT: RQ_TIMEOUT,
  DOWNSTREAM_RQ_TOO_LARGE: RQ_TOO_LARGE,
  DOWNSTREAM_RQ_TOTAL: RQ_TOTAL,
  DOWNSTREAM_RQ_TX_RESET: RQ_TX_RESET,
  DOWNSTREAM_RQ_WS_ON_NON_WS_ROUTE: RQ_WS_ON_NON_WS,
  DOWNSTREAM_FLOW_CONTROL_PAUSED_READING_TOTAL: PAUSED,
  DOWNSTREAM_FLOW_CONTROL_RESUMED_READING_TOTAL: RESUMED,
  RS_TOO_LARGE,
} = ManagerStat;

const PATH_REFUSED = 'path_normalization_failed';
const NOTHING = Buffer.alloc(0);
/** gRPC's DEADLINE_EXCEEDED. */
const GRPC_DEADLINE = 4;

export class ActiveStream extends RoutedStream implements ServerStreamHandler, ChainOwner {
  readonly stream: ServerStream;
  private sink: RequestSink | undefined = undefined;
  private chain: ChainRun | undefined = undefined;
  /** The request was gRPC when it came, whatever filters have made of it; `undefined`: no filter could. */
  private grpc: boolean | undefined = undefined;
  /** The request may become another protocol, and is counted so. */
  private upgraded = false;
  private requestEnded: boolean;
  private headSent = false;
  private replying = false;
  /** The request in whose place a redirect has put another: what the codec still says is for that one. */
  private successor: ActiveStream | undefined = undefined;

  constructor(connection: HttpConnection, stream: ServerStream, info: StreamInfo, ended: boolean) {
    super(connection, info);
    this.stream = stream;
    this.requestEnded = ended;
    if (ended) info.requestCompleteAt = info.startedAt;
    const { stats } = this.manager;
    stats.inc(RQ_TOTAL);
    stats.inc(info.request.version === 20 ? RQ_HTTP2_TOTAL : RQ_HTTP1_TOTAL);
    stats.add(RQ_ACTIVE, 1);
  }

  /** What throws is given up alone: each entrance catches. */
  start(end: boolean): void {
    try {
      this.begin(end);
    } catch (error) {
      this.failed(error);
    }
  }

  /** An exception that nobody expects, out of a filter or our own code: 500 while nothing was sent, a reset afterwards. */
  failed(error: unknown): void {
    internalFault('a request', error);
    if (this.over) return;
    const { sink } = this;
    // Whoever threw is not asked again.
    this.sink = undefined;
    this.chain = undefined;
    this.replying = false;
    try {
      sink?.onDestroy();
      this.sendLocalReply(500, 'Internal Server Error', 'internal_error');
    } catch (again) {
      internalFault('its connection', again);
      this.connection.destroy();
    }
  }

  private begin(end: boolean): void {
    const { manager, info } = this;
    const head = info.request;
    const { config } = manager;
    const table = manager.routeTable();
    this.routes = table;
    if (table !== undefined) info.routeConfigName = table.config.name;
    if (config.proxy100Continue === false && head.headers.get('expect') !== undefined) this.continueBody();
    if (head.path.charCodeAt(0) !== 47 && head.method !== 'CONNECT') {
      manager.stats.inc(RQ_NON_RELATIVE_PATH);
      this.sendLocalReply(404, '', 'absolute_path_rejected');
      return;
    }
    if (this.refusePath()) return;
    settleAuthority(head, config, this.connection.localPort);
    // What a redirect leads to has been through this: it must not stand in `x-forwarded-for` twice.
    if (info.redirects === undefined)
      info.clientAddress = mutateRequest(head, this.connection, manager, table?.config.internalOnlyHeaders ?? []);
    info.requestId = head.headers.get('x-request-id');
    if (manager.tracer !== undefined) info.trace = manager.tracer.start(head, info);
    this.startClocks(this.requestEnded);
    const upgrade = upgradeOf(head);
    if (upgrade !== undefined && this.refuseUpgrade(upgrade)) return;
    const all = this.upgraded && upgrade !== undefined ? manager.filtersOfUpgrade(upgrade) : manager.filters;
    const filters = all.length === 0 ? all : filtersFor(this, all);
    if (filters.length === 0) this.sink = manager.router.create(this);
    else {
      this.grpc = isGrpc(head);
      this.chain = new ChainRun(this, filters, manager.bufferLimitBytes, manager.makeTerminal);
      this.sink = this.chain;
    }
    if (config.accessLogOnNewRequest) for (const log of manager.accessLogs) log.log(info);
    this.sink.onRequestHead(head, end);
  }

  /** The request cannot be served: answers in the protocol's words where its bytes were no HTTP. */
  refuse(fault: ProtocolFault): void {
    const { info } = this;
    if (fault.text === undefined) info.flags |= ResponseFlag.DownstreamProtocolError;
    if (this.headSent) {
      info.responseCodeDetails = fault.details;
      this.resetStream('protocol-error');
      return;
    }
    if (fault.details === PATH_REFUSED) this.manager.stats.inc(RQ_FAILED_PATH);
    this.sendLocalReply(fault.status, fault.text ?? reasonOf(fault.status), fault.details);
  }

  /** The request's stream is reset before it could begin: `broken` by its protocol, or by a limit of ours. */
  giveUp(fault: ProtocolFault, broken: boolean): void {
    const { info } = this;
    info.flags |= broken ? ResponseFlag.DownstreamProtocolError : ResponseFlag.DownstreamRemoteReset;
    info.responseCodeDetails = fault.details;
    this.finish(true);
  }

  // From the codec.

  onData(chunk: Buffer, end: boolean): void {
    if (this.over) return;
    this.info.requestBodyBytes += chunk.length;
    if (end) this.endRequest();
    else this.touch();
    if (this.replying) return;
    try {
      this.sink?.onRequestData(chunk, end);
    } catch (error) {
      this.failed(error);
    }
  }

  onTrailers(trailers: HeaderMap): void {
    if (this.over) return;
    this.info.requestTrailers = trailers;
    this.endRequest();
    if (this.replying) return;
    try {
      this.sink?.onRequestTrailers(trailers);
    } catch (error) {
      this.failed(error);
    }
  }

  onReset(reason: ResetReason): void {
    if (this.over) {
      this.successor?.onReset(reason);
      return;
    }
    const { info } = this;
    const { cutDetails } = this.connection;
    if (reason === 'protocol-error') info.flags |= ResponseFlag.DownstreamProtocolError;
    else if (reason === 'remote-reset') info.flags |= ResponseFlag.DownstreamRemoteReset;
    else if (cutDetails === undefined) info.flags |= ResponseFlag.DownstreamConnectionTermination;
    else info.flags |= ResponseFlag.DurationTimeout;
    info.responseCodeDetails = cutDetails ?? detailsOfDownstreamReset(reason, info.request.version);
    this.finish(true);
    if (reason !== 'connection-termination' && info.request.version === 20) this.connection.countReset(info);
  }

  onDrain(): void {
    if (this.over) {
      this.successor?.onDrain();
      return;
    }
    this.touch();
    this.sink?.onDownstreamDrain();
  }

  // To the downstream.

  answering(head: ResponseHead, details: string): void {
    const { info } = this;
    info.response = head;
    info.responseCodeDetails = details;
    if (info.cluster === undefined) this.noteCluster();
  }

  tooLarge(request: boolean): void {
    this.manager.stats.inc(request ? RQ_TOO_LARGE : RS_TOO_LARGE);
  }

  sendInformational(head: ResponseHead): void {
    if (this.over || this.headSent || !this.manager.config.proxy100Continue) return;
    this.inform(head);
  }

  sendHead(head: ResponseHead, end: boolean): boolean {
    if (this.over || this.headSent) return true;
    try {
      this.headSent = true;
      completeHead(head, this.info, this.connection, !this.requestEnded);
      if (end) this.finish(false);
      else this.touch();
      return this.stream.sendHead(head, end);
    } catch (error) {
      this.failed(error);
      return true;
    }
  }

  sendData(chunk: Buffer, end: boolean): boolean {
    if (this.over) return true;
    this.info.responseBodyBytes += chunk.length;
    if (end) this.finish(false);
    else this.touch();
    return this.stream.sendData(chunk, end);
  }

  sendTrailers(trailers: HeaderMap): void {
    if (this.over) return;
    this.info.responseTrailers = trailers;
    this.finish(false);
    this.stream.sendTrailers(trailers);
  }

  sendLocalReply(
    status: number,
    body: string,
    details: string,
    changes?: (headers: HeaderMap) => void,
    grpcStatus?: number,
  ): void {
    if (this.over || this.replying) return;
    const { info, manager } = this;
    info.responseCodeDetails = details;
    if (this.headSent) {
      this.resetStream('local-reset');
      return;
    }
    this.replying = true;
    if (info.cluster === undefined) this.noteCluster();
    const reply = manager.localReplies.make(
      info,
      this.grpc ?? isGrpc(info.request),
      status,
      body,
      (headers) => this.editReply(headers, changes),
      grpcStatus,
    );
    const { head } = reply;
    const empty = reply.body === '' || info.request.method === 'HEAD';
    // A bad request may be one half of something worse: nothing more is read from its connection.
    if (status === 400 && info.request.version < 20) head.headers.set('connection', 'close');
    if (this.chain !== undefined) {
      this.chain.sendReply(head, empty ? NOTHING : Buffer.from(reply.body));
      return;
    }
    this.headSent = true;
    completeHead(head, info, this.connection, !this.requestEnded);
    if (empty) {
      this.finish(false);
      this.stream.sendHead(head, true);
      return;
    }
    const bytes = Buffer.from(reply.body);
    info.responseBodyBytes = bytes.length;
    this.stream.sendHead(head, false);
    this.finish(false);
    this.stream.sendData(bytes, true);
  }

  resetStream(reason: ResetReason): void {
    if (this.over) return;
    this.manager.stats.inc(RQ_TX_RESET);
    this.finish(true);
    this.stream.reset(reason);
  }

  restart(response: ResponseHead, body: readonly Buffer[], trailers: HeaderMap | undefined): void {
    if (this.over || this.headSent) return;
    const { info, connection } = this;
    // As in Envoy, this one is told of as a request to where it leads.
    info.originalPath = info.request.path;
    info.response = response;
    info.responseCodeDetails = 'internal_redirect';
    this.finish(false);
    const next = connection.reopen(this.stream, info);
    this.successor = next;
    next.replay(body, trailers);
  }

  /** A request that has come whole, with what of its body is kept. */
  private replay(body: readonly Buffer[], trailers: HeaderMap | undefined): void {
    this.start(body.length === 0 && trailers === undefined);
    try {
      const last = body.length - 1;
      for (let i = 0; i <= last && !this.over && !this.replying; i++)
        this.sink?.onRequestData(body[i] as Buffer, i === last && trailers === undefined);
      if (trailers === undefined || this.over || this.replying) return;
      this.info.requestTrailers = trailers;
      this.sink?.onRequestTrailers(trailers);
    } catch (error) {
      this.failed(error);
    }
  }

  pauseRequest(): void {
    this.manager.stats.inc(PAUSED);
    this.stream.pause();
  }

  resumeRequest(): void {
    this.manager.stats.inc(RESUMED);
    this.stream.resume();
  }

  onTimer(kind: number): void {
    if (this.over) return;
    try {
      this.ranOut(kind);
    } catch (error) {
      this.failed(error);
    }
  }

  private ranOut(kind: number): void {
    const { stats } = this.manager;
    const { info } = this;
    if (kind === REQUEST_TIMEOUT) {
      stats.inc(RQ_TIMEOUT);
      this.abort(408, 'request timeout', 'request_overall_timeout');
    } else if (kind === MAX_DURATION) {
      stats.inc(RQ_MAX_DURATION);
      this.abort(this.requestEnded ? 504 : 408, 'downstream duration timeout', 'max_duration_timeout', GRPC_DEADLINE);
    } else if (kind === STREAM_IDLE) {
      stats.inc(RQ_IDLE_TIMEOUT);
      info.flags |= ResponseFlag.StreamIdleTimeout;
      this.abort(this.requestEnded ? 504 : 408, 'stream timeout', 'stream_idle_timeout');
    }
  }

  /** A clock ran out: the upstream's part ends first, so that it neither answers nor is retried. */
  private abort(status: number, body: string, details: string, grpcStatus?: number): void {
    if (this.headSent) {
      this.info.responseCodeDetails = details;
      this.resetStream('local-reset');
      return;
    }
    // The chain lives on to see the reply.
    if (this.chain === undefined) this.sink?.onDestroy();
    this.sink = undefined;
    this.sendLocalReply(status, body, details, undefined, grpcStatus);
  }

  private inform(head: ResponseHead): void {
    // HTTP/1.0 knows no 1xx (RFC 9110 §15.2).
    if (this.info.request.version === 10) return;
    countCode(this.manager, head.status);
    this.stream.sendInformational(head);
  }

  private endRequest(): void {
    this.requestEnded = true;
    const now = this.manager.context.now();
    this.info.requestCompleteAt = now;
    this.stopRequestClock(now);
  }

  /**
   * Ends the stream's bookkeeping, just before its last bytes go out or after it was reset. As in Envoy, a reset is one of
   * either side, and an answer before the request's end is one too.
   */
  private finish(reset: boolean): void {
    this.over = true;
    const { manager, info, connection } = this;
    const { stats } = manager;
    const now = manager.context.now();
    info.completeAt = now;
    stats.add(RQ_ACTIVE, -1);
    if (reset || !this.requestEnded) stats.inc(RQ_RX_RESET);
    if (this.upgraded) stats.add(CX_UPGRADES_ACTIVE, -1);
    manager.requestTime.record(now - info.startedAt);
    this.stopClocks();
    this.sink?.onDestroy();
    connection.closeStream(this, now);
    const { accessLogs } = manager;
    for (let i = 0; i < accessLogs.length; i++) accessLogs[i]?.log(info);
    if (info.trace !== undefined) manager.tracer?.finish(info.trace, info);
    if (info.healthCheck) manager.countHealthCheck();
  }

  private continueBody(): void {
    const { headers } = this.info.request;
    if (headers.get('expect')?.toLowerCase() !== '100-continue') return;
    headers.remove('expect');
    this.inform({ status: 100, headers: new Headers() });
  }

  /** Path normalization. True when it answered. */
  private refusePath(): boolean {
    const { stats, config } = this.manager;
    const settled = settlePath(this.info, config);
    if (settled === undefined) return false;
    if (settled.kind === 'reject') {
      stats.inc(RQ_FAILED_PATH);
      this.sendLocalReply(400, '', PATH_REFUSED);
      return true;
    }
    stats.inc(RQ_REDIRECTED_PATH);
    this.sendLocalReply(307, '', PATH_REFUSED, (headers) => headers.set('location', settled.path));
    return true;
  }

  /** True when it answered. Without a route the router says so, whatever the request wants to become. */
  private refuseUpgrade(protocol: string): boolean {
    const { stats, config } = this.manager;
    const action = this.matchedRoute()?.decision.route.action;
    if (upgradeAllowed(protocol, action?.kind === 'route' ? action : undefined, config)) {
      this.upgraded = true;
      stats.inc(CX_UPGRADES);
      stats.add(CX_UPGRADES_ACTIVE, 1);
      return false;
    }
    if (action === undefined) return false;
    stats.inc(RQ_WS_ON_NON_WS);
    this.sendLocalReply(403, '', 'upgrade_failed');
    return true;
  }
}

function detailsOfDownstreamReset(reason: ResetReason, version: 10 | 11 | 20): string {
  // Envoy's words for a stream of HTTP/2, whoever's fault it was.
  if (reason === 'remote-reset' || (reason === 'protocol-error' && version === 20)) return 'http2.remote_reset';
  if (reason === 'protocol-error') return 'http1.codec_error';
  return 'downstream_remote_disconnect';
}
