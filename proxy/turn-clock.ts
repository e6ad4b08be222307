/**
 * The clock of a data path: what happens in one event-loop turn happens at one time, the time at which it was first
 * asked for. A request asks about ten times; reading the clock once a turn makes that free.
 */

/** Milliseconds, monotonic. `later` runs its callback at the end of the turn. */
export function createTurnClock(read: () => number, later: (callback: () => void) => void): () => number {
  let time: number | undefined;
  const forget = (): void => {
    time = undefined;
  };
  return () => {
    if (time === undefined) {
      time = read();
      later(forget);
    }
    return time;
  };
}
