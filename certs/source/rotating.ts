/**
 * Keeps an identity fresh where an authority signs on request: asks at a jittered part of the life, and after failures
 * again for ever. It looks at both clocks every second: one that is set forwards past the time of renewal renews at once, one
 * that is set back does not put renewal off, for that time is kept by the monotonic clock as well.
 */
import type { CertificateClock } from '../clock.ts';
import { DEFAULT_ROTATION, type RotationPolicy, renewAt, renewIn, retryIn, type Validity } from '../rotation.ts';
import {
  type CertificateAuthority,
  type Identity,
  type IdentityListener,
  type IdentitySource,
  UnfitIdentity,
} from './contract.ts';

export interface RotatingOptions {
  readonly authority: CertificateAuthority;
  readonly clock: CertificateClock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly policy?: RotationPolicy;
}

/** A jump of the wall's clock is noticed after this long at the latest. */
const LOOK_MS = 1000;

export class RotatingSource implements IdentitySource {
  readonly #options: RotatingOptions;
  readonly #policy: RotationPolicy;
  #listener: IdentityListener | undefined;
  #validity: Validity | undefined;
  /** By the wall's clock; only after a success. */
  #dueAt = Number.POSITIVE_INFINITY;
  /** By the monotonic clock. */
  #dueAtMonotonic = 0;
  #lastTry = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #asking = false;
  #closed = false;
  #cancel: () => void = () => {};

  constructor(options: RotatingOptions) {
    this.#options = options;
    this.#policy = options.policy ?? DEFAULT_ROTATION;
  }

  start(listener: IdentityListener): void {
    this.#listener = listener;
    this.#look();
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
    this.#options.authority.close();
  }

  #look(): void {
    if (this.#closed) return;
    if (!this.#asking && this.#isDue()) void this.#ask();
    const left = this.#asking ? LOOK_MS : this.#dueAtMonotonic - this.#options.clock.monotonic();
    this.#cancel();
    this.#cancel = this.#options.clock.after(Math.max(10, Math.min(LOOK_MS, left)), () => this.#look());
  }

  #isDue(): boolean {
    const { clock } = this.#options;
    const [now, monotonic] = [clock.now(), clock.monotonic()];
    if (now >= this.#dueAt || monotonic >= this.#dueAtMonotonic) return true;
    // expired while a long pause was under way
    return this.#isUrgent(now) && monotonic - this.#lastTry >= this.#policy.minDelayMs / 2;
  }

  #isUrgent(now: number): boolean {
    return this.#validity === undefined || now >= this.#validity.notAfter;
  }

  async #ask(): Promise<void> {
    const { authority, clock } = this.#options;
    this.#asking = true;
    this.#lastTry = clock.monotonic();
    try {
      const identity = await authority.issue(this.#isUrgent(clock.now()));
      if (!this.#closed) this.#succeeded(identity);
    } catch (error) {
      if (!this.#closed) this.#failed(error);
    } finally {
      this.#asking = false;
      this.#look();
    }
  }

  #succeeded(identity: Identity): void {
    const { clock, random } = this.#options;
    const [now, dice] = [clock.now(), random()];
    this.#failures = 0;
    this.#validity = earliest(identity);
    this.#dueAt = renewAt(this.#validity, now, dice, this.#policy);
    this.#dueAtMonotonic = clock.monotonic() + renewIn(this.#validity, now, dice, this.#policy);
    this.#listener?.updated(identity);
  }

  #failed(error: unknown): void {
    const { clock, random } = this.#options;
    this.#failures++;
    const retryInMs = retryIn(this.#validity, clock.now(), this.#failures, random(), this.#policy);
    this.#dueAt = Number.POSITIVE_INFINITY;
    this.#dueAtMonotonic = clock.monotonic() + retryInMs;
    const reason = error instanceof Error ? error.message : String(error);
    this.#listener?.problem({ kind: error instanceof UnfitIdentity ? 'refused' : 'unreachable', reason, retryInMs });
  }
}

/** An authority that gives nothing that ends is asked again as soon as may be. */
function earliest({ certificates }: Identity): Validity {
  const [first = { notBefore: 0, notAfter: 0 }, ...rest] = certificates.map(({ validity }) => validity);
  return rest.reduce((one, other) => (other.notAfter < one.notAfter ? other : one), first);
}
