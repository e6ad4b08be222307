/**
 * HTTP/1.1 toward an upstream (RFC 9112). One request at a time. The connection may carry another only when request and
 * response are both complete, neither side said `close`, and no byte came that nobody asked for.
 */
import { Buffer } from 'node:buffer';
import type { Http1Options } from '../../xds-client/model/http-connection-manager.ts';
import { keepBytes } from '../http/bytes.ts';
import type { HeaderMap } from '../http/headers.ts';
import { Output } from '../http/output.ts';
import type {
  ClientConnection,
  ClientConnectionHandler,
  ClientStream,
  ClientStreamHandler,
  ProtocolFault,
  ResetReason,
  Transport,
} from '../http/stream.ts';
import { BodyDecoder, type BodySink, EMPTY } from './body-decoder.ts';
import { Http1ClientStream } from './client-stream.ts';
import { Fault } from './faults.ts';
import { facts } from './fields.ts';
import { type HeadLimits, NEED_MORE, PartialHead, REFUSED, scanHead, scanned } from './head-scan.ts';
import { parseResponseHead, responseFault, responseVersion } from './response-head.ts';

export interface Http1ClientOptions extends HeadLimits {
  readonly http1: Http1Options;
}

/** 1xx responses that may come before the final one. */
const MAX_INFORMATIONAL = 16;

const VERSION = Buffer.from('HTTP/1.');

/** Whether a status line may begin like this. Empty lines before it are the scanner's business. */
function beginsResponse(bytes: Buffer, at: number): boolean {
  const first = bytes[at];
  if (first === 13 || first === 10) return true;
  const length = Math.min(VERSION.length, bytes.length - at);
  return VERSION.compare(bytes, at, at + length, 0, length) === 0;
}

export class Http1ClientConnection implements ClientConnection, BodySink {
  readonly options: Http1ClientOptions;
  readonly out: Output;
  private readonly transport: Transport;
  private readonly handler: ClientConnectionHandler;
  private readonly body: BodyDecoder;
  private stream: Http1ClientStream | undefined = undefined;
  private streamHandler: ClientStreamHandler | undefined = undefined;
  private partial: PartialHead | undefined = undefined;
  private waiting: Buffer | undefined = undefined;
  private transportPaused = false;
  private pauses = 0;
  private parsing = false;
  private headCame = false;
  private responseDone = false;
  private informational = 0;
  private peerEnded = false;
  /** No stream may be opened any more. */
  private retired = false;
  private over = false;

  constructor(transport: Transport, handler: ClientConnectionHandler, options: Http1ClientOptions) {
    this.transport = transport;
    this.handler = handler;
    this.options = options;
    this.out = new Output(transport);
    this.body = new BodyDecoder(this, options, options.http1.enableTrailers);
  }

  get activeStreams(): number {
    return this.stream === undefined ? 0 : 1;
  }

  get availableStreams(): number {
    return this.retired || this.stream !== undefined ? 0 : 1;
  }

  newStream(handler: ClientStreamHandler): ClientStream {
    const stream = new Http1ClientStream(this);
    this.stream = stream;
    this.streamHandler = handler;
    this.headCame = false;
    this.responseDone = false;
    this.informational = 0;
    this.pauses = 0;
    this.body.stopped = false;
    this.body.finish();
    return stream;
  }

  receive(bytes: Buffer): void {
    if (this.over || bytes.length === 0) return;
    if (this.waiting !== undefined) this.waiting = Buffer.concat([this.waiting, bytes]);
    else if (this.parsing || this.body.stopped) {
      this.waiting = keepBytes(bytes);
      this.pauseTransport();
    } else this.parse(bytes);
  }

  receiveEnd(): void {
    if (this.over) return;
    this.retired = true;
    if (this.waiting !== undefined || this.parsing) {
      this.peerEnded = true;
      return;
    }
    this.endOfInput();
  }

  destroyed(reason: ResetReason, details?: string): void {
    this.out.discard();
    this.over = true;
    this.retired = true;
    this.waiting = undefined;
    this.partial = undefined;
    this.dropStream(reason, details);
  }

  writable(): void {
    this.out.drained();
    const { stream } = this;
    if (stream?.waitsForDrain === true) {
      stream.waitsForDrain = false;
      this.streamHandler?.onDrain();
    }
  }

  drain(): void {
    this.retired = true;
  }

  onBody(chunk: Buffer, end: boolean): void {
    if (end) this.responseDone = true;
    this.streamHandler?.onData(chunk, end);
  }

  onBodyTrailers(trailers: HeaderMap): void {
    this.responseDone = true;
    this.streamHandler?.onTrailers(trailers);
  }

  onBodyFault(fault: ProtocolFault): void {
    this.fail(fault);
  }

  /** The request is complete. */
  requestEnded(stream: Http1ClientStream): void {
    if (this.stream === stream && this.responseDone && !this.parsing) this.endStream();
  }

  resetBy(stream: Http1ClientStream): void {
    if (this.stream !== stream) return;
    if (!stream.bytesSent && !this.over) {
      // Nothing went out: the connection is as good as before.
      this.out.discard();
      this.stream = undefined;
      this.streamHandler = undefined;
      this.resumeAll();
      this.handler.onStreamEnd(!this.retired);
      return;
    }
    this.stream = undefined;
    this.streamHandler = undefined;
    this.shut();
    this.handler.onStreamEnd(false);
  }

  /** The request's body was not what its head announced: the connection cannot go on. */
  abandon(stream: Http1ClientStream): void {
    if (this.stream !== stream) return;
    this.dropStream('local-reset', undefined);
    this.shut();
    this.handler.onStreamEnd(false);
  }

  pauseBy(stream: Http1ClientStream): void {
    if (this.stream !== stream) return;
    this.pauses++;
    this.body.stopped = true;
    this.pauseTransport();
  }

  resumeBy(stream: Http1ClientStream): void {
    if (this.stream !== stream || this.pauses === 0 || --this.pauses > 0) return;
    this.resumeAll();
  }

  private resumeAll(): void {
    this.pauses = 0;
    this.body.stopped = false;
    if (this.parsing) return;
    const bytes = this.waiting;
    if (bytes !== undefined) {
      this.waiting = undefined;
      this.parse(bytes);
    }
    if (this.waiting === undefined && this.pauses === 0) this.resumeTransport();
  }

  private parse(first: Buffer): void {
    this.parsing = true;
    let bytes = first;
    let at = 0;
    while (!this.over) {
      if (this.responseDone && this.stream !== undefined) {
        this.responseEnded(at < bytes.length || this.waiting !== undefined);
        if (this.over) break;
      }
      if (at >= bytes.length) {
        if (this.waiting === undefined) break;
        bytes = this.waiting;
        at = 0;
        this.waiting = undefined;
      }
      if (this.stream === undefined || this.responseDone) {
        this.unexpected();
        break;
      }
      if (this.body.stopped) {
        const rest = bytes.subarray(at);
        this.waiting = this.waiting === undefined ? keepBytes(rest) : Buffer.concat([rest, this.waiting]);
        this.pauseTransport();
        break;
      }
      at = this.headCame ? this.body.decode(bytes, at) : this.takeHead(bytes, at);
    }
    this.parsing = false;
    if (this.over) this.waiting = undefined;
    else if (this.peerEnded && this.waiting === undefined) this.endOfInput();
  }

  private takeHead(bytes: Buffer, at: number): number {
    const { options } = this;
    let end: number;
    let head = bytes;
    if (this.partial === undefined) {
      end = scanHead(bytes, at, at, at, 0, bytes.length, options);
      if (end === NEED_MORE) {
        // What is no HTTP need not be waited for.
        if (!beginsResponse(bytes, at)) return this.refuse(Fault.statusLine, bytes.length);
        this.partial = new PartialHead(bytes, at);
        return bytes.length;
      }
    } else {
      end = this.partial.push(at === 0 ? bytes : bytes.subarray(at), options);
      if (end === NEED_MORE) {
        return beginsResponse(this.partial.begun, 0) ? bytes.length : this.refuse(Fault.statusLine, bytes.length);
      }
      if (end >= 0) end += at;
      head = this.partial.head;
      this.partial = undefined;
    }
    if (end === REFUSED) return this.refuse(scanned.fault ?? Fault.statusLine, bytes.length);
    const text = head === bytes ? bytes.toString('latin1', at, end) : head.toString('latin1', 0, head.length);
    const response = parseResponseHead(text, options.http1.headerCase === 'preserve');
    if (response === undefined) return this.refuse(responseFault, bytes.length);
    const { stream, streamHandler } = this;
    if (stream === undefined || streamHandler === undefined) return end;
    const { status } = response;
    if (status < 200 && status !== 101) {
      if (++this.informational > MAX_INFORMATIONAL) return this.refuse(Fault.tooManyInformational, bytes.length);
      streamHandler.onInformational(response);
      return end;
    }
    this.headCame = true;
    if (status === 101 || (stream.isConnect && status < 300)) {
      if (status === 101 && !stream.upgrades) return this.refuse(Fault.unexpectedUpgrade, bytes.length);
      if (status === 101 && !stream.agrees(response.headers)) return this.refuse(Fault.websocketAccept, bytes.length);
      this.retired = true;
      this.body.startRaw();
      stream.tunnel = true;
      streamHandler.onHead(response, false);
      return end;
    }
    if (stream.mustSwitch && status < 300) return this.refuse(Fault.notSwitched, bytes.length);
    const length = facts.contentLength;
    const { chunked } = facts;
    const goesAway = facts.close || (responseVersion === 10 && !facts.keepAlive);
    const bodyless = stream.isHead || status === 204 || status === 304;
    if (bodyless || length === 0) this.body.finish();
    else if (chunked) this.body.startChunked();
    else if (length > 0) this.body.startLength(length);
    else this.body.startRaw();
    const ends = this.body.done;
    if (ends) this.responseDone = true;
    if ((goesAway || this.body.untilClose) && !this.retired) {
      this.retired = true;
      if (goesAway) this.handler.onGoAway();
    }
    streamHandler.onHead(response, ends);
    return end;
  }

  private refuse(fault: ProtocolFault, at: number): number {
    this.fail(fault);
    return at;
  }

  /** The response is complete. `more`: bytes came after it, which nobody asked for. */
  private responseEnded(more: boolean): void {
    if (more) {
      // Its owner would close it and see no fault: the stream ends with the connection.
      this.stream = undefined;
      this.streamHandler = undefined;
      this.unexpected();
      return;
    }
    if (this.stream?.requestComplete !== true) this.retired = true;
    this.endStream();
  }

  private endStream(): void {
    const { stream } = this;
    if (stream === undefined) return;
    this.stream = undefined;
    this.streamHandler = undefined;
    this.pauses = 0;
    this.body.stopped = false;
    // Half a request would be the beginning of the next one.
    if (!stream.requestComplete) this.shut();
    else if (this.waiting === undefined) this.resumeTransport();
    this.handler.onStreamEnd(!this.retired);
  }

  private unexpected(): void {
    this.retired = true;
    this.fail(Fault.unexpectedBytes);
  }

  private fail(fault: ProtocolFault): void {
    this.retired = true;
    this.over = true;
    this.out.discard();
    this.waiting = undefined;
    this.partial = undefined;
    this.dropStream('protocol-error', fault.details);
    this.handler.onFault(fault);
  }

  /** The peer will send nothing more. */
  private endOfInput(): void {
    const { stream, streamHandler } = this;
    this.retired = true;
    if (stream === undefined) {
      this.shut();
      return;
    }
    if (this.headCame && this.body.untilClose) {
      this.responseDone = true;
      this.body.finish();
      streamHandler?.onData(EMPTY, true);
      // A tunnel's other direction goes on.
      if (!stream.tunnel || stream.requestComplete) {
        this.endStream();
        this.shut();
      }
      return;
    }
    if (this.headCame || this.partial !== undefined) {
      this.fail(Fault.responseCutOff);
      return;
    }
    this.over = true;
    this.dropStream('connection-termination', undefined);
    this.shut();
    this.handler.onStreamEnd(false);
  }

  private shut(): void {
    this.retired = true;
    this.over = true;
    this.out.discard();
    this.waiting = undefined;
    this.partial = undefined;
    this.transport.destroy();
  }

  private dropStream(reason: ResetReason, details: string | undefined): void {
    const { stream, streamHandler } = this;
    if (stream === undefined) return;
    this.stream = undefined;
    this.streamHandler = undefined;
    this.body.finish();
    streamHandler?.onReset(reason, details);
  }

  private pauseTransport(): void {
    if (this.transportPaused) return;
    this.transportPaused = true;
    this.transport.pause();
  }

  private resumeTransport(): void {
    if (!this.transportPaused) return;
    this.transportPaused = false;
    this.transport.resume();
  }

  /** Ends our side of a tunnel. */
  endOutput(): void {
    this.out.flush();
    this.transport.end();
  }
}
