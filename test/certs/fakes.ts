/** A clock that is driven by hand, an authority that does as it is told, and what a source said. */
import type { CertificateClock } from '../../certs/clock.ts';
import type {
  CertificateAuthority,
  Identity,
  IdentityCertificate,
  IdentityListener,
  IdentityProblem,
} from '../../certs/source/contract.ts';
import type { ComponentLog } from '../../proxy/log.ts';

interface Timer {
  readonly at: number;
  readonly action: () => void;
}

/** Promises that are settled have been heard. */
export function turn(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}

export class FakeCertificateClock implements CertificateClock {
  #monotonic = 0;
  /** Between the clocks; tests that set the wall's clock change it. */
  offset: number;
  #timers: readonly Timer[] = [];

  constructor(wall = 1_000_000) {
    this.offset = wall;
  }

  now(): number {
    return this.#monotonic + this.offset;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  after(ms: number, action: () => void): () => void {
    const timer = { at: this.#monotonic + ms, action };
    this.#timers = [...this.#timers, timer];
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  get waiting(): number {
    return this.#timers.length;
  }

  /** Lets time pass, timer by timer. */
  async pass(ms: number): Promise<void> {
    const end = this.#monotonic + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.#monotonic = next.at;
      next.action();
      await turn();
    }
    this.#monotonic = end;
  }
}

export function certificateOf(notBefore: number, notAfter: number, since = notBefore): IdentityCertificate {
  const material = { chain: `chain until ${notAfter}`, key: 'key', password: undefined, ocspStaple: undefined };
  return { spiffeId: 'spiffe://td/a', hint: undefined, material, validity: { notBefore, notAfter }, since };
}

export class FakeAuthority implements CertificateAuthority {
  readonly #clock: CertificateClock;
  readonly lifeMs: number;
  /** By the monotonic clock. */
  readonly asked: number[] = [];
  readonly urgent: boolean[] = [];
  /** Rejects with it while it is there. */
  failure: Error | undefined;
  closed = false;

  constructor(clock: CertificateClock, lifeMs: number) {
    this.#clock = clock;
    this.lifeMs = lifeMs;
  }

  issue(urgent: boolean): Promise<Identity> {
    this.asked.push(this.#clock.monotonic());
    this.urgent.push(urgent);
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const now = this.#clock.now();
    const certificates = [certificateOf(now - 10_000, now + this.lifeMs, now)];
    return Promise.resolve({ certificates, bundles: [{ trustDomain: 'td', pem: 'root' }], crl: undefined });
  }

  close(): void {
    this.closed = true;
  }
}

export class Heard implements IdentityListener {
  readonly identities: Identity[] = [];
  readonly problems: IdentityProblem[] = [];

  updated(identity: Identity): void {
    this.identities.push(identity);
  }

  problem(problem: IdentityProblem): void {
    this.problems.push(problem);
  }
}

/** A log that is read: `warning: the message`. */
export function heardLog(): { readonly log: ComponentLog; readonly lines: string[] } {
  const lines: string[] = [];
  const write = (level: string) => (_fields: object, message: string) => void lines.push(`${level}: ${message}`);
  const log: ComponentLog = {
    enabled: () => true,
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warning: write('warning'),
    error: write('error'),
    critical: write('critical'),
  };
  return { log, lines };
}

/** Looks again and again: what is awaited comes over a socket or from a file. */
export async function until(what: string, found: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!found()) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((wake) => setTimeout(wake, 2));
  }
}
