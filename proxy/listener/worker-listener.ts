/**
 * A listener in a worker: its sockets, and its filter chains as the newest configuration has them. An update keeps the
 * sockets and every chain whose content did not change; connections of other chains drain.
 */
import { chmod, unlink } from 'node:fs/promises';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import type { Address } from '../../xds-client/model/common.ts';
import type { FilterChain, Listener } from '../../xds-client/model/listener.ts';
import { errorMessage, ProxyError } from '../errors.ts';
import { bindingOptions, boundSocket, givenOption } from '../native/listening-socket.ts';
import { addressText } from '../upstream/contract.ts';
import { Chain } from './chain.ts';
import { Connection, type Generation, type HandOver } from './connection.ts';
import { DrainState, type DrainStrategy } from './drain.ts';
import type { ListenerEnvironment, OpenConnections, OriginalDestination } from './environment.ts';
import { compileChainMatch } from './filter-chain-match.ts';
import { asksOrigin, inspectorsOf } from './listener-filters.ts';
import { LISTENER, ListenerStats, listenerStatPrefix } from './stats.ts';

/** Envoy's default: the kernel's SOMAXCONN. Node's own is 511. */
const BACKLOG = 4096;

export class WorkerListener {
  readonly #environment: ListenerEnvironment;
  readonly #open: OpenConnections;
  readonly #byDestination: HandOver;
  readonly #servers: Server[] = [];
  readonly #chains = new Map<string, Chain>();
  /** Chains that are out of the configuration and still have connections. */
  readonly #retired = new Set<Chain>();
  /** Connections whose chain is not known yet are among them. */
  readonly #connections = new Set<Connection>();
  readonly #drainState: DrainState;
  #stats: ListenerStats;
  #generation: Generation;
  /** Everything of the configuration that is not a filter chain, as text: a change of it renews all chains. */
  #shell: string;

  /** Throws a `ProxyError` when the configuration cannot serve; nothing is bound then. */
  constructor(
    listener: Listener,
    environment: ListenerEnvironment,
    open: OpenConnections,
    parent: DrainState,
    byDestination: HandOver = () => false,
  ) {
    this.#byDestination = byDestination;
    this.#environment = environment;
    this.#open = open;
    this.#drainState = new DrainState(environment.now, environment.random, parent);
    this.#stats = new ListenerStats(listenerStatPrefix(listener), environment.workerIndex, environment.stats);
    this.#shell = shellOf(listener);
    this.#generation = this.#build(listener, new Map());
  }

  get config(): Listener {
    return this.#generation.listener;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Connections of chains that a newer configuration has dropped. */
  get drainingChains(): number {
    return this.#retired.size;
  }

  activeStreams(): number {
    let streams = 0;
    for (const connection of this.#connections) streams += connection.activeStreams;
    return streams;
  }

  /**
   * Binds every address. Resolves with what was bound (`127.0.0.1:10000`); rejects with a `ProxyError`, and then nothing
   * stays bound. `taken`: what another worker bound, whose ports are taken where the configuration leaves them open.
   */
  async listen(taken?: readonly string[]): Promise<string[]> {
    const { listener } = this.#generation;
    if (!listener.bindToPort) return [listener.address, ...listener.additionalAddresses].map(addressText);
    try {
      const bound: string[] = [];
      for (const [index, address] of [listener.address, ...listener.additionalAddresses].entries())
        bound.push(await this.#bind(withPort(address, taken?.[index])));
      return bound;
    } catch (error) {
      this.stopListening();
      throw error;
    }
  }

  /** True when `update` can take this configuration; otherwise it needs sockets of its own. */
  canUpdate(listener: Listener): boolean {
    return bindingOf(listener) === bindingOf(this.#generation.listener);
  }

  /**
   * Takes a new configuration over. Throws a `ProxyError` when it cannot serve: the old one goes on then. Chains that are
   * gone drain for `drainMs`.
   */
  update(listener: Listener, drainMs: number): void {
    const shell = shellOf(listener);
    const kept = shell === this.#shell ? new Map(this.#chains) : new Map<string, Chain>();
    const before = new Map(this.#chains);
    const stats = this.#stats;
    const prefix = listenerStatPrefix(listener);
    if (prefix !== stats.prefix) {
      this.#stats = new ListenerStats(prefix, this.#environment.workerIndex, this.#environment.stats);
    }
    try {
      this.#generation = this.#build(listener, kept);
    } catch (error) {
      if (this.#stats !== stats) this.#stats.release();
      this.#stats = stats;
      throw error;
    }
    this.#shell = shell;
    for (const [key, chain] of before) if (this.#chains.get(key) !== chain) this.#retire(chain, drainMs);
  }

  /** Connections end gradually or soon; new ones are still accepted. */
  drain(strategy: DrainStrategy, drainMs: number): void {
    this.#drainState.start(strategy, drainMs);
    if (strategy === 'immediate') this.drainConnections();
  }

  /** A listener that drains on changes only has callers that do not look at its health. */
  setHealthFailing(failing: boolean): void {
    this.#drainState.failing = failing && this.config.drainType === 'default';
  }

  /** Tells every connection to end as soon as it can. */
  drainConnections(): void {
    for (const connection of this.#connections) connection.drain();
  }

  /** Accepts nothing more; open connections stay. */
  stopListening(): void {
    for (const server of this.#servers) server.close();
    this.#servers.length = 0;
  }

  /** Ends everything that is open now. */
  destroy(): void {
    this.stopListening();
    for (const connection of this.#connections) connection.destroy();
    for (const chain of this.#chains.values()) chain.retire();
    this.#chains.clear();
    this.#stats.release();
  }

  /** Builds what is new and takes what is `kept`; the listener's own state changes only when all of it stands. */
  #build(listener: Listener, kept: ReadonlyMap<string, Chain>): Generation {
    const environment = this.#environment;
    const made = new Map<string, Chain>();
    const chainOf = (config: FilterChain): Chain => {
      const key = JSON.stringify(config);
      const chain =
        made.get(key) ??
        kept.get(key) ??
        new Chain(config, listener, this.#stats.prefix, this.#drainState, environment);
      made.set(key, chain);
      return chain;
    };
    try {
      const matcher = compileChainMatch(
        listener.filterChains.map((config) => ({ match: config.match, chain: chainOf(config), name: config.name })),
      );
      const defaultChain = listener.defaultFilterChain === undefined ? undefined : chainOf(listener.defaultFilterChain);
      const originalDestination = asksOrigin(listener) ? environment.originalDestinations?.() : undefined;
      this.#chains.clear();
      for (const [key, chain] of made) this.#chains.set(key, chain);
      const inspectors = inspectorsOf(listener, environment);
      const greets = [...made.values()].some((chain) => chain.greets);
      const handOver = listener.useOriginalDst ? this.#byDestination : undefined;
      const stats = this.#stats;
      return { environment, listener, stats, inspectors, greets, matcher, defaultChain, originalDestination, handOver };
    } catch (error) {
      for (const [key, chain] of made) if (kept.get(key) !== chain) chain.retire();
      throw error;
    }
  }

  #retire(chain: Chain, drainMs: number): void {
    chain.drain.start('gradual', drainMs);
    chain.retire();
    if (chain.connections.size === 0) return;
    this.#retired.add(chain);
    const end = setTimeout(() => {
      this.#retired.delete(chain);
      for (const connection of chain.connections) connection.destroy();
    }, drainMs);
    end.unref();
  }

  /** Takes a connection that another listener has accepted for the addresses of this one. */
  adopt(socket: Socket, going: OriginalDestination): void {
    // the one it comes from is about to let go of its place
    this.#open.count++;
    this.#begin(new Connection(socket, this.#generation, this.#forget, going));
  }

  readonly #accept = (socket: Socket): void => {
    if (this.#open.count >= this.#environment.maxConnections) {
      this.#stats.block.inc(LISTENER.DOWNSTREAM_GLOBAL_CX_OVERFLOW);
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    this.#open.count++;
    this.#begin(new Connection(socket, this.#generation, this.#forget));
  };

  #begin(connection: Connection): void {
    this.#connections.add(connection);
    connection.begin();
  }

  readonly #forget = (connection: Connection): void => {
    this.#open.count--;
    this.#connections.delete(connection);
    for (const chain of this.#retired) if (chain.connections.size === 0) this.#retired.delete(chain);
  };

  async #bind(address: Address): Promise<string> {
    // what cannot be shared has one owner among the workers
    const shared = address.kind === 'socket' && this.#generation.listener.enableReusePort;
    if (!shared && this.#environment.workerIndex > 0) return addressText(address);
    // what an earlier process left behind; when it cannot go, binding says why
    if (address.kind === 'pipe' && !address.path.startsWith('@')) await unlink(address.path).catch(() => undefined);
    const server = createServer({ allowHalfOpen: true, noDelay: true }, this.#accept);
    const own = this.#ownSocket(address);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(bindError(this.#generation.listener.name, address, error)));
      const listening = () => {
        server.removeAllListeners('error');
        resolve();
      };
      if (own === undefined) server.listen(this.#listenOptions(address), listening);
      else server.listen({ fd: own }, this.config.tcpBacklogSize ?? BACKLOG, listening);
    });
    // an accept that fails (out of file descriptors) concerns one connection
    server.on('error', (error) =>
      this.#environment.log('error', `${this.config.name}: accept: ${errorMessage(error)}`),
    );
    this.#servers.push(server);
    if (address.kind === 'pipe' && address.mode !== undefined) await chmod(address.path, address.mode);
    const bound = server.address();
    if (bound === null || typeof bound === 'string' || address.kind === 'pipe') return addressText(address);
    return addressText({ ...address, port: bound.port });
  }

  /** Where Node has no option for what has to be set before a socket is bound. */
  #ownSocket(address: Address): number | undefined {
    const { transparent, freebind, enableReusePort, socketOptions = [] } = this.config;
    if (address.kind === 'pipe' || !(transparent || freebind || socketOptions.length > 0)) return undefined;
    const reusePort = this.#environment.reusePort && enableReusePort;
    const options = bindingOptions(address.host, {
      transparent,
      freebind,
      reusePort,
      ipv6Only: address.ipv4Compat !== true,
    });
    try {
      return boundSocket({ address: address.host, port: address.port }, [
        ...options,
        ...socketOptions.map(givenOption),
      ]);
    } catch (error) {
      throw error instanceof ProxyError || !(error instanceof Error)
        ? error
        : bindError(this.config.name, address, error);
    }
  }

  #listenOptions(address: Address): ListenOptions {
    const { listener } = this.#generation;
    const backlog = listener.tcpBacklogSize ?? BACKLOG;
    if (address.kind === 'pipe') return { path: address.path.replace(/^@/, '\0'), backlog };
    return {
      host: address.host,
      port: address.port,
      backlog,
      exclusive: true,
      reusePort: this.#environment.reusePort && listener.enableReusePort,
      ipv6Only: address.ipv4Compat !== true,
    };
  }
}

function withPort(address: Address, bound: string | undefined): Address {
  if (address.kind === 'pipe' || address.port !== 0 || bound === undefined) return address;
  return { ...address, port: Number(bound.slice(bound.lastIndexOf(':') + 1)) };
}

function shellOf(listener: Listener): string {
  return JSON.stringify({ ...listener, filterChains: [], defaultFilterChain: undefined });
}

function bindingOf(listener: Listener): string {
  const { address, additionalAddresses, bindToPort, tcpBacklogSize, enableReusePort, transparent, freebind } = listener;
  const own = [transparent, freebind, listener.socketOptions];
  return JSON.stringify([address, additionalAddresses, bindToPort, tcpBacklogSize, enableReusePort, own]);
}

function bindError(name: string, address: Address, cause: NodeJS.ErrnoException): ProxyError {
  const where = addressText(address);
  const hint: { readonly [code: string]: string } = {
    EADDRINUSE: 'the address is in use: another process listens there, or another listener has it',
    EACCES: 'permission denied: ports below 1024 need CAP_NET_BIND_SERVICE',
    EPERM: 'permission denied: transparent listeners and marks need CAP_NET_ADMIN',
    EADDRNOTAVAIL: 'no interface has this address',
  };
  const why = hint[cause.code ?? ''] ?? cause.message;
  return new ProxyError('listener-bind', `listener "${name}": cannot bind ${where}: ${why}`, { cause });
}
