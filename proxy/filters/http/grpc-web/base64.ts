/**
 * Base64 of gRPC-Web's text form, piece by piece: bytes that do not fill a group of three (characters: of four) wait for
 * the next piece, so that no more than that is ever held.
 */

const NOTHING = Buffer.alloc(0);
const PADDED = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Text to bytes. Clients end every message with padding, so a piece may hold several padded parts. */
export class TextReader {
  /** Less than a group. */
  private rest = '';

  /** The bytes of all whole groups so far. `cut`: it ends inside a group; `broken`: it is no base64. */
  read(chunk: Buffer, end: boolean): Buffer | 'cut' | 'broken' {
    const text = this.rest + chunk.toString('latin1');
    const whole = text.length - (text.length % 4);
    if (end && whole !== text.length) return 'cut';
    this.rest = text.slice(whole);
    return whole === 0 ? NOTHING : decode(whole === text.length ? text : text.slice(0, whole));
  }

  /** Characters wait for the rest of their group. */
  get inGroup(): boolean {
    return this.rest !== '';
  }
}

function decode(text: string): Buffer | 'broken' {
  const parts: Buffer[] = [];
  for (let at = 0; at < text.length; ) {
    const padding = text.indexOf('=', at);
    // A part ends with the group that holds its padding.
    const end = padding < 0 ? text.length : padding + 4 - ((padding - at) % 4);
    const part = text.slice(at, end);
    if (!PADDED.test(part)) return 'broken';
    parts.push(Buffer.from(part, 'base64'));
    at = end;
  }
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
}

/**
 * A stream of gRPC frames to text, padded where a frame ends, as Envoy does it; a frame's bytes go on as they come.
 */
export class FrameWriter {
  /** One or two bytes of a group. */
  private rest = NOTHING;
  private readonly head = Buffer.alloc(5);
  private headBytes = 0;
  /** Of the frame's payload. */
  private left = 0;

  write(chunk: Buffer): string {
    let text = '';
    for (let at = 0; at < chunk.length; ) {
      const start = at;
      at = this.headBytes < 5 ? this.readHead(chunk, at) : at;
      if (this.headBytes === 5) {
        const taken = Math.min(this.left, chunk.length - at);
        at += taken;
        this.left -= taken;
      }
      const ends = this.headBytes === 5 && this.left === 0;
      text += this.encode(chunk.subarray(start, at), ends);
      if (ends) this.headBytes = 0;
    }
    return text;
  }

  /** What a stream that ends inside a frame leaves behind. */
  flush(): string {
    return this.encode(NOTHING, true);
  }

  private readHead(chunk: Buffer, start: number): number {
    let at = start;
    while (this.headBytes < 5 && at < chunk.length) this.head[this.headBytes++] = chunk[at++] as number;
    if (this.headBytes === 5) this.left = this.head.readUInt32BE(1);
    return at;
  }

  private encode(bytes: Buffer, all: boolean): string {
    const joined = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    const whole = all ? joined.length : joined.length - (joined.length % 3);
    this.rest = whole === joined.length ? NOTHING : Buffer.from(joined.subarray(whole));
    return joined.toString('base64', 0, whole);
  }
}
