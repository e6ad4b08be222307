/** Time for what watches certificates: the wall's, by which they are valid, and one that never jumps. */
export interface CertificateClock {
  /** Milliseconds since the epoch. Somebody may set it. */
  now(): number;
  /** Milliseconds since whenever. Never goes back and never jumps. */
  monotonic(): number;
  /** Runs `action` once, `ms` from now by the monotonic clock, unless the returned function was called before. */
  after(ms: number, action: () => void): () => void;
}

export const systemCertificateClock: CertificateClock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, action) => {
    const timer = setTimeout(action, ms).unref();
    return () => clearTimeout(timer);
  },
};
