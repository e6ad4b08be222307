/** A wish for a stream or a connection, from the moment it is made until it is answered or withdrawn. */
import type { ResetReason } from '../http/stream.ts';
import type { Host, PoolHandle } from './contract.ts';

export interface WishKeeper<C> {
  withdraw(wish: Wish<C>): void;
}

export abstract class Wish<C> implements PoolHandle {
  previous: Wish<C> | undefined = undefined;
  next: Wish<C> | undefined = undefined;
  /** It stands in the queue. */
  waiting = false;
  /** Answered or withdrawn: no callback comes any more. */
  done = false;
  private readonly keeper: WishKeeper<C>;

  constructor(keeper: WishKeeper<C>) {
    this.keeper = keeper;
  }

  /** Tells who wished; only while not `done`. */
  protected abstract refuse(reason: ResetReason, host: Host | undefined, details: string | undefined): void;

  fail(reason: ResetReason, host: Host | undefined, details: string | undefined): void {
    if (this.done) return;
    this.done = true;
    this.refuse(reason, host, details);
  }

  cancel(): void {
    if (this.done) return;
    this.done = true;
    this.keeper.withdraw(this);
  }
}

/** First in, first out, and out of the middle when withdrawn: linked, so that either takes the same short time. */
export class WishQueue<C> {
  size = 0;
  first: Wish<C> | undefined = undefined;
  private last: Wish<C> | undefined = undefined;

  push(wish: Wish<C>): void {
    wish.waiting = true;
    wish.previous = this.last;
    if (this.last === undefined) this.first = wish;
    else this.last.next = wish;
    this.last = wish;
    this.size++;
  }

  remove(wish: Wish<C>): void {
    wish.waiting = false;
    if (wish.previous === undefined) this.first = wish.next;
    else wish.previous.next = wish.next;
    if (wish.next === undefined) this.last = wish.previous;
    else wish.next.previous = wish.previous;
    wish.previous = undefined;
    wish.next = undefined;
    this.size--;
  }
}
