/**
 * HTTP/2 toward the downstream. A drain has two steps (RFC 9113 §6.8): GOAWAY that names no stream, so that what is on its
 * way is still taken, and with the answer to a PING sent after it the GOAWAY that names the last one. The transport ends with
 * the last stream after that.
 */
import type { RequestHead } from '../http/headers.ts';
import type { ProtocolFault, ServerConnection, ServerConnectionHandler, Transport } from '../http/stream.ts';
import { Http2Connection } from './connection.ts';
import { Fault, type Http2Fault } from './faults.ts';
import { ErrorCode, MAX_STREAM_ID } from './frames.ts';
import { read, readRequest, readTrailers } from './message.ts';
import type { Http2ServerOptions } from './options.ts';
import { Http2ServerStream } from './server-stream.ts';
import { Http2Stat } from './stats.ts';
import type { Http2Stream } from './stream.ts';

const Drain = { None: 0, Announced: 1, Final: 2 } as const;

export class Http2ServerConnection extends Http2Connection implements ServerConnection {
  private readonly handler: ServerConnectionHandler;
  private readonly serverOptions: Http2ServerOptions;
  private draining: number = Drain.None;

  constructor(transport: Transport, handler: ServerConnectionHandler, options: Http2ServerOptions) {
    super(transport, options, true);
    this.handler = handler;
    this.serverOptions = options;
  }

  receiveEnd(): void {
    // As in Envoy, half a close is a close: what is under way ends with it.
    if (!this.over) this.out.flush();
    this.transport.destroy();
    this.destroyed();
  }

  destroyed(): void {
    this.out.discard();
    this.abandon('connection-termination', undefined);
  }

  drain(): void {
    if (this.over || this.draining !== Drain.None) return;
    this.draining = Drain.Announced;
    this.putGoAway(MAX_STREAM_ID, ErrorCode.None);
    this.pingForDrain();
  }

  refuseHead(fault: ProtocolFault): void {
    if (this.headUnderWay) this.fail({ ...fault, code: ErrorCode.EnhanceYourCalm });
  }

  protected override onDrainAcknowledged(): void {
    if (this.draining !== Drain.Announced) return;
    this.draining = Drain.Final;
    this.putGoAway(this.lastPeerStream, ErrorCode.None);
    this.endIfDrained();
  }

  protected override isIdle(id: number): boolean {
    return id > this.lastPeerStream || (id & 1) === 0;
  }

  protected override onHeaders(id: number, end: boolean): void {
    const stream = this.streams.get(id);
    if (stream !== undefined) {
      this.takeTrailers(stream, end);
      return;
    }
    if ((id & 1) === 0) {
      this.fail(Fault.streamId);
      return;
    }
    if (id <= this.lastPeerStream) {
      this.headersOnClosed(id);
      return;
    }
    // Above the last stream that we said to take: the client knows that it was not looked at.
    if (this.draining === Drain.Final) return;
    this.lastPeerStream = id;
    const { limits, stats } = this.options;
    if (this.streams.size >= limits.maxConcurrentStreams) {
      this.refuseStream(id, ErrorCode.RefusedStream);
      return;
    }
    if (this.decoder.overflowed) {
      const fault = this.countOverflow();
      this.handler.onRefusedHead?.(fault, false);
      this.refuseStream(id, ErrorCode.Internal);
      return;
    }
    const { scheme, underscores } = this.serverOptions;
    const head = readRequest(this.decoder, scheme, underscores, limits.allowConnect);
    if (read.dropped > 0) stats.add(Http2Stat.dropped_headers_with_underscores, read.dropped);
    if (head === undefined) this.refuseRequest(id, read.fault ?? Fault.pseudoField);
    else if (end && read.contentLength > 0) this.refuseRequest(id, Fault.contentLength);
    else this.open(id, head, end);
  }

  private open(id: number, head: RequestHead, end: boolean): void {
    const { contentLength } = read;
    const stream = new Http2ServerStream(this, id, head);
    this.opened(stream);
    stream.remoteClosed = end;
    stream.expected = contentLength;
    if (head.path.includes('#')) {
      this.handler.onFault(Fault.fragment, stream, head, end);
      return;
    }
    const handler = this.handler.onRequest(stream, head, end);
    if (!stream.closed) stream.handler = handler;
  }

  /** A head that no request can be made of. */
  private refuseRequest(id: number, fault: Http2Fault): void {
    const { stats, limits } = this.options;
    if (fault === Fault.underscore) {
      stats.inc(Http2Stat.requests_rejected_with_underscores_in_headers);
      this.handler.onRefusedHead?.(fault, false);
      this.refuseStream(id, fault.code);
      return;
    }
    stats.inc(Http2Stat.rx_messaging_error);
    this.handler.onRefusedHead?.(fault, true);
    if (limits.streamErrors) this.refuseStream(id, fault.code);
    else this.fail(fault);
  }

  private refuseStream(id: number, code: number): void {
    this.closedStreams.add(id, true);
    this.putReset(id, code);
  }

  private takeTrailers(stream: Http2Stream, end: boolean): void {
    if (stream.remoteClosed) {
      this.endStream(stream, Fault.streamClosed);
      return;
    }
    if (this.decoder.overflowed) {
      this.endStream(stream, this.countOverflow());
      return;
    }
    const trailers = readTrailers(this.decoder, this.serverOptions.underscores);
    if (trailers === undefined || !end) {
      this.malformed(stream, read.fault ?? Fault.trailers);
      return;
    }
    if (stream.expected >= 0 && stream.arrived !== stream.expected) {
      this.misannounced(stream, Fault.contentLength);
      return;
    }
    this.options.stats.inc(Http2Stat.trailers);
    stream.remoteClosed = true;
    stream.receiveTrailers(trailers);
  }

  protected override onPeerReset(stream: Http2Stream): void {
    this.remove(stream, false);
    stream.onReset('remote-reset', undefined);
  }

  protected override onGoAway(): void {
    // The client opens no more streams; those that are open go on.
  }

  protected override onStreamGone(): void {
    if (!this.over) this.endIfDrained();
  }

  protected override onFailed(fault: Http2Fault): void {
    this.abandon('protocol-error', fault.details);
    this.handler.onFault(fault, undefined, undefined, false);
    this.transport.end();
  }

  private endIfDrained(): void {
    if (this.draining !== Drain.Final || this.streams.size > 0) return;
    this.over = true;
    this.out.flush();
    this.transport.end();
  }
}
