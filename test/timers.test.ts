import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TICK_MS, Timer, type TimerTarget, TimerWheel } from '../proxy/timers.ts';

class Clock {
  time = 1234.5;
  wake = Number.POSITIVE_INFINITY;
  now = () => this.time;
  wakeAt(time: number): void {
    this.wake = time;
  }
  /** Moves to `time`, waking the wheel when it asked to be. */
  runTo(time: number, wheel: TimerWheel): void {
    while (this.wake <= time) {
      this.time = Math.max(this.time, this.wake);
      this.wake = Number.POSITIVE_INFINITY;
      wheel.advance();
    }
    this.time = time;
  }
}

class Recorder implements TimerTarget {
  fired: number[] = [];
  readonly clock: Clock;
  constructor(clock: Clock) {
    this.clock = clock;
  }
  onTimer(kind: number): void {
    this.fired.push(kind, this.clock.time);
  }
}

test('a timer fires at its time, at most two ticks late, never early', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 4_000_000 }), { minLength: 1, maxLength: 30 }), (delays) => {
      const clock = new Clock();
      const wheel = new TimerWheel(clock);
      const recorder = new Recorder(clock);
      const start = clock.time;
      delays.forEach((delay, kind) => {
        wheel.arm(new Timer(recorder, kind), delay);
      });
      clock.runTo(start + 4_000_100, wheel);
      assert.equal(recorder.fired.length, delays.length * 2);
      for (let i = 0; i < recorder.fired.length; i += 2) {
        const late = (recorder.fired[i + 1] as number) - start - (delays[recorder.fired[i] as number] as number);
        assert.ok(late >= -1e-6 && late <= 2 * TICK_MS + 1e-6, `late by ${late}`);
      }
      assert.equal(wheel.size, 0);
    }),
    { numRuns: 60 },
  );
});

test('a cancelled timer leaves the wheel and does not fire', () => {
  const clock = new Clock();
  const wheel = new TimerWheel(clock);
  const recorder = new Recorder(clock);
  const timer = new Timer(recorder, 1);
  wheel.arm(timer, 50);
  assert.equal(timer.armed, true);
  wheel.cancel(timer);
  assert.equal(wheel.size, 0);
  clock.runTo(clock.time + 1000, wheel);
  assert.deepEqual(recorder.fired, []);
});

test('a postponed timer fires at its new time only', () => {
  const clock = new Clock();
  const wheel = new TimerWheel(clock);
  const recorder = new Recorder(clock);
  const timer = new Timer(recorder, 7);
  const start = clock.time;
  wheel.arm(timer, 100);
  for (let i = 1; i <= 10; i++) {
    clock.runTo(start + i * 50, wheel);
    wheel.postpone(timer, clock.time + 100);
  }
  assert.deepEqual(recorder.fired, []);
  clock.runTo(start + 1000, wheel);
  assert.equal(recorder.fired.length, 2);
  const at = recorder.fired.at(-1) ?? 0;
  assert.ok(at >= start + 600 && at <= start + 620, `${at}`);
});

test('a postponed timer may also move to an earlier time', () => {
  const clock = new Clock();
  const wheel = new TimerWheel(clock);
  const recorder = new Recorder(clock);
  const timer = new Timer(recorder, 1);
  const start = clock.time;
  wheel.arm(timer, 60_000);
  wheel.postpone(timer, start + 30);
  clock.runTo(start + 60, wheel);
  assert.equal(recorder.fired.length, 2);
});

test('a disarmed timer does not fire and can be armed again', () => {
  const clock = new Clock();
  const wheel = new TimerWheel(clock);
  const recorder = new Recorder(clock);
  const timer = new Timer(recorder, 1);
  wheel.arm(timer, 20);
  wheel.disarm(timer);
  clock.runTo(clock.time + 100, wheel);
  assert.deepEqual(recorder.fired, []);
  assert.equal(wheel.size, 0);
  wheel.arm(timer, 20);
  clock.runTo(clock.time + 100, wheel);
  assert.equal(recorder.fired.length, 2);
});

test('a timer armed from a timer fires in its turn', () => {
  const clock = new Clock();
  const wheel = new TimerWheel(clock);
  const times: number[] = [];
  const start = clock.time;
  const target: TimerTarget = {
    onTimer() {
      times.push(clock.time - start);
      if (times.length < 5) wheel.arm(timer, 5120);
    },
  };
  const timer = new Timer(target, 0);
  wheel.arm(timer, 5120);
  clock.runTo(start + 30_000, wheel);
  assert.equal(times.length, 5);
  const last = times.at(-1) ?? 0;
  assert.ok(last >= 25_600 && last < 25_720, `${last}`);
});

test('the wheel asks to be woken rarely when only far timers are armed', () => {
  const clock = new Clock();
  const wheel = new TimerWheel(clock);
  const recorder = new Recorder(clock);
  wheel.arm(new Timer(recorder, 0), 3_600_000);
  let wakes = 0;
  while (wheel.size > 0) {
    wakes++;
    clock.time = clock.wake;
    clock.wake = Number.POSITIVE_INFINITY;
    wheel.advance();
  }
  assert.ok(wakes < 10, `${wakes}`);
  assert.equal(recorder.fired.length, 2);
});
