import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TimerWheel } from '../../proxy/timers.ts';
import {
  ConnectionLives,
  GRACE_KEY,
  type Life,
  type LifeEnd,
  type LifeTerms,
  MARGIN_KEY,
  type Mortal,
} from '../../proxy/tls/lives.ts';

const EPOCH = 1_800_000_000_000;
/** Timers of the wheel are up to two ticks late. */
const TICKS_MS = 20;

/** Both clocks of a worker, moved by hand. */
class World {
  readonly numbers = new Map<string, number>();
  readonly told: string[] = [];
  readonly later: (() => void)[] = [];
  /** How much later than the monotonic clock the wall's is than at the beginning. */
  jumped = 0;
  random = 1;
  spent = 0;
  readonly lives: ConnectionLives;
  readonly #wheel: TimerWheel;
  #now = 0;
  #wake = Number.POSITIVE_INFINITY;

  constructor() {
    const now = (): number => this.#now;
    this.#wheel = new TimerWheel({ now, wakeAt: (time) => (this.#wake = time) });
    this.lives = new ConnectionLives({
      timers: this.#wheel,
      now,
      wallClock: () => this.wall,
      random: () => this.random,
      number: (key) => this.numbers.get(key),
      log: (message) => this.told.push(message()),
      spent: () => this.spent,
      later: (next) => this.later.push(next),
    });
  }

  get wall(): number {
    return EPOCH + this.#now + this.jumped;
  }

  /** Lets the time pass until `time` (monotonic, from 0). */
  until(time: number): void {
    while (this.#wake <= time) {
      this.#now = Math.max(this.#now, this.#wake);
      this.#wake = Number.POSITIVE_INFINITY;
      this.#wheel.advance();
    }
    this.#now = time;
  }

  /** Turns that were asked for, and those that they ask for. */
  turns(): number {
    let turns = 0;
    for (let next = this.later.shift(); next !== undefined; next = this.later.shift()) {
      turns++;
      next();
    }
    return turns;
  }

  /** A connection whose first certificate ends in `ttl`. */
  connect(ttl: number, more: { retires?: boolean; first?: boolean; trusted?: () => boolean } = {}): Connection {
    const connection = new Connection(more.retires ?? true);
    const { first = true, trusted = () => true } = more;
    const terms: LifeTerms = { expiresAt: this.wall + ttl, first, trusted };
    connection.life = this.lives.admit(connection, terms);
    connection.at = () => this.#now;
    return connection;
  }
}

class Connection implements Mortal {
  readonly retires: boolean;
  readonly events: [string, LifeEnd, number][] = [];
  life: Life | undefined;
  at = (): number => 0;

  constructor(retires: boolean) {
    this.retires = retires;
  }

  retire(why: LifeEnd): void {
    this.events.push(['retire', why, this.at()]);
  }

  cut(why: LifeEnd): void {
    this.events.push(['cut', why, this.at()]);
  }

  describe(): string {
    return 'a connection';
  }
}

function happened(connection: Connection, ...expected: [string, LifeEnd, number][]): void {
  const { events } = connection;
  assert.deepEqual(
    events.map(([what, why]) => [what, why]),
    expected.map(([what, why]) => [what, why]),
  );
  for (const [i, [what, , at]] of expected.entries()) {
    const late = (events[i]?.[2] ?? Number.NaN) - at;
    assert.ok(late >= 0 && late <= TICKS_MS, `${what} at ${events[i]?.[2]}, not at ${at}`);
  }
}

test('a connection is told to end before its certificates do, and cut off a grace after that', () => {
  const world = new World();
  const early = world.connect(3_600_000);
  world.random = 0;
  const late = world.connect(3_600_000, { first: false });
  world.until(3_579_999);
  happened(early);
  world.until(3_589_000);
  happened(early, ['retire', 'expired', 3_580_000]);
  happened(late);
  world.until(3_629_999);
  happened(late, ['retire', 'expired', 3_590_000]);
  world.until(3_630_100);
  happened(early, ['retire', 'expired', 3_580_000], ['cut', 'expired', 3_630_000]);
  happened(late, ['retire', 'expired', 3_590_000], ['cut', 'expired', 3_630_000]);
  assert.equal(world.lives.size, 0);
  assert.deepEqual(world.told.slice(0, 1), [
    'a connection ends: a certificate that it was opened with has no time left',
  ]);
});

test('the side that sends requests ends first', () => {
  const world = new World();
  world.random = 0;
  const upstream = world.connect(3_600_000);
  world.random = 1;
  const downstream = world.connect(3_600_000, { first: false });
  world.until(3_586_000);
  happened(upstream, ['retire', 'expired', 3_585_000]);
  happened(downstream, ['retire', 'expired', 3_585_000]);
});

test('of a short life a fifth is left to end', () => {
  const world = new World();
  const connection = world.connect(10_000);
  world.until(10_000);
  happened(connection, ['retire', 'expired', 8_000]);
});

test('what cannot end without harm is cut off at the expiry', () => {
  const world = new World();
  const session = world.connect(60_000, { retires: false });
  world.until(59_999);
  happened(session);
  world.until(60_100);
  happened(session, ['retire', 'expired', 60_000], ['cut', 'expired', 60_000]);
});

test('margin and grace are the runtime’s', () => {
  const world = new World();
  world.numbers.set(MARGIN_KEY, 5000).set(GRACE_KEY, 1000);
  const connection = world.connect(600_000);
  world.until(700_000);
  happened(connection, ['retire', 'expired', 595_000], ['cut', 'expired', 601_000]);
});

test('a connection that is gone is told nothing', () => {
  const world = new World();
  const connection = world.connect(10_000);
  connection.life?.release();
  world.until(100_000);
  happened(connection);
  assert.equal(world.lives.size, 0);
});

test('certificates that live for days end nothing early', () => {
  const world = new World();
  const ttl = 30 * 3_600_000;
  const [connection, endless] = [world.connect(ttl), world.connect(Number.POSITIVE_INFINITY)];
  world.until(ttl - 20_100);
  happened(connection);
  world.until(ttl);
  happened(connection, ['retire', 'expired', ttl - 20_000]);
  happened(endless);
});

test('a clock that jumps past the expiry is noticed within a second', () => {
  const world = new World();
  const connection = world.connect(3_600_000);
  const session = world.connect(3_600_000, { retires: false });
  const other = world.connect(90_000_000);
  world.until(5_500);
  world.jumped = 86_400_000;
  world.until(6_500);
  happened(connection, ['retire', 'expired', 6_010]);
  happened(session, ['retire', 'expired', 6_010], ['cut', 'expired', 6_010]);
  happened(other);
  world.until(40_000);
  happened(connection, ['retire', 'expired', 6_010], ['cut', 'expired', 36_010]);
});

test('a clock that is set back gives the time back, and drifts are followed', () => {
  const world = new World();
  const connection = world.connect(100_000);
  for (let second = 1; second <= 50; second++) {
    world.jumped -= 100;
    world.until(second * 1000);
  }
  world.jumped -= 50_000;
  world.until(134_000);
  happened(connection);
  // 100 s less a fifth, and the 55 s that the clock went back
  world.until(136_000);
  happened(connection, ['retire', 'expired', 135_000]);
});

test('a peer that is not trusted any more has the grace to end', () => {
  const world = new World();
  let trusted = true;
  const stranger = world.connect(3_600_000, { trusted: () => trusted });
  const session = world.connect(3_600_000, { trusted: () => trusted, retires: false });
  const friend = world.connect(3_600_000);
  world.lives.trustChanged();
  world.turns();
  happened(stranger);
  world.until(1000);
  trusted = false;
  world.lives.trustChanged();
  world.turns();
  happened(stranger, ['retire', 'distrusted', 1000]);
  world.until(31_100);
  happened(stranger, ['retire', 'distrusted', 1000], ['cut', 'distrusted', 31_000]);
  happened(session, ['retire', 'distrusted', 1000], ['cut', 'distrusted', 31_000]);
  happened(friend);
  assert.equal(world.lives.size, 1);
});

test('one that is ending already is cut off by the first of both', () => {
  const world = new World();
  let trusted = true;
  const connection = world.connect(100_000, { trusted: () => trusted });
  world.until(81_000);
  trusted = false;
  world.lives.trustChanged();
  world.turns();
  world.until(200_000);
  happened(connection, ['retire', 'expired', 80_000], ['cut', 'expired', 111_000]);
});

test('a change of trust takes no more than a millisecond of a turn', () => {
  const world = new World();
  let judged = 0;
  const trusted = (): boolean => {
    judged++;
    world.spent += 0.1;
    return true;
  };
  for (let i = 0; i < 100; i++) world.connect(3_600_000, { trusted });
  world.lives.trustChanged();
  assert.equal(judged, 0, 'not in the turn of the change');
  world.later.shift()?.();
  assert.equal(judged, 16);
  // another change in between judges all of them again
  world.lives.trustChanged();
  assert.equal(world.later.length, 1);
  world.turns();
  assert.equal(judged, 116);
});
