/** A connection with an HTTP codec on it: bytes to the codec and back, streams counted, idleness timed. */

import { ClusterStat } from '../cluster/stats.ts';
import { internalFault } from '../http/internal-fault.ts';
import { type Reads, readInto } from '../http/read-buffer.ts';
import type {
  ClientConnection,
  ClientConnectionHandler,
  ProtocolFault,
  ResetReason,
  Transport,
} from '../http/stream.ts';
import { createClientCodec, type UpstreamHttpVersion, type WantedHttpVersion } from './codec.ts';
import { type ConnectFailure, type ConnectionOwner, PooledConnection } from './connection.ts';
import type { UpstreamConnectionInfo } from './contract.ts';
import type { HttpWish } from './http-pool.ts';
import type { PoolableConnection } from './pool.ts';

/** What an HTTP pool is told beyond a connection's beginning and end. */
export interface HttpConnectionOwner extends ConnectionOwner<HttpConnection> {
  /** A stream is over; the connection may have room again unless it is `ending`. */
  onStreamEnd(connection: HttpConnection, ending: boolean): void;
  /** The endpoint allows more streams than before. */
  onRoom(connection: HttpConnection): void;
}

export class HttpConnection
  extends PooledConnection
  implements PoolableConnection, Transport, ClientConnectionHandler, UpstreamConnectionInfo
{
  /** Known once connected, where the endpoint picks it. */
  protocol: 'HTTP/1.1' | 'HTTP/2' = 'HTTP/1.1';
  streamsStarted = 0;
  activeStreams = 0;
  idleSince = 0;
  listed = false;
  private readonly owner: HttpConnectionOwner;
  private readonly reads: Reads;
  private readonly wanted: WantedHttpVersion;
  /** There once connected. */
  private codec: ClientConnection | undefined = undefined;
  private remaining: number;
  private idleTimer: NodeJS.Timeout | undefined = undefined;
  /** The peer's FIN is being handled: streams that it completes do not close the connection a second time. */
  private ending = false;

  constructor(owner: HttpConnectionOwner, wanted: WantedHttpVersion) {
    const reads = readInto(
      (bytes) => this.onData(bytes),
      () => this.close(),
    );
    super(owner.context, false, reads.onread);
    this.reads = reads;
    this.owner = owner;
    const { config } = owner.context;
    this.wanted = wanted;
    this.remaining = config.common.maxRequestsPerConnection || Number.POSITIVE_INFINITY;
    if (wanted !== 'auto') this.countVersion(wanted);
  }

  get availableStreams(): number {
    const { codec } = this;
    return this.closed || this.draining || codec === undefined ? 0 : Math.min(codec.availableStreams, this.remaining);
  }

  /** Opens a stream for the wish, which learns of it before this returns. The caller saw room. */
  start(wish: HttpWish): void {
    this.activeStreams++;
    this.streamsStarted++;
    this.remaining--;
    if (this.remaining === 0) {
      this.context.stats.inc(ClusterStat.upstream_cx_max_requests);
      this.draining = true;
    }
    // A connection without a codec has no room.
    const stream = (this.codec as ClientConnection).newStream(wish.handler);
    wish.done = true;
    wish.callbacks.onReady(stream, this.context.host, this);
  }

  // Transport: what the codec writes to.

  write(data: Uint8Array): boolean {
    this.context.stats.add(ClusterStat.upstream_cx_tx_bytes_total, data.length);
    return this.socket.write(data);
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.close();
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
    return this.closed;
  }

  // ClientConnectionHandler: what the codec tells.

  onStreamEnd(reusable: boolean): void {
    if (this.closed) return;
    this.activeStreams--;
    this.idleSince = this.context.now();
    if (!reusable) this.draining = true;
    this.owner.onStreamEnd(this, this.ending);
  }

  onGoAway(): void {
    this.context.stats.inc(ClusterStat.upstream_cx_close_notify);
    this.draining = true;
    if (this.activeStreams === 0) this.close();
  }

  onStreamReset(byUpstream: boolean): void {
    this.context.stats.inc(byUpstream ? ClusterStat.upstream_rq_rx_reset : ClusterStat.upstream_rq_tx_reset);
  }

  onRoom(): void {
    if (!this.closed) this.owner.onRoom(this);
  }

  onFault(_fault: ProtocolFault): void {
    this.context.stats.inc(ClusterStat.upstream_cx_protocol_error);
    this.terminate('local', undefined, 'protocol-error');
  }

  protected override onReady(): void {
    const { socket, context, wanted } = this;
    const version = wanted === 'auto' ? (this.tls?.alpn === 'h2' ? 20 : 11) : wanted;
    if (wanted === 'auto') this.countVersion(version);
    const codec = createClientCodec(version, context.config, context.http2Stats?.(), this, this);
    this.codec = codec;
    this.idleSince = this.context.now();
    socket.on('end', () => this.onEnd());
    socket.on('drain', () => codec.writable());
    this.armIdle(this.context.config.common.idleTimeoutMs);
    this.owner.onConnected(this);
  }

  protected override onGone(failure: ConnectFailure | undefined, reason: ResetReason): void {
    clearTimeout(this.idleTimer);
    this.reads.close();
    if (failure === undefined) this.context.requestsPerConnection.record(this.streamsStarted);
    this.owner.onClosed(this, failure);
    this.codec?.destroyed(reason, this.cutDetails);
  }

  private countVersion(version: UpstreamHttpVersion): void {
    this.protocol = version === 20 ? 'HTTP/2' : 'HTTP/1.1';
    this.context.stats.inc(version === 20 ? ClusterStat.upstream_cx_http2_total : ClusterStat.upstream_cx_http1_total);
  }

  private onData(chunk: Buffer): void {
    if (this.closed) return;
    this.context.stats.add(ClusterStat.upstream_cx_rx_bytes_total, chunk.length);
    if (this.activeStreams === 0 && this.protocol === 'HTTP/1.1') {
      // Nobody asked: whatever this is, it must never be taken for the answer to the next request.
      this.context.stats.inc(ClusterStat.upstream_cx_protocol_error);
      this.close();
      return;
    }
    try {
      this.codec?.receive(chunk);
    } catch (error) {
      this.failed(error);
    }
  }

  /** An exception that nobody expects: this connection is in no known state and is not used any more. */
  private failed(error: unknown): void {
    internalFault('a connection to an endpoint', error);
    try {
      this.close();
    } catch (again) {
      internalFault('what it carried', again);
    }
  }

  private onEnd(): void {
    if (this.closed) return;
    this.ending = true;
    this.draining = true;
    try {
      if (this.activeStreams > 0) this.codec?.receiveEnd();
    } catch (error) {
      this.failed(error);
    }
    this.ending = false;
    // A reader that paused has not seen everything yet: then the stream's end ends the connection.
    if (this.activeStreams === 0) this.terminate('remote', undefined);
  }

  /** One timer a connection, looked at when it fires and not touched by requests. */
  private armIdle(delayMs: number): void {
    if (delayMs <= 0) return;
    this.idleTimer = setTimeout(() => this.onIdleTimer(), Math.min(delayMs, 2 ** 31 - 1)).unref();
  }

  private onIdleTimer(): void {
    const limit = this.context.config.common.idleTimeoutMs;
    const idle = this.activeStreams > 0 ? 0 : this.context.now() - this.idleSince;
    if (idle < limit) {
      this.armIdle(limit - idle);
      return;
    }
    this.context.stats.inc(ClusterStat.upstream_cx_idle_timeout);
    this.close();
  }
}
