/** One L4 connection: a cluster, an endpoint, as many tries as allowed, then bytes both ways until either side is done. */
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { ClusterStat } from '../../../cluster/stats.ts';
import type { ConnectionInfo } from '../../../http/connection-info.ts';
import { HeaderMap, type RequestHead } from '../../../http/headers.ts';
import { internalFault } from '../../../http/internal-fault.ts';
import { ownReads } from '../../../http/own-reads.ts';
import type { ResetReason } from '../../../http/stream.ts';
import { ResponseFlag, StreamInfo } from '../../../http/stream-info.ts';
import type { AccessLogger } from '../../../observe/access-log/contract.ts';
import type { StatBlock } from '../../../observe/stats/contract.ts';
import type {
  ClusterHandle,
  Host,
  LoadBalancerContext,
  PoolHandle,
  TcpPoolCallbacks,
  UpstreamTcpConnection,
} from '../../../upstream/contract.ts';
import type { Greeting, GreetingEvents, Refusal } from '../contract.ts';
import { isHttp2Settings } from './greeting.ts';
import { type Direction, Flow, isReset, type RelayEvents, resetSocket } from './relay.ts';
import { tcpStat } from './stats.ts';

/** What all connections of one filter share. */
export interface SessionSettings {
  readonly stats: StatBlock;
  readonly accessLogs: readonly AccessLogger[];
  /** 0: none. */
  readonly idleTimeoutMs: number;
  readonly maxConnectAttempts: number;
  readonly maxDurationMs: number | undefined;
  now(): number;
}

const CX_TOTAL = tcpStat('downstream_cx_total');
const RX_BYTES = tcpStat('downstream_cx_rx_bytes_total');
const TX_BYTES = tcpStat('downstream_cx_tx_bytes_total');
const PAUSED = tcpStat('downstream_flow_control_paused_reading_total');
const RESUMED = tcpStat('downstream_flow_control_resumed_reading_total');
const IDLE_TIMEOUT = tcpStat('idle_timeout');
const MAX_DURATION = tcpStat('max_downstream_connection_duration');
const NO_ROUTE = tcpStat('downstream_cx_no_route');

export class TcpSession implements Greeting, TcpPoolCallbacks, RelayEvents {
  readonly retires = false;
  private readonly settings: SessionSettings;
  private downstream: Socket;
  private readonly info: StreamInfo;
  private readonly context: LoadBalancerContext;
  private cluster: ClusterHandle | undefined = undefined;
  private upstream: Socket | undefined = undefined;
  private requests: Flow | undefined = undefined;
  private responses: Flow | undefined = undefined;
  private pending: PoolHandle | undefined = undefined;
  private attempts = 0;
  private lastActivity: number;
  private idleTimer: NodeJS.Timeout | undefined = undefined;
  private durationTimer: NodeJS.Timeout | undefined = undefined;
  private finished = false;
  private connection: UpstreamTcpConnection | undefined = undefined;
  /** There while the caller is silent, and so is the upstream. */
  private greeting: GreetingEvents | undefined = undefined;
  /** Its bytes are read, or will be as soon as the upstream is there. */
  private taken = false;

  constructor(settings: SessionSettings, downstream: Socket, connection: ConnectionInfo) {
    this.settings = settings;
    this.downstream = downstream;
    this.info = tcpStreamInfo(connection, settings);
    this.context = {
      downstream: connection,
      hash: undefined,
      metadataMatch: undefined,
      avoid: undefined,
      hostSelectionMaxAttempts: 0,
      head: undefined,
    };
    this.lastActivity = settings.now();
    this.watch(downstream);
  }

  get activeStreams(): number {
    return this.finished ? 0 : 1;
  }

  /** Goes to `cluster`; `undefined` is a cluster that nobody knows. */
  start(cluster: ClusterHandle | undefined): void {
    this.taken = true;
    this.settings.stats.inc(CX_TOTAL);
    // Nothing is read before the upstream is there: early bytes wait in the kernel.
    this.downstream.pause();
    if (this.downstream.destroyed) {
      this.finish();
      return;
    }
    if (cluster === undefined) {
      this.settings.stats.inc(NO_ROUTE);
      this.refuse(ResponseFlag.NoClusterFound);
      return;
    }
    this.choose(cluster);
    this.armTimers();
    this.connect(cluster);
  }

  /** As `start`, for a caller that has said nothing. */
  greet(cluster: ClusterHandle | undefined, events: GreetingEvents): void {
    this.greeting = events;
    // What fails at once is told after this has returned.
    if (cluster === undefined) setImmediate(() => this.giveUp());
    else {
      this.choose(cluster);
      setImmediate(() => {
        if (!this.finished && this.attempts === 0) this.connect(cluster);
      });
    }
  }

  take(): void {
    if (this.taken || this.finished) return;
    if (this.greeting !== undefined) this.begin();
    this.taken = true;
    this.downstream.pause();
    if (this.connection !== undefined) this.relay(this.connection);
    else if (this.cluster !== undefined && this.attempts === 0) this.connect(this.cluster);
  }

  withdraw(): void {
    if (this.taken || this.finished) return;
    // Nothing of it is logged: the caller's connection goes on elsewhere.
    this.finished = this.greeting !== undefined;
    this.greeting = undefined;
    this.pending?.cancel();
    this.upstream?.destroy();
    this.responses?.close();
    this.finish();
  }

  /** L4 has no place where a connection could end without harm: it lives until its time is over. */
  drain(): void {}

  retire(): void {}

  cut(details: string): void {
    this.info.flags |= ResponseFlag.DurationTimeout;
    this.info.connectionTerminationDetails = details;
    this.abort();
  }

  destroy(): void {
    this.abort();
  }

  onReady(connection: UpstreamTcpConnection, host: Host): void {
    this.pending = undefined;
    const { socket } = connection;
    this.upstream = socket;
    this.info.endpoint = host.endpoint;
    this.info.upstreamLocalAddress = connection.localAddress;
    this.info.upstreamTls = connection.tls;
    this.lastActivity = this.settings.now();
    this.connection = connection;
    socket.on('error', (error) => this.onUpstreamError(error));
    socket.on('close', () => {
      if (connection.cutDetails !== undefined) this.onUpstreamCut(connection.cutDetails);
      this.onUpstreamClosed();
    });
    if (this.taken) this.relay(connection);
    else {
      connection.onBytes = (bytes) => this.onFirstBytes(connection, bytes);
      socket.once('end', () => this.giveUp());
    }
  }

  onFailure(reason: ResetReason, host: Host | undefined, details: string | undefined): void {
    this.pending = undefined;
    this.info.endpoint = host?.endpoint;
    this.info.upstreamTransportFailureReason = details;
    if (reason === 'overflow') {
      // Nothing was tried.
      this.info.attemptCount = --this.attempts;
      this.refuse(ResponseFlag.UpstreamOverflow);
      return;
    }
    this.info.flags |= ResponseFlag.UpstreamConnectionFailure;
    if (this.cluster === undefined || this.finished) return;
    if (host !== undefined) this.cluster.report(host, { failure: reason });
    this.connect(this.cluster);
  }

  onBytes(direction: Direction, count: number): void {
    const { settings, info } = this;
    this.lastActivity = settings.now();
    if (direction === 'request') {
      info.requestBodyBytes += count;
      settings.stats.add(RX_BYTES, count);
      this.cluster?.stats.add(ClusterStat.upstream_cx_tx_bytes_total, count);
    } else {
      info.responseBodyBytes += count;
      settings.stats.add(TX_BYTES, count);
      this.cluster?.stats.add(ClusterStat.upstream_cx_rx_bytes_total, count);
    }
  }

  onPaused(direction: Direction): void {
    if (direction === 'request') this.settings.stats.inc(PAUSED);
  }

  onResumed(direction: Direction): void {
    if (direction === 'request') this.settings.stats.inc(RESUMED);
  }

  /** Both directions. */
  private relay(connection: UpstreamTcpConnection): void {
    const { socket } = connection;
    const accepted = this.downstream;
    const greeted = this.responses;
    greeted?.flush();
    const plain = this.info.connection.tls === undefined && !accepted.writableEnded;
    // What was said in the greeting is written by the socket that it was given to.
    const own = plain && (greeted?.settled ?? true) ? ownReads(accepted, this.onRequestBytes) : undefined;
    if (own === undefined) accepted.on('data', this.onRequestBytes);
    else {
      this.downstream = own.socket;
      this.watch(own.socket);
    }
    this.requests = new Flow(this.downstream, socket, 'request', this);
    if (own !== undefined || greeted === undefined) {
      greeted?.close();
      this.responses = new Flow(socket, this.downstream, 'response', this);
      connection.onBytes = (bytes) => this.responses?.write(bytes);
    }
    if (own?.pending !== undefined) this.onRequestBytes(own.pending);
    else if (own === undefined) {
      if (accepted.readableEnded) socket.end();
      accepted.resume();
    }
  }

  /** The upstream speaks before the caller has. */
  private onFirstBytes(connection: UpstreamTcpConnection, bytes: Buffer): void {
    const { greeting } = this;
    if (greeting === undefined) return;
    if (isHttp2Settings(bytes)) {
      this.giveUp();
      return;
    }
    this.begin();
    const responses = new Flow(connection.socket, this.downstream, 'response', this);
    this.responses = responses;
    connection.onBytes = (more) => this.responses?.write(more);
    greeting.onSpoken();
    responses.write(bytes);
  }

  /** It is a connection of this filter from now on: counted, timed and logged. */
  private begin(): void {
    this.greeting = undefined;
    this.settings.stats.inc(CX_TOTAL);
    this.armTimers();
  }

  private giveUp(): void {
    const { greeting } = this;
    if (greeting === undefined) return;
    this.withdraw();
    greeting.onNothing();
  }

  private choose(cluster: ClusterHandle): void {
    this.cluster = cluster;
    this.info.cluster = cluster.name;
    this.info.clusterStatName = cluster.config.altStatName ?? cluster.name;
  }

  private armTimers(): void {
    const { idleTimeoutMs, maxDurationMs } = this.settings;
    this.armIdle(idleTimeoutMs);
    if (maxDurationMs !== undefined && maxDurationMs > 0) {
      this.durationTimer = setTimeout(() => this.onMaxDuration(), Math.min(maxDurationMs, 2 ** 31 - 1)).unref();
    }
  }

  /** Of the downstream: whatever happens to its sockets. */
  private watch(socket: Socket): void {
    socket.on('error', (error) => this.abort(isReset(error)));
    socket.on('close', () => this.onDownstreamClosed());
  }

  private readonly onRequestBytes = (bytes: Buffer): void => {
    try {
      this.requests?.write(bytes);
    } catch (error) {
      internalFault('a connection', error);
      this.abort();
    }
  };

  private connect(cluster: ClusterHandle): void {
    if (this.attempts >= this.settings.maxConnectAttempts) {
      cluster.stats.inc(ClusterStat.upstream_cx_connect_attempts_exceeded);
      this.refuse(ResponseFlag.UpstreamRetryLimitExceeded);
      return;
    }
    const host = cluster.choose(this.context, 'default');
    if (host === undefined) {
      this.refuse(ResponseFlag.NoHealthyUpstream);
      return;
    }
    const attempt = ++this.attempts;
    this.info.attemptCount = attempt;
    // It may answer at once: by then the session is connected, over, or at a later attempt with a handle of its own.
    const handle = cluster.newTcpConnection(host, 'default', this, this.context);
    if (this.upstream === undefined && !this.finished && attempt === this.attempts) this.pending = handle;
  }

  private refuse(flag: number): void {
    if (this.greeting !== undefined) {
      this.giveUp();
      return;
    }
    this.info.flags |= flag;
    this.abort();
  }

  /** Ends both sides at once. `reset`: one side was reset, and the other learns it in the same way. */
  private abort(reset = false): void {
    // A caller that left before anybody had spoken.
    if (this.greeting !== undefined) this.withdraw();
    if (this.finished && !this.taken && this.responses === undefined) return;
    this.pending?.cancel();
    this.pending = undefined;
    this.downstream.destroy();
    if (this.upstream !== undefined) {
      if (reset) resetSocket(this.upstream);
      else this.upstream.destroy();
    }
    this.finish();
  }

  private onUpstreamError(error: Error): void {
    if (!isReset(error) || this.finished || this.greeting !== undefined) return;
    this.info.flags |= ResponseFlag.UpstreamRemoteReset;
    resetSocket(this.downstream);
  }

  private onUpstreamCut(details: string): void {
    this.info.flags |= ResponseFlag.UpstreamConnectionTermination;
    this.info.upstreamTransportFailureReason = details;
  }

  private onDownstreamClosed(): void {
    const { upstream } = this;
    if (upstream === undefined || !(upstream.readableEnded && upstream.writableEnded)) this.abort();
    else if (upstream.destroyed) this.finish();
  }

  private onUpstreamClosed(): void {
    if (this.greeting !== undefined) {
      this.giveUp();
      return;
    }
    if (this.finished) return;
    const { downstream } = this;
    this.responses?.flush();
    if (downstream.destroyed) this.finish();
    // What the upstream said last still reaches the downstream.
    else if (!(downstream.readableEnded && downstream.writableEnded)) downstream.destroySoon();
  }

  private armIdle(delayMs: number): void {
    if (delayMs <= 0) return;
    this.idleTimer = setTimeout(() => this.onIdleTimer(), Math.min(delayMs, 2 ** 31 - 1)).unref();
  }

  /** One timer a connection, looked at when it fires and not touched by bytes. */
  private onIdleTimer(): void {
    const { idleTimeoutMs, stats } = this.settings;
    const idle = this.settings.now() - this.lastActivity;
    if (idle < idleTimeoutMs) {
      this.armIdle(idleTimeoutMs - idle);
      return;
    }
    stats.inc(IDLE_TIMEOUT);
    this.abort();
  }

  private onMaxDuration(): void {
    this.settings.stats.inc(MAX_DURATION);
    this.info.flags |= ResponseFlag.DurationTimeout;
    this.info.connectionTerminationDetails = 'max_connection_duration_reached';
    this.abort();
  }

  private finish(): void {
    if (this.finished) return;
    this.finished = true;
    clearTimeout(this.idleTimer);
    clearTimeout(this.durationTimer);
    this.requests?.close();
    this.responses?.close();
    this.info.completeAt = this.settings.now();
    for (const logger of this.settings.accessLogs) logger.log(this.info);
  }
}

/** What is logged of a connection that a filter before this one has closed. */
export function logRefused(settings: SessionSettings, connection: ConnectionInfo, { details, flags }: Refusal): void {
  const info = tcpStreamInfo(connection, settings);
  info.flags |= flags ?? 0;
  info.connectionTerminationDetails = details;
  info.completeAt = settings.now();
  for (const logger of settings.accessLogs) logger.log(info);
}

function tcpStreamInfo(connection: ConnectionInfo, settings: SessionSettings): StreamInfo {
  const info = new StreamInfo(connection, noRequest(), performance.timeOrigin + performance.now(), settings.now());
  info.tcp = true;
  return info;
}

/** What logs find where HTTP has a request. */
function noRequest(): RequestHead {
  return {
    method: '',
    path: '',
    authority: '',
    scheme: '',
    version: 11,
    protocol: undefined,
    headers: new HeaderMap(),
  };
}
