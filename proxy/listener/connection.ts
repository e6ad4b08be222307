/**
 * One accepted connection on its way to its terminal filter: inspectors, filter chain, TLS, connection filters, hand
 * over. Afterwards it only counts, times and ends it.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Listener } from '../../xds-client/model/listener.ts';
import { errorMessage } from '../errors.ts';
import type { NetworkConnection } from '../filters/network/contract.ts';
import type { ConnectionInfo, TlsInfo } from '../http/connection-info.ts';
import { Timer, type TimerTarget } from '../timers.ts';
import type { ClientHello } from '../tls/contract.ts';
import { LIFE_END_DETAILS, type Life, type LifeEnd, type Mortal } from '../tls/lives.ts';
import { addressText } from '../upstream/contract.ts';
import { parseIp, plainAddress } from './addresses.ts';
import type { Chain, ChainTls } from './chain.ts';
import type { ListenerEnvironment, OriginalDestination, OriginalDestinationOf } from './environment.ts';
import type { ChainMatcher } from './filter-chain-match.ts';
import { type Inspected, Inspection, type InspectionOutcome, type Inspectors, NOTHING } from './inspection.ts';
import { LISTENER, type ListenerStats, SSL_FACTORY } from './stats.ts';

/** A listener's configuration as it stood when the connection came. */
export interface Generation {
  readonly environment: ListenerEnvironment;
  readonly listener: Listener;
  readonly stats: ListenerStats;
  /** `undefined`: nothing is looked at before the chain is chosen. */
  readonly inspectors: Inspectors | undefined;
  readonly matcher: ChainMatcher<Chain>;
  readonly defaultChain: Chain | undefined;
  /** `undefined`: nothing asks where connections were going. */
  readonly originalDestination: OriginalDestinationOf | undefined;
  /** Gives a connection to the listener of its original destination; false: it stays. */
  readonly handOver: HandOver | undefined;
}

export type HandOver = (socket: Socket, destination: OriginalDestination) => boolean;

/** An alert in a record of its own (RFC 8446 §6.2), for a caller that no handshake was begun with. */
const HANDSHAKE_FAILURE = Buffer.from([21, 3, 3, 0, 2, 2, 40]);
const INSPECTION_TIMER = 0;
const HANDSHAKE_TIMER = 1;
/** Where `transport_socket_connect_timeout` says nothing: a handshake is never waited for without end. */
export const HANDSHAKE_TIMEOUT_MS = 15_000;

export class Connection implements TimerTarget, Mortal {
  readonly #generation: Generation;
  readonly #raw: Socket;
  readonly #startedAt: number;
  readonly #onClosed: (connection: Connection) => void;
  #socket: Socket | TLSSocket;
  #timer: Timer | undefined;
  #inspection: Inspection | undefined;
  #chain: Chain | undefined;
  #network: NetworkConnection | undefined;
  #life: Life | undefined;
  /** Told to end before there was somebody to tell. */
  #retired = false;
  #serverName: string | undefined;
  #destination: OriginalDestination;
  #restored = false;
  #handshaking = false;
  #closed = false;

  /** True: another listener has looked up where it was going, and it stays here. */
  readonly #takenOver: boolean;

  /** `onClosed` is told once, when the socket is gone. `going`: what the listener that it was redirected to has found. */
  constructor(
    raw: Socket,
    generation: Generation,
    onClosed: (connection: Connection) => void,
    going?: OriginalDestination,
  ) {
    this.#raw = raw;
    this.#socket = raw;
    this.#generation = generation;
    this.#onClosed = onClosed;
    this.#startedAt = generation.environment.now();
    this.#destination = going ?? { address: plainAddress(raw.localAddress ?? ''), port: raw.localPort ?? 0 };
    this.#takenOver = going !== undefined;
    this.#restored = this.#takenOver;
    raw.on('error', ignore);
    raw.on('close', this.#onClose);
  }

  /** To the chain at once, or after a look at the first bytes. */
  begin(): void {
    const { inspectors, listener, environment, stats } = this.#generation;
    if (!this.#takenOver) this.#restoreDestination();
    if (inspectors === undefined) {
      this.#choose(NOTHING);
      return;
    }
    stats.block.inc(LISTENER.DOWNSTREAM_PRE_CX_ACTIVE);
    this.#inspection = new Inspection(this.#raw, inspectors, (outcome) => this.#inspected(outcome));
    const { handshakeMs } = inspectors;
    const timeout = handshakeMs ?? listener.listenerFiltersTimeoutMs;
    if (timeout > 0) {
      this.#timer = new Timer(this, handshakeMs === undefined ? INSPECTION_TIMER : HANDSHAKE_TIMER);
      environment.timers.arm(this.#timer, timeout);
    }
  }

  get activeStreams(): number {
    return this.#network?.activeStreams ?? 0;
  }

  drain(): void {
    this.#network?.drain();
  }

  destroy(): void {
    if (this.#network !== undefined) this.#network.destroy();
    this.#socket.destroy();
  }

  get retires(): boolean {
    return this.#network?.retires !== false;
  }

  retire(why: LifeEnd): void {
    this.#retired = true;
    this.#chain?.tls?.stats.ended(why);
    this.#network?.retire();
  }

  cut(why: LifeEnd): void {
    this.#chain?.tls?.stats.cut();
    this.#network?.cut(LIFE_END_DETAILS[why]);
    this.#socket.destroy();
  }

  describe(): string {
    const address = addressText({
      kind: 'socket',
      host: plainAddress(this.#raw.remoteAddress ?? ''),
      port: this.#raw.remotePort ?? 0,
    });
    return `listener "${this.#generation.listener.name}": connection from ${address}`;
  }

  onTimer(kind: number): void {
    const { stats, listener } = this.#generation;
    if (kind === HANDSHAKE_TIMER) {
      stats.block.inc(LISTENER.DOWNSTREAM_CX_TRANSPORT_SOCKET_CONNECT_TIMEOUT);
      this.#socket.destroy();
      return;
    }
    stats.block.inc(LISTENER.DOWNSTREAM_PRE_CX_TIMEOUT);
    const { continueOnListenerFiltersTimeout } = listener;
    this.#endInspection();
    if (continueOnListenerFiltersTimeout) this.#choose(NOTHING);
    else this.#raw.destroy();
  }

  #restoreDestination(): void {
    const original = this.#generation.originalDestination?.(this.#raw);
    if (original === undefined) return;
    this.#destination = original;
    this.#restored = true;
  }

  #inspected(outcome: InspectionOutcome): void {
    this.#endInspection();
    const { stats, inspectors } = this.#generation;
    const { block } = stats;
    // No listener filter looked: nothing is counted, and OpenSSL judges a ClientHello that is too large for us.
    const own = inspectors?.handshakeMs !== undefined;
    if (own && outcome === 'too-large') {
      this.#choose(NOTHING);
      return;
    }
    if (own && outcome === 'remote-close') this.#raw.destroy();
    else if (outcome === 'remote-close') block.inc(LISTENER.DOWNSTREAM_LISTENER_FILTER_REMOTE_CLOSE);
    else if (outcome === 'too-large') block.inc(LISTENER.DOWNSTREAM_LISTENER_FILTER_ERROR);
    else {
      this.#choose(outcome);
      return;
    }
    this.#raw.destroy();
  }

  #endInspection(): void {
    if (this.#inspection === undefined) return;
    this.#inspection.stop();
    this.#inspection = undefined;
    this.#disarm();
    this.#generation.stats.block.add(LISTENER.DOWNSTREAM_PRE_CX_ACTIVE, -1);
  }

  /** To the chain, or to the listener of where it was going, which looks at its bytes anew. */
  #choose(seen: Inspected): void {
    const { handOver } = this.#generation;
    if (handOver !== undefined && this.#restored && !this.#takenOver && !this.#raw.destroyed) {
      if (handOver(this.#raw, this.#destination)) {
        this.#raw.off('close', this.#onClose);
        this.#onClose();
        return;
      }
    }
    this.#match(seen);
  }

  #match(seen: Inspected): void {
    const { matcher, defaultChain, stats } = this.#generation;
    const source = parseIp(this.#raw.remoteAddress ?? '');
    const { hello } = seen;
    const chain =
      matcher.find({
        destination: parseIp(this.#destination.address),
        destinationPort: this.#destination.port,
        serverName: hello?.serverName ?? '',
        transportProtocol: hello === undefined ? 'raw_buffer' : 'tls',
        applicationProtocols: hello?.alpn ?? (seen.http === undefined ? [] : [seen.http]),
        directSource: source,
        source,
        sourcePort: this.#raw.remotePort ?? 0,
      }) ?? defaultChain;
    if (chain === undefined) {
      stats.block.inc(LISTENER.NO_FILTER_CHAIN_MATCH);
      // What was looked at was not taken: the caller's bytes are unread, and that is how its kernel learns it.
      if (this.#raw.readableLength === 0 || this.#raw.remotePort === undefined) this.#raw.destroy();
      else this.#raw.resetAndDestroy();
      return;
    }
    this.#chain = chain;
    chain.connections.add(this);
    stats.opened();
    this.#serverName = hello === undefined || hello.serverName === '' ? undefined : hello.serverName;
    if (chain.tls === undefined) {
      stats.block.inc(hello === undefined ? LISTENER.DOWNSTREAM_CX_PLAINTEXT : LISTENER.DOWNSTREAM_CX_TLS);
      this.#filter(chain, undefined);
    } else this.#secure(chain, chain.tls, hello);
  }

  #secure(chain: Chain, tls: ChainTls, hello: ClientHello | undefined): void {
    if (!tls.context.ready) {
      tls.factoryStats.inc(SSL_FACTORY.DOWNSTREAM_CONTEXT_SECRETS_NOT_READY);
      this.#raw.destroy();
      return;
    }
    const socket = tls.context.accept(this.#raw, hello, tls.stats);
    if (!(socket instanceof TLSSocket)) {
      tls.stats.refused(socket);
      this.#generation.environment.log('debug', `${this.#generation.listener.name}: ${socket.message}`);
      this.#raw.end(HANDSHAKE_FAILURE);
      return;
    }
    this.#socket = socket;
    this.#handshaking = true;
    // Node tells `_tlsError` alone of what goes wrong in an established connection, and leaves it open
    socket.on('_tlsError', (error: Error) => this.#onTlsError(error, tls));
    socket.on('error', ignore);
    socket.on('close', this.#onClose);
    socket.on('end', this.#onEndInHandshake);
    socket.once('secure', () => this.#secured(chain, tls, socket));
    this.#timer = new Timer(this, HANDSHAKE_TIMER);
    const timeout = chain.config.transportSocketConnectTimeoutMs;
    const { timers } = this.#generation.environment;
    timers.arm(this.#timer, timeout === undefined || timeout === 0 ? HANDSHAKE_TIMEOUT_MS : timeout);
  }

  #onTlsError(error: Error, tls: ChainTls): void {
    if (this.#handshaking) tls.stats.failed(error);
    this.#socket.destroy(error);
  }

  // sockets may be half open here, but nobody shakes hands with one hand
  readonly #onEndInHandshake = (): void => {
    if (this.#handshaking) this.#socket.destroy();
  };

  #secured(chain: Chain, tls: ChainTls, socket: TLSSocket): void {
    this.#handshaking = false;
    this.#disarm();
    socket.off('end', this.#onEndInHandshake);
    if (socket.destroyed) return;
    const refusal = tls.context.verify(socket);
    if (refusal !== undefined) {
      tls.stats.refused(refusal);
      this.#generation.environment.log('debug', `${this.#generation.listener.name}: ${refusal.message}`);
      socket.destroy();
      return;
    }
    const info = tls.context.info(socket);
    tls.stats.handshake(socket, info);
    const { block } = this.#generation.stats;
    block.inc(info.peerValidated ? LISTENER.DOWNSTREAM_CX_MTLS : LISTENER.DOWNSTREAM_CX_TLS);
    this.#serverName ??= info.serverName;
    this.#filter(chain, info);
    // Last: how it ends depends on who has it.
    if (!this.#closed && !socket.destroyed) this.#life = tls.context.admit?.(socket, this);
  }

  #filter(chain: Chain, tls: TlsInfo | undefined): void {
    const info = this.#info(chain, tls);
    if (chain.connectionFilters.length === 0) this.#handOver(chain, info);
    else this.#next(chain, info, 0);
  }

  /** The connection filters from `index` on, then the terminal one. */
  #next(chain: Chain, info: ConnectionInfo, index: number): void {
    for (let i = index; i < chain.connectionFilters.length; i++) {
      let waited = false;
      const decision = chain.connectionFilters[i]?.onNewConnection(info, {
        continue: () => {
          if (!waited || this.#closed) return;
          waited = false;
          this.#next(chain, info, i + 1);
        },
        close: () => this.#socket.destroy(),
      });
      if (decision === 'continue') continue;
      if (decision === 'wait') waited = true;
      else this.#socket.destroy();
      return;
    }
    if (!this.#socket.destroyed) this.#handOver(chain, info);
  }

  #handOver(chain: Chain, info: ConnectionInfo): void {
    try {
      this.#network = chain.terminal.accept(this.#socket, info);
      if (this.#retired) this.#network.retire();
    } catch (error) {
      // one connection must not take the worker along
      this.#generation.environment.log('error', `${info.listener.name}: ${errorMessage(error)}`);
      this.#socket.destroy();
    }
  }

  #info(chain: Chain, tls: TlsInfo | undefined): ConnectionInfo {
    const remoteAddress = plainAddress(this.#raw.remoteAddress ?? '');
    const remotePort = this.#raw.remotePort ?? 0;
    const { environment, listener } = this.#generation;
    return {
      id: environment.nextConnectionId(),
      listener,
      chain: chain.config,
      directRemoteAddress: remoteAddress,
      directRemotePort: remotePort,
      remoteAddress,
      remotePort,
      localAddress: this.#destination.address,
      localPort: this.#destination.port,
      localAddressRestored: this.#restored,
      requestedServerName: this.#serverName,
      tls,
      startedAt: this.#startedAt,
    };
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.#generation.environment.timers.disarm(this.#timer);
    this.#timer = undefined;
  }

  readonly #onClose = (): void => {
    if (this.#closed) return;
    this.#closed = true;
    this.#endInspection();
    this.#disarm();
    this.#life?.release();
    if (this.#chain !== undefined) {
      this.#generation.stats.closed(this.#generation.environment.now() - this.#startedAt);
      this.#chain.forget(this);
    }
    this.#onClosed(this);
  };
}

// the filter that owns the socket listens for errors itself; before that, `close` says enough
function ignore(): void {}
