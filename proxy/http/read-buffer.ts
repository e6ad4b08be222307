/**
 * What connections read into: one buffer for all of a thread, and a slab of its own for a connection that brings
 * many bytes. A read into either allocates nothing and passes by the stream machinery; what it holds is valid until the
 * reader's callback returns (../http/bytes.ts says how it is kept or lent).
 */
import type { Buffer } from 'node:buffer';
import type { OnReadOpts } from 'node:net';
import { readSlabs, sharedReads, slabsAreScarce } from './bytes.ts';
import type { Slab } from './slab.ts';

const SHARED_BYTES = 64 * 1024;
/** A read that filled this much of the shared buffer will be followed by more. */
const MANY = SHARED_BYTES / 2;
/** Reads below `FEW` bytes after which a connection goes back to the shared buffer. */
const FEW = 16 * 1024;
const FEW_READS = 4;

const buffer = sharedReads(SHARED_BYTES);
let busy = false;
let spoiled = false;

export interface Reads {
  /** For `connect`. */
  readonly onread: OnReadOpts;
  /** The connection is closed: nothing is read any more. */
  close(): void;
}

/**
 * `overwritten` is called when bytes came while a callback was still at others, on both connections: neither's bytes can
 * be trusted, so both must end. Node never does that today.
 */
export function readInto(onBytes: (bytes: Buffer) => void, overwritten: () => void): Reads {
  let slab: Slab | undefined;
  let few = 0;
  let closed = false;
  return {
    onread: {
      // Asked for after each read, too.
      buffer: () => slab?.buffer ?? buffer,
      callback: (length) => {
        if (busy) {
          spoiled = true;
          overwritten();
          return true;
        }
        busy = true;
        const from = slab;
        try {
          onBytes((from?.buffer ?? buffer).subarray(0, length));
        } finally {
          busy = false;
          if (spoiled) {
            spoiled = false;
            overwritten();
          }
        }
        if (closed) return true;
        few = length < FEW ? few + 1 : 0;
        if (from === undefined) {
          if (length >= MANY && !slabsAreScarce()) slab = readSlabs.take();
        } else if (slab !== undefined && (from.loans > 0 || few >= FEW_READS)) {
          from.leave();
          slab = few >= FEW_READS ? undefined : readSlabs.take();
        }
        return true;
      },
    },
    close: () => {
      slab?.leave();
      slab = undefined;
      closed = true;
    },
  };
}
