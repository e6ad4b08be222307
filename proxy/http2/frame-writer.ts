/**
 * The sending half of both sides: frames out (RFC 9113 §6), and the guard against a peer that makes us queue frames and
 * does not read them. What goes out is gathered by ../http/output.ts and written once a turn.
 */
import { Buffer } from 'node:buffer';
import type { HeaderMap } from '../http/headers.ts';
import { Output } from '../http/output.ts';
import type { Transport } from '../http/stream.ts';
import { Fault, type Http2Fault } from './faults.ts';
import { FIRST_WINDOW, Flag, FRAME_HEAD, FRAME_SIZE, Frame, Setting } from './frames.ts';
import { dropPseudo, putBlock, putHead } from './header-block.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import type { Http2CodecOptions } from './options.ts';
import { QueuedFrames } from './queued-frames.ts';
import { Http2Stat } from './stats.ts';
import type { Http2Stream } from './stream.ts';

export const DRAIN_PING = Buffer.from('tollway1', 'latin1');
/** Any eight bytes but those of the drain. */
const KEEPALIVE_PING = Buffer.from('tollway2', 'latin1');

export abstract class FrameWriter {
  readonly options: Http2CodecOptions;
  readonly out: Output;
  readonly encoder: HpackEncoder;
  /** What we may still send on the connection. */
  sendWindow = FIRST_WINDOW;
  protected readonly transport: Transport;
  protected readonly isServer: boolean;
  /** Nothing more is read or written. */
  protected over = false;
  protected peerFrameSize = FRAME_SIZE;
  protected dataFramesSent = 0;
  private readonly queuedFrames: QueuedFrames;
  private readonly queuedControlFrames: QueuedFrames;

  constructor(transport: Transport, options: Http2CodecOptions, isServer: boolean) {
    const { limits } = options;
    this.transport = transport;
    this.options = options;
    this.isServer = isServer;
    this.out = new Output(transport);
    this.encoder = new HpackEncoder(limits.headerTableSize);
    this.queuedFrames = new QueuedFrames(limits.maxOutboundFrames);
    this.queuedControlFrames = new QueuedFrames(limits.maxOutboundControlFrames);
  }

  /** Ends the connection for the peer's fault. */
  abstract fail(fault: Http2Fault): void;

  /** Begins a frame and returns where its payload goes; `out.filled` ends it. */
  protected frame(length: number, type: number, flags: number, id: number): number {
    const at = this.out.room(FRAME_HEAD + length);
    putHead(this.out.buffer, at, length, type, flags, id);
    return at + FRAME_HEAD;
  }

  putData(stream: Http2Stream, chunk: Buffer, end: boolean): void {
    if (this.over) return;
    const { out, peerFrameSize } = this;
    stream.sendWindow -= chunk.length;
    this.sendWindow -= chunk.length;
    let at = 0;
    do {
      const next = Math.min(chunk.length, at + peerFrameSize);
      const last = end && next === chunk.length;
      out.filled(this.frameHead(next - at, Frame.Data, last ? Flag.EndStream : 0, stream.id));
      if (next > at) out.bytes(at === 0 && next === chunk.length ? chunk : chunk.subarray(at, next));
      at = next;
      this.dataFramesSent++;
      this.countFrame();
    } while (at < chunk.length);
  }

  /** Writes a frame's head alone; the payload follows through `out.bytes`. */
  private frameHead(length: number, type: number, flags: number, id: number): number {
    const at = this.out.room(FRAME_HEAD);
    putHead(this.out.buffer, at, length, type, flags, id);
    return at + FRAME_HEAD;
  }

  /** Writes HEADERS of the pseudo-fields that were set (./header-block.ts) and `headers`. */
  putHeaders(stream: Http2Stream, headers: HeaderMap, end: boolean): void {
    if (this.over) {
      dropPseudo();
      return;
    }
    putBlock(this.out, this.encoder, headers, stream.id, end, this.peerFrameSize);
    this.countFrame();
  }

  putReset(id: number, code: number): void {
    if (this.over) return;
    const at = this.frame(4, Frame.RstStream, 0, id);
    this.out.buffer.writeUInt32BE(code, at);
    this.out.filled(at + 4);
    this.options.stats.inc(Http2Stat.tx_reset);
    this.countControl();
  }

  protected putWindowUpdate(id: number, increment: number): void {
    const at = this.frame(4, Frame.WindowUpdate, 0, id);
    this.out.buffer.writeUInt32BE(increment, at);
    this.out.filled(at + 4);
    this.countFrame();
  }

  protected putPing(from: Buffer, start: number, flags: number): void {
    const at = this.frame(8, Frame.Ping, flags, 0);
    from.copy(this.out.buffer, at, start, start + 8);
    this.out.filled(at + 8);
    this.countControl();
  }

  /** For the keepalive. */
  ping(): void {
    if (!this.over) this.putPing(KEEPALIVE_PING, 0, 0);
  }

  protected pingForDrain(): void {
    this.putPing(DRAIN_PING, 0, 0);
  }

  protected putGoAway(lastStream: number, code: number): void {
    const at = this.frame(8, Frame.GoAway, 0, 0);
    this.out.buffer.writeUInt32BE(lastStream, at);
    this.out.buffer.writeUInt32BE(code, at + 4);
    this.out.filled(at + 8);
    this.options.stats.inc(Http2Stat.goaway_sent);
  }

  protected putSettings(): void {
    const { limits } = this.options;
    const pairs: [number, number][] = [];
    if (limits.headerTableSize !== 4096) pairs.push([Setting.HeaderTableSize, limits.headerTableSize]);
    if (!this.isServer) pairs.push([Setting.EnablePush, 0]);
    pairs.push([Setting.MaxConcurrentStreams, limits.maxConcurrentStreams]);
    pairs.push([Setting.InitialWindowSize, limits.streamWindow]);
    if (this.isServer && limits.allowConnect) pairs.push([Setting.EnableConnectProtocol, 1]);
    let at = this.frame(pairs.length * 6, Frame.Settings, 0, 0);
    for (const [setting, value] of pairs) {
      at = this.out.buffer.writeUInt16BE(setting, at);
      at = this.out.buffer.writeUInt32BE(value, at);
    }
    this.out.filled(at);
  }

  private countFrame(): void {
    if (this.queuedFrames.add(this.out, this.transport)) return;
    this.options.stats.inc(Http2Stat.outbound_flood);
    this.fail(Fault.outbound);
  }

  protected countControl(): void {
    this.countFrame();
    if (this.over || this.queuedControlFrames.add(this.out, this.transport)) return;
    this.options.stats.inc(Http2Stat.outbound_control_flood);
    this.fail(Fault.outboundControl);
  }
}
