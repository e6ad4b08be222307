/**
 * What both sides of an HTTP/2 connection do (RFC 9113): frames in (out: ./frame-writer.ts), SETTINGS, flow control, PING, and the guards
 * against peers that cost more than they ask for. Over 300 lines because the state between two frames is one state.
 *
 * Frames are handled where they lie in the received bytes; only one that comes in pieces is put together first, and DATA
 * never is. What goes out is gathered by ../http/output.ts and written once a turn.
 */
import { Buffer } from 'node:buffer';
import type { ResetReason, Transport } from '../http/stream.ts';
import { BlockUnderWay } from './block-under-way.ts';
import { EMPTY } from './byte-queue.ts';
import { ClosedStreams } from './closed-streams.ts';
import { Fault, type Http2Fault } from './faults.ts';
import { DRAIN_PING, FrameWriter } from './frame-writer.ts';
import {
  ErrorCode,
  FIRST_WINDOW,
  Flag,
  FRAME_HEAD,
  FRAME_SIZE,
  Frame,
  MAX_FRAME_SIZE,
  MAX_STREAM_ID,
  MAX_WINDOW,
  PREFACE,
  Setting,
} from './frames.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { Keepalive } from './keepalive.ts';
import type { Http2CodecOptions } from './options.ts';
import { Http2Stat } from './stats.ts';
import type { Http2Stream } from './stream.ts';

/** Bytes of a header block that are always taken, before they are decoded. */
const LEAST_BLOCK = 64 * 1024;

export abstract class Http2Connection extends FrameWriter {
  readonly streams = new Map<number, Http2Stream>();
  readonly decoder: HpackDecoder;
  /** The window that the peer gives a new stream. */
  peerWindow = FIRST_WINDOW;
  protected peerMaxStreams = MAX_STREAM_ID;
  protected peerTakesConnect = false;
  /** The highest stream that the peer opened and we took. */
  protected lastPeerStream = 0;
  protected readonly closedStreams = new ClosedStreams();
  /** Of the preface, bytes that have come. */
  protected prefaceAt = 0;
  private readonly keepalive: Keepalive | undefined;
  /** The peer's first SETTINGS have come. */
  protected settled = false;
  private receiveWindow: number;
  private uncredited = 0;
  /** Streams with bytes that the connection's window holds back. */
  private waiting: Http2Stream[] = [];

  // The frame under way.
  private readonly head = Buffer.allocUnsafe(FRAME_HEAD);
  private headLength = 0;
  private type = 0;
  private flags = 0;
  private frameStream = 0;
  /** The payload of a frame that came in pieces, other than DATA. */
  private payload: Buffer | undefined = undefined;
  private payloadLength = 0;
  private inData = false;
  private dataStream: Http2Stream | undefined = undefined;
  private dataLeft = 0;
  private padLeft = 0;
  private padLengthDue = false;

  private readonly block: BlockUnderWay;

  // What guards count.
  private emptyFrames = 0;
  private priorityFrames = 0;
  private windowUpdates = 0;
  private openedStreams = 0;

  constructor(transport: Transport, options: Http2CodecOptions, isServer: boolean) {
    super(transport, options, isServer);
    const { limits } = options;
    this.decoder = new HpackDecoder(limits.headerTableSize);
    this.receiveWindow = limits.connectionWindow;
    this.block = new BlockUnderWay(Math.max(LEAST_BLOCK, options.maxHeadersBytes + FRAME_SIZE));
    if (!isServer) {
      this.prefaceAt = PREFACE.length;
      this.out.bytes(PREFACE);
    }
    this.putSettings();
    const grant = limits.connectionWindow - FIRST_WINDOW;
    if (grant > 0) this.putWindowUpdate(0, grant);
    this.keepalive = limits.keepalive === undefined ? undefined : new Keepalive(this, limits.keepalive, options.random);
  }

  get activeStreams(): number {
    return this.streams.size;
  }

  /** A header block has begun to come and has not ended. */
  get headUnderWay(): boolean {
    return this.block.stream !== 0;
  }

  /** A header block is complete; its fields are the decoder's. */
  protected abstract onHeaders(id: number, end: boolean): void;
  /** The peer will take no streams above `lastStream`. */
  protected abstract onGoAway(lastStream: number, code: number): void;
  protected abstract onPeerReset(stream: Http2Stream, code: number): void;
  /** The connection is at fault: GOAWAY has been put, `over` is set. Ends streams and transport. */
  protected abstract onFailed(fault: Http2Fault): void;
  /** A stream left the map. */
  protected abstract onStreamGone(stream: Http2Stream): void;
  protected onSettings(): void {}
  protected onDrainAcknowledged(): void {}

  // Bytes in.

  receive(bytes: Buffer): void {
    let at = this.prefaceAt < PREFACE.length ? this.takePreface(bytes) : 0;
    while (!this.over && at < bytes.length) {
      if (this.inData) at = this.takeData(bytes, at);
      else if (this.payload !== undefined) at = this.takePayload(this.payload, bytes, at);
      else at = this.takeFrame(bytes, at);
    }
  }

  private takePreface(bytes: Buffer): number {
    const take = Math.min(PREFACE.length - this.prefaceAt, bytes.length);
    if (bytes.compare(PREFACE, this.prefaceAt, this.prefaceAt + take, 0, take) !== 0) this.fail(Fault.preface);
    this.prefaceAt += take;
    return take;
  }

  private takeFrame(bytes: Buffer, start: number): number {
    let at = start;
    let head = bytes;
    let h = at;
    if (this.headLength > 0 || bytes.length - at < FRAME_HEAD) {
      const take = Math.min(FRAME_HEAD - this.headLength, bytes.length - at);
      bytes.copy(this.head, this.headLength, at, at + take);
      this.headLength += take;
      at += take;
      if (this.headLength < FRAME_HEAD) return at;
      this.headLength = 0;
      head = this.head;
      h = 0;
    } else at += FRAME_HEAD;
    const length = ((head[h] as number) << 16) | ((head[h + 1] as number) << 8) | (head[h + 2] as number);
    const type = head[h + 3] as number;
    const flags = head[h + 4] as number;
    const id = readUint31(head, h + 5);
    if (length > FRAME_SIZE) return this.refuse(Fault.frameSize, at);
    if (!this.settled && type !== Frame.Settings) return this.refuse(Fault.firstFrame, at);
    if (this.block.stream !== 0 && (type !== Frame.Continuation || id !== this.block.stream)) {
      return this.refuse(Fault.continuation, at);
    }
    if (type === Frame.Data) {
      this.startData(id, flags, length);
      return at;
    }
    if (bytes.length - at >= length) {
      this.handle(type, flags, id, bytes, at, at + length);
      return at + length;
    }
    this.type = type;
    this.flags = flags;
    this.frameStream = id;
    this.payload = Buffer.allocUnsafe(length);
    this.payloadLength = 0;
    return at;
  }

  private takePayload(payload: Buffer, bytes: Buffer, at: number): number {
    const take = Math.min(payload.length - this.payloadLength, bytes.length - at);
    bytes.copy(payload, this.payloadLength, at, at + take);
    this.payloadLength += take;
    if (this.payloadLength === payload.length) {
      this.payload = undefined;
      this.handle(this.type, this.flags, this.frameStream, payload, 0, payload.length);
    }
    return at + take;
  }

  private refuse(fault: Http2Fault, at: number): number {
    this.fail(fault);
    return at;
  }

  private handle(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    switch (type) {
      case Frame.Headers:
        this.takeHeaders(flags, id, bytes, start, end);
        return;
      case Frame.Continuation:
        if (this.block.stream === 0) this.fail(Fault.continuation);
        else this.continueBlock(flags, bytes, start, end);
        return;
      case Frame.Priority:
        if (id === 0) this.fail(Fault.streamZero);
        else if (length !== 5) this.fail(Fault.frameSize);
        else if (readUint31(bytes, start) === id) this.fail(Fault.selfDependency);
        else if (++this.priorityFrames > this.options.limits.maxPriorityFramesPerStream * (1 + this.openedStreams)) {
          this.options.stats.inc(Http2Stat.inbound_priority_frames_flood);
          this.fail(Fault.priorityFrames);
        }
        return;
      case Frame.RstStream:
        if (id === 0) this.fail(Fault.streamZero);
        else if (length !== 4) this.fail(Fault.frameSize);
        else this.takeReset(id, bytes.readUInt32BE(start));
        return;
      case Frame.Settings:
        this.takeSettings(flags, id, bytes, start, end);
        return;
      case Frame.PushPromise:
        this.fail(Fault.pushPromise);
        return;
      case Frame.Ping:
        if (id !== 0) this.fail(Fault.streamZero);
        else if (length !== 8) this.fail(Fault.frameSize);
        else this.takePing(flags, bytes, start);
        return;
      case Frame.GoAway:
        if (id !== 0) this.fail(Fault.streamZero);
        else if (length < 8) this.fail(Fault.frameSize);
        else this.onGoAway(readUint31(bytes, start), bytes.readUInt32BE(start + 4));
        return;
      case Frame.WindowUpdate:
        if (length !== 4) this.fail(Fault.frameSize);
        else this.takeWindowUpdate(id, readUint31(bytes, start));
        return;
      default:
        // Extensions that were not agreed on are passed over (RFC 9113 §5.5).
        return;
    }
  }

  // DATA.

  private startData(id: number, flags: number, length: number): void {
    const padded = (flags & Flag.Padded) !== 0;
    if (id === 0) {
      this.fail(Fault.streamZero);
      return;
    }
    if (padded && length === 0) {
      this.fail(Fault.frameSize);
      return;
    }
    this.receiveWindow -= length;
    if (this.receiveWindow < 0) {
      this.fail(Fault.flowControl);
      return;
    }
    let stream = this.streams.get(id);
    if (stream === undefined) {
      if (this.isIdle(id)) {
        this.fail(Fault.idleStream);
        return;
      }
      if (!this.closedStreams.weReset(id)) this.putReset(id, ErrorCode.StreamClosed);
    } else if (stream.remoteClosed) {
      this.endStream(stream, Fault.streamClosed);
      stream = undefined;
    } else {
      stream.receiveWindow -= length;
      if (stream.receiveWindow < 0) {
        this.endStream(stream, Fault.flowControl);
        stream = undefined;
      } else if (!this.mayTakeData(stream)) {
        this.endStream(stream, Fault.dataBeforeHead);
        stream = undefined;
      }
    }
    if (this.over) return;
    this.flags = flags;
    this.dataStream = stream;
    this.dataLeft = length;
    this.padLeft = 0;
    this.padLengthDue = padded;
    this.inData = true;
    if (!padded) this.dataBegins();
    if (length === 0) this.inData = false;
  }

  /** The length without padding is known. */
  private dataBegins(): void {
    const ends = (this.flags & Flag.EndStream) !== 0;
    if (this.dataLeft > 0) this.emptyFrames = 0;
    else if (ends) this.deliver(EMPTY, true);
    else this.countEmpty();
  }

  private takeData(bytes: Buffer, start: number): number {
    let at = start;
    if (this.padLengthDue) {
      this.padLengthDue = false;
      this.padLeft = bytes[at++] as number;
      this.dataLeft -= 1 + this.padLeft;
      if (this.dataLeft < 0) return this.refuse(Fault.padding, at);
      if (this.dataStream === undefined) this.credit(1 + this.padLeft);
      else this.consumed(this.dataStream, 1 + this.padLeft);
      this.dataBegins();
    } else if (this.dataLeft > 0) {
      const end = Math.min(bytes.length, at + this.dataLeft);
      this.dataLeft -= end - at;
      const chunk = at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end);
      at = end;
      this.deliver(chunk, this.dataLeft === 0 && (this.flags & Flag.EndStream) !== 0);
    } else {
      const take = Math.min(this.padLeft, bytes.length - at);
      this.padLeft -= take;
      at += take;
    }
    if (this.dataLeft === 0 && this.padLeft === 0) {
      this.inData = false;
      this.dataStream = undefined;
    }
    return at;
  }

  private deliver(chunk: Buffer, end: boolean): void {
    const stream = this.dataStream;
    if (stream === undefined || stream.closed) {
      this.credit(chunk.length);
      return;
    }
    stream.arrived += chunk.length;
    if (end) stream.remoteClosed = true;
    const { expected, arrived } = stream;
    if (expected >= 0 && (arrived > expected || (end && arrived !== expected))) {
      this.credit(chunk.length);
      this.misannounced(stream, expected === 0 ? Fault.bodyDisallowed : Fault.contentLength);
      return;
    }
    stream.receiveData(chunk, end);
  }

  protected mayTakeData(_stream: Http2Stream): boolean {
    return true;
  }

  private countEmpty(): void {
    if (++this.emptyFrames <= this.options.limits.maxEmptyFrames) return;
    this.options.stats.inc(Http2Stat.inbound_empty_frames_flood);
    this.fail(Fault.emptyFrames);
  }

  // HEADERS and CONTINUATION.

  private takeHeaders(flags: number, id: number, bytes: Buffer, first: number, last: number): void {
    let start = first;
    let end = last;
    if (id === 0) {
      this.fail(Fault.streamZero);
      return;
    }
    if ((flags & Flag.Padded) !== 0) {
      if (start === end) {
        this.fail(Fault.frameSize);
        return;
      }
      end -= bytes[start++] as number;
    }
    if ((flags & Flag.Priority) !== 0) {
      if (end - start < 5) {
        this.fail(Fault.padding);
        return;
      }
      if (readUint31(bytes, start) === id) {
        this.fail(Fault.selfDependency);
        return;
      }
      start += 5;
    }
    if (end < start) {
      this.fail(Fault.padding);
      return;
    }
    const ends = (flags & Flag.EndStream) !== 0;
    if (end > start) this.emptyFrames = 0;
    else if (!ends) this.countEmpty();
    if (this.over) return;
    if ((flags & Flag.EndHeaders) !== 0) {
      this.takeBlock(id, ends, bytes, start, end);
      return;
    }
    this.block.begin(id, ends, bytes, start, end);
  }

  private continueBlock(flags: number, bytes: Buffer, start: number, end: number): void {
    const last = (flags & Flag.EndHeaders) !== 0;
    if (end > start) this.emptyFrames = 0;
    else if (!last) this.countEmpty();
    if (this.over) return;
    const { block } = this;
    if (!block.add(bytes, start, end)) {
      this.options.stats.inc(Http2Stat.header_overflow);
      this.fail(Fault.blockTooLarge);
      return;
    }
    if (last) this.takeBlock(block.stream, block.ends, block.take(), 0, block.length);
  }

  private takeBlock(id: number, ends: boolean, block: Buffer, start: number, end: number): void {
    const { decoder, options } = this;
    if (decoder.decode(block, start, end, options.maxHeadersBytes, options.maxHeadersCount)) this.onHeaders(id, ends);
    else this.fail(Fault.compression);
  }

  /** The block just decoded is more than is taken: counts it and says how. */
  protected countOverflow(): Http2Fault {
    const { stats, maxHeadersBytes } = this.options;
    const large = this.decoder.bytes > maxHeadersBytes;
    stats.inc(large ? Http2Stat.header_list_size_too_large : Http2Stat.header_overflow);
    return large ? Fault.headersTooLarge : Fault.tooManyHeaders;
  }

  /** A header block came for a stream that is not open, and that cannot be opened any more. */
  protected headersOnClosed(id: number): void {
    if (this.closedStreams.weReset(id)) return;
    this.fail(this.closedStreams.knows(id) ? Fault.streamClosed : Fault.streamId);
  }

  // The other frames.

  private takeReset(id: number, code: number): void {
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (this.isIdle(id)) this.fail(Fault.idleStream);
      return;
    }
    this.options.stats.inc(Http2Stat.rx_reset);
    this.onPeerReset(stream, code);
  }

  private takeSettings(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) {
      this.fail(Fault.streamZero);
      return;
    }
    if ((flags & Flag.Ack) !== 0) {
      if (end !== start) this.fail(Fault.frameSize);
      else if (!this.settled) this.fail(Fault.firstFrame);
      else this.decoder.acknowledged();
      return;
    }
    if ((end - start) % 6 !== 0) {
      this.fail(Fault.frameSize);
      return;
    }
    this.settled = true;
    const before = this.peerWindow;
    for (let at = start; at < end; at += 6) {
      const fault = this.takeSetting(bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2));
      if (fault !== undefined) {
        this.fail(fault);
        return;
      }
    }
    const at = this.frame(0, Frame.Settings, Flag.Ack, 0);
    this.out.filled(at);
    this.countControl();
    // The peer is told first that its settings hold, then sees them held.
    if (this.peerWindow > before) for (const stream of [...this.streams.values()]) this.serve(stream);
    if (!this.over) this.onSettings();
  }

  private takeSetting(setting: number, value: number): Http2Fault | undefined {
    switch (setting) {
      case Setting.HeaderTableSize:
        this.encoder.resize(value);
        return undefined;
      case Setting.EnablePush:
        return value > 1 || (value === 1 && !this.isServer) ? Fault.setting : undefined;
      case Setting.MaxConcurrentStreams:
        this.peerMaxStreams = value;
        return undefined;
      case Setting.InitialWindowSize: {
        if (value > MAX_WINDOW) return Fault.windowSetting;
        const change = value - this.peerWindow;
        this.peerWindow = value;
        for (const stream of this.streams.values()) {
          stream.sendWindow += change;
          if (stream.sendWindow > MAX_WINDOW) return Fault.windowSetting;
        }
        return undefined;
      }
      case Setting.MaxFrameSize:
        if (value < FRAME_SIZE || value > MAX_FRAME_SIZE) return Fault.setting;
        this.peerFrameSize = value;
        return undefined;
      case Setting.EnableConnectProtocol:
        if (value > 1) return Fault.setting;
        this.peerTakesConnect = value === 1;
        return undefined;
      default:
        return undefined;
    }
  }

  private takePing(flags: number, bytes: Buffer, start: number): void {
    if ((flags & Flag.Ack) !== 0) {
      if (bytes.compare(DRAIN_PING, 0, 8, start, start + 8) === 0) this.onDrainAcknowledged();
      else this.keepalive?.acknowledged();
      return;
    }
    this.putPing(bytes, start, Flag.Ack);
  }

  private takeWindowUpdate(id: number, increment: number): void {
    const { limits, stats } = this.options;
    const allowed = 5 + 2 * (this.openedStreams + limits.maxWindowUpdatesPerDataFrame * this.dataFramesSent);
    if (++this.windowUpdates > allowed) {
      stats.inc(Http2Stat.inbound_window_update_frames_flood);
      this.fail(Fault.windowUpdates);
      return;
    }
    if (id === 0) {
      if (increment === 0) {
        this.fail(Fault.windowIncrement);
        return;
      }
      this.sendWindow += increment;
      if (this.sendWindow > MAX_WINDOW) {
        this.fail(Fault.windowOverflow);
        return;
      }
      this.serveWaiting();
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (this.isIdle(id)) this.fail(Fault.idleStream);
      return;
    }
    stream.sendWindow += increment;
    if (increment === 0) this.endStream(stream, Fault.windowIncrement);
    else if (stream.sendWindow > MAX_WINDOW) this.endStream(stream, Fault.windowOverflow);
    else this.serve(stream);
  }

  /** No stream of that id has been opened. */
  protected abstract isIdle(id: number): boolean;

  // Flow control.

  /** Lets a stream that waits for windows send what they allow now. */
  private serve(stream: Http2Stream): void {
    if (!stream.hasPending || stream.sendWindow <= 0) return;
    if (this.sendWindow > 0) stream.sendPending(this.sendWindow);
    if (stream.hasPending && stream.sendWindow > 0) this.list(stream);
  }

  /** The stream has bytes that its own window allows and the connection's does not. */
  list(stream: Http2Stream): void {
    if (stream.listed) return;
    stream.listed = true;
    this.waiting.push(stream);
  }

  /** The connection's window has room: a frame each in turn, so that none starves. */
  private serveWaiting(): void {
    while (this.sendWindow > 0 && this.waiting.length > 0) {
      const streams = this.waiting;
      this.waiting = [];
      for (const stream of streams) {
        stream.listed = false;
        if (stream.closed || !stream.hasPending) continue;
        if (this.sendWindow > 0 && stream.sendWindow > 0) stream.sendPending(this.peerFrameSize);
        if (stream.hasPending && stream.sendWindow > 0) this.list(stream);
      }
    }
  }

  /** The reader of `stream` took so many bytes: the peer may send as many. */
  consumed(stream: Http2Stream, bytes: number): void {
    this.credit(bytes);
    if (stream.remoteClosed || stream.closed) return;
    stream.uncredited += bytes;
    if (stream.uncredited < this.options.limits.streamWindow >>> 1) return;
    stream.receiveWindow += stream.uncredited;
    this.putWindowUpdate(stream.id, stream.uncredited);
    stream.uncredited = 0;
  }

  /** Gives the peer back so much of the connection's window. */
  credit(bytes: number): void {
    this.uncredited += bytes;
    if (this.uncredited < this.options.limits.connectionWindow >>> 1 || this.over) return;
    this.receiveWindow += this.uncredited;
    this.putWindowUpdate(0, this.uncredited);
    this.uncredited = 0;
  }

  countPending(bytes: number): void {
    this.options.stats.add(Http2Stat.pending_send_bytes, bytes);
  }

  writable(): void {
    this.out.drained();
    for (const stream of this.streams.values()) if (!this.out.blocked) stream.drained();
  }

  // Ends.

  protected opened(stream: Http2Stream): void {
    this.streams.set(stream.id, stream);
    this.openedStreams++;
    this.options.stats.add(Http2Stat.streams_active, 1);
  }

  /** Takes a stream out; nothing more of it is read or written. `ours`: we reset it, and the peer may not know yet. */
  remove(stream: Http2Stream, ours: boolean): void {
    if (stream.closed) return;
    stream.discard();
    if (this.streams.delete(stream.id)) {
      this.closedStreams.add(stream.id, ours);
      this.options.stats.add(Http2Stat.streams_active, -1);
    }
    this.onStreamGone(stream);
  }

  /** The message of this stream is malformed (RFC 9113 §8.1.1). */
  protected malformed(stream: Http2Stream, fault: Http2Fault): void {
    this.options.stats.inc(Http2Stat.rx_messaging_error);
    if (this.options.limits.streamErrors) this.endStream(stream, fault);
    else this.fail(fault);
  }

  /** Its DATA is not what its Content-Length said: whatever the configuration says of malformed messages, others go on. */
  protected misannounced(stream: Http2Stream, fault: Http2Fault): void {
    this.options.stats.inc(Http2Stat.rx_messaging_error);
    this.endStream(stream, fault);
  }

  /** Resets one stream for the peer's fault. */
  protected endStream(stream: Http2Stream, fault: Http2Fault): void {
    this.putReset(stream.id, fault.code);
    if (this.over) return;
    this.remove(stream, true);
    stream.onReset('protocol-error', fault.details);
  }

  fail(fault: Http2Fault): void {
    if (this.over) return;
    this.over = true;
    this.keepalive?.stop();
    this.putGoAway(this.lastPeerStream, fault.code);
    this.out.flush();
    this.onFailed(fault);
  }

  /** The keepalive's answer did not come. */
  keepaliveExpired(): void {
    this.options.stats.inc(Http2Stat.keepalive_timeout);
    this.fail(Fault.keepalive);
  }

  /** The transport is gone: every stream ends. */
  protected abandon(reason: ResetReason, details: string | undefined): void {
    this.over = true;
    this.keepalive?.stop();
    for (const stream of [...this.streams.values()]) {
      if (stream.closed) continue;
      this.remove(stream, false);
      stream.onReset(reason, details);
    }
  }
}

function readUint31(bytes: Buffer, at: number): number {
  return (
    (((bytes[at] as number) & 127) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}
