/** Time as it is handed in: tests drive it by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs `action` once, `ms` from now, unless the returned function was called before. */
  after(ms: number, action: () => void): () => void;
}

/** Node's timers hold no more, and run at once what is further away. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, action) => {
    let timer: NodeJS.Timeout;
    const wait = (left: number): void => {
      const step = Math.min(left, MAX_TIMER_MS);
      timer = setTimeout(() => (left > step ? wait(left - step) : action()), step);
    };
    wait(ms);
    return () => clearTimeout(timer);
  },
};
