/**
 * One connection of a pool, whatever runs on it: connecting with its timeout, TLS and its verification, the counts, and
 * one way to end. Streams are the subclasses' business (./http-connection.ts, ./tcp-pool.ts).
 */
import type { OnReadOpts, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { ClusterStat } from '../cluster/stats.ts';
import type { TlsInfo } from '../http/connection-info.ts';
import type { ResetReason } from '../http/stream.ts';
import { LIFE_END_DETAILS, type Life, type LifeEnd, type Mortal } from '../tls/lives.ts';
import { connectErrorText, isBindError, tlsErrorText } from './connect-error.ts';
import { dial } from './dial.ts';
import type { PoolContext } from './pool-context.ts';

/** What a pool is told of its connections. */
export interface ConnectionOwner<C> {
  readonly context: PoolContext;
  onConnected(connection: C): void;
  /** `reason` is `undefined` when the connection had been usable before it ended. */
  onClosed(connection: C, failure: ConnectFailure | undefined): void;
}

export interface ConnectFailure {
  readonly reason: ResetReason;
  readonly details: string | undefined;
}

/** Longest delay that setTimeout takes. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export abstract class PooledConnection implements Mortal {
  /** In Envoy's form, `10.1.2.3:40112`; known once connected. */
  localAddress: string | undefined = undefined;
  tls: TlsInfo | undefined = undefined;
  /** Carries no new stream; ends when the last one has. */
  draining = false;
  closed = false;
  /** Why it was cut off under what it carried. */
  cutDetails: string | undefined = undefined;
  /** False: L4, which has no place where it could end without harm. */
  readonly retires: boolean = true;
  protected readonly socket: Socket | TLSSocket;
  protected readonly context: PoolContext;
  private readonly startedAt: number;
  private trustGeneration: number;
  private life: Life | undefined = undefined;
  private connected = false;
  private tlsStarted = false;
  private connectTimer: NodeJS.Timeout | undefined;
  private durationTimer: NodeJS.Timeout | undefined = undefined;

  /** The caller has taken the unit of `connections`; it is given back when this closes. Throws where Node refuses the address. */
  constructor(context: PoolContext, allowHalfOpen: boolean, onread?: OnReadOpts) {
    this.context = context;
    this.startedAt = context.now();
    this.trustGeneration = currentTrust(context);
    this.socket = dial(context, allowHalfOpen, onread);
    const { stats, host } = context;
    stats.inc(ClusterStat.upstream_cx_total);
    stats.add(ClusterStat.upstream_cx_active, 1);
    host.connectionOpened();
    this.connectTimer = setTimeout(
      () => this.onConnectTimeout(),
      Math.min(context.config.connectTimeoutMs, MAX_TIMER_MS),
    );
    this.socket.on('error', (error) => this.onError(error));
    // Whoever took the socket over may have ended it: then the peer's FIN was not seen first.
    this.socket.on('close', () => this.terminate(this.socket.readableEnded ? 'remote' : 'local', undefined));
    this.socket.once('connect', () => this.onTransportConnected());
    if (context.tls !== undefined) this.socket.once('secureConnect', () => this.onSecure());
  }

  /** Streams open on it. */
  abstract readonly activeStreams: number;
  /** The transport is ready; called once. */
  protected abstract onReady(): void;
  /** It is gone, and counted as gone. Ends the streams. `failure`: it never became ready. */
  protected abstract onGone(failure: ConnectFailure | undefined, reason: ResetReason): void;

  /** The newest trust lets its endpoint in: it may carry new requests. Judged once a change of trust. */
  get trusted(): boolean {
    const trust = currentTrust(this.context);
    if (this.trustGeneration === trust) return true;
    if (this.life?.terms.trusted() !== true) return false;
    this.trustGeneration = trust;
    return true;
  }

  /** It is not `trusted`: carries nothing new, and ends when what it carries has, or when the grace is over. */
  distrust(): void {
    if (this.life === undefined) this.drain();
    else this.life.end('distrusted');
  }

  retire(why: LifeEnd): void {
    this.context.sslStats?.ended(why);
    this.drain();
  }

  cut(why: LifeEnd): void {
    this.context.sslStats?.cut();
    this.cutDetails = LIFE_END_DETAILS[why];
    this.close();
  }

  describe(): string {
    const { host } = this.context;
    return `cluster "${host.cluster}": connection to ${host.addressText}`;
  }

  /** Ends it now, from our side. */
  close(): void {
    this.terminate('local', undefined);
  }

  /** The connection is over, whoever ended it; everything after the first call is ignored. */
  protected terminate(
    side: 'local' | 'remote',
    failure: ConnectFailure | undefined,
    reason: ResetReason = 'connection-termination',
  ): void {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.connectTimer);
    clearTimeout(this.durationTimer);
    this.life?.release();
    const { context } = this;
    const { stats, host } = context;
    stats.add(ClusterStat.upstream_cx_active, -1);
    stats.inc(ClusterStat.upstream_cx_destroy);
    stats.inc(side === 'local' ? ClusterStat.upstream_cx_destroy_local : ClusterStat.upstream_cx_destroy_remote);
    if (this.activeStreams > 0) {
      stats.inc(ClusterStat.upstream_cx_destroy_with_active_rq);
      stats.inc(
        side === 'local'
          ? ClusterStat.upstream_cx_destroy_local_with_active_rq
          : ClusterStat.upstream_cx_destroy_remote_with_active_rq,
      );
    }
    context.lengthMs.record(context.now() - this.startedAt);
    if (!this.connected) {
      stats.inc(ClusterStat.upstream_cx_connect_fail);
      host.connectFailed();
    }
    this.socket.destroy();
    // Last of the counts: endpoint and cluster may be let go with them.
    context.limits.release('connections', context.priority);
    host.connectionClosed();
    const lost =
      failure ?? (this.connected ? undefined : { reason: 'connection-failure' as const, details: undefined });
    this.onGone(this.connected ? undefined : lost, reason);
  }

  private onTransportConnected(): void {
    if (this.context.tls === undefined) this.becomeReady();
    else this.tlsStarted = true;
  }

  private onSecure(): void {
    const { socket, context } = this;
    if (this.closed || context.tls === undefined || !(socket instanceof TLSSocket)) return;
    const { context: tls, expectedSan } = context.tls;
    const refusal = tls.verify(socket, expectedSan);
    if (refusal !== undefined) {
      context.sslStats?.refused(refusal);
      this.terminate('local', { reason: 'connection-failure', details: tlsErrorText(refusal.message) });
      return;
    }
    this.tls = tls.info(socket);
    context.sslStats?.handshake(socket, this.tls);
    this.life = tls.admit?.(socket, this, expectedSan);
    this.becomeReady();
  }

  private becomeReady(): void {
    if (this.closed) return;
    const { context, socket } = this;
    clearTimeout(this.connectTimer);
    this.connected = true;
    const { localAddress, localPort } = socket;
    if (localAddress !== undefined) {
      this.localAddress = localAddress.includes(':')
        ? `[${localAddress}]:${localPort}`
        : `${localAddress}:${localPort}`;
    }
    context.connectMs.record(context.now() - this.startedAt);
    const { maxConnectionDurationMs } = context.config.common;
    if (maxConnectionDurationMs !== undefined && maxConnectionDurationMs > 0) {
      const delay = Math.min(maxConnectionDurationMs, MAX_TIMER_MS);
      this.durationTimer = setTimeout(() => this.onMaxDuration(), delay).unref();
    }
    this.onReady();
  }

  private onMaxDuration(): void {
    this.context.stats.inc(ClusterStat.upstream_cx_max_duration_reached);
    this.drain();
  }

  /** No new stream; closes at once when there is none open. */
  drain(): void {
    this.draining = true;
    if (this.connected && this.activeStreams === 0) this.close();
  }

  private onConnectTimeout(): void {
    this.context.stats.inc(ClusterStat.upstream_cx_connect_timeout);
    this.terminate('local', { reason: 'connection-timeout', details: undefined });
  }

  private onError(error: NodeJS.ErrnoException): void {
    if (this.closed) return;
    if (this.connected) {
      this.terminate('remote', undefined);
      return;
    }
    const { stats, sslStats } = this.context;
    if (isBindError(error)) stats.inc(ClusterStat.bind_errors);
    if (this.tlsStarted) sslStats?.failed(error);
    this.terminate('remote', { reason: 'connection-failure', details: connectErrorText(error, this.tlsStarted) });
  }
}

/** Rises when what endpoints are verified with has changed; 0 for plaintext. */
export function currentTrust(context: PoolContext): number {
  const tls = context.tls?.context;
  return tls === undefined ? 0 : (tls.trustGeneration ?? tls.generation);
}
