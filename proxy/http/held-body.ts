/**
 * A message's body that is kept: until there is somewhere to send it, or to send it once more. Large pieces of a reader's slab
 * are lent and not copied; the reader goes on with another slab until `release`.
 */
import type { Buffer } from 'node:buffer';
import { keepBytes, slabOf } from './bytes.ts';
import type { Slab } from './slab.ts';

/** A loan holds the whole slab: smaller pieces are copied. */
const LENT_BYTES = 64 * 1024;

export class HeldBody {
  readonly pieces: Buffer[] = [];
  bytes = 0;
  private slabs: Slab[] | undefined = undefined;

  push(chunk: Buffer): void {
    this.bytes += chunk.length;
    const slab = chunk.length < LENT_BYTES ? undefined : slabOf(chunk);
    if (slab === undefined) {
      this.pieces.push(keepBytes(chunk));
      return;
    }
    slab.lend();
    if (this.slabs === undefined) this.slabs = [slab];
    else this.slabs.push(slab);
    this.pieces.push(chunk);
  }

  /** The pieces are not looked at any more. */
  release(): void {
    const { slabs } = this;
    this.slabs = undefined;
    if (slabs !== undefined) for (const slab of slabs) slab.giveBack();
  }
}
