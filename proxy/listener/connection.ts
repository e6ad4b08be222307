/**
 * One accepted connection on its way to its terminal filter: inspectors, filter chain, TLS, connection filters, hand
 * over. Afterwards it only counts, times and ends it.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Listener } from '../../xds-client/model/listener.ts';
import { errorMessage } from '../errors.ts';
import type { Greeting, NetworkConnection, Refusal } from '../filters/network/contract.ts';
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
  readonly inspectors: (destinationPort: number) => Inspectors | undefined;
  /** A chain of it may speak first. */
  readonly greets: boolean;
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
const SILENCE_TIMER = 2;
/** Who speaks first has done so by then: a caller that has not may be waiting for the server. Timers are late by up to 20 ms. */
const SILENCE_MS = 15;

/** The supposed chain of a caller that says nothing. */
interface Silent {
  readonly chain: Chain;
  readonly greeting: Greeting;
  /** The server has spoken: the chain is no supposition any more. */
  spoken: boolean;
}

/** What the connection filters of a supposed chain have said. They are not asked again when it is the chain. */
interface Asked {
  readonly chain: Chain;
  readonly info: ConnectionInfo;
  seenBy: number;
  refusal: Refusal | undefined;
}

/** Where `transport_socket_connect_timeout` says nothing: a handshake is never waited for without end. */
export const HANDSHAKE_TIMEOUT_MS = 15_000;

export class Connection implements TimerTarget, Mortal {
  readonly #generation: Generation;
  readonly #raw: Socket;
  readonly #startedAt: number;
  readonly #onClosed: (connection: Connection) => void;
  #socket: Socket | TLSSocket;
  #timer: Timer | undefined;
  #silenceTimer: Timer | undefined;
  #silent: Silent | undefined;
  #inspectors: Inspectors | undefined;
  #inspection: Inspection | undefined;
  /** Of the caller, where a PROXY header told it. */
  #source: OriginalDestination | undefined;
  #chain: Chain | undefined;
  #network: NetworkConnection | undefined;
  #info: ConnectionInfo | undefined;
  /** How many connection filters have seen it. */
  #seenBy = 0;
  #refused = false;
  #asked: Asked | undefined;
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
    const { listener, environment, stats } = this.#generation;
    if (!this.#takenOver) this.#restoreDestination();
    const inspectors = this.#generation.inspectors(this.#destination.port);
    this.#inspectors = inspectors;
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
    if (this.#generation.greets && handshakeMs === undefined) {
      this.#silenceTimer = new Timer(this, SILENCE_TIMER);
      environment.timers.arm(this.#silenceTimer, SILENCE_MS);
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
    if (kind === SILENCE_TIMER) {
      // What has come meanwhile is read first.
      setImmediate(() => this.#greet());
      return;
    }
    if (kind === HANDSHAKE_TIMER) {
      stats.block.inc(LISTENER.DOWNSTREAM_CX_TRANSPORT_SOCKET_CONNECT_TIMEOUT);
      this.#socket.destroy();
      return;
    }
    stats.block.inc(LISTENER.DOWNSTREAM_PRE_CX_TIMEOUT);
    const { continueOnListenerFiltersTimeout } = listener;
    this.#endInspection();
    if (continueOnListenerFiltersTimeout) this.#choose(NOTHING);
    else this.#hangUp();
  }

  /** What was looked at was not taken: the caller's bytes are unread, and that is how its kernel learns it. */
  #hangUp(): void {
    if (this.#raw.readableLength === 0 || this.#raw.remotePort === undefined) this.#raw.destroy();
    else this.#raw.resetAndDestroy();
  }

  #restoreDestination(): void {
    const original = this.#generation.originalDestination?.(this.#raw);
    if (original === undefined) return;
    this.#destination = original;
    this.#restored = true;
  }

  /** The caller may be waiting for the server: to the chain of those that speak neither TLS nor HTTP, if that may speak first. */
  #greet(): void {
    if (this.#closed || this.#inspection?.silent !== true) return;
    this.#relocate();
    const chain = this.#find(NOTHING);
    const { terminal } = chain ?? {};
    if (chain?.greets !== true || terminal?.greet === undefined || this.#goesOn()) return;
    const info = this.#describe(chain, undefined);
    if (!this.#ask(chain, info)) return;
    try {
      const greeting = terminal.greet(this.#raw, info, {
        onSpoken: () => this.#spoken(),
        onNothing: () => {
          this.#silent = undefined;
        },
      });
      this.#silent = { chain, greeting, spoken: false };
    } catch (error) {
      this.#generation.environment.log('error', `${info.listener.name}: ${errorMessage(error)}`);
    }
  }

  /** Whether the connection filters of a chain that is only supposed let the connection in now. */
  #ask(chain: Chain, info: ConnectionInfo): boolean {
    const asked: Asked = { chain, info, seenBy: 0, refusal: undefined };
    this.#asked = asked;
    for (const filter of chain.connectionFilters) {
      asked.seenBy++;
      let refusal: Refusal = {};
      const decision = filter.onNewConnection(info, {
        continue: ignore,
        close: (why) => {
          refusal = why;
        },
      });
      if (decision === 'continue') continue;
      if (decision === 'close') asked.refusal = refusal;
      else this.#forgetAsked();
      return false;
    }
    return true;
  }

  #forgetAsked(): void {
    const asked = this.#asked;
    this.#asked = undefined;
    if (asked !== undefined) closeFilters(asked.chain, asked.seenBy, asked.info);
  }

  /** What was asked of the chain counts, where nothing is known now that was not known then. */
  #recall(chain: Chain): Asked | undefined {
    const asked = this.#asked;
    if (asked === undefined || asked.chain !== chain || this.#serverName !== undefined) {
      this.#forgetAsked();
      return undefined;
    }
    this.#asked = undefined;
    this.#info = asked.info;
    this.#seenBy = asked.seenBy;
    return asked;
  }

  /** The inspection goes on with the caller's first byte, but waits for it without end: the filter times the connection. */
  #spoken(): void {
    const silent = this.#silent;
    if (silent === undefined) return;
    silent.spoken = true;
    this.#disarm();
    this.#generation.stats.block.add(LISTENER.DOWNSTREAM_PRE_CX_ACTIVE, -1);
    this.#adopt(silent.chain, undefined);
    this.#recall(silent.chain);
    this.#network = silent.greeting;
    if (this.#retired) silent.greeting.retire();
  }

  /** The server has spoken to a caller that now turns out to be one of another chain: neither can be served any more. */
  #answered(outcome: InspectionOutcome, { chain, greeting }: Silent): void {
    this.#inspection?.stop();
    this.#inspection = undefined;
    const right =
      outcome === 'remote-close' ||
      (outcome !== 'too-large' &&
        outcome !== 'refused' &&
        this.#find(outcome) === chain &&
        stands(chain, outcome.hello));
    if (right) greeting.take();
    else {
      this.#generation.stats.block.inc(LISTENER.DOWNSTREAM_LISTENER_FILTER_ERROR);
      greeting.destroy();
      this.#raw.destroy();
    }
  }

  #inspected(outcome: InspectionOutcome): void {
    if (this.#silent?.spoken === true) {
      this.#answered(outcome, this.#silent);
      return;
    }
    this.#endInspection();
    const inspectors = this.#inspectors;
    const { block } = this.#generation.stats;
    // No listener filter looked: nothing is counted, and OpenSSL judges a ClientHello that is too large for us.
    const own = inspectors?.handshakeMs !== undefined;
    if (own && outcome === 'too-large') {
      this.#choose(NOTHING);
      return;
    }
    if (own && outcome === 'remote-close') this.#raw.destroy();
    else if (outcome === 'remote-close') block.inc(LISTENER.DOWNSTREAM_LISTENER_FILTER_REMOTE_CLOSE);
    else if (outcome === 'too-large') block.inc(LISTENER.DOWNSTREAM_LISTENER_FILTER_ERROR);
    else if (outcome !== 'refused') {
      this.#choose(outcome);
      return;
    }
    this.#hangUp();
  }

  /** Where a PROXY header says that it comes from and was going. */
  #relocate(): void {
    const { source, destination } = this.#inspection?.origin ?? {};
    this.#source = source;
    if (destination === undefined) return;
    const { address, port } = this.#destination;
    this.#restored ||= destination.address !== address || destination.port !== port;
    this.#destination = destination;
  }

  #endInspection(): void {
    if (this.#inspection === undefined) return;
    this.#relocate();
    this.#inspection.stop();
    this.#inspection = undefined;
    if (this.#silent?.spoken === true) return;
    this.#disarm();
    this.#generation.stats.block.add(LISTENER.DOWNSTREAM_PRE_CX_ACTIVE, -1);
  }

  /** To the chain, or to the listener of where it was going, which looks at its bytes anew. */
  #choose(seen: Inspected): void {
    if (this.#goesOn() && this.#generation.handOver?.(this.#raw, this.#destination) === true) {
      this.#raw.off('close', this.#onClose);
      this.#onClose();
      return;
    }
    this.#match(seen);
  }

  /** Another listener may be the one that it was going to. */
  #goesOn(): boolean {
    return this.#generation.handOver !== undefined && this.#restored && !this.#takenOver && !this.#raw.destroyed;
  }

  #find({ hello, http }: Inspected): Chain | undefined {
    const { matcher, defaultChain } = this.#generation;
    const directSource = parseIp(this.#raw.remoteAddress ?? '');
    return (
      matcher.find({
        destination: parseIp(this.#destination.address),
        destinationPort: this.#destination.port,
        serverName: hello?.serverName ?? '',
        transportProtocol: hello === undefined ? 'raw_buffer' : 'tls',
        applicationProtocols: hello?.alpn ?? (http === undefined ? [] : [http]),
        directSource,
        source: this.#source === undefined ? directSource : parseIp(this.#source.address),
        sourcePort: this.#source?.port ?? this.#raw.remotePort ?? 0,
      }) ?? defaultChain
    );
  }

  #match(seen: Inspected): void {
    const { stats } = this.#generation;
    const chain = this.#find(seen);
    const silent = this.#silent?.chain === chain && stands(chain, seen.hello) ? this.#silent : undefined;
    if (silent === undefined) this.#silent?.greeting.withdraw();
    this.#silent = undefined;
    if (chain === undefined) {
      stats.block.inc(LISTENER.NO_FILTER_CHAIN_MATCH);
      this.#hangUp();
      return;
    }
    this.#adopt(chain, seen.hello);
    if (silent !== undefined) {
      this.#recall(chain);
      this.#network = silent.greeting;
      if (this.#retired) silent.greeting.retire();
      silent.greeting.take();
    } else if (chain.tls === undefined) this.#filter(chain, undefined);
    else this.#secure(chain, chain.tls, seen.hello);
  }

  #adopt(chain: Chain, hello: ClientHello | undefined): void {
    const { stats } = this.#generation;
    this.#chain = chain;
    chain.connections.add(this);
    stats.opened();
    this.#serverName = hello === undefined || hello.serverName === '' ? undefined : hello.serverName;
    if (chain.tls !== undefined) return;
    stats.block.inc(hello === undefined ? LISTENER.DOWNSTREAM_CX_PLAINTEXT : LISTENER.DOWNSTREAM_CX_TLS);
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
    const asked = this.#recall(chain);
    if (asked !== undefined) {
      if (asked.refusal === undefined) this.#handOver(chain, asked.info);
      else this.#refuse(chain, asked.info, asked.refusal);
      return;
    }
    const info = this.#describe(chain, tls);
    this.#info = info;
    if (chain.connectionFilters.length === 0) this.#handOver(chain, info);
    else this.#next(chain, info, 0);
  }

  /** The connection filters from `index` on, then the terminal one. */
  #next(chain: Chain, info: ConnectionInfo, index: number): void {
    for (let i = index; i < chain.connectionFilters.length; i++) {
      let waited = false;
      this.#seenBy = i + 1;
      const decision = chain.connectionFilters[i]?.onNewConnection(info, {
        continue: () => {
          if (!waited || this.#closed) return;
          waited = false;
          this.#next(chain, info, i + 1);
        },
        close: (why) => this.#refuse(chain, info, why),
      });
      if (decision === 'continue') continue;
      if (decision === 'wait') waited = true;
      else this.#refuse(chain, info, {});
      return;
    }
    if (!this.#socket.destroyed) this.#handOver(chain, info);
  }

  #refuse(chain: Chain, info: ConnectionInfo, why: Refusal): void {
    if (this.#refused || this.#closed) return;
    this.#refused = true;
    chain.terminal.refused?.(info, why);
    this.#socket.destroy();
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

  #describe(chain: Chain, tls: TlsInfo | undefined): ConnectionInfo {
    const remoteAddress = plainAddress(this.#raw.remoteAddress ?? '');
    const remotePort = this.#raw.remotePort ?? 0;
    const { environment, listener } = this.#generation;
    return {
      id: environment.nextConnectionId(),
      listener,
      chain: chain.config,
      directRemoteAddress: remoteAddress,
      directRemotePort: remotePort,
      remoteAddress: this.#source?.address ?? remoteAddress,
      remotePort: this.#source?.port ?? remotePort,
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
    if (this.#silenceTimer !== undefined) this.#generation.environment.timers.disarm(this.#silenceTimer);
    this.#silenceTimer = undefined;
  }

  readonly #onClose = (): void => {
    if (this.#closed) return;
    this.#closed = true;
    this.#silent?.greeting.withdraw();
    this.#endInspection();
    this.#disarm();
    this.#life?.release();
    this.#forgetAsked();
    if (this.#info !== undefined && this.#chain !== undefined) {
      closeFilters(this.#chain, this.#seenBy, this.#info);
    }
    if (this.#chain !== undefined) {
      this.#generation.stats.closed(this.#generation.environment.now() - this.#startedAt);
      this.#chain.forget(this);
    }
    this.#onClosed(this);
  };
}

/** Filters were asked without the name that a ClientHello has brought since, and may have said something else with it. */
function stands(chain: Chain | undefined, hello: ClientHello | undefined): boolean {
  return chain !== undefined && (hello === undefined || chain.connectionFilters.length === 0);
}

function closeFilters(chain: Chain, seenBy: number, info: ConnectionInfo): void {
  for (let i = 0; i < seenBy; i++) chain.connectionFilters[i]?.onClose?.(info);
}

// the filter that owns the socket listens for errors itself; before that, `close` says enough
function ignore(): void {}
