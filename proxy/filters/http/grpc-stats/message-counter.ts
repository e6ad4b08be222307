/**
 * Counts the messages of a gRPC stream as its bytes pass: five bytes of head (flags, length), then the message, wherever
 * chunks begin and end. Nothing is copied but the last frame of a Connect stream, which says how the call went.
 */

const HEAD_BYTES = 5;
/** Connect's mark of the frame that ends a stream (EndStreamResponse). */
const END_OF_STREAM = 2;
/** More of an ending frame is not looked at. */
const MAX_ENDING_BYTES = 65_536;

export class MessageCounter {
  count = 0;
  /** Of a Connect stream: it has ended, and without an error. */
  endedWell = false;
  private readonly marksEnd: boolean;
  /** Bytes of the frame's head that have come. */
  private headBytes = 0;
  private length = 0;
  /** Bytes of the message that are still to come. */
  private left = 0;
  private ending: Buffer[] | undefined = undefined;
  private endingBytes = 0;

  /** `marksEnd`: a response, whose last frame may be no message but Connect's end of the stream. */
  constructor(marksEnd: boolean) {
    this.marksEnd = marksEnd;
  }

  /** How many messages begin in `chunk`. */
  inspect(chunk: Buffer): number {
    const size = chunk.length;
    const before = this.count;
    let at = 0;
    while (at < size) {
      if (this.left > 0) {
        const taken = Math.min(this.left, size - at);
        if (this.ending !== undefined) this.collect(chunk, at, at + taken);
        this.left -= taken;
        at += taken;
      } else {
        // Nothing that follows the end of a stream is a message.
        if (this.headBytes === 0 && this.ending !== undefined) break;
        if (this.headBytes === 0 && size - at >= HEAD_BYTES) {
          this.begin(chunk[at] as number);
          this.left = chunk.readUInt32BE(at + 1);
          at += HEAD_BYTES;
        } else this.takeHead(chunk[at++] as number);
      }
    }
    return this.count - before;
  }

  /** A head that is cut: byte by byte. */
  private takeHead(byte: number): void {
    if (this.headBytes++ === 0) {
      this.begin(byte);
      this.length = 0;
      return;
    }
    this.length = this.length * 256 + byte;
    if (this.headBytes < HEAD_BYTES) return;
    this.headBytes = 0;
    this.left = this.length;
  }

  private begin(flags: number): void {
    if (this.marksEnd && (flags & END_OF_STREAM) !== 0) this.ending = [];
    else this.count++;
  }

  private collect(chunk: Buffer, from: number, to: number): void {
    this.endingBytes += to - from;
    if (this.endingBytes > MAX_ENDING_BYTES) return;
    this.ending?.push(Buffer.from(chunk.subarray(from, to)));
    if (to - from === this.left) this.endedWell = saysNoError(Buffer.concat(this.ending ?? []).toString());
  }
}

/** Connect's EndStreamResponse: `{"error": {"code": "not_found"}}`, or no error. */
function saysNoError(text: string): boolean {
  try {
    const ending: unknown = JSON.parse(text);
    return typeof ending === 'object' && ending !== null && !('error' in ending);
  } catch {
    return false;
  }
}
