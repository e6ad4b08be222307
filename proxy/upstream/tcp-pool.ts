/** Raw connections to one endpoint: one for each wish, handed over when it is connected. */
import type { Socket } from 'node:net';
import { ClusterStat } from '../cluster/stats.ts';
import { internalFault } from '../http/internal-fault.ts';
import { type Reads, readInto } from '../http/read-buffer.ts';
import type { ResetReason } from '../http/stream.ts';
import { type ConnectFailure, PooledConnection } from './connection.ts';
import type { Host, PoolHandle, TcpPoolCallbacks, UpstreamTcpConnection } from './contract.ts';
import { ConnectionPool, type PoolableConnection } from './pool.ts';
import { Wish, type WishKeeper } from './wish.ts';

class TcpConnection extends PooledConnection implements PoolableConnection, UpstreamTcpConnection {
  activeStreams = 0;
  idleSince = 0;
  listed = false;
  override readonly retires = false;
  declare readonly socket: Socket;
  onBytes: (bytes: Buffer) => void = nobody;
  private readonly owner: TcpPool;
  private readonly reads: Reads;
  private taken = false;

  constructor(owner: TcpPool) {
    const reads = readInto(
      (bytes) => this.read(bytes),
      () => this.close(),
    );
    super(owner.context, true, reads.onread);
    this.reads = reads;
    this.owner = owner;
  }

  get availableStreams(): number {
    return this.closed || this.draining || this.taken ? 0 : 1;
  }

  start(wish: TcpWish): void {
    this.taken = true;
    this.activeStreams = 1;
    wish.done = true;
    try {
      wish.callbacks.onReady(this, this.context.host);
    } catch (error) {
      this.fail(error);
    }
  }

  protected override onReady(): void {
    this.idleSince = this.context.now();
    this.owner.onConnected(this);
    // Nobody would see its FIN while it waited for a wish.
    if (!this.taken) this.close();
  }

  protected override onGone(failure: ConnectFailure | undefined): void {
    this.reads.close();
    this.owner.onClosed(this, failure);
  }

  private read(bytes: Buffer): void {
    if (this.closed) return;
    try {
      this.onBytes(bytes);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Whoever has it threw: it is given up alone. */
  private fail(error: unknown): void {
    internalFault('a raw connection', error);
    this.close();
  }
}

function nobody(): void {}

class TcpWish extends Wish<TcpConnection> {
  readonly callbacks: TcpPoolCallbacks;

  constructor(keeper: WishKeeper<TcpConnection>, callbacks: TcpPoolCallbacks) {
    super(keeper);
    this.callbacks = callbacks;
  }

  protected override refuse(reason: ResetReason, host: Host | undefined, details: string | undefined): void {
    this.callbacks.onFailure(reason, host, details);
  }
}

export class TcpPool extends ConnectionPool<TcpConnection> {
  protected override readonly limitsRequests = false;

  /** As in Envoy: one connection too many is refused at once, and does not wait for another to end. */
  newConnection(callbacks: TcpPoolCallbacks): PoolHandle {
    const wish = new TcpWish(this, callbacks);
    const { limits, priority, stats } = this.context;
    if (limits.tryAcquire('connections', priority)) {
      limits.release('connections', priority);
      this.place(wish);
    } else {
      stats.inc(ClusterStat.upstream_cx_overflow);
      wish.fail('overflow', undefined, undefined);
    }
    return wish;
  }

  protected override open(): TcpConnection {
    return new TcpConnection(this);
  }

  protected override start(connection: TcpConnection, wish: Wish<TcpConnection>): void {
    // This pool makes no other wishes.
    connection.start(wish as TcpWish);
  }
}
