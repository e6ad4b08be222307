/** The client: pays at a steady rate through the gateway, and keeps the ledger of its end. */
import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';

export interface Payment {
  readonly path: string;
  readonly authority: string;
}

export interface LoadFigures {
  sent: number;
  ok: number;
  failed: number;
  /** Payments whose every hop between sidecars was mTLS. */
  mtls: number;
}

/** What the services answer: themselves in their row, and whether each was asked over mTLS. */
interface Answer {
  readonly hops: readonly { readonly service: string; readonly mtls: boolean }[];
}

const TIMEOUT_MS = 10_000;
const WARM_UP_MS = 1_500;

export class Load {
  readonly figures: LoadFigures = { sent: 0, ok: 0, failed: 0, mtls: 0 };
  /** Milliseconds of every answer since the last `takeLatencies`. */
  private latencies: number[] = [];
  private readonly all: number[] = [];
  /** Of the payments since the last `takeVersions`: how many each deployment of each service took. */
  private versions = new Map<string, number>();
  /** What the client believes: payment id to whether it was told that it succeeded. */
  readonly ledger = new Map<string, boolean>();
  readonly failures: string[] = [];
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 32 });
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private readonly target: { readonly host: string; readonly port: number };
  private readonly payments: readonly Payment[];

  constructor(target: { readonly host: string; readonly port: number }, payments: readonly Payment[]) {
    this.target = target;
    this.payments = payments;
  }

  /**
   * Pays one after the other first, while every process opens its connections and compiles its code, and collects what its
   * start left behind; then at the rate, whatever the answers take. Resolves when that begins.
   */
  async start(perSecond: number): Promise<void> {
    const everyMs = 1000 / perSecond;
    const until = performance.now() + WARM_UP_MS;
    while (!this.stopped && performance.now() < until) {
      await Promise.all([this.pay(), new Promise((resolve) => setTimeout(resolve, everyMs))]);
    }
    if (!this.stopped) this.timer = setInterval(() => void this.pay(), everyMs);
  }

  /** Stops sending and waits until every payment under way has ended. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    const deadline = Date.now() + TIMEOUT_MS + 1_000;
    while (this.figures.ok + this.figures.failed < this.figures.sent && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.agent.destroy();
  }

  /** Sorted latencies since the last call. */
  takeLatencies(): number[] {
    const taken = this.latencies.sort((a, b) => a - b);
    this.latencies = [];
    return taken;
  }

  /** Payments by deployment since the last call. */
  takeVersions(): ReadonlyMap<string, number> {
    const taken = this.versions;
    this.versions = new Map();
    return taken;
  }

  /** Sorted latencies of the whole run. */
  allLatencies(): number[] {
    return this.all.sort((a, b) => a - b);
  }

  /** Sends one payment; resolves when it has ended either way. */
  pay(): Promise<void> {
    const payment = this.payments[this.figures.sent % this.payments.length] as Payment;
    this.figures.sent++;
    const id = randomUUID();
    this.ledger.set(id, false);
    const startedAt = performance.now();
    return new Promise((resolve) => {
      const done = (failure: string | undefined): void => {
        const took = performance.now() - startedAt;
        this.latencies.push(took);
        this.all.push(took);
        if (failure === undefined) {
          this.figures.ok++;
          this.ledger.set(id, true);
        } else {
          this.figures.failed++;
          if (this.failures.length < 20) this.failures.push(`${payment.path}: ${failure}`);
        }
        resolve();
      };
      const call = request(
        {
          agent: this.agent,
          ...this.target,
          method: 'POST',
          path: payment.path,
          timeout: TIMEOUT_MS,
          headers: { host: payment.authority, 'content-type': 'application/json' },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('error', (error) => done(error.message));
          response.on('end', () => {
            if (response.statusCode !== 200) return done(`${response.statusCode} ${text.slice(0, 200)}`);
            const { hops } = JSON.parse(text) as Answer;
            if (hops.length === 3 && hops.every(({ mtls }) => mtls)) this.figures.mtls++;
            for (const { service } of hops) {
              const deployment = service.slice(0, service.lastIndexOf('-'));
              this.versions.set(deployment, (this.versions.get(deployment) ?? 0) + 1);
            }
            done(undefined);
          });
        },
      );
      call.on('timeout', () => call.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
      call.on('error', (error) => done(error.message));
      call.end(JSON.stringify({ id, amount: 100, currency: 'EUR' }));
    });
  }
}

/** The value below which `share` of the sorted values lie; 0 of none. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
