/**
 * Watches the certificates that serve, whoever renews them: tells when one is three quarters through its life, nine tenths,
 * and over, once each, and when somebody sets the clock by which they are valid.
 */
import type { CertificateClock } from './clock.ts';
import { LIFE_STAGES, type LifeStage, lifeUsed, lifeUsedAt } from './rotation.ts';
import type { IdentityCertificate } from './source/contract.ts';

export interface LifeEvents {
  /** Told of the newest stage that was reached. */
  stage(stage: LifeStage, certificate: IdentityCertificate): void;
  /** Forwards is positive. */
  clockJumped(byMs: number): void;
}

const LOOK_MS = 1000;
/** Above what a clock that is disciplined drifts in a look, below what matters to a certificate. */
const JUMP_MS = 2000;

interface Watched {
  readonly certificate: IdentityCertificate;
  /** Stages told of. */
  told: number;
}

export class LifeWatch {
  readonly #clock: CertificateClock;
  readonly #events: LifeEvents;
  #watched: readonly Watched[] = [];
  #offset: number;
  #cancel: () => void = () => {};

  constructor(clock: CertificateClock, events: LifeEvents) {
    this.#clock = clock;
    this.#events = events;
    this.#offset = clock.now() - clock.monotonic();
    this.#sleep();
  }

  /** These serve now, in the place of all before; of one that is among both, what was told stays told. */
  watch(certificates: readonly IdentityCertificate[]): void {
    const known = new Map(this.#watched.map(({ certificate, told }) => [certificate.material.chain, told]));
    this.#watched = certificates.map((certificate) => ({
      certificate,
      told: known.get(certificate.material.chain) ?? 0,
    }));
    this.#tell();
    this.#cancel();
    this.#sleep();
  }

  /** The part of its life that is over, of the certificate that is furthest; 0 without any. */
  lifeUsed(): number {
    const now = this.#clock.now();
    return Math.max(0, ...this.#watched.map(({ certificate: { validity, since } }) => lifeUsed(validity, since, now)));
  }

  close(): void {
    this.#cancel();
  }

  #look(): void {
    const offset = this.#clock.now() - this.#clock.monotonic();
    const jump = offset - this.#offset;
    this.#offset = offset;
    if (Math.abs(jump) >= JUMP_MS) this.#events.clockJumped(Math.round(jump));
    this.#tell();
    this.#sleep();
  }

  /** Until the next stage of any, and not for long: the clock may be set. */
  #sleep(): void {
    let next = this.#clock.now() + LOOK_MS;
    for (const { certificate, told } of this.#watched) {
      const stage = LIFE_STAGES[told];
      if (stage !== undefined) {
        next = Math.min(next, lifeUsedAt(certificate.validity, certificate.since, stage.share));
      }
    }
    this.#cancel = this.#clock.after(Math.max(1, next - this.#clock.now()), () => this.#look());
  }

  #tell(): void {
    const now = this.#clock.now();
    for (const watched of this.#watched) {
      const { validity, since } = watched.certificate;
      const used = lifeUsed(validity, since, now);
      const reached = LIFE_STAGES.filter(({ share }) => used >= share).length;
      const newest = LIFE_STAGES[reached - 1];
      if (newest === undefined || reached <= watched.told) continue;
      watched.told = reached;
      this.#events.stage(newest.stage, watched.certificate);
    }
  }
}
