/** One payment application, whatever it speaks: takes a payment, writes it down, and asks the next service where there is one. */
import { openSync, writeSync } from 'node:fs';

export interface Payment {
  readonly id: string;
  readonly amount?: number;
  readonly currency?: string;
}

export interface Hop {
  readonly service: string;
  /** The request came over mTLS: the sidecar says who called. */
  readonly mtls: boolean;
  /** Empty: nobody is named. */
  readonly from: string;
}

/** Headers that travel on with a payment. */
export type Passed = { readonly [name: string]: string };

/** The service that is asked next. */
export interface NextService {
  /** Gives the hops from there on. Throws when it answers otherwise, with who it is and what it said. */
  pay(payment: Payment, passed: Passed): Promise<readonly Hop[]>;
}

/** Only these travel on: the trace and the request's identity. */
const PASSED_ON = ['traceparent', 'tracestate', 'x-request-id', 'idempotency-key'];

/** Told to fail: the payment was not taken. */
export class NotTaken extends Error {
  override readonly name = 'NotTaken';
}

/** A file of lines. It outlives a killed process. */
export class Lines {
  private readonly file: number;

  constructor(path: string | undefined) {
    this.file = openSync(path ?? '/dev/null', 'a', 0o600);
  }

  add(line: string): void {
    writeSync(this.file, `${line}\n`);
  }
}

export interface PaymentsOptions {
  readonly name: string;
  /** The ledger of this end: the id of each payment that was taken. */
  readonly ledger: Lines;
  readonly next: NextService | undefined;
}

export class Payments {
  readonly name: string;
  /** Told of each payment that succeeded. */
  onPaid: (id: string) => void = () => undefined;
  private readonly options: PaymentsOptions;
  private failingUntil = 0;

  constructor(options: PaymentsOptions) {
    this.name = options.name;
    this.options = options;
  }

  /** Takes nothing for so many milliseconds. Gives until when, in milliseconds since 1970. */
  fail(ms: number): number {
    this.failingUntil = Date.now() + ms;
    return this.failingUntil;
  }

  /** `header` gives a request's header. Throws `NotTaken`, or what the next service made of it. */
  async take(payment: Payment, header: (name: string) => string | undefined): Promise<readonly Hop[]> {
    if (Date.now() < this.failingUntil) throw new NotTaken('told to fail');
    this.options.ledger.add(payment.id);
    const certificate = header('x-forwarded-client-cert');
    const from = /URI=([^;,]+)/.exec(certificate ?? '')?.[1] ?? '';
    const hop: Hop = { service: this.name, mtls: certificate !== undefined, from };
    const { next } = this.options;
    const further = next === undefined ? [] : await next.pay(payment, passedOn(header));
    this.onPaid(payment.id);
    return [hop, ...further];
  }
}

function passedOn(header: (name: string) => string | undefined): Passed {
  const passed: { [name: string]: string } = {};
  for (const name of PASSED_ON) {
    const value = header(name);
    if (value !== undefined) passed[name] = value;
  }
  return passed;
}
