/**
 * What streams of both sides have: windows (RFC 9113 §5.2), what waits in either direction, and how they end (§5.1). Bytes
 * that come while the reader is paused are kept and not credited to the peer: its window is what bounds them.
 */
import type { Buffer } from 'node:buffer';
import type { HeaderMap } from '../http/headers.ts';
import type { ResetReason } from '../http/stream.ts';
import { ByteQueue, EMPTY, holdBytes } from './byte-queue.ts';
import type { Http2Connection } from './connection.ts';

export abstract class Http2Stream {
  /** 0 until a client's stream has sent its head. */
  id: number;
  /** What we may still send, and the peer. */
  sendWindow: number;
  receiveWindow: number;
  /** Taken by the reader and not credited yet. */
  uncredited = 0;
  /** The peer's END_STREAM has come. */
  remoteClosed = false;
  /** Our END_STREAM has gone out. */
  localClosed = false;
  /** It is over, for whichever reason: nothing more goes in or out. */
  closed = false;
  /** The announced Content-Length of what comes; -1: none. */
  expected = -1;
  arrived = 0;
  waitsForDrain = false;
  /** It stands in the connection's list of those that wait for its window. */
  listed = false;
  /** Bytes that wait for a window, and what follows them. */
  private pending: Buffer[] | undefined = undefined;
  private pendingEnd = false;
  private pendingTrailers: HeaderMap | undefined = undefined;
  private pauses = 0;
  private received: ByteQueue | undefined = undefined;
  private receivedEnd = false;
  private receivedTrailers: HeaderMap | undefined = undefined;
  protected readonly connection: Http2Connection;

  constructor(connection: Http2Connection, id: number) {
    this.connection = connection;
    this.id = id;
    this.sendWindow = connection.peerWindow;
    this.receiveWindow = connection.options.limits.streamWindow;
  }

  /** The reader's part of what came. */
  protected abstract onData(chunk: Buffer, end: boolean): void;
  protected abstract onTrailers(trailers: HeaderMap): void;
  protected abstract onDrain(): void;
  /** It was reset by the peer, a fault or the connection's end. `details`: of the fault. */
  abstract onReset(reason: ResetReason, details: string | undefined): void;
  /** Our END_STREAM went out. */
  protected abstract localEnded(): void;
  /** The reader has been given the end of what comes. */
  protected abstract remoteEnded(): void;

  pause(): void {
    this.pauses++;
  }

  resume(): void {
    if (this.pauses === 0 || --this.pauses > 0) return;
    this.deliverReceived();
  }

  // What comes.

  /** DATA of this stream, padding taken off. */
  receiveData(chunk: Buffer, end: boolean): void {
    if (this.pauses > 0 || this.received !== undefined) {
      this.received ??= new ByteQueue();
      if (chunk.length > 0) this.received.push(chunk);
      if (end) this.receivedEnd = true;
      return;
    }
    const { length } = chunk;
    if (length > 0 || end) this.onData(chunk, end);
    this.connection.consumed(this, length);
    if (end && !this.closed) this.remoteEnded();
  }

  receiveTrailers(trailers: HeaderMap): void {
    if (this.pauses > 0 || this.received !== undefined) {
      this.received ??= new ByteQueue();
      this.receivedTrailers = trailers;
      return;
    }
    this.onTrailers(trailers);
    if (!this.closed) this.remoteEnded();
  }

  private deliverReceived(): void {
    const { received } = this;
    if (received === undefined) return;
    for (let chunk = received.shift(); chunk !== undefined; chunk = received.shift()) {
      const end = received.empty && this.receivedEnd;
      if (end) this.received = undefined;
      this.onData(chunk, end);
      this.connection.consumed(this, chunk.length);
      if (this.closed) return;
      if (end) {
        this.remoteEnded();
        return;
      }
      if (this.pauses > 0) return;
    }
    this.received = undefined;
    const { receivedTrailers } = this;
    if (receivedTrailers !== undefined) {
      this.receivedTrailers = undefined;
      this.onTrailers(receivedTrailers);
    } else if (this.receivedEnd) this.onData(EMPTY, true);
    else return;
    if (!this.closed) this.remoteEnded();
  }

  // What goes.

  /** Whether bytes wait for a window. */
  get hasPending(): boolean {
    return this.pending !== undefined;
  }

  sendData(chunk: Buffer, end: boolean): boolean {
    if (this.closed || this.localClosed || this.pendingEnd) return true;
    const { connection } = this;
    if (this.pending !== undefined) {
      this.hold(chunk, end);
      return false;
    }
    const allowed = Math.max(0, Math.min(chunk.length, this.sendWindow, connection.sendWindow));
    if (allowed >= chunk.length) {
      if (chunk.length > 0 || end) connection.putData(this, chunk, end);
      if (end) this.endLocal();
      return this.flowing();
    }
    if (allowed > 0) connection.putData(this, chunk.subarray(0, allowed), false);
    this.hold(allowed > 0 ? chunk.subarray(allowed) : chunk, end);
    if (this.sendWindow > 0) connection.list(this);
    return false;
  }

  sendTrailers(trailers: HeaderMap): void {
    if (this.closed || this.localClosed || this.pendingEnd) return;
    if (this.pending !== undefined) {
      this.pendingTrailers = trailers;
      this.pendingEnd = true;
      return;
    }
    this.putTrailers(trailers);
  }

  /** Sends what waits, `most` bytes of it at most, as the windows allow. */
  sendPending(most: number): void {
    const { connection } = this;
    let left = most;
    for (let { pending } = this; pending !== undefined; pending = this.pending) {
      const chunk = pending[0] as Buffer;
      const allowed = Math.min(chunk.length, this.sendWindow, connection.sendWindow, left);
      if (allowed <= 0 && chunk.length > 0) return;
      left -= allowed;
      connection.countPending(-allowed);
      if (allowed < chunk.length) {
        pending[0] = chunk.subarray(allowed);
        connection.putData(this, chunk.subarray(0, allowed), false);
        return;
      }
      pending.shift();
      const last = pending.length === 0;
      if (last) this.pending = undefined;
      const end = last && this.pendingEnd && this.pendingTrailers === undefined;
      connection.putData(this, chunk, end);
      if (!last) continue;
      if (this.pendingTrailers !== undefined) this.putTrailers(this.pendingTrailers);
      else if (end) this.endLocal();
      else if (this.waitsForDrain && !connection.out.blocked) this.drained();
      return;
    }
  }

  /** The transport or the windows have room again. */
  drained(): void {
    if (!this.waitsForDrain || this.closed || this.pending !== undefined) return;
    this.waitsForDrain = false;
    this.onDrain();
  }

  /** Lets go of everything that waits; the peer's window gets back what the reader will not take. */
  discard(): void {
    const { connection } = this;
    this.closed = true;
    this.dropPending();
    const { received } = this;
    this.received = undefined;
    if (received === undefined) return;
    for (let chunk = received.shift(); chunk !== undefined; chunk = received.shift()) {
      connection.credit(chunk.length);
    }
  }

  protected dropPending(): void {
    if (this.pending === undefined) return;
    for (const chunk of this.pending) this.connection.countPending(-chunk.length);
    this.pending = undefined;
  }

  protected flowing(): boolean {
    const { blocked } = this.connection.out;
    if (blocked) this.waitsForDrain = true;
    return !blocked;
  }

  protected endLocal(): void {
    this.localClosed = true;
    this.localEnded();
  }

  private putTrailers(trailers: HeaderMap): void {
    // A frame without fields cannot be: END_STREAM goes on DATA then.
    if (trailers.size === 0) this.connection.putData(this, EMPTY, true);
    else this.connection.putHeaders(this, trailers, true);
    this.endLocal();
  }

  private hold(chunk: Buffer, end: boolean): void {
    this.waitsForDrain = true;
    this.pending ??= [];
    if (chunk.length > 0 || this.pending.length === 0) this.pending.push(holdBytes(chunk));
    this.connection.countPending(chunk.length);
    this.pendingEnd = end;
  }
}
