/** The request side of one HTTP/2 exchange with an upstream. */
import type { HeaderMap, RequestHead, ResponseHead } from '../http/headers.ts';
import type { ClientStream, ClientStreamHandler, ResetReason } from '../http/stream.ts';
import { isWebsocket, WEBSOCKET_ACCEPT, WEBSOCKET_KEY, websocketAccept } from '../http/websocket.ts';
import type { Http2ClientConnection } from './client-connection.ts';
import { ErrorCode } from './frames.ts';
import { addPseudo } from './header-block.ts';
import { Http2Stream } from './stream.ts';

export class Http2ClientStream extends Http2Stream implements ClientStream {
  /** The response's head has come. */
  answered = false;
  isHead = false;
  /** A CONNECT of either kind: what follows a 2xx is no message's body. */
  tunnels = false;
  informational = 0;
  private readonly handler: ClientStreamHandler;
  private readonly client: Http2ClientConnection;
  /** An extended CONNECT's protocol: the upstream's 200 is a 101 to everybody else (RFC 8441 §5). */
  private protocol: string | undefined = undefined;
  /** Of a WebSocket over HTTP/1.1 downstream, who waits for the answer to it. */
  private websocketKey: string | undefined = undefined;
  private headSent = false;
  /** What the transport will have been given before this request's first byte. */
  private before = 0;
  private remoteDone = false;

  constructor(connection: Http2ClientConnection, handler: ClientStreamHandler) {
    super(connection, 0);
    this.client = connection;
    this.handler = handler;
  }

  /** What was put goes out, with the turn's other frames, unless the connection ends first. */
  get bytesSent(): boolean {
    if (!this.headSent) return false;
    return !this.client.isOver || this.client.out.written > this.before;
  }

  sendHead(head: RequestHead, end: boolean): boolean {
    if (this.headSent || this.closed) return true;
    const { client } = this;
    if (head.protocol !== undefined && client.refusesConnect) {
      client.resetSent();
      client.remove(this, false);
      this.handler.onReset('protocol-error', undefined);
      return true;
    }
    if (!client.start(this)) {
      client.remove(this, false);
      this.handler.onReset('local-refused', undefined);
      return true;
    }
    this.headSent = true;
    this.before = client.out.written + client.out.gathered;
    const { method, protocol } = head;
    this.isHead = method === 'HEAD';
    const plainConnect = method === 'CONNECT' && protocol === undefined;
    this.tunnels = plainConnect || protocol !== undefined;
    addPseudo(':method', protocol === undefined ? method : 'CONNECT');
    if (protocol !== undefined) {
      this.protocol = protocol;
      if (isWebsocket(protocol)) this.websocketKey = head.headers.get(WEBSOCKET_KEY);
      addPseudo(':protocol', protocol);
    }
    if (!plainConnect) {
      addPseudo(':scheme', head.scheme);
      addPseudo(':path', head.path);
    }
    addPseudo(':authority', head.authority);
    // A tunnel's request never ends with its head.
    const ends = end && !this.tunnels;
    client.putHeaders(this, head.headers, ends);
    if (ends) this.endLocal();
    return this.flowing();
  }

  reset(reason: ResetReason): void {
    if (this.closed) return;
    if (this.headSent) {
      this.client.putReset(this.id, reason === 'protocol-error' ? ErrorCode.Protocol : ErrorCode.Cancel);
      this.client.resetSent();
    }
    this.client.remove(this, true);
  }

  receiveInformational(head: ResponseHead): void {
    this.handler.onInformational(head);
  }

  receiveHead(head: ResponseHead, end: boolean): void {
    this.answered = true;
    if (this.protocol !== undefined && head.status === 200) {
      head.status = 101;
      head.headers.set('upgrade', this.protocol);
      if (this.websocketKey !== undefined && !head.headers.has(WEBSOCKET_ACCEPT)) {
        head.headers.add(WEBSOCKET_ACCEPT, websocketAccept(this.websocketKey));
      }
    }
    this.handler.onHead(head, end);
    if (end && !this.closed) this.remoteEnded();
  }

  /** The upstream reads no more of the request. */
  stopSending(): void {
    if (this.closed) return;
    this.localClosed = true;
    this.dropPending();
    if (this.remoteDone) this.client.remove(this, false);
  }

  override onReset(reason: ResetReason, details: string | undefined): void {
    this.handler.onReset(reason, details);
  }

  protected override onData(chunk: Buffer, end: boolean): void {
    this.handler.onData(chunk, end);
  }

  protected override onTrailers(trailers: HeaderMap): void {
    this.handler.onTrailers(trailers);
  }

  protected override onDrain(): void {
    this.handler.onDrain();
  }

  protected override localEnded(): void {
    if (this.remoteDone && !this.closed) this.client.remove(this, false);
  }

  protected override remoteEnded(): void {
    this.remoteDone = true;
    if (this.localClosed) this.client.remove(this, false);
  }
}
