/**
 * The data path's timers: one wheel a worker, ticks of 10 ms, arming and disarming in constant time without allocation.
 * Coarse on purpose: a timeout fires up to two ticks late and never early. Two levels (512 ticks of 10 ms, 512 of 5.12 s);
 * what lies further out waits in the last slot and is sorted in again.
 *
 * A timer that is armed again and again (an idle timeout) should be kept and moved by `postpone`: it stays where it is
 * in the wheel and looks at its deadline when its slot comes, so that moving it is one store.
 */

import { internalFault } from './http/internal-fault.ts';

export const TICK_MS = 10;
const SLOTS = 512;
const MASK = SLOTS - 1;

/** Told that a timer fired. `kind` is what the timer was made with, for owners of several. */
export interface TimerTarget {
  onTimer(kind: number): void;
}

/** The fields belong to the wheel. */
export class Timer {
  /** Changed only while it is disarmed: timers are handed on. */
  target: TimerTarget;
  readonly kind: number;
  next: Timer | undefined = undefined;
  previous: Timer | undefined = undefined;
  /** Milliseconds of the wheel's clock; `Infinity` when disarmed. */
  deadline = Number.POSITIVE_INFINITY;
  /** The tick of the slot it is in; -1 when it is in none. */
  tick = -1;

  constructor(target: TimerTarget, kind: number) {
    this.target = target;
    this.kind = kind;
  }

  get armed(): boolean {
    return this.deadline !== Number.POSITIVE_INFINITY;
  }
}

/** What the wheel needs of the outside. `wakeAt` asks for one call of `advance` at about that time; a later call replaces it. */
export interface WheelDriver {
  /** Monotonic milliseconds. */
  now(): number;
  wakeAt(time: number, wheel: TimerWheel): void;
}

/** A list's head is a timer that never fires: insertion and removal then need no special case. */
const HEAD_TARGET: TimerTarget = { onTimer: () => undefined };

function makeSlots(): Timer[] {
  return Array.from({ length: SLOTS }, () => {
    const head = new Timer(HEAD_TARGET, 0);
    head.next = head;
    head.previous = head;
    return head;
  });
}

export class TimerWheel {
  private readonly driver: WheelDriver;
  private readonly near = makeSlots();
  private readonly far = makeSlots();
  private readonly origin: number;
  /** Every tick up to and including this one has been worked off. */
  private current = 0;
  private nextWake = Number.POSITIVE_INFINITY;
  private advancing = false;
  /** Timers in the wheel, disarmed ones that have not been met yet included. */
  size = 0;

  constructor(driver: WheelDriver) {
    this.driver = driver;
    this.origin = driver.now();
  }

  /** Arms `timer` to fire in `ms`, wherever it was before. */
  arm(timer: Timer, ms: number): void {
    this.armAt(timer, this.driver.now() + ms);
  }

  /** The same with the clock's reading at hand: `time` is on the driver's clock. */
  armAt(timer: Timer, time: number): void {
    if (timer.tick >= 0) this.unlink(timer);
    timer.deadline = time;
    this.link(timer);
  }

  /** Moves an armed or kept timer to a later time: one store when it is in the wheel already. */
  postpone(timer: Timer, time: number): void {
    timer.deadline = time;
    if (timer.tick < 0) this.link(timer);
    else if (this.tickOf(time) < timer.tick) this.armAt(timer, time);
  }

  /** Takes the timer out: for timers that are thrown away. Harmless when it is not armed. */
  cancel(timer: Timer): void {
    timer.deadline = Number.POSITIVE_INFINITY;
    if (timer.tick >= 0) this.unlink(timer);
  }

  /** Disarms but leaves it in the wheel until its slot comes: for timers that are armed again soon. */
  disarm(timer: Timer): void {
    timer.deadline = Number.POSITIVE_INFINITY;
  }

  /** Fires what is due. The driver calls it; a test calls it after moving its clock. */
  advance(): void {
    const now = this.driver.now();
    const target = Math.floor((now - this.origin) / TICK_MS);
    this.advancing = true;
    while (this.current < target) {
      if (this.size === 0) {
        this.current = target;
        break;
      }
      this.current++;
      if ((this.current & MASK) === 0) this.sortIn(this.far[(this.current >>> 9) & MASK] as Timer);
      this.fire(this.near[this.current & MASK] as Timer);
    }
    this.advancing = false;
    this.nextWake = Number.POSITIVE_INFINITY;
    this.plan();
  }

  private tickOf(time: number): number {
    return Math.max(this.current + 1, Math.ceil((time - this.origin) / TICK_MS));
  }

  private link(timer: Timer): void {
    // An empty wheel does not tick: catch up before placing the first. Not while ticks are worked off.
    if (this.size === 0 && !this.advancing) {
      this.current = Math.max(this.current, Math.floor((this.driver.now() - this.origin) / TICK_MS));
    }
    const due = this.tickOf(timer.deadline);
    const distance = due - this.current;
    let head: Timer;
    if (distance < SLOTS) {
      timer.tick = due;
      head = this.near[due & MASK] as Timer;
    } else {
      // The slot before its own is the last that may hold it: it is sorted in when its 512 ticks begin.
      const block = Math.min(due >>> 9, (this.current >>> 9) + MASK);
      timer.tick = block << 9;
      head = this.far[block & MASK] as Timer;
    }
    const last = head.previous as Timer;
    last.next = timer;
    timer.previous = last;
    timer.next = head;
    head.previous = timer;
    this.size++;
    this.wakeFor(timer.tick);
  }

  private unlink(timer: Timer): void {
    (timer.previous as Timer).next = timer.next;
    (timer.next as Timer).previous = timer.previous;
    timer.next = undefined;
    timer.previous = undefined;
    timer.tick = -1;
    this.size--;
  }

  private fire(head: Timer): void {
    for (let timer = head.next as Timer; timer !== head; timer = head.next as Timer) {
      this.unlink(timer);
      if (timer.deadline === Number.POSITIVE_INFINITY) continue;
      if (timer.deadline > this.timeOf(this.current)) {
        this.link(timer);
        continue;
      }
      timer.deadline = Number.POSITIVE_INFINITY;
      try {
        timer.target.onTimer(timer.kind);
      } catch (error) {
        // The other timers of the tick are other requests'.
        internalFault('a timer', error);
      }
    }
  }

  private sortIn(head: Timer): void {
    for (let timer = head.next as Timer; timer !== head; timer = head.next as Timer) {
      this.unlink(timer);
      if (timer.deadline !== Number.POSITIVE_INFINITY) this.link(timer);
    }
  }

  private timeOf(tick: number): number {
    return this.origin + tick * TICK_MS;
  }

  private wakeFor(tick: number): void {
    const time = this.timeOf(tick);
    if (time >= this.nextWake) return;
    this.nextWake = time;
    this.driver.wakeAt(time, this);
  }

  /** Asks to be woken at the next slot that holds anything. */
  private plan(): void {
    if (this.size > 0) this.wakeFor(this.nextUsedTick());
  }

  private nextUsedTick(): number {
    for (let tick = this.current + 1; tick < this.current + SLOTS; tick++) {
      const opensBlock = (tick & MASK) === 0 && !isEmpty(this.far[(tick >>> 9) & MASK] as Timer);
      if (opensBlock || !isEmpty(this.near[tick & MASK] as Timer)) return tick;
    }
    const first = (this.current >>> 9) + 1;
    for (let block = first; block < first + SLOTS; block++) {
      if (!isEmpty(this.far[block & MASK] as Timer)) return block << 9;
    }
    return this.current + SLOTS;
  }
}

function isEmpty(head: Timer): boolean {
  return head.next === head;
}

/** The process's wheel: woken by one `setTimeout` that keeps nothing alive. */
export function createTimers(now: () => number = () => performance.now()): TimerWheel {
  let pending: NodeJS.Timeout | undefined;
  return new TimerWheel({
    now,
    wakeAt(time, wheel) {
      if (pending !== undefined) clearTimeout(pending);
      pending = setTimeout(
        () => {
          pending = undefined;
          wheel.advance();
        },
        Math.max(1, Math.ceil(time - now())),
      );
      pending.unref();
    },
  });
}
