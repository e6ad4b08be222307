/**
 * HTTP/2 toward an upstream: as many streams at a time as the upstream allows. Streams above the last one that its GOAWAY
 * names were not looked at, and end as refused: they may be sent again elsewhere (RFC 9113 §6.8).
 */
import type {
  ClientConnection,
  ClientConnectionHandler,
  ClientStream,
  ClientStreamHandler,
  ResetReason,
  Transport,
} from '../http/stream.ts';
import { Http2ClientStream } from './client-stream.ts';
import { Http2Connection } from './connection.ts';
import { Fault, type Http2Fault } from './faults.ts';
import { ErrorCode, MAX_STREAM_ID } from './frames.ts';
import { read, readResponse, readTrailers } from './message.ts';
import type { Http2CodecOptions } from './options.ts';
import type { Http2Stream } from './stream.ts';

/** 1xx responses that may come before the final one. */
const MAX_INFORMATIONAL = 16;

export class Http2ClientConnection extends Http2Connection implements ClientConnection {
  private readonly handler: ClientConnectionHandler;
  private nextId = 1;
  /** Opened, with or without a head sent. */
  private active = 0;
  /** No stream may be opened any more. */
  private retired = false;

  constructor(transport: Transport, handler: ClientConnectionHandler, options: Http2CodecOptions) {
    super(transport, options, false);
    this.handler = handler;
  }

  override get activeStreams(): number {
    return this.active;
  }

  get availableStreams(): number {
    if (this.retired || this.over || this.nextId > MAX_STREAM_ID - 2 * this.active) return 0;
    return Math.max(0, Math.min(this.peerMaxStreams, this.options.limits.maxConcurrentStreams) - this.active);
  }

  /** The upstream has said what it takes, and extended CONNECT is not of it (RFC 8441 §3). */
  get refusesConnect(): boolean {
    return this.settled && !this.peerTakesConnect;
  }

  /** We reset a stream that the upstream knows of. */
  resetSent(): void {
    this.handler.onStreamReset?.(false);
  }

  /** What has not been given to the transport never will be. */
  get isOver(): boolean {
    return this.over;
  }

  newStream(handler: ClientStreamHandler): ClientStream {
    this.active++;
    return new Http2ClientStream(this, handler);
  }

  /** Gives the stream its id: ids go out in order. False: the connection takes no stream any more. */
  start(stream: Http2ClientStream): boolean {
    if (this.over || this.retired || this.nextId > MAX_STREAM_ID) return false;
    stream.id = this.nextId;
    this.nextId += 2;
    stream.sendWindow = this.peerWindow;
    this.opened(stream);
    return true;
  }

  receiveEnd(): void {
    if (this.over) return;
    this.retired = true;
    this.abandon('connection-termination', undefined);
    this.out.discard();
    this.transport.destroy();
  }

  destroyed(reason: ResetReason, details?: string): void {
    this.retired = true;
    this.out.discard();
    this.abandon(reason, details);
  }

  drain(): void {
    if (this.over || this.retired) return;
    this.retired = true;
    this.putGoAway(0, ErrorCode.None);
  }

  protected override isIdle(id: number): boolean {
    return id >= this.nextId || (id & 1) === 0;
  }

  protected override onSettings(): void {
    if (this.availableStreams > 0) this.handler.onRoom?.();
  }

  protected override onHeaders(id: number, end: boolean): void {
    const stream = this.streams.get(id);
    if (!(stream instanceof Http2ClientStream)) {
      if (this.isIdle(id)) this.fail(Fault.idleStream);
      else this.headersOnClosed(id);
      return;
    }
    if (stream.remoteClosed) {
      this.endStream(stream, Fault.streamClosed);
      return;
    }
    if (this.decoder.overflowed) {
      this.endStream(stream, this.countOverflow());
      return;
    }
    if (stream.answered) this.takeTrailers(stream, end);
    else this.takeResponse(stream, end);
  }

  private takeResponse(stream: Http2ClientStream, end: boolean): void {
    const head = readResponse(this.decoder);
    if (head === undefined) {
      this.malformed(stream, read.fault ?? Fault.status);
      return;
    }
    if (head.status < 200) {
      if (end || ++stream.informational > MAX_INFORMATIONAL) {
        this.malformed(stream, Fault.informational);
        return;
      }
      stream.receiveInformational(head);
      return;
    }
    const { status } = head;
    if (stream.isHead || status === 204 || status === 304) stream.expected = 0;
    else if (!stream.tunnels || status >= 300) stream.expected = read.contentLength;
    stream.remoteClosed = end;
    if (end && stream.expected > 0) {
      this.misannounced(stream, Fault.contentLength);
      return;
    }
    stream.receiveHead(head, end);
  }

  private takeTrailers(stream: Http2ClientStream, end: boolean): void {
    const trailers = readTrailers(this.decoder, 'allow');
    if (trailers === undefined || !end) {
      this.malformed(stream, read.fault ?? Fault.trailers);
      return;
    }
    if (stream.expected >= 0 && stream.arrived !== stream.expected) {
      this.misannounced(stream, Fault.contentLength);
      return;
    }
    stream.remoteClosed = true;
    stream.receiveTrailers(trailers);
  }

  protected override mayTakeData(stream: Http2Stream): boolean {
    return stream instanceof Http2ClientStream && stream.answered;
  }

  protected override onPeerReset(stream: Http2Stream, code: number): void {
    // The response has come whole, read or not; at most the rest of the request is not wanted.
    if (stream.remoteClosed && stream instanceof Http2ClientStream) {
      stream.stopSending();
      return;
    }
    const refused = code === ErrorCode.RefusedStream;
    if (!refused) this.handler.onStreamReset?.(true);
    this.remove(stream, false);
    if (refused) stream.onReset('remote-refused', undefined);
    else stream.onReset(code === ErrorCode.Protocol ? 'protocol-error' : 'remote-reset', undefined);
  }

  protected override onGoAway(lastStream: number): void {
    const first = !this.retired;
    this.retired = true;
    // Before the streams end: what they were for must not come back to this connection.
    if (first) this.handler.onGoAway();
    for (const stream of [...this.streams.values()]) {
      if (stream.id <= lastStream || stream.closed) continue;
      this.remove(stream, false);
      stream.onReset('remote-refused', undefined);
    }
  }

  protected override onStreamGone(): void {
    this.active--;
    // With the connection over, whoever holds it counts its streams off.
    if (!this.over) this.handler.onStreamEnd(!this.retired);
  }

  protected override onFailed(fault: Http2Fault): void {
    this.retired = true;
    this.abandon('protocol-error', fault.details);
    this.handler.onFault(fault);
  }
}
