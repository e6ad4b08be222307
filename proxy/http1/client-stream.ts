/** The request side of one HTTP/1.1 exchange with an upstream: framing as Envoy chooses it. */
import type { HeaderMap, RequestHead } from '../http/headers.ts';
import type { ClientStream, ResetReason } from '../http/stream.ts';
import {
  isWebsocket,
  WEBSOCKET_ACCEPT,
  WEBSOCKET_KEY,
  WEBSOCKET_VERSION,
  websocketAccept,
  websocketKey,
} from '../http/websocket.ts';
import type { Http1ClientConnection } from './client-connection.ts';
import { Framing, properCase, putRequestHead, putTrailers } from './encode.ts';

export class Http1ClientStream implements ClientStream {
  requestComplete = false;
  isHead = false;
  isConnect = false;
  upgrades = false;
  /** The downstream would take any 2xx for its tunnel (extended CONNECT, RFC 8441 §5). */
  mustSwitch = false;
  /** The upstream agreed to switch: bytes pass as they are. */
  tunnel = false;
  waitsForDrain = false;
  /** Of a WebSocket whose downstream knows no keys (extended CONNECT). */
  private ownKey: string | undefined = undefined;
  private readonly connection: Http1ClientConnection;
  /** What the transport had been given before this request. */
  private readonly writtenBefore: number;
  private headSent = false;
  private over = false;
  private chunked = false;
  /** Of the announced Content-Length; -1: none was announced. */
  private remaining = -1;

  constructor(connection: Http1ClientConnection) {
    this.connection = connection;
    this.writtenBefore = connection.out.written;
  }

  get bytesSent(): boolean {
    return this.connection.out.written !== this.writtenBefore;
  }

  sendHead(head: RequestHead, end: boolean): boolean {
    if (this.headSent || this.over) return true;
    this.headSent = true;
    const { out, options } = this.connection;
    const { headerCase } = options.http1;
    this.isHead = head.method === 'HEAD';
    this.isConnect = head.method === 'CONNECT';
    this.upgrades = head.protocol !== undefined && !this.isConnect;
    this.mustSwitch = this.upgrades && head.version === 20;
    const framing = this.chooseFraming(head, end);
    const lines = this.upgrades ? this.upgradeLines(head, headerCase === 'proper') : '';
    putRequestHead(out, head, framing, lines, headerCase);
    if (end && !this.isConnect && !this.upgrades) this.finish();
    return this.flowing();
  }

  sendData(chunk: Buffer, end: boolean): boolean {
    if (this.over || this.requestComplete) return true;
    const { out } = this.connection;
    if (this.remaining >= 0) {
      if (chunk.length > this.remaining) {
        // More than was announced would be read as the next request.
        this.abandon();
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
    if (this.over || this.requestComplete) return;
    const { out, options } = this.connection;
    if (this.chunked) {
      out.text('0\r\n');
      if (options.http1.enableTrailers) putTrailers(out, trailers, options.http1.headerCase);
      out.text('\r\n');
    }
    this.finish();
  }

  reset(_reason: ResetReason): void {
    if (this.over) return;
    this.over = true;
    this.connection.resetBy(this);
  }

  pause(): void {
    this.connection.pauseBy(this);
  }

  resume(): void {
    this.connection.resumeBy(this);
  }

  private chooseFraming(head: RequestHead, end: boolean): number {
    if (this.isConnect || this.upgrades) return Framing.None;
    const length = head.headers.get('content-length');
    if (length !== undefined) {
      const announced = Number(length);
      if (Number.isSafeInteger(announced) && announced >= 0 && (!end || announced === 0)) {
        this.remaining = announced;
        return Framing.Length;
      }
    }
    if (end) return hasNoBodyByNature(head.method) ? Framing.None : Framing.Zero;
    this.chunked = true;
    return Framing.Chunked;
  }

  private upgradeLines({ protocol = '', version, headers }: RequestHead, proper: boolean): string {
    const line = (name: string, value: string) => `${proper ? properCase(name) : name}: ${value}\r\n`;
    let lines = line('connection', version === 20 ? 'upgrade' : 'Upgrade') + line('upgrade', protocol);
    if (version === 20 && isWebsocket(protocol) && !headers.has(WEBSOCKET_KEY)) {
      this.ownKey = websocketKey();
      lines += line(WEBSOCKET_KEY, this.ownKey);
      if (!headers.has(WEBSOCKET_VERSION)) lines += line(WEBSOCKET_VERSION, '13');
    }
    return lines;
  }

  /** A 101 has come. Takes the answer to a key of ours out of it; false: it is not that answer (RFC 6455 §4.1). */
  agrees(headers: HeaderMap): boolean {
    const { ownKey } = this;
    if (ownKey === undefined) return true;
    const agreed =
      isWebsocket(headers.get('upgrade') ?? '') && headers.joined(WEBSOCKET_ACCEPT) === websocketAccept(ownKey);
    headers.remove(WEBSOCKET_ACCEPT);
    return agreed;
  }

  private finish(): void {
    if (this.remaining > 0) {
      // Less than was announced: the upstream must not take the next request for the rest.
      this.abandon();
      return;
    }
    this.requestComplete = true;
    const { connection } = this;
    if (this.tunnel) connection.endOutput();
    connection.requestEnded(this);
  }

  private abandon(): void {
    this.over = true;
    this.connection.abandon(this);
  }

  private flowing(): boolean {
    const { blocked } = this.connection.out;
    if (blocked) this.waitsForDrain = true;
    return !blocked;
  }
}

/** Methods that a missing Content-Length says enough for; the others get `content-length: 0`, as from Envoy. */
function hasNoBodyByNature(method: string): boolean {
  switch (method) {
    case 'GET':
    case 'HEAD':
    case 'DELETE':
    case 'CONNECT':
    case 'TRACE':
      return true;
    default:
      return false;
  }
}
