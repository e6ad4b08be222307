/**
 * The gate behind one filter in one direction: what the filter let through while the gate was shut, in its order. Made when
 * a filter stops for the first time; a stream whose filters never stop has none.
 */
import { keepBytes } from '../../http/bytes.ts';
import type { HeaderMap } from '../../http/headers.ts';

export class Gate<Head> {
  shut = false;
  /** It is being emptied: what comes meanwhile waits behind what is there. */
  emptying = false;
  /** Over the limit its source is paused, not failed. */
  watermark = false;
  /** The source was paused because of what waits here. */
  full = false;
  head: Head | undefined = undefined;
  trailers: HeaderMap | undefined = undefined;
  /** The message's last part waits here. */
  ended = false;
  bytes = 0;
  limit: number;
  private chunks: Buffer[] = [];

  constructor(limit: number) {
    this.limit = limit;
  }

  /** What comes next has to wait. */
  get holds(): boolean {
    return this.shut || this.emptying;
  }

  get pieces(): number {
    return this.chunks.length;
  }

  /** The head alone is the message. */
  get headEnds(): boolean {
    return this.ended && this.chunks.length === 0 && this.trailers === undefined;
  }

  add(chunk: Buffer, end: boolean): void {
    if (chunk.length > 0 || end) this.chunks.push(keepBytes(chunk));
    this.bytes += chunk.length;
    if (end) this.ended = true;
  }

  /** The next piece; there is one. */
  take(): Buffer {
    const chunk = this.chunks.shift() as Buffer;
    this.bytes -= chunk.length;
    return chunk;
  }

  /** Everything held as one buffer, which takes the place of the pieces; `undefined` when nothing is held. */
  whole(): Buffer | undefined {
    if (this.chunks.length > 1) this.chunks = [Buffer.concat(this.chunks)];
    return this.chunks[0];
  }

  clear(): void {
    this.shut = false;
    this.head = undefined;
    this.trailers = undefined;
    this.chunks = [];
    this.bytes = 0;
  }
}
