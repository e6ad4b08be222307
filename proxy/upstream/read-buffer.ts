/**
 * One read buffer for all upstream connections of a thread. A read into it allocates nothing and passes by the stream
 * machinery; what it holds is valid until the reader's callback returns (../http/bytes.ts copies what is kept).
 */
import type { Buffer } from 'node:buffer';
import type { OnReadOpts } from 'node:net';
import { sharedReads } from '../http/bytes.ts';

const buffer = sharedReads(64 * 1024);
let busy = false;
let spoiled = false;

/**
 * For `connect`'s `onread`. `overwritten` is called when bytes came while a callback was still at others, on both
 * connections: neither's bytes can be trusted, so both must end. Node never does that today.
 */
export function readInto(onBytes: (bytes: Buffer) => void, overwritten: () => void): OnReadOpts {
  return {
    buffer,
    callback: (length) => {
      if (busy) {
        spoiled = true;
        overwritten();
        return true;
      }
      busy = true;
      try {
        onBytes(buffer.subarray(0, length));
      } finally {
        busy = false;
        if (spoiled) {
          spoiled = false;
          overwritten();
        }
      }
      return true;
    },
  };
}
