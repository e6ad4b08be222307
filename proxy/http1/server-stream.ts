/** The response side of one HTTP/1.1 request: framing (RFC 9112 §6), and `connection` as the request and drains ask. */
import type { HeaderMap, RequestHead, ResponseHead } from '../http/headers.ts';
import type { ResetReason, ServerStream } from '../http/stream.ts';
import { CLOSE_LINE, Framing, KEEP_ALIVE_LINE, properCase, putResponseHead, putTrailers } from './encode.ts';
import type { Http1ServerConnection } from './server-connection.ts';

export class Http1ServerStream implements ServerStream {
  /** The connection ends after this response. */
  closeAfter = false;
  requestComplete = false;
  headSent = false;
  /** Bytes pass as they are, both ways. */
  tunnel = false;
  waitsForDrain = false;
  /** The downstream ended its side of a tunnel, and bytes of it still wait. */
  peerEnded = false;
  private readonly connection: Http1ServerConnection;
  private readonly isHead: boolean;
  private readonly isConnect: boolean;
  private readonly version: 10 | 11 | 20;
  private readonly protocol: string | undefined;
  private bodyless = false;
  private chunked = false;
  /** Of the announced Content-Length; -1: none was announced. */
  private remaining = -1;
  private ended = false;

  /** `request` is `undefined` for the answer to bytes that are no request. */
  constructor(connection: Http1ServerConnection, request: RequestHead | undefined) {
    this.connection = connection;
    this.isHead = request?.method === 'HEAD';
    this.isConnect = request?.method === 'CONNECT';
    this.version = request?.version ?? 11;
    this.protocol = request?.protocol;
  }

  get mayTunnel(): boolean {
    return this.isConnect || this.protocol !== undefined;
  }

  sendInformational(head: ResponseHead): void {
    if (this.headSent || this.ended || this.version === 10) return;
    const { out, options } = this.connection;
    putResponseHead(out, this.version, head.status, head.headers, Framing.None, '', options.http1.headerCase);
  }

  sendHead(head: ResponseHead, end: boolean): boolean {
    if (this.headSent || this.ended) return true;
    this.headSent = true;
    const { connection } = this;
    const { status, headers } = head;
    const switching = status === 101 && this.protocol !== undefined;
    if (switching || (this.isConnect && status >= 200 && status < 300)) {
      this.tunnel = true;
      this.closeAfter = true;
      this.put(head, Framing.None, switching ? this.upgradeLines(headers) : '');
      connection.tunnelStarted();
      if (end) this.finish();
      return this.flowing();
    }
    this.bodyless = this.isHead || status === 204 || status === 304 || status < 200;
    const framing = this.chooseFraming(status, headers, end);
    if (connection.closing || this.mayTunnel || headers.get('connection') === 'close') this.closeAfter = true;
    this.put(head, framing, this.connectionLine());
    if (end) this.finish();
    return this.flowing();
  }

  sendData(chunk: Buffer, end: boolean): boolean {
    if (this.ended) return true;
    const { out } = this.connection;
    if (this.bodyless) {
      if (end) this.finish();
      return true;
    }
    if (this.remaining >= 0) {
      if (chunk.length > this.remaining) {
        // More than was announced would be read as the next response.
        this.connection.resetBy(this);
        this.ended = true;
        return true;
      }
      this.remaining -= chunk.length;
    }
    if (chunk.length > 0) {
      if (this.chunked) {
        out.text(`${chunk.length.toString(16)}\r\n`);
        out.bytes(chunk);
        out.text('\r\n');
      } else out.bytes(chunk);
    }
    if (end) {
      if (this.chunked) out.text('0\r\n\r\n');
      this.finish();
    }
    return this.flowing();
  }

  sendTrailers(trailers: HeaderMap): void {
    if (this.ended) return;
    if (this.chunked && !this.bodyless) {
      const { out, options } = this.connection;
      out.text('0\r\n');
      if (options.http1.enableTrailers) putTrailers(out, trailers, options.http1.headerCase);
      out.text('\r\n');
    }
    this.finish();
  }

  reset(_reason: ResetReason): void {
    if (this.ended) return;
    this.ended = true;
    this.connection.resetBy(this);
  }

  pause(): void {
    this.connection.pauseBy(this);
  }

  resume(): void {
    this.connection.resumeBy(this);
  }

  private put(head: ResponseHead, framing: number, lines: string): void {
    putResponseHead(
      this.connection.out,
      this.version,
      head.status,
      head.headers,
      framing,
      lines,
      this.connection.options.http1.headerCase,
    );
  }

  private chooseFraming(status: number, headers: HeaderMap, end: boolean): number {
    const length = headers.get('content-length');
    if (status === 204 || status < 200) return Framing.None;
    if (length !== undefined) {
      const announced = Number(length);
      if (Number.isSafeInteger(announced) && announced >= 0 && (!end || this.bodyless || announced === 0)) {
        if (!this.bodyless) this.remaining = announced;
        return Framing.Length;
      }
    }
    // HEAD is told how the body would come, but for a client that knows no chunks.
    if (this.bodyless) return this.isHead && status !== 304 && this.version !== 10 ? Framing.Chunked : Framing.None;
    if (end) return Framing.Zero;
    if (this.version === 10) {
      this.closeAfter = true;
      return Framing.None;
    }
    this.chunked = true;
    return Framing.Chunked;
  }

  private connectionLine(): string {
    const proper = this.connection.options.http1.headerCase === 'proper';
    if (this.closeAfter) return proper ? 'Connection: close\r\n' : CLOSE_LINE;
    if (this.version === 10) return proper ? 'Connection: keep-alive\r\n' : KEEP_ALIVE_LINE;
    return '';
  }

  private upgradeLines(headers: HeaderMap): string {
    const proper = this.connection.options.http1.headerCase === 'proper';
    const [connection, upgrade] = proper
      ? [properCase('connection'), properCase('upgrade')]
      : ['connection', 'upgrade'];
    return `${connection}: Upgrade\r\n${upgrade}: ${headers.get('upgrade') ?? this.protocol}\r\n`;
  }

  private finish(): void {
    this.ended = true;
    // Less than was announced: only the connection's end can say so.
    if (this.remaining > 0) this.connection.resetBy(this);
    else this.connection.responseEnded(this);
  }

  private flowing(): boolean {
    const { blocked } = this.connection.out;
    if (blocked) this.waitsForDrain = true;
    return !blocked;
  }
}
