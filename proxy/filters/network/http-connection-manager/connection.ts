/**
 * One downstream connection: socket to codec and back, the connection's own clocks, and its end. Streams are in
 * ./active-stream.ts.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { ConnectionInfo } from '../../../http/connection-info.ts';
import { HeaderMap, type RequestHead } from '../../../http/headers.ts';
import { internalFault } from '../../../http/internal-fault.ts';
import { ownReads } from '../../../http/own-reads.ts';
import type {
  ProtocolFault,
  ServerConnection,
  ServerConnectionHandler,
  ServerStream,
  ServerStreamHandler,
  Transport,
} from '../../../http/stream.ts';
import { StreamInfo } from '../../../http/stream-info.ts';
import { Timer, type TimerTarget } from '../../../timers.ts';
import type { NetworkConnection } from '../contract.ts';
import { ActiveStream } from './active-stream.ts';
import { clientCertElement, isMutual, setsClientCert } from './client-cert.ts';
import { createCodec, decidedProtocol, sniff } from './create-codec.ts';
import type { HttpManager } from './manager.ts';
import { PrematureResets } from './premature-resets.ts';
import type { ConnectionFacts } from './request-headers.ts';
import { ManagerStat } from './stats.ts';

const {
  DOWNSTREAM_CX_ACTIVE: CX_ACTIVE,
  DOWNSTREAM_CX_DELAYED_CLOSE_TIMEOUT: CX_DELAYED_CLOSE,
  DOWNSTREAM_CX_DESTROY: CX_DESTROY,
  DOWNSTREAM_CX_DESTROY_ACTIVE_RQ: CX_DESTROY_ACTIVE,
  DOWNSTREAM_CX_DESTROY_LOCAL: CX_DESTROY_LOCAL,
  DOWNSTREAM_CX_DESTROY_LOCAL_ACTIVE_RQ: CX_DESTROY_LOCAL_ACTIVE,
  DOWNSTREAM_CX_DESTROY_REMOTE: CX_DESTROY_REMOTE,
  DOWNSTREAM_CX_DESTROY_REMOTE_ACTIVE_RQ: CX_DESTROY_REMOTE_ACTIVE,
  DOWNSTREAM_CX_DRAIN_CLOSE: CX_DRAIN_CLOSE,
  DOWNSTREAM_CX_HTTP1_ACTIVE: CX_HTTP1_ACTIVE,
  DOWNSTREAM_CX_HTTP1_TOTAL: CX_HTTP1_TOTAL,
  DOWNSTREAM_CX_HTTP2_ACTIVE: CX_HTTP2_ACTIVE,
  DOWNSTREAM_CX_HTTP2_TOTAL: CX_HTTP2_TOTAL,
  DOWNSTREAM_CX_IDLE_TIMEOUT: CX_IDLE_TIMEOUT,
  DOWNSTREAM_CX_MAX_DURATION_REACHED: CX_MAX_DURATION,
  DOWNSTREAM_CX_MAX_REQUESTS_REACHED: CX_MAX_REQUESTS,
  DOWNSTREAM_CX_PROTOCOL_ERROR: CX_PROTOCOL_ERROR,
  DOWNSTREAM_CX_RX_BYTES_TOTAL: CX_RX_BYTES,
  DOWNSTREAM_CX_SSL_ACTIVE: CX_SSL_ACTIVE,
  DOWNSTREAM_CX_SSL_TOTAL: CX_SSL_TOTAL,
  DOWNSTREAM_CX_TOTAL: CX_TOTAL,
  DOWNSTREAM_CX_TX_BYTES_TOTAL: CX_TX_BYTES,
  DOWNSTREAM_RQ_HEADER_TIMEOUT: RQ_HEADER_TIMEOUT,
  DOWNSTREAM_RQ_TOO_MANY_PREMATURE_RESETS: TOO_MANY_PREMATURE_RESETS,
} = ManagerStat;

/** For a request that nothing can be sent to. */
const NO_STREAM: ServerStream = {
  sendInformational: () => undefined,
  sendHead: () => true,
  sendData: () => true,
  sendTrailers: () => undefined,
  reset: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
};

const IDLE = 0;
const MAX_DURATION = 1;
const DELAYED_CLOSE = 2;
const HEADERS = 3;
const DRAIN = 4;

const HEADERS_TIMEOUT: ProtocolFault = {
  status: 408,
  details: 'request_header_timeout',
  message: 'the head did not end in time',
  text: 'request header timeout',
};

export class HttpConnection
  implements NetworkConnection, ServerConnectionHandler, Transport, TimerTarget, ConnectionFacts
{
  readonly manager: HttpManager;
  readonly info: ConnectionInfo;
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly encrypted: boolean;
  readonly mutual: boolean;
  readonly clientCert: string | undefined;
  readonly retires = true;
  /** Why what was under way was cut off, for its logs. */
  cutDetails: string | undefined = undefined;
  private endedLocally = false;
  private readonly socket: Socket;
  private codec: ServerConnection | undefined = undefined;
  private http2 = false;
  /** Of HTTP/2. */
  private resets: PrematureResets | undefined = undefined;
  /** Bytes that came before the protocol was known. */
  private sniffed: Buffer | undefined = undefined;
  private readonly streams = new Set<ActiveStream>();
  private requests = 0;
  private draining = false;
  private closed = false;
  private readonly idleTimer: Timer;
  private durationTimer: Timer | undefined = undefined;
  private closeTimer: Timer | undefined = undefined;
  private drainTimer: Timer | undefined = undefined;
  private headersTimer: Timer | undefined = undefined;
  /** A stream's idle timer, handed from request to request so that keep-alive arms one timer and not one a request. */
  private spareTimer: Timer | undefined = undefined;

  constructor(manager: HttpManager, accepted: Socket | TLSSocket, info: ConnectionInfo) {
    const { config, stats } = manager;
    this.manager = manager;
    const own = info.tls === undefined ? ownReads(accepted, (bytes) => this.onData(bytes)) : undefined;
    const socket = own?.socket ?? accepted;
    this.socket = socket;
    this.info = info;
    this.remoteAddress = info.remoteAddress;
    this.localPort = info.localPort;
    this.encrypted = info.tls !== undefined;
    this.mutual = isMutual(info.tls);
    this.clientCert = setsClientCert(config.forwardClientCert)
      ? clientCertElement(info, config.setClientCertDetails)
      : undefined;
    this.idleTimer = new Timer(this, IDLE);
    stats.inc(CX_TOTAL);
    stats.add(CX_ACTIVE, 1);
    if (this.encrypted) {
      stats.inc(CX_SSL_TOTAL);
      stats.add(CX_SSL_ACTIVE, 1);
    }
    // A response's head and body are written one after the other: Nagle would hold the second back.
    socket.setNoDelay(true);
    if (own === undefined) socket.on('data', (chunk: Buffer) => this.onData(chunk));
    socket.on('end', () => this.onEnd());
    socket.on('drain', () => this.codec?.writable());
    socket.on('error', () => {
      // 'close' follows and does the work.
    });
    socket.on('close', () => {
      try {
        this.onClosed();
      } catch (error) {
        internalFault('its requests', error);
      }
    });
    if (socket.destroyed) {
      this.onClosed();
      return;
    }
    const protocol = decidedProtocol(config.codec, info.tls?.alpn);
    if (protocol !== undefined) this.start(protocol);
    const { timers } = manager.dependencies;
    if (config.common.idleTimeoutMs > 0) timers.arm(this.idleTimer, config.common.idleTimeoutMs);
    if (config.common.maxConnectionDurationMs) {
      this.durationTimer = new Timer(this, MAX_DURATION);
      timers.arm(this.durationTimer, config.common.maxConnectionDurationMs);
    }
    const pending = own?.pending;
    if (pending !== undefined) process.nextTick(() => this.onData(pending));
  }

  get activeStreams(): number {
    return this.streams.size;
  }

  // NetworkConnection.

  drain(): void {
    if (this.closed) return;
    if (!this.draining) {
      this.draining = true;
      this.manager.stats.inc(CX_DRAIN_CLOSE);
      this.codec?.drain();
    }
    if (this.http2) this.armDrain();
    else if (this.streams.size === 0) this.end();
  }

  destroy(): void {
    if (this.closed) return;
    this.endedLocally = true;
    this.socket.destroy();
    this.onClosed();
  }

  retire(): void {
    if (!this.closed) this.startDrain(false);
  }

  cut(details: string): void {
    this.cutDetails = details;
    this.destroy();
  }

  // Transport, for the codec.

  write(data: Uint8Array): boolean {
    this.manager.stats.add(CX_TX_BYTES, data.length);
    return this.socket.write(data);
  }

  /** Ends our side; the downstream has the delayed-close time to end its own. */
  end(): void {
    if (this.closed) return;
    this.endedLocally = true;
    this.socket.end();
    const { delayedCloseTimeoutMs } = this.manager.config;
    if (delayedCloseTimeoutMs <= 0) {
      this.socket.destroySoon();
      return;
    }
    if (this.closeTimer !== undefined) return;
    this.closeTimer = new Timer(this, DELAYED_CLOSE);
    this.manager.dependencies.timers.arm(this.closeTimer, delayedCloseTimeoutMs);
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  get writableLength(): number {
    return this.socket.writableLength;
  }

  get destroyed(): boolean {
    return this.socket.destroyed;
  }

  // ServerConnectionHandler, from the codec.

  onRequest(stream: ServerStream, head: RequestHead, end: boolean): ServerStreamHandler {
    this.countRequest();
    const active = this.open(stream, head, end);
    active.start(end);
    return active;
  }

  onFault(fault: ProtocolFault, stream: ServerStream | undefined, read: RequestHead | undefined, end: boolean): void {
    if (fault.text === undefined) this.manager.stats.inc(CX_PROTOCOL_ERROR);
    if (stream === undefined) return;
    for (const active of this.streams) {
      if (active.stream === stream) {
        active.refuse(fault);
        return;
      }
    }
    this.open(stream, read ?? this.unknownHead(11), end).refuse(fault);
  }

  onRefusedHead(fault: ProtocolFault, broken: boolean): void {
    this.open(NO_STREAM, this.unknownHead(20), false).giveUp(fault, broken);
  }

  /** Of a request whose head cannot be read. */
  private unknownHead(version: 11 | 20): RequestHead {
    const scheme = this.encrypted ? 'https' : 'http';
    return { method: '', path: '', authority: '', scheme, version, protocol: undefined, headers: new HeaderMap() };
  }

  /** The request that a redirect leads to: on the stream of the one before, which has come whole. */
  reopen(stream: ServerStream, before: StreamInfo): ActiveStream {
    this.countRequest();
    const active = this.open(stream, before.request, true);
    const { info } = active;
    info.redirects = before.redirects;
    info.clientAddress = before.clientAddress;
    info.requestBodyBytes = before.requestBodyBytes;
    return active;
  }

  private countRequest(): void {
    const { manager } = this;
    const { maxRequestsPerConnection } = manager.config.common;
    this.requests++;
    if (!maxRequestsPerConnection || this.requests < maxRequestsPerConnection) return;
    manager.stats.inc(CX_MAX_REQUESTS);
    if (this.http2) this.startDrain();
    else this.codec?.drain();
  }

  private open(stream: ServerStream, head: RequestHead, end: boolean): ActiveStream {
    const { manager } = this;
    const info = new StreamInfo(this.info, head, manager.dependencies.wallClock(), manager.context.now());
    const active = new ActiveStream(this, stream, info, end);
    if (this.streams.size === 0) this.manager.dependencies.timers.disarm(this.idleTimer);
    if (this.headersTimer !== undefined) this.manager.dependencies.timers.disarm(this.headersTimer);
    this.streams.add(active);
    return active;
  }

  /** The stream is over: its response is complete, or it was reset. */
  closeStream(active: ActiveStream, now: number): void {
    this.resets?.countEnd();
    if (!this.streams.delete(active) || this.streams.size > 0 || this.closed) return;
    const { idleTimeoutMs } = this.manager.config.common;
    if (idleTimeoutMs > 0) this.manager.dependencies.timers.postpone(this.idleTimer, now + idleTimeoutMs);
  }

  /** The downstream gave a stream of HTTP/2 up. */
  countReset(info: StreamInfo): void {
    if (this.resets?.count(info) !== true || this.closed) return;
    this.manager.stats.inc(TOO_MANY_PREMATURE_RESETS);
    this.manager.stats.inc(CX_PROTOCOL_ERROR);
    this.destroy();
  }

  /** Asked as a response's head is about to go: whether the connection ends with it. */
  drainIfDue(): void {
    if (this.draining || !this.manager.context.drain.shouldDrain()) return;
    this.draining = true;
    this.manager.stats.inc(CX_DRAIN_CLOSE);
    this.codec?.drain();
    // HTTP/1.1 ends with this response; in HTTP/2 streams may be on their way to us.
    if (this.http2) this.armDrain();
  }

  takeTimer(target: TimerTarget, kind: number): Timer {
    const timer = this.spareTimer;
    if (timer === undefined || timer.kind !== kind) return new Timer(target, kind);
    this.spareTimer = undefined;
    timer.target = target;
    return timer;
  }

  giveTimer(timer: Timer): void {
    const { timers } = this.manager.dependencies;
    if (this.spareTimer !== undefined || this.closed) {
      timers.cancel(timer);
      return;
    }
    timers.disarm(timer);
    timer.target = this;
    this.spareTimer = timer;
  }

  onTimer(kind: number): void {
    if (this.closed) return;
    const { stats } = this.manager;
    switch (kind) {
      case IDLE:
        if (this.streams.size > 0) return;
        stats.inc(CX_IDLE_TIMEOUT);
        this.startDrain();
        return;
      case MAX_DURATION:
        stats.inc(CX_MAX_DURATION);
        this.startDrain();
        return;
      case DRAIN:
        // A response under way may have begun before the drain: its connection is asked again.
        if (this.streams.size > 0) this.armDrain();
        else this.end();
        return;
      case DELAYED_CLOSE:
        stats.inc(CX_DELAYED_CLOSE);
        this.destroy();
        return;
      case HEADERS:
        this.onHeadersTimeout();
        return;
    }
  }

  /**
   * Ends the connection and leaves the downstream time to see it: a request that was on its way is served and told
   * `connection: close`; the transport ends `drain_timeout` later. `unused`: where no request has come in all this time,
   * none is on its way.
   */
  private startDrain(unused = true): void {
    if (unused && this.requests === 0 && !this.http2) {
      this.end();
      return;
    }
    if (this.draining) return;
    this.draining = true;
    this.codec?.drain();
    this.armDrain();
  }

  private armDrain(): void {
    this.drainTimer ??= new Timer(this, DRAIN);
    this.manager.dependencies.timers.arm(this.drainTimer, this.manager.config.drainTimeoutMs);
  }

  private onHeadersTimeout(): void {
    if (this.streams.size > 0 && !this.http2) return;
    this.manager.stats.inc(RQ_HEADER_TIMEOUT);
    this.codec?.refuseHead(HEADERS_TIMEOUT);
  }

  private start(protocol: 'http1' | 'http2'): void {
    const { config, stats } = this.manager;
    this.http2 = protocol === 'http2';
    stats.inc(this.http2 ? CX_HTTP2_TOTAL : CX_HTTP1_TOTAL);
    stats.add(this.http2 ? CX_HTTP2_ACTIVE : CX_HTTP1_ACTIVE, 1);
    if (this.http2) this.resets = new PrematureResets(this.manager.dependencies.runtime);
    this.codec = createCodec(protocol, config, this, this, this.encrypted, () => this.manager.http2Stats());
    // It was told to end before anybody knew what it speaks.
    if (this.draining) this.codec.drain();
  }

  private onData(chunk: Buffer): void {
    // A request that crosses our end on the way can have no answer, so it must have no effect.
    if (this.closed || this.endedLocally) return;
    const { manager } = this;
    manager.stats.add(CX_RX_BYTES, chunk.length);
    let bytes = chunk;
    if (this.codec === undefined) {
      bytes = this.sniffed === undefined ? chunk : Buffer.concat([this.sniffed, chunk]);
      const protocol = sniff(bytes);
      if (protocol === 'unknown') {
        this.sniffed = Buffer.from(bytes);
        return;
      }
      this.sniffed = undefined;
      this.start(protocol);
    }
    const limited = manager.config.requestHeadersTimeoutMs > 0;
    if (this.streams.size === 0 && limited && !this.http2) this.limitHeaders();
    try {
      this.codec?.receive(bytes);
      if (limited && this.http2) this.limitBlocks();
    } catch (error) {
      this.failed(error);
    }
  }

  /** An exception that nobody expects: the codec is in no known state, so nothing more can be read or said here. */
  private failed(error: unknown): void {
    internalFault('a connection', error);
    try {
      this.destroy();
    } catch (again) {
      internalFault('its requests', again);
    }
  }

  /** In HTTP/2 bytes may come that begin no request, and requests beside others. */
  private limitBlocks(): void {
    if (this.codec?.headUnderWay === true) this.limitHeaders();
    else if (this.headersTimer !== undefined) this.manager.dependencies.timers.disarm(this.headersTimer);
  }

  private limitHeaders(): void {
    this.headersTimer ??= new Timer(this, HEADERS);
    if (this.headersTimer.armed) return;
    const { timers } = this.manager.dependencies;
    timers.arm(this.headersTimer, this.manager.config.requestHeadersTimeoutMs);
  }

  private onEnd(): void {
    if (this.closed) return;
    if (this.codec === undefined) this.socket.destroy();
    else {
      try {
        this.codec.receiveEnd();
      } catch (error) {
        this.failed(error);
      }
    }
    // With our side ended too the socket closes by itself; with nothing under way ours ends now.
    if (!this.closed && this.streams.size === 0 && !this.socket.writableEnded) this.socket.end();
  }

  private onClosed(): void {
    if (this.closed) return;
    this.closed = true;
    const { manager } = this;
    const { stats } = manager;
    const { timers } = manager.dependencies;
    const active = this.streams.size > 0;
    stats.add(CX_ACTIVE, -1);
    if (this.encrypted) stats.add(CX_SSL_ACTIVE, -1);
    if (this.codec !== undefined) stats.add(this.http2 ? CX_HTTP2_ACTIVE : CX_HTTP1_ACTIVE, -1);
    stats.inc(CX_DESTROY);
    stats.inc(this.endedLocally ? CX_DESTROY_LOCAL : CX_DESTROY_REMOTE);
    if (active) {
      stats.inc(CX_DESTROY_ACTIVE);
      stats.inc(this.endedLocally ? CX_DESTROY_LOCAL_ACTIVE : CX_DESTROY_REMOTE_ACTIVE);
    }
    const { idleTimer, durationTimer, closeTimer, headersTimer, drainTimer, spareTimer } = this;
    for (const timer of [idleTimer, durationTimer, closeTimer, headersTimer, drainTimer, spareTimer]) {
      if (timer !== undefined) timers.cancel(timer);
    }
    this.codec?.destroyed();
    manager.connectionTime.record(manager.context.now() - this.info.startedAt);
  }
}
