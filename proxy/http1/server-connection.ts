/**
 * HTTP/1.1 toward the downstream (RFC 9112). One request at a time: the next one is parsed when the response to this one
 * is complete, and until then the transport is paused, so that what is pipelined waits in the kernel.
 *
 * After an error, a `connection: close` or a `drain`, the transport is ended when the response is out, and what still
 * comes is thrown away; the connection manager destroys the transport when its delayed-close timer runs out.
 */
import { Buffer } from 'node:buffer';
import { keepBytes } from '../http/bytes.ts';
import type { HeaderMap, RequestHead } from '../http/headers.ts';
import { Output } from '../http/output.ts';
import type {
  ProtocolFault,
  ResetReason,
  ServerConnection,
  ServerConnectionHandler,
  ServerStreamHandler,
  Transport,
} from '../http/stream.ts';
import { BodyDecoder, type BodySink, EMPTY } from './body-decoder.ts';
import { Fault } from './faults.ts';
import { TOKEN } from './field-names.ts';
import { facts } from './fields.ts';
import { type HeadLimits, NEED_MORE, PartialHead, REFUSED, scanHead, scanned } from './head-scan.ts';
import { parseRequestHead, type RequestRules, refusedHead, requestFault } from './request-head.ts';
import { Http1ServerStream } from './server-stream.ts';

export interface Http1ServerOptions extends HeadLimits, RequestRules {}

/** Empty lines that may come before a request line (RFC 9112 §2.2). */
const MAX_EMPTY_LINES = 8;

export class Http1ServerConnection implements ServerConnection, BodySink {
  readonly options: Http1ServerOptions;
  readonly out: Output;
  readonly transport: Transport;
  /** The connection ends after the response under way. */
  closing = false;
  private readonly handler: ServerConnectionHandler;
  private readonly body: BodyDecoder;
  private stream: Http1ServerStream | undefined = undefined;
  private streamHandler: ServerStreamHandler | undefined = undefined;
  private partial: PartialHead | undefined = undefined;
  /** Received and not parsed: pipelined, or the stream is paused. */
  private waiting: Buffer | undefined = undefined;
  private transportPaused = false;
  private pauses = 0;
  private parsing = false;
  private emptyLines = 0;
  /** No request will be parsed any more; what comes is thrown away. */
  private over = false;

  constructor(transport: Transport, handler: ServerConnectionHandler, options: Http1ServerOptions) {
    this.transport = transport;
    this.handler = handler;
    this.options = options;
    this.out = new Output(transport);
    this.body = new BodyDecoder(this, options, options.http1.enableTrailers);
  }

  get activeStreams(): number {
    return this.stream === undefined ? 0 : 1;
  }

  receive(bytes: Buffer): void {
    if (this.over || bytes.length === 0) return;
    if (this.waiting !== undefined) this.waiting = Buffer.concat([this.waiting, bytes]);
    else if (this.parsing || this.mustWait()) {
      this.waiting = keepBytes(bytes);
      this.pauseTransport();
    } else this.parse(bytes);
  }

  receiveEnd(): void {
    const { stream, streamHandler } = this;
    if (stream?.tunnel === true && !this.over) {
      if (this.waiting === undefined) streamHandler?.onData(EMPTY, true);
      stream.peerEnded = true;
      return;
    }
    // As in Envoy, half a close is a close: the request under way ends with it.
    this.out.flush();
    this.transport.destroy();
    this.destroyed();
  }

  destroyed(): void {
    this.out.discard();
    this.over = true;
    this.waiting = undefined;
    this.partial = undefined;
    this.endStream('connection-termination');
  }

  drain(): void {
    this.closing = true;
  }

  writable(): void {
    this.out.drained();
    const { stream } = this;
    if (stream?.waitsForDrain === true) {
      stream.waitsForDrain = false;
      this.streamHandler?.onDrain();
    }
  }

  refuseHead(fault: ProtocolFault): void {
    if (this.stream === undefined && !this.over) this.fail(fault);
  }

  onBody(chunk: Buffer, end: boolean): void {
    if (end) this.requestEnded();
    this.streamHandler?.onData(chunk, end);
  }

  onBodyTrailers(trailers: HeaderMap): void {
    this.requestEnded();
    this.streamHandler?.onTrailers(trailers);
  }

  onBodyFault(fault: ProtocolFault): void {
    this.fail(fault);
  }

  /** The stream's response is complete. */
  responseEnded(stream: Http1ServerStream): void {
    if (this.stream !== stream) return;
    const early = !stream.requestComplete;
    this.stream = undefined;
    this.streamHandler = undefined;
    this.pauses = 0;
    this.body.stopped = false;
    if (early || stream.closeAfter) {
      this.finish();
      return;
    }
    this.run();
  }

  /** A 101, or a 2xx to CONNECT, went out: bytes pass as they are. */
  tunnelStarted(): void {
    this.body.startRaw();
    this.run();
  }

  resetBy(stream: Http1ServerStream): void {
    if (this.stream !== stream) return;
    this.stream = undefined;
    this.streamHandler = undefined;
    this.over = true;
    this.waiting = undefined;
    this.body.stopped = true;
    this.out.flush();
    this.transport.destroy();
  }

  pauseBy(stream: Http1ServerStream): void {
    if (this.stream !== stream) return;
    this.pauses++;
    this.body.stopped = true;
    this.pauseTransport();
  }

  resumeBy(stream: Http1ServerStream): void {
    if (this.stream !== stream || this.pauses === 0 || --this.pauses > 0) return;
    this.body.stopped = false;
    this.run();
  }

  /** The request is complete and its response is not, or the stream is paused. */
  private mustWait(): boolean {
    return this.stream !== undefined && (this.body.stopped || this.body.done);
  }

  /** Parses what waits, and reads on when nothing does. */
  private run(): void {
    if (this.parsing) return;
    const bytes = this.waiting;
    if (bytes !== undefined) {
      this.waiting = undefined;
      this.parse(bytes);
    } else if (this.pauses === 0) this.resumeTransport();
  }

  private parse(first: Buffer): void {
    this.parsing = true;
    let bytes = first;
    let at = 0;
    while (!this.over) {
      if (at >= bytes.length) {
        // Bytes may have come while a callback ran.
        if (this.waiting === undefined) break;
        bytes = this.waiting;
        at = 0;
        this.waiting = undefined;
      }
      const { stream } = this;
      if (stream === undefined) at = this.takeHead(bytes, at);
      else if (this.mustWait()) {
        const rest = bytes.subarray(at);
        this.waiting = this.waiting === undefined ? keepBytes(rest) : Buffer.concat([rest, this.waiting]);
        this.pauseTransport();
        break;
      } else at = this.body.decode(bytes, at);
    }
    this.parsing = false;
    if (this.over) this.waiting = undefined;
    else if (this.waiting === undefined && this.pauses === 0) this.resumeTransport();
    const ended = this.stream;
    if (ended?.peerEnded === true && ended.tunnel && this.waiting === undefined) {
      ended.peerEnded = false;
      this.streamHandler?.onData(EMPTY, true);
    }
  }

  private takeHead(bytes: Buffer, start: number): number {
    const { options } = this;
    let at = start;
    let end: number;
    let head: Buffer;
    let headStart: number;
    if (this.partial === undefined) {
      while (at < bytes.length && bytes[at] === 13) {
        if (at + 1 >= bytes.length) break;
        if (bytes[at + 1] !== 10) return this.refuse(Fault.bareCr, bytes.length);
        if (++this.emptyLines > MAX_EMPTY_LINES) return this.refuse(Fault.emptyLines, bytes.length);
        at += 2;
      }
      if (at >= bytes.length) return at;
      const byte = bytes[at] as number;
      if (byte !== 13 && TOKEN[byte] === 0)
        return this.refuse(byte === 10 ? Fault.bareLf : Fault.notHttp, bytes.length);
      head = bytes;
      headStart = at;
      end = scanHead(bytes, at, at, at, 0, bytes.length, options);
      if (end === NEED_MORE) {
        this.partial = new PartialHead(bytes, at);
        return bytes.length;
      }
    } else {
      end = this.partial.push(at === 0 ? bytes : bytes.subarray(at), options);
      if (end === NEED_MORE) return bytes.length;
      if (end >= 0) end += at;
      head = this.partial.head;
      headStart = 0;
      this.partial = undefined;
      // An empty line that came in two pieces.
      if (end >= 0 && scanned.lines === 0) {
        if (++this.emptyLines > MAX_EMPTY_LINES) return this.refuse(Fault.emptyLines, bytes.length);
        return end;
      }
    }
    if (end === REFUSED) return this.refuse(scanned.fault ?? Fault.notHttp, bytes.length);
    const textEnd = head === bytes ? end : head.length;
    const request = parseRequestHead(head.toString('latin1', headStart, textEnd), options);
    if (request === undefined) {
      this.fail(requestFault, refusedHead);
      return bytes.length;
    }
    this.emptyLines = 0;
    const stream = new Http1ServerStream(this, request);
    stream.closeAfter = request.version === 10 ? !facts.keepAlive || facts.close : facts.close;
    const ends = !stream.mayTunnel && !facts.chunked && facts.contentLength <= 0;
    if (facts.chunked) this.body.startChunked();
    else if (facts.contentLength > 0) this.body.startLength(facts.contentLength);
    else this.body.finish();
    stream.requestComplete = ends;
    this.body.stopped = false;
    this.pauses = 0;
    this.stream = stream;
    const handler = this.handler.onRequest(stream, request, ends);
    if (this.stream === stream) this.streamHandler = handler;
    return end;
  }

  private requestEnded(): void {
    if (this.stream !== undefined) this.stream.requestComplete = true;
  }

  private refuse(fault: ProtocolFault, at: number): number {
    this.fail(fault);
    return at;
  }

  /** Hands a fault up. The answer goes out on the stream under way, or on one made for it. */
  private fail(fault: ProtocolFault, head?: RequestHead): void {
    this.closing = true;
    this.partial = undefined;
    const { stream, streamHandler } = this;
    if (stream === undefined) {
      const reply = new Http1ServerStream(this, head);
      this.stream = reply;
      this.body.finish();
      this.handler.onFault(fault, reply, head, head !== undefined && !facts.chunked && facts.contentLength <= 0);
      // Not answered: later is as good, but nothing more is read.
      if (this.stream === reply) this.over = true;
      return;
    }
    if (stream.headSent) {
      this.resetBy(stream);
      streamHandler?.onReset('protocol-error');
      return;
    }
    this.over = true;
    this.handler.onFault(fault, stream, undefined, false);
    if (this.stream === stream) {
      streamHandler?.onReset('protocol-error');
      if (!stream.headSent) this.resetBy(stream);
    }
  }

  /** Ends the transport: what was written goes out, what still comes is thrown away. */
  private finish(): void {
    this.over = true;
    this.waiting = undefined;
    this.partial = undefined;
    this.out.flush();
    this.transport.end();
    this.resumeTransport();
  }

  private endStream(reason: ResetReason): void {
    const { stream, streamHandler } = this;
    if (stream === undefined) return;
    this.stream = undefined;
    this.streamHandler = undefined;
    this.body.finish();
    streamHandler?.onReset(reason);
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
}
