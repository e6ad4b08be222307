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
  /** Never sooner than this after the last try, but for half of it once nothing valid is left. */
  readonly minDelayMs: number;
  /** Failed renewals wait no longer than this. */
  readonly maxDelayMs: number;
}

/** Half of the life, as Istio's agent does. */
export const DEFAULT_ROTATION: RotationPolicy = { fraction: 0.5, jitter: 0.05, minDelayMs: 1000, maxDelayMs: 60_000 };

/**
 * How long after it was obtained a certificate should be renewed. Counted from when it was obtained and not from
 * `notBefore`: that lies in the past by the issuer's skew, which may be longer than a short life. `random` is in [0, 1).
 */
export function renewIn(validity: Validity, obtainedAt: number, random: number, policy = DEFAULT_ROTATION): number {
  const life = validity.notAfter - lifeStart(validity, obtainedAt);
  const share = policy.fraction + (random * 2 - 1) * policy.jitter;
  return Math.max(life * share, policy.minDelayMs);
}

/** When that is. A life that begins in the future is counted from its beginning. */
export function renewAt(validity: Validity, obtainedAt: number, random: number, policy = DEFAULT_ROTATION): number {
  return lifeStart(validity, obtainedAt) + renewIn(validity, obtainedAt, random, policy);
}

/**
 * How long to wait after `failures` (from 1) failed renewals: exponential from `minDelayMs`, but never so long that the
 * certificate has expired while half of its remaining life could have been used. Once it has expired, or where there is
 * none (`undefined`), half of `minDelayMs` at most: whoever signs again finds us at once.
 */
export function retryIn(
  validity: Validity | undefined,
  now: number,
  failures: number,
  random: number,
  policy = DEFAULT_ROTATION,
): number {
  const bound = Math.min(policy.minDelayMs * 2 ** Math.min(failures - 1, 20), policy.maxDelayMs);
  const backoff = bound * (0.5 + random / 2);
  const half = validity === undefined ? 0 : (validity.notAfter - now) / 2;
  return Math.max(Math.min(backoff, half), (policy.minDelayMs / 2) * (0.5 + random / 2));
}

/** Ages at which somebody should know: nobody has renewed it in time. */
export const LIFE_STAGES = [
  { stage: 'three-quarters', share: 0.75 },
  { stage: 'nine-tenths', share: 0.9 },
  { stage: 'expired', share: 1 },
] as const;

export type LifeStage = (typeof LIFE_STAGES)[number]['stage'];

/** How much of its life is over: 0 at `since`, 1 at its end, more afterwards. */
export function lifeUsed(validity: Validity, since: number, now: number): number {
  const start = lifeStart(validity, since);
  const life = validity.notAfter - start;
  return life <= 0 ? 1 : Math.max(0, (now - start) / life);
}

/** When that much of it is over. */
export function lifeUsedAt(validity: Validity, since: number, share: number): number {
  const start = lifeStart(validity, since);
  return start + (validity.notAfter - start) * share;
}

export type ValidityState = 'not-yet-valid' | 'valid' | 'expired';

export function validityState(validity: Validity, now: number): ValidityState {
  if (now < validity.notBefore) return 'not-yet-valid';
  return now > validity.notAfter ? 'expired' : 'valid';
}

function lifeStart({ notBefore }: Validity, since: number): number {
  return Math.max(since, notBefore);
}
