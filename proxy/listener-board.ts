/** What the workers said of each listener: when all have answered it is up or it failed. */
import type { Address } from '../xds-client/model/common.ts';
import type { Listener } from '../xds-client/model/listener.ts';
import type { FromWorker } from './messages.ts';

export interface BoardListener {
  readonly name: string;
  readonly addresses: readonly Address[];
  readonly inbound: boolean;
}

export interface BoardEvents {
  up(listener: Listener): void;
  /** `message` says why; the listener of that name that served before goes on. */
  failed(listener: Listener, message: string): void;
  /** No listener waits for an answer. */
  settled(): void;
}

interface Waiting {
  readonly listener: Listener;
  left: number;
  failure: string | undefined;
  addresses: readonly string[];
}

export class ListenerBoard {
  private readonly workers: number;
  private readonly events: BoardEvents;
  /** Answers come in the order of the questions, so each name has a queue. */
  private readonly waiting = new Map<string, Waiting[]>();
  private readonly bound = new Map<string, BoardListener>();

  constructor(workers: number, events: BoardEvents) {
    this.workers = workers;
    this.events = events;
  }

  get settled(): boolean {
    return this.waiting.size === 0;
  }

  sent(listener: Listener): void {
    const queue = this.waiting.get(listener.name) ?? [];
    queue.push({ listener, left: this.workers, failure: undefined, addresses: [] });
    this.waiting.set(listener.name, queue);
  }

  removed(name: string): void {
    this.bound.delete(name);
  }

  answered(message: Extract<FromWorker, { type: 'listener-state' }>): void {
    const queue = this.waiting.get(message.name);
    // A worker answers each question once: the first that still waits for its share is meant.
    const one = queue?.find(({ left }) => left > 0);
    if (queue === undefined || one === undefined) return;
    one.left--;
    if (message.state === 'failed') one.failure = message.message;
    else one.addresses = message.addresses;
    if (one.left > 0) return;
    queue.splice(queue.indexOf(one), 1);
    if (queue.length === 0) this.waiting.delete(message.name);
    if (one.failure === undefined) {
      this.bound.set(message.name, {
        name: message.name,
        addresses: one.addresses.map(addressOf),
        inbound: one.listener.trafficDirection === 'inbound',
      });
      this.events.up(one.listener);
    } else this.events.failed(one.listener, one.failure);
    if (this.settled) this.events.settled();
  }

  /** Listeners that serve, or the inbound ones of them. */
  count(inboundOnly: boolean): number {
    if (!inboundOnly) return this.bound.size;
    return this.list().filter(({ inbound }) => inbound).length;
  }

  list(): readonly BoardListener[] {
    return [...this.bound.values()];
  }
}

/** The reverse of `addressText`. */
function addressOf(text: string): Address {
  const match = /^\[?([^\]]+?)\]?:(\d+)$/.exec(text);
  if (match === null || text.startsWith('/') || text.startsWith('@')) return { kind: 'pipe', path: text };
  return { kind: 'socket', host: match[1] as string, port: Number(match[2]) };
}
