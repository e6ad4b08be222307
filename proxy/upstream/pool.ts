/**
 * What every pool of one endpoint does, in Envoy's way: the connection used last is used first, wishes without a
 * connection wait in order, one connection is opened for each wish that no connecting one will serve, and a failed
 * connection fails the wishes that are left without one.
 *
 * State changes come before callbacks: a router that retries calls in again from inside `onFailure`.
 */

import { ClusterStat } from '../cluster/stats.ts';
import { errorMessage } from '../errors.ts';
import { SSL_FACTORY } from '../tls/stats.ts';
import type { ConnectFailure, ConnectionOwner, PooledConnection } from './connection.ts';
import type { PoolContext } from './pool-context.ts';
import { type Wish, WishQueue } from './wish.ts';

/** A connection that has been idle this long is looked at once more before it gets a request; a busy one never is. */
const LONG_IDLE_MS = 2;

export interface PoolableConnection extends PooledConnection {
  /** Streams that may be opened on it now. */
  readonly availableStreams: number;
  /** When the last stream ended or it became ready, by the context's clock. */
  readonly idleSince: number;
  /** It stands in the pool's list of ready connections. */
  listed: boolean;
}

export abstract class ConnectionPool<C extends PoolableConnection> implements ConnectionOwner<C> {
  readonly context: PoolContext;
  /** Every connection that is not closed. */
  protected readonly connections = new Set<C>();
  /** Connected, with room for a stream; the last is taken first. */
  private readonly ready: C[] = [];
  private connecting = 0;
  private readonly pending = new WishQueue<C>();
  /** Wishes for which a connection is being looked at. */
  private looking = 0;
  private draining = false;

  constructor(context: PoolContext) {
    this.context = context;
  }

  /** Starts a connection, or throws where Node refuses the address. */
  protected abstract open(): C;
  /** Opens the stream. */
  protected abstract start(connection: C, wish: Wish<C>): void;
  /** Whether `max_requests` holds for this kind of pool. */
  protected abstract readonly limitsRequests: boolean;
  /** Streams that a connection is expected to carry at a time, before it has connected. */
  protected readonly streamsEach: number = 1;

  /** No new connection or stream but for wishes that wait already; connections close as they become idle. */
  drain(): void {
    if (this.draining) return;
    this.draining = true;
    for (const connection of [...this.connections]) {
      if (connection.listed) connection.close();
      else if (this.pending.size === 0) connection.drain();
    }
  }

  /** Closes everything at once; streams are reset. */
  destroy(): void {
    this.draining = true;
    for (const connection of [...this.connections]) connection.close();
    this.failPending({ reason: 'connection-failure', details: undefined });
    this.settle();
  }

  /** Serves the wish at once, or lets it wait, or refuses it. */
  protected place(wish: Wish<C>): void {
    const connection = this.takeReady();
    if (connection === undefined) {
      this.enqueue(wish);
    } else if (this.context.now() - connection.idleSince < LONG_IDLE_MS) {
      this.attach(connection, wish);
    } else {
      this.attachAfterLook(connection, wish);
    }
  }

  /** A wish that waits is withdrawn. */
  withdraw(wish: Wish<C>): void {
    if (!wish.waiting) return;
    this.dequeue(wish);
    this.context.stats.inc(ClusterStat.upstream_rq_cancelled);
    this.settle();
  }

  onConnected(connection: C): void {
    this.connecting--;
    this.offer(connection);
  }

  /** A stream of `connection` ended, or it became ready. */
  protected offer(connection: C): void {
    if (connection.closed) return;
    if (!connection.draining && !connection.trusted) {
      connection.distrust();
      return;
    }
    if (connection.draining || (this.draining && this.pending.size === 0)) {
      if (connection.activeStreams === 0) connection.close();
      else connection.draining = true;
      return;
    }
    if (connection.availableStreams === 0) return;
    this.list(connection);
    this.servePending();
  }

  onClosed(connection: C, failure: ConnectFailure | undefined): void {
    this.connections.delete(connection);
    for (let open = connection.activeStreams; open > 0; open--) this.detach();
    this.unlist(connection);
    if (failure !== undefined) {
      this.connecting--;
      if (this.pending.size > this.connecting * this.streamsEach) this.failPending(failure);
    }
    if (this.pending.size > 0) this.grow();
    this.settle();
  }

  private list(connection: C): void {
    if (connection.listed) return;
    connection.listed = true;
    this.ready.push(connection);
  }

  private unlist(connection: C): void {
    if (!connection.listed) return;
    connection.listed = false;
    this.ready.splice(this.ready.lastIndexOf(connection), 1);
  }

  /** A wish is on its way: the pool is not let go for having no connection left. */
  private endDistrusted(connection: C): void {
    this.looking++;
    this.unlist(connection);
    connection.distrust();
    this.looking--;
  }

  /** The most recently used connection that may carry a stream, taken off the list unless it can carry another after. */
  private takeReady(): C | undefined {
    for (let connection = this.ready.at(-1); connection !== undefined; connection = this.ready.at(-1)) {
      const room = connection.availableStreams;
      if (room > 0 && !connection.trusted) {
        this.endDistrusted(connection);
        continue;
      }
      if (room > 1) return connection;
      connection.listed = false;
      this.ready.pop();
      if (room === 1) return connection;
    }
    return undefined;
  }

  private attach(connection: C, wish: Wish<C>): void {
    const { limits, priority, stats, host } = this.context;
    if (!this.limitsRequests) {
      limits.acquire('requests', priority);
    } else if (!limits.tryAcquire('requests', priority)) {
      stats.inc(ClusterStat.upstream_rq_active_overflow);
      this.offerBack(connection);
      wish.fail('overflow', host, undefined);
      return;
    }
    stats.inc(ClusterStat.upstream_rq_total);
    stats.add(ClusterStat.upstream_rq_active, 1);
    host.requestStarted();
    this.start(connection, wish);
  }

  /** The stream that `attach` counted is over. */
  protected detach(): void {
    const { limits, priority, stats, host } = this.context;
    stats.add(ClusterStat.upstream_rq_active, -1);
    limits.release('requests', priority);
    host.requestEnded();
  }

  /**
   * An endpoint that closes idle connections does so at round times of idleness; its FIN may lie in the kernel already.
   * One turn of the event loop lets it be read, and the wish then goes elsewhere with nothing sent.
   */
  private attachAfterLook(connection: C, wish: Wish<C>): void {
    const { limits, priority, host } = this.context;
    // A connection of many streams stays on the list: other wishes look at it too.
    if (connection.availableStreams <= 1) this.unlist(connection);
    // Held like a waiting wish, so that neither pool, endpoint nor cluster is let go meanwhile.
    this.looking++;
    limits.acquire('pending', priority);
    host.pendingAdded();
    const look = (): void => {
      if (wish.done) this.offerBack(connection);
      else if (connection.availableStreams === 0) this.place(wish);
      else if (!connection.trusted) {
        connection.distrust();
        this.place(wish);
      } else this.attach(connection, wish);
      this.looking--;
      this.settle();
      host.pendingRemoved();
      limits.release('pending', priority);
    };
    setImmediate(() => setImmediate(look));
  }

  private offerBack(connection: C): void {
    if (connection.availableStreams === 0) return;
    if (connection.trusted) this.list(connection);
    else connection.distrust();
  }

  private enqueue(wish: Wish<C>): void {
    const { limits, priority, stats, host } = this.context;
    if (!limits.tryAcquire('pending', priority)) {
      stats.inc(ClusterStat.upstream_rq_pending_overflow);
      wish.fail('overflow', undefined, undefined);
      return;
    }
    this.pending.push(wish);
    stats.inc(ClusterStat.upstream_rq_pending_total);
    stats.add(ClusterStat.upstream_rq_pending_active, 1);
    host.pendingAdded();
    this.grow();
  }

  private dequeue(wish: Wish<C>): void {
    const { limits, priority, stats, host } = this.context;
    this.pending.remove(wish);
    limits.release('pending', priority);
    stats.add(ClusterStat.upstream_rq_pending_active, -1);
    host.pendingRemoved();
  }

  private servePending(): void {
    while (this.pending.size > 0) {
      const connection = this.takeReady();
      if (connection === undefined) return;
      const wish = this.pending.first as Wish<C>;
      this.dequeue(wish);
      this.attach(connection, wish);
    }
  }

  /** Opens a connection for each waiting wish that no connecting one will serve, as far as the threshold goes. */
  private grow(): void {
    const { limits, priority, stats } = this.context;
    while (this.pending.size > this.connecting * this.streamsEach) {
      if (!limits.tryAcquire('connections', priority)) {
        stats.inc(ClusterStat.upstream_cx_overflow);
        // An endpoint without any connection gets one, or its wishes would wait for ever.
        if (this.connections.size > 0) return;
        limits.acquire('connections', priority);
      }
      this.connect();
    }
  }

  private connect(): void {
    const { tls } = this.context;
    if (tls !== undefined && !tls.context.ready) {
      this.context.sslFactoryStats?.inc(SSL_FACTORY.UPSTREAM_CONTEXT_SECRETS_NOT_READY);
      this.failConnect('TLS_error: Secret is not supplied by SDS');
      return;
    }
    try {
      this.connections.add(this.open());
      this.connecting++;
    } catch (thrown) {
      this.failConnect(`delayed connect error: ${errorMessage(thrown)}`);
    }
  }

  /** There was no socket to begin with: nobody else will give the unit back or fail the wishes. */
  private failConnect(details: string): void {
    const { limits, priority, stats, host } = this.context;
    limits.release('connections', priority);
    stats.inc(ClusterStat.upstream_cx_connect_fail);
    host.connectFailed();
    this.failPending({ reason: 'connection-failure', details });
  }

  /** The wishes that wait now fail; those that their callbacks add do not. */
  private failPending(failure: ConnectFailure): void {
    const failed: Wish<C>[] = [];
    for (let wish = this.pending.first; wish !== undefined; wish = this.pending.first) {
      this.dequeue(wish);
      this.context.stats.inc(ClusterStat.upstream_rq_pending_failure_eject);
      failed.push(wish);
    }
    for (const wish of failed) wish.fail(failure.reason, this.context.host, failure.details);
  }

  private settle(): void {
    if (this.connections.size > 0 || this.pending.size > 0 || this.looking > 0) return;
    this.context.onEmpty();
  }
}
