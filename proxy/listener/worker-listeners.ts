/** All listeners of a worker: takes the main thread's messages, answers with each listener's state. */

import type { Socket } from 'node:net';
import type { Listener } from '../../xds-client/model/listener.ts';
import { errorMessage } from '../errors.ts';
import type { DrainScope } from '../messages.ts';
import { ByAddress } from './by-address.ts';
import { DrainState, type DrainStrategy } from './drain.ts';
import type { ListenerEnvironment, OpenConnections, OriginalDestination } from './environment.ts';
import { WorkerListener } from './worker-listener.ts';

/** Envoy's default for `--drain-time-s`. */
const DEFAULT_DRAIN_MS = 600_000;

export type ListenerOutcome =
  | { readonly state: 'listening'; readonly addresses: readonly string[] }
  | { readonly state: 'failed'; readonly message: string };

export class WorkerListeners {
  readonly #environment: ListenerEnvironment;
  readonly #onState: (name: string, outcome: ListenerOutcome) => void;
  readonly #listeners = new Map<string, Served>();
  readonly #byAddress = new ByAddress<WorkerListener>();
  /** Out of the configuration, with connections that still drain. */
  readonly #draining = new Set<WorkerListener>();
  readonly #open: OpenConnections = { count: 0 };
  readonly #drainState: DrainState;
  readonly #drainMs: number;
  /** One change after the other: binding takes turns of the loop, and a removal must not overtake it. */
  #queue: Promise<void> = Promise.resolve();
  #failing = false;
  #stopped = false;

  /** `onState` becomes the `listener-state` message. `drainMs`: how long dropped filter chains drain (`--drain-time-s`). */
  constructor(
    environment: ListenerEnvironment,
    onState: (name: string, outcome: ListenerOutcome) => void,
    drainMs = DEFAULT_DRAIN_MS,
  ) {
    this.#environment = environment;
    this.#onState = onState;
    this.#drainMs = drainMs;
    this.#drainState = new DrainState(environment.now, environment.random);
  }

  /** `listener`: added, or changed in place. The old one goes on when the new one fails. Never rejects. */
  set(listener: Listener, bound?: readonly string[]): Promise<void> {
    return this.#enqueue(() => this.#set(listener, bound));
  }

  /** `listener-removed`: accepts nothing more; connections drain for `drainMs`, then are ended. */
  remove(name: string, drainMs: number): Promise<void> {
    return this.#enqueue(async () => {
      const served = this.#listeners.get(name);
      if (served === undefined) return;
      this.#listeners.delete(name);
      this.#byAddress.remove(served.listener);
      this.#retire(served.listener, drainMs);
    });
  }

  /** `drain`. Listeners go on accepting until `stopListening` or `stop`. */
  drain(scope: DrainScope, strategy: DrainStrategy, drainMs: number): void {
    if (scope === 'all') this.#drainState.start(strategy, drainMs);
    for (const { listener } of this.#listeners.values()) {
      if (isIn(scope, listener.config)) listener.drain(strategy, drainMs);
    }
  }

  /** `health`: while the check fails, responses end their connections; nothing is refused. */
  setHealthFailing(failing: boolean): void {
    this.#failing = failing;
    for (const { listener } of this.#listeners.values()) listener.setHealthFailing(failing);
  }

  /** Closes the listening sockets; open connections stay. */
  stopListening(inboundOnly: boolean): void {
    for (const { listener } of this.#listeners.values()) {
      if (!inboundOnly || listener.config.trafficDirection === 'inbound') listener.stopListening();
    }
  }

  /** `stop`: closes everything that is open. */
  stop(): void {
    this.#stopped = true;
    for (const { listener } of this.#listeners.values()) listener.destroy();
    for (const listener of this.#draining) listener.destroy();
    this.#listeners.clear();
    this.#draining.clear();
  }

  /** For the `drained` message. */
  counts(): { readonly connections: number; readonly streams: number } {
    let streams = 0;
    for (const { listener } of this.#listeners.values()) streams += listener.activeStreams();
    for (const listener of this.#draining) streams += listener.activeStreams();
    return { connections: this.#open.count, streams };
  }

  #enqueue(change: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue.then(async () => {
      if (!this.#stopped) await change();
    });
    return this.#queue;
  }

  async #set(config: Listener, bound: readonly string[] | undefined): Promise<void> {
    const served = this.#listeners.get(config.name);
    try {
      if (served?.listener.canUpdate(config) === true) {
        served.listener.update(config, this.#drainMs);
        served.listener.setHealthFailing(this.#failing);
        this.#onState(config.name, { state: 'listening', addresses: served.addresses });
        return;
      }
      const listener = new WorkerListener(config, this.#environment, this.#open, this.#drainState, this.#handOver);
      const addresses = await this.#listen(listener, bound);
      listener.setHealthFailing(this.#failing);
      this.#listeners.set(config.name, { listener, addresses });
      if (served !== undefined) this.#byAddress.remove(served.listener);
      this.#byAddress.add(listener, [...addresses, ...compatible(config, addresses)]);
      if (served !== undefined) this.#retire(served.listener, this.#drainMs);
      this.#onState(config.name, { state: 'listening', addresses });
    } catch (error) {
      this.#onState(config.name, { state: 'failed', message: errorMessage(error) });
    }
  }

  async #listen(listener: WorkerListener, bound: readonly string[] | undefined): Promise<readonly string[]> {
    try {
      return await listener.listen(bound);
    } catch (error) {
      listener.destroy();
      throw error;
    }
  }

  /** Envoy's order: the listener of exactly this address, then the one of the port on any address of the family. */
  readonly #handOver = (socket: Socket, going: OriginalDestination): boolean => {
    const listener = this.#byAddress.find(going);
    if (listener === undefined) return false;
    listener.adopt(socket, going);
    return true;
  };

  #retire(listener: WorkerListener, drainMs: number): void {
    listener.stopListening();
    listener.drain('gradual', drainMs);
    if (listener.connectionCount === 0) {
      listener.destroy();
      return;
    }
    this.#draining.add(listener);
    const end = setTimeout(() => {
      this.#draining.delete(listener);
      listener.destroy();
    }, drainMs);
    end.unref();
  }
}

/** A listener on `::` with `ipv4_compat` has IPv4's any address too. */
function compatible({ address, additionalAddresses }: Listener, bound: readonly string[]): string[] {
  return [address, ...additionalAddresses].flatMap((one, index) =>
    one.kind === 'socket' && one.ipv4Compat === true && one.host === '::'
      ? [`0.0.0.0:${bound[index]?.slice(bound[index].lastIndexOf(':') + 1)}`]
      : [],
  );
}

function isIn(scope: DrainScope, { trafficDirection }: Listener): boolean {
  if (scope === 'all') return true;
  return scope === 'inbound' ? trafficDirection === 'inbound' : trafficDirection !== 'outbound';
}

interface Served {
  readonly listener: WorkerListener;
  readonly addresses: readonly string[];
}
