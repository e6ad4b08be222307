/** When to renew. Pure: the clock and the dice come in as arguments. Milliseconds since the epoch throughout. */

export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface RotationPolicy {
  /** Share of the remaining life after which to renew. */
  readonly fraction: number;
  /** The share is moved by up to this much either way, so that a fleet does not renew at once. */
  readonly jitter: number;
  /** Never sooner than this after the last try. */
  readonly minDelayMs: number;
}

/** Half of the life, as Istio's agent does. */
export const DEFAULT_ROTATION: RotationPolicy = { fraction: 0.5, jitter: 0.05, minDelayMs: 1000 };

/**
 * When a certificate obtained at `obtainedAt` should be renewed. Counted from when it was obtained and not from
 * `notBefore`: that lies in the past by the issuer's skew, which may be longer than a short life. `random` is in [0, 1).
 */
export function renewAt(validity: Validity, obtainedAt: number, random: number, policy = DEFAULT_ROTATION): number {
  const start = Math.max(obtainedAt, validity.notBefore);
  const life = validity.notAfter - start;
  const share = policy.fraction + (random * 2 - 1) * policy.jitter;
  return Math.max(start + life * share, obtainedAt + policy.minDelayMs);
}

/**
 * When to try again after `failures` (from 1) failed renewals: exponential from `minDelayMs`, but never so late that
 * the certificate has expired while half of its remaining life could have been used.
 */
export function retryAt(
  validity: Validity,
  now: number,
  failures: number,
  random: number,
  policy = DEFAULT_ROTATION,
): number {
  const backoff = policy.minDelayMs * 2 ** Math.min(failures - 1, 10) * (0.5 + random / 2);
  const half = (validity.notAfter - now) / 2;
  return now + Math.max(Math.min(backoff, half), policy.minDelayMs / 2);
}

export type ValidityState = 'not-yet-valid' | 'valid' | 'expired';

export function validityState(validity: Validity, now: number): ValidityState {
  if (now < validity.notBefore) return 'not-yet-valid';
  return now > validity.notAfter ? 'expired' : 'valid';
}
