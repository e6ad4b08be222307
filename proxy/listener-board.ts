/**
 * Hands listeners to the workers and collects what they say: when all have answered, a listener is up or it failed. One
 * whose port the kernel chooses goes to the first worker alone, and to the others with the port that it got.
 */
import type { Address } from '../xds-client/model/common.ts';
import { equal } from '../xds-client/model/equal.ts';
import type { Listener } from '../xds-client/model/listener.ts';
import type { FromWorker, ToWorker } from './messages.ts';

export interface BoardListener {
  readonly name: string;
  readonly addresses: readonly Address[];
  readonly inbound: boolean;
}

export interface BoardEvents {
  post(worker: number, message: ToWorker): void;
  /** `replaced`: the listener of that name that served before. */
  up(listener: Listener, replaced: Listener | undefined): void;
  /** `message` says why. `serving`: a listener of that name served before, and goes on. */
  failed(listener: Listener, message: string, serving: boolean): void;
  /** No listener waits for an answer. */
  settled(): void;
}

interface Waiting {
  readonly listener: Listener;
  readonly json: string;
  /** Workers that have not answered. */
  readonly left: Set<number>;
  /** Workers that have not been asked: they need the first one's answer. */
  followers: readonly number[];
  failure: string | undefined;
  addresses: readonly string[];
}

export class ListenerBoard {
  private readonly workers: readonly number[];
  private readonly events: BoardEvents;
  /** Answers come in the order of the questions, so each name has a queue. */
  private readonly waiting = new Map<string, Waiting[]>();
  private readonly bound = new Map<string, BoardListener>();
  /** What the bound ones serve: not what the configuration says while a change is on its way to the workers. */
  private readonly serving = new Map<string, Listener>();

  constructor(workers: number, events: BoardEvents) {
    this.workers = Array.from({ length: workers }, (_, worker) => worker);
    this.events = events;
  }

  get settled(): boolean {
    return this.waiting.size === 0;
  }

  send(listener: Listener): void {
    const queue = this.waiting.get(listener.name) ?? [];
    const followers = hasChosenPort(listener) ? this.workers.slice(1) : [];
    const asked = followers.length > 0 ? this.workers.slice(0, 1) : this.workers;
    const json = JSON.stringify(listener);
    queue.push({ listener, json, left: new Set(this.workers), followers, failure: undefined, addresses: [] });
    this.waiting.set(listener.name, queue);
    for (const worker of asked) this.events.post(worker, { type: 'listener', name: listener.name, json });
  }

  remove(name: string, drainMs: number): void {
    this.bound.delete(name);
    this.serving.delete(name);
    // Who has not been asked yet would otherwise be asked after the removal.
    for (const one of this.waiting.get(name) ?? []) {
      for (const worker of one.followers) one.left.delete(worker);
      one.followers = [];
    }
    for (const worker of this.workers) this.events.post(worker, { type: 'listener-removed', name, drainMs });
  }

  answered(worker: number, message: Extract<FromWorker, { type: 'listener-state' }>): void {
    const queue = this.waiting.get(message.name);
    // A worker answers each question once: the first that still waits for its share is meant.
    const one = queue?.find(({ left, followers }) => left.has(worker) && !followers.includes(worker));
    if (queue === undefined || one === undefined) return;
    one.left.delete(worker);
    if (message.state === 'failed') {
      one.failure = message.message;
      for (const follower of one.followers) one.left.delete(follower);
    } else {
      one.addresses = message.addresses;
      const { json } = one;
      for (const follower of one.followers) {
        this.events.post(follower, { type: 'listener', name: message.name, json, bound: message.addresses });
      }
    }
    one.followers = [];
    if (one.left.size > 0) return;
    queue.splice(queue.indexOf(one), 1);
    if (queue.length === 0) this.waiting.delete(message.name);
    if (one.failure === undefined) {
      this.bound.set(message.name, {
        name: message.name,
        addresses: one.addresses.map(addressOf),
        inbound: one.listener.trafficDirection === 'inbound',
      });
      const replaced = this.serving.get(message.name);
      this.serving.set(message.name, one.listener);
      this.events.up(one.listener, replaced);
    } else this.events.failed(one.listener, one.failure, this.bound.has(message.name));
    if (this.settled) this.events.settled();
  }

  /** Listeners that serve, or the inbound ones of them. */
  count(inboundOnly: boolean): number {
    if (!inboundOnly) return this.bound.size;
    return this.list().filter(({ inbound }) => inbound).length;
  }

  /** The listener that serves under the name; what was sent since may still replace it. */
  served(name: string): Listener | undefined {
    return this.serving.get(name);
  }

  /** All that serve. */
  allServed(): Iterable<Listener> {
    return this.serving.values();
  }

  list(): readonly BoardListener[] {
    return [...this.bound.values()];
  }
}

function hasChosenPort({ address, additionalAddresses, bindToPort }: Listener): boolean {
  return bindToPort && [address, ...additionalAddresses].some((one) => one.kind === 'socket' && one.port === 0);
}

/** The reverse of `addressText`. */
function addressOf(text: string): Address {
  const match = /^\[?([^\]]+?)\]?:(\d+)$/.exec(text);
  if (match === null || text.startsWith('/') || text.startsWith('@')) return { kind: 'pipe', path: text };
  return { kind: 'socket', host: match[1] as string, port: Number(match[2]) };
}

/** Whether an update concerns filter chains and nothing else: Envoy's update in place. */
export function chainsAloneDiffer(before: Listener, after: Listener): boolean {
  const shell = (of: Listener) => ({ ...of, filterChains: [], defaultFilterChain: undefined });
  return !equal(before, after) && equal(shell(before), shell(after));
}
