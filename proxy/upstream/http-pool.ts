import type { ClientStreamHandler, ResetReason } from '../http/stream.ts';
import { expectedStreams, type WantedHttpVersion } from './codec.ts';
import type { Host, PoolCallbacks, PoolHandle } from './contract.ts';
import { HttpConnection, type HttpConnectionOwner } from './http-connection.ts';
import { ConnectionPool } from './pool.ts';
import type { PoolContext } from './pool-context.ts';
import { Wish, type WishKeeper } from './wish.ts';

/** A wish for one HTTP stream. */
export class HttpWish extends Wish<HttpConnection> {
  readonly handler: ClientStreamHandler;
  readonly callbacks: PoolCallbacks;

  constructor(keeper: WishKeeper<HttpConnection>, handler: ClientStreamHandler, callbacks: PoolCallbacks) {
    super(keeper);
    this.handler = handler;
    this.callbacks = callbacks;
  }

  protected override refuse(reason: ResetReason, host: Host | undefined, details: string | undefined): void {
    this.callbacks.onFailure(reason, host, details);
  }
}

/** HTTP connections to one endpoint, for one priority and one way of wrapping them. */
export class HttpPool extends ConnectionPool<HttpConnection> implements HttpConnectionOwner {
  protected override readonly limitsRequests = true;
  protected override readonly streamsEach: number;
  private readonly version: WantedHttpVersion;

  constructor(context: PoolContext, version: WantedHttpVersion) {
    super(context);
    this.streamsEach = expectedStreams(version, context.config);
    this.version = version;
  }

  newStream(handler: ClientStreamHandler, callbacks: PoolCallbacks): PoolHandle {
    const wish = new HttpWish(this, handler, callbacks);
    this.place(wish);
    return wish;
  }

  onStreamEnd(connection: HttpConnection, ending: boolean): void {
    this.detach();
    if (!ending) this.offer(connection);
  }

  onRoom(connection: HttpConnection): void {
    this.offer(connection);
  }

  protected override open(): HttpConnection {
    return new HttpConnection(this, this.version);
  }

  protected override start(connection: HttpConnection, wish: Wish<HttpConnection>): void {
    // This pool makes no other wishes.
    connection.start(wish as HttpWish);
  }
}
