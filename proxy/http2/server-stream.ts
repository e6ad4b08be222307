/** The response side of one HTTP/2 request. */
import type { HeaderMap, RequestHead, ResponseHead } from '../http/headers.ts';
import type { ResetReason, ServerStream, ServerStreamHandler } from '../http/stream.ts';
import type { Http2Connection } from './connection.ts';
import { ErrorCode } from './frames.ts';
import { addPseudo } from './header-block.ts';
import { Http2Stream } from './stream.ts';

export class Http2ServerStream extends Http2Stream implements ServerStream {
  handler: ServerStreamHandler | undefined = undefined;
  private headSent = false;
  /** An extended CONNECT: the upstream's 101 is a 200 here (RFC 8441 §5). */
  private readonly extended: boolean;

  constructor(connection: Http2Connection, id: number, head: RequestHead) {
    super(connection, id);
    this.extended = head.protocol !== undefined;
  }

  sendInformational(head: ResponseHead): void {
    if (this.closed || this.headSent || head.status === 101) return;
    addPseudo(':status', String(head.status));
    this.connection.putHeaders(this, head.headers, false);
  }

  sendHead(head: ResponseHead, end: boolean): boolean {
    if (this.closed || this.headSent) return true;
    this.headSent = true;
    const { status } = head;
    addPseudo(':status', status === 101 && this.extended ? '200' : statusText(status));
    this.connection.putHeaders(this, head.headers, end);
    if (end) this.endLocal();
    return this.flowing();
  }

  reset(reason: ResetReason): void {
    if (this.closed) return;
    this.connection.putReset(this.id, codeOf(reason));
    this.connection.remove(this, true);
  }

  override onReset(reason: ResetReason): void {
    this.handler?.onReset(reason);
  }

  protected override onData(chunk: Buffer, end: boolean): void {
    this.handler?.onData(chunk, end);
  }

  protected override onTrailers(trailers: HeaderMap): void {
    this.handler?.onTrailers(trailers);
  }

  protected override onDrain(): void {
    this.handler?.onDrain();
  }

  protected override localEnded(): void {
    if (this.closed) return;
    // Nobody will read the rest of the request (RFC 9113 §8.1).
    if (!this.remoteClosed) this.connection.putReset(this.id, ErrorCode.None);
    this.connection.remove(this, !this.remoteClosed);
  }

  protected override remoteEnded(): void {
    // The response ends the stream.
  }
}

/** What a reset of ours says, in Envoy's choice of codes. */
function codeOf(reason: ResetReason): number {
  switch (reason) {
    case 'local-refused':
    case 'overflow':
      return ErrorCode.RefusedStream;
    case 'protocol-error':
      return ErrorCode.Protocol;
    default:
      return ErrorCode.Internal;
  }
}

const statusTexts: string[] = [];

function statusText(status: number): string {
  const known = statusTexts[status];
  if (known !== undefined) return known;
  const made = String(status);
  if (status >= 100 && status < 1000) statusTexts[status] = made;
  return made;
}
