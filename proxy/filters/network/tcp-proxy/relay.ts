/**
 * Bytes from one socket to the other and back. Each direction ends on its own (half-close); a side that does not read
 * stops the other from being read. Few bytes are gathered to one write a turn (../../../http/output.ts); many lie in a slab
 * (../../../http/read-buffer.ts) and are written from there: a transport that took them at once needs them no more,
 * another one borrows the slab until it has written.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { slabOf, slabsAreScarce } from '../../../http/bytes.ts';
import { Output } from '../../../http/output.ts';
import type { Slab } from '../../../http/slab.ts';

export interface RelayEvents {
  onBytes(direction: Direction, count: number): void;
  onPaused(direction: Direction): void;
  onResumed(direction: Direction): void;
}

/** `request`: from the downstream to the upstream. */
export type Direction = 'request' | 'response';

/** Fewer bytes than this are gathered to one write a turn: a copy is cheaper than a system call. */
const DIRECT = 32 * 1024;

/** One direction. Errors and closing are the caller's; both sockets allow half-open. */
export class Flow {
  private readonly from: Socket;
  private readonly to: Socket;
  private readonly direction: Direction;
  private readonly events: RelayEvents;
  private readonly output: Output;
  private loans: Slab[] | undefined = undefined;
  private paused = false;

  /** The caller passes on what `from` brings (`write`). */
  constructor(from: Socket, to: Socket, direction: Direction, events: RelayEvents) {
    this.from = from;
    this.to = to;
    this.direction = direction;
    this.events = events;
    this.output = new Output(to);
    to.on('drain', this.onWritten);
    from.on('end', this.onEnd);
  }

  /** `bytes` are free again, or on loan, when this returns. */
  write(bytes: Buffer): void {
    const { to, output } = this;
    if (to.destroyed || to.writableEnded) return;
    this.events.onBytes(this.direction, bytes.length);
    const slab = bytes.length < DIRECT ? undefined : slabOf(bytes);
    if (slab === undefined || slabsAreScarce()) output.bytes(bytes);
    else {
      output.flush();
      // `drain` says nothing below the high-water mark, and loans have to come back.
      to.write(bytes, this.onWritten);
      if (to.writableLength > 0) this.borrow(slab);
    }
    // Above the mark `drain` will come.
    if (this.paused || to.writableLength < to.writableHighWaterMark) return;
    this.paused = true;
    this.from.pause();
    this.events.onPaused(this.direction);
  }

  /** Writes now what would go out at the end of this turn. */
  flush(): void {
    this.output.flush();
  }

  /** All that came was written. */
  get settled(): boolean {
    return !this.paused && this.output.gathered === 0 && this.to.writableLength === 0;
  }

  /** Nothing more is written, and loans come back. After both sockets are closed, or when it is settled. */
  close(): void {
    this.from.off('end', this.onEnd);
    this.to.off('drain', this.onWritten);
    this.output.discard();
    const { loans } = this;
    this.loans = undefined;
    if (loans !== undefined) for (const slab of loans) slab.giveBack();
  }

  private borrow(slab: Slab): void {
    slab.lend();
    if (this.loans === undefined) this.loans = [slab];
    else this.loans.push(slab);
  }

  private readonly onEnd = (): void => {
    this.output.flush();
    this.to.end();
  };

  private readonly onWritten = (): void => {
    const { loans } = this;
    if (this.to.writableLength > 0) return;
    if (loans !== undefined) {
      for (let i = 0; i < loans.length; i++) (loans[i] as Slab).giveBack();
      loans.length = 0;
    }
    if (!this.paused) return;
    this.paused = false;
    this.events.onResumed(this.direction);
    this.from.resume();
  };
}

/** The other side reset the connection (RST), rather than closing it. */
export function isReset(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ECONNRESET';
}

/** Closes with RST where the socket is TCP; TLS and pipes have none. */
export function resetSocket(socket: Socket): void {
  // While a FIN is on its way libuv refuses to reset, and Node then never closes the socket at all.
  const ending = socket.writableEnded && !socket.writableFinished;
  if (ending || socket instanceof TLSSocket || socket.remotePort === undefined) socket.destroy();
  else socket.resetAndDestroy();
}
