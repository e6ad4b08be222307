/**
 * How long TLS connections live: no longer than the certificates they were opened with, and no longer than their peer's
 * authority is trusted. HTTP is told to end before the time is over and cut off when the grace is; what has no place where
 * it could end without harm (L4) is cut off at once. One timer a connection, nothing a request.
 */
import { Timer, type TimerTarget, type TimerWheel } from '../timers.ts';

/** `expired`: one of its certificates is about to end. `distrusted`: the newest trust does not let its peer in. */
export type LifeEnd = 'expired' | 'distrusted';

/** What logs say of what was cut off: RESPONSE_CODE_DETAILS and CONNECTION_TERMINATION_DETAILS. */
export const LIFE_END_DETAILS: { readonly [why in LifeEnd]: string } = {
  expired: 'connection_certificate_expired',
  distrusted: 'connection_certificate_distrusted',
};

/** A connection whose life is bounded. */
export interface Mortal {
  /** It has places where it can end without harm. */
  readonly retires: boolean;
  /** Carries nothing new, and ends with what is under way. May be told more than once. */
  retire(why: LifeEnd): void;
  /** Ends now, whatever is under way. */
  cut(why: LifeEnd): void;
  /** For the log: `10.1.2.3:4444 of listener "inbound"`. */
  describe(): string;
}

export interface LifeTerms {
  /** Milliseconds since the epoch: the first of both sides' certificates to end. `Infinity`: none counts. */
  readonly expiresAt: number;
  /** We send the requests: ours is the first side to end, so that none crosses the other side's end on its way. */
  readonly first: boolean;
  /** Whether the newest trust lets the peer in. Cheap while trust does not change. */
  trusted(): boolean;
}

export interface LivesEnvironment {
  readonly timers: TimerWheel;
  /** Milliseconds since the epoch. Somebody may set it. */
  readonly wallClock: () => number;
  /** Milliseconds, monotonic: the wheel's. */
  readonly now: () => number;
  /** [0, 1). */
  readonly random: () => number;
  /** The runtime's values. */
  readonly number: (key: string) => number | undefined;
  readonly log: ((message: () => string) => void) | undefined;
  /** The same as `now` within a turn too; what looks at many connections gives way by it. */
  readonly spent?: () => number;
  /** A later turn. */
  readonly later?: (next: () => void) => void;
}

/**
 * At most so long before the first certificate ends, connections are told to end: those towards endpoints in the first
 * quarter of it, those of downstreams in the second.
 */
export const MARGIN_KEY = 'tollway.certificates.drain_before_expiry_ms';
const MARGIN_MS = 20_000;
/** No more than this share of what was left when the connection was opened: certificates may live for seconds. */
const MARGIN_SHARE = 0.2;
/** What is under way on a connection that has to end has so long: after the expiry, or after the change of trust. */
export const GRACE_KEY = 'tollway.certificates.grace_ms';
const GRACE_MS = 30_000;
/** How often the two clocks are compared, and what counts as a jump. */
const LOOK_MS = 1000;
const JUMP_MS = 1000;
/** What judging connections may take of a turn, and how many are judged between two looks at the clock. */
const TURN_MS = 1;
const BATCH = 8;

/** What lies further out is looked at again. */
const LONGEST_MS = 86_400_000;

const END = 0;
const LOOK = 0;

/** Every bounded connection of a worker. */
export class ConnectionLives implements TimerTarget {
  readonly environment: LivesEnvironment;
  readonly #lives = new Set<Life>();
  readonly #look = new Timer(this, LOOK);
  readonly #spent: () => number;
  readonly #later: (next: () => void) => void;
  /** Wall clock minus monotonic clock, when the lives were last timed. */
  #offset: number;
  #unjudged: Life[] = [];
  #judging = false;

  constructor(environment: LivesEnvironment) {
    this.environment = environment;
    this.#spent = environment.spent ?? (() => performance.now());
    this.#later = environment.later ?? ((next) => setImmediate(next));
    this.#offset = environment.wallClock() - environment.now();
  }

  /** Connections under watch. */
  get size(): number {
    return this.#lives.size;
  }

  /** Bounds the connection's life from now on. `release` it when the connection is gone. */
  admit(mortal: Mortal, terms: LifeTerms): Life {
    const life = new Life(this, mortal, terms);
    this.#lives.add(life);
    if (!this.#look.armed) this.environment.timers.arm(this.#look, LOOK_MS);
    return life;
  }

  /** Looks, a few a turn, for connections whose peers nobody vouches for any more. */
  trustChanged(): void {
    if (this.#lives.size === 0) return;
    this.#unjudged = [...this.#lives];
    if (this.#judging) return;
    this.#judging = true;
    this.#later(() => this.#judge());
  }

  forget(life: Life): void {
    this.#lives.delete(life);
  }

  onTimer(): void {
    if (this.#lives.size === 0) return;
    const { wallClock, now, timers } = this.environment;
    const offset = wallClock() - now();
    // Measured against the last timing and not the last look: a clock that drifts is followed too.
    if (Math.abs(offset - this.#offset) >= JUMP_MS) {
      this.#offset = offset;
      for (const life of this.#lives) life.time();
    }
    timers.arm(this.#look, LOOK_MS);
  }

  #judge(): void {
    const until = this.#spent() + TURN_MS;
    for (let judged = 1; this.#unjudged.length > 0; judged++) {
      const life = this.#unjudged.pop() as Life;
      if (!life.over && !life.terms.trusted()) life.end('distrusted');
      if (judged % BATCH === 0 && this.#spent() >= until) {
        this.#later(() => this.#judge());
        return;
      }
    }
    this.#judging = false;
  }
}

/** One connection's. */
export class Life implements TimerTarget {
  readonly terms: LifeTerms;
  over = false;
  readonly #lives: ConnectionLives;
  readonly #mortal: Mortal;
  readonly #timer = new Timer(this, END);
  /** When it is told to end: milliseconds since the epoch. */
  readonly #endsAt: number;
  /** It has been told. */
  #ending: LifeEnd | undefined;

  constructor(lives: ConnectionLives, mortal: Mortal, terms: LifeTerms) {
    this.#lives = lives;
    this.#mortal = mortal;
    this.terms = terms;
    const { wallClock, random, number } = lives.environment;
    const left = terms.expiresAt - wallClock();
    const margin = Math.min(number(MARGIN_KEY) ?? MARGIN_MS, left * MARGIN_SHARE);
    // Spread: thousands of connections were opened with one certificate.
    const share = (terms.first ? 0.75 : 0.5) + random() / 4;
    const ahead = left === Number.POSITIVE_INFINITY || !mortal.retires ? 0 : margin * share;
    this.#endsAt = terms.expiresAt - ahead;
    this.time();
  }

  /** Sets the timer by the wall clock: at the beginning, and when somebody has set that clock. */
  time(): void {
    if (this.over || this.terms.expiresAt === Number.POSITIVE_INFINITY) return;
    const { timers, wallClock } = this.#lives.environment;
    const left = this.#endsAt - wallClock();
    if (this.#ending === undefined) timers.arm(this.#timer, Math.min(Math.max(0, left), LONGEST_MS));
    else if (left <= 0) this.end(this.#ending);
  }

  onTimer(): void {
    if (this.over) return;
    if (this.#ending !== undefined) this.#cut(this.#ending);
    // the wall clock may have been set back since
    else if (this.#endsAt > this.#lives.environment.wallClock()) this.time();
    else this.end('expired');
  }

  /** It has to end: told at once, cut off when the grace is over. The first cause is the one that counts and is logged. */
  end(why: LifeEnd): void {
    if (this.over) return;
    const { timers, wallClock, now, number, log } = this.#lives.environment;
    const grace = number(GRACE_KEY) ?? GRACE_MS;
    const { retires } = this.#mortal;
    const left = Math.max(0, this.terms.expiresAt - wallClock());
    const atOnce = why === 'expired' && !retires;
    const allowed = why === 'expired' ? left + grace : retires ? grace : Math.min(grace, left);
    const cutAt = now() + allowed;
    if (this.#ending === undefined) {
      this.#ending = why;
      log?.(() => `${this.#mortal.describe()} ends: ${WORDS[why]}`);
      if (!atOnce) timers.armAt(this.#timer, cutAt);
      this.#mortal.retire(why);
      if (atOnce) this.#cut(why);
    } else if (atOnce) this.#cut(why);
    else if (cutAt < this.#timer.deadline) timers.armAt(this.#timer, cutAt);
  }

  /** The connection is gone. */
  release(): void {
    if (this.over) return;
    this.over = true;
    this.#lives.environment.timers.cancel(this.#timer);
    this.#lives.forget(this);
  }

  #cut(why: LifeEnd): void {
    if (this.over) return;
    this.release();
    this.#lives.environment.log?.(() => `${this.#mortal.describe()} is cut off: ${WORDS[why]}`);
    this.#mortal.cut(why);
  }
}

const WORDS: { readonly [why in LifeEnd]: string } = {
  expired: 'a certificate that it was opened with has no time left',
  distrusted: 'its peer is not trusted any more',
};
