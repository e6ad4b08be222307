/**
 * The contract between the HTTP codecs and what stands on them, the same for HTTP/1.1 and HTTP/2.
 *
 * A codec turns bytes into messages and back and nothing else: it knows framing, limits and protocol errors; it does
 * not know routes, policies or local replies (a request that breaks the protocol is handed up as `ProtocolFault`, and
 * the connection manager answers it).
 *
 * Bytes: a `Buffer` passed to a callback is valid only until the callback returns. Who needs it longer calls
 * `keepBytes` (./bytes.ts) and uses what that returns. A `Buffer` passed to `sendData` follows the same rule.
 *
 * Order: head, then any data, then trailers or `end`; nothing after `onReset`. Callbacks are synchronous and may come
 * from inside a `send*` call; callees therefore change their own state before they call out.
 */
import type { HeaderMap, RequestHead, ResponseHead } from './headers.ts';

/** Why a stream ended before its message did. */
export type ResetReason =
  /** The peer reset the stream (RST_STREAM) or sent an error code that says so. */
  | 'remote-reset'
  /** The peer refused the stream before looking at it: REFUSED_STREAM, or above GOAWAY's last stream id. */
  | 'remote-refused'
  /** We reset it. */
  | 'local-reset'
  /** We refused to start it (pool, limit). */
  | 'local-refused'
  /** The connection ended under it. */
  | 'connection-termination'
  /** The connection could not be made. */
  | 'connection-failure'
  /** The connection could not be made in time. */
  | 'connection-timeout'
  /** The peer broke the protocol. */
  | 'protocol-error'
  /** A limit (pending requests, connections) was reached. */
  | 'overflow';

/** What a peer did that no message can be made of. `status` is what a server answers it with. */
export interface ProtocolFault {
  /** 400, 408, 413, 414, 426, 431, 501 or 505. */
  readonly status: number;
  /** Envoy's response code details, such as `http1.codec_error` or `request_headers_too_large`. */
  readonly details: string;
  /** For the log: what was wrong, without the offending bytes' secrets. */
  readonly message: string;
  /** There: the bytes are HTTP, only the request cannot be served, and this is the answer's body. No protocol error is counted. */
  readonly text?: string;
}

/** Receives one downstream request. Implemented by the connection manager. */
export interface ServerStreamHandler {
  onData(chunk: Buffer, end: boolean): void;
  onTrailers(trailers: HeaderMap): void;
  /** The stream is gone; no further call comes. */
  onReset(reason: ResetReason): void;
  /** The peer reads again after a `send*` returned false. */
  onDrain(): void;
}

/** The side of a downstream stream that is written to. Implemented by the codecs. */
export interface ServerStream {
  /** A 1xx head (100, 103; 101 goes through `sendHead`). */
  sendInformational(head: ResponseHead): void;
  /** `end`: there is no body. False: the peer reads slowly, wait for `onDrain`. */
  sendHead(head: ResponseHead, end: boolean): boolean;
  sendData(chunk: Buffer, end: boolean): boolean;
  sendTrailers(trailers: HeaderMap): void;
  /** Ends the stream at once: RST_STREAM, or closing the connection in HTTP/1. */
  reset(reason: ResetReason): void;
  /** Backpressure: no `onData` until `resume`, and the peer is made to wait. Calls nest by count. */
  pause(): void;
  resume(): void;
}

/** Receives what happens on a downstream connection. */
export interface ServerConnectionHandler {
  /** A request's head has come. `end`: it has no body. The returned handler gets the rest. */
  onRequest(stream: ServerStream, head: RequestHead, end: boolean): ServerStreamHandler;
  /**
   * The peer broke the protocol before a request could be made of it. HTTP/1: `stream` can carry one local reply, after
   * which the codec closes. HTTP/2: `stream` is `undefined` when the connection itself is at fault (GOAWAY was sent).
   * In the middle of a request's body, `stream` is that request's own when no response has begun: answer on it; its handler
   * gets `onReset('protocol-error')` if it was not answered when this returns.
   * `head`: the request's, where all of it could be read; `end`: it has no body.
   */
  onFault(fault: ProtocolFault, stream: ServerStream | undefined, head: RequestHead | undefined, end: boolean): void;
  /**
   * HTTP/2: a request's head could not be taken, and its stream is reset; there is nothing to answer. `broken`: it was
   * malformed (`onFault` may follow for the connection); otherwise it was more than the configuration lets in.
   */
  onRefusedHead?(fault: ProtocolFault, broken: boolean): void;
}

/** A codec on one downstream connection. */
export interface ServerConnection {
  /** Bytes from the peer. */
  receive(bytes: Buffer): void;
  /** The peer half-closed. */
  receiveEnd(): void;
  /** The connection is gone. Every open stream gets `onReset('connection-termination')`. */
  destroyed(): void;
  /** Start of a graceful end: GOAWAY (first of two steps) or `Connection: close` on the next response. */
  drain(): void;
  /** The transport's `'drain'`: it accepts bytes again. */
  writable(): void;
  /** Refuses the request whose head is under way, as if its bytes had been at fault. */
  refuseHead(fault: ProtocolFault): void;
  /** Streams open now. */
  readonly activeStreams: number;
  /** HTTP/2: a head has begun to come and has not ended. */
  readonly headUnderWay?: boolean;
}

/** Receives one upstream response. Implemented by the router. */
export interface ClientStreamHandler {
  /** A 1xx head. */
  onInformational(head: ResponseHead): void;
  onHead(head: ResponseHead, end: boolean): void;
  onData(chunk: Buffer, end: boolean): void;
  onTrailers(trailers: HeaderMap): void;
  onReset(reason: ResetReason, details: string | undefined): void;
  onDrain(): void;
}

/** The side of an upstream stream that is written to. Implemented by the codecs. */
export interface ClientStream {
  sendHead(head: RequestHead, end: boolean): boolean;
  sendData(chunk: Buffer, end: boolean): boolean;
  sendTrailers(trailers: HeaderMap): void;
  reset(reason: ResetReason): void;
  pause(): void;
  resume(): void;
  /**
   * Whether a byte of this request has been given to the transport. False proves the attempt `not-sent`.
   */
  readonly bytesSent: boolean;
}

/** What a client codec tells its pool. */
export interface ClientConnectionHandler {
  /** A stream ended; the connection may take another when `reusable`. */
  onStreamEnd(reusable: boolean): void;
  /** The peer asked for no new streams (GOAWAY, `Connection: close`); open ones go on. */
  onGoAway(): void;
  /** HTTP/2: a stream was reset, by the upstream or by us; its handler is told too. A refused one is not meant. */
  onStreamReset?(byUpstream: boolean): void;
  /** `availableStreams` may have grown without a stream's end: the peer allows more. HTTP/2 alone says so. */
  onRoom?(): void;
  /** The peer broke the protocol; the transport is to be destroyed. */
  onFault(fault: ProtocolFault): void;
}

/** A codec on one upstream connection. */
export interface ClientConnection {
  /** Opens a stream. HTTP/1 has one at a time. The caller checked `availableStreams`. */
  newStream(handler: ClientStreamHandler): ClientStream;
  receive(bytes: Buffer): void;
  receiveEnd(): void;
  destroyed(reason: ResetReason, details?: string): void;
  writable(): void;
  /** Sends GOAWAY where the protocol has it; open streams go on. */
  drain(): void;
  readonly activeStreams: number;
  /** How many more streams may be opened now. 0 once the peer or we said stop. */
  readonly availableStreams: number;
}

/** What a codec needs of a socket; `net.Socket` and `tls.TLSSocket` satisfy it. */
export interface Transport {
  /** False when the high-water mark is passed. */
  write(data: Uint8Array): boolean;
  end(): void;
  destroy(): void;
  pause(): void;
  resume(): void;
  readonly writableLength: number;
  readonly destroyed: boolean;
}
