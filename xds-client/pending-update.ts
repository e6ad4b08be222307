/**
 * Gathers what several responses changed into one update. The first change after a quiet time goes on at once (in the
 * next turn of the clock), the next ones wait until `flushMs` have passed; the newest word on a name counts.
 */
import type { Clock } from './clock.ts';
import type { ConfigUpdate } from './config-store.ts';
import type { NamedResource, Resource, ResourceKind, ResourceName } from './resource-types.ts';
import type { Expired, Received } from './subscription.ts';

type Word =
  | { readonly word: 'changed'; readonly resource: NamedResource }
  | { readonly word: 'removed' | 'absent'; readonly name: ResourceName };

export class PendingUpdate {
  private readonly clock: Clock;
  private readonly flushMs: number;
  private readonly deliver: (update: ConfigUpdate) => void;
  private words = new Map<string, Word>();
  private answered = new Set<ResourceKind>();
  private scheduled = false;
  private lastFlush = Number.NEGATIVE_INFINITY;
  private cancel: () => void = () => {};

  constructor(clock: Clock, flushMs: number, deliver: (update: ConfigUpdate) => void) {
    this.clock = clock;
    this.flushMs = flushMs;
    this.deliver = deliver;
  }

  add(kind: ResourceKind, received: Received<Resource>): void {
    for (const { name, value } of received.changed) {
      this.put(kind, name, { word: 'changed', resource: { ...value, name } });
    }
    for (const name of received.removed) this.put(kind, name, { word: 'removed', name: { kind, name } });
    const first = !this.answered.has(kind);
    this.answered.add(kind);
    if (first || received.changed.length > 0 || received.removed.length > 0) this.schedule();
  }

  expired(kind: ResourceKind, expired: Expired): void {
    for (const name of expired.absent) this.put(kind, name, { word: 'absent', name: { kind, name } });
    for (const name of expired.removed) this.put(kind, name, { word: 'removed', name: { kind, name } });
    this.schedule();
  }

  stop(): void {
    this.cancel();
    this.words.clear();
  }

  private put(kind: ResourceKind, name: string, word: Word): void {
    this.words.set(`${kind} ${name}`, word);
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    const wait = Math.max(0, this.lastFlush + this.flushMs - this.clock.now());
    this.cancel = this.clock.after(wait, () => this.flush());
  }

  private flush(): void {
    this.scheduled = false;
    this.lastFlush = this.clock.now();
    const changed: NamedResource[] = [];
    const removed: ResourceName[] = [];
    const absent: ResourceName[] = [];
    for (const word of this.words.values()) {
      if (word.word === 'changed') changed.push(word.resource);
      else if (word.word === 'removed') removed.push(word.name);
      else absent.push(word.name);
    }
    const answered = [...this.answered];
    this.words = new Map();
    this.deliver({ changed, removed, absent, answered });
  }
}
