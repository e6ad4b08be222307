/** Both ends of the ledger: a service that writes down each payment it processes, and a client that writes down what it was told. */
import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** Seeded, so that a run can be had again (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export type Mishap = 'reset-unread' | 'reset-unprocessed' | 'reset-processed' | 'cut-off' | 'slow' | 'none';

/** What befalls the request: of its number and how often it came, not of the time. */
function mishapOf(number: number, arrival: number): Mishap {
  const chance = seeded(number * 31 + arrival)();
  if (chance < 0.02) return 'reset-unread';
  if (chance < 0.05) return 'reset-unprocessed';
  if (chance < 0.09) return 'reset-processed';
  if (chance < 0.11) return 'cut-off';
  return chance < 0.16 ? 'slow' : 'none';
}

/** What all endpoints of the service share. */
export class Ledger {
  /** How often each number was processed. */
  readonly processed = new Map<number, number>();
  readonly mishaps = new Map<Mishap, number>();
  private readonly arrivals = new Map<number, number>();

  arrive(number: number): Mishap {
    const arrival = (this.arrivals.get(number) ?? 0) + 1;
    this.arrivals.set(number, arrival);
    const mishap = mishapOf(number, arrival);
    this.mishaps.set(mishap, (this.mishaps.get(mishap) ?? 0) + 1);
    return mishap;
  }

  process(number: number): void {
    this.processed.set(number, (this.processed.get(number) ?? 0) + 1);
  }
}

/** One endpoint: it can be killed with all it carries, and comes back on its port. */
export class LedgerEndpoint {
  port = 0;
  private readonly ledger: Ledger;
  private readonly sockets = new Set<Socket>();
  private server: Server | undefined;

  constructor(ledger: Ledger) {
    this.ledger = ledger;
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => this.answer(request, response));
    server.keepAliveTimeout = 60_000;
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.server = server;
    await new Promise<void>((done, failed) => {
      server.once('error', failed);
      server.listen(this.port, '127.0.0.1', done);
    });
    this.port = (server.address() as AddressInfo).port;
  }

  /** Mid-request, for whatever is under way. */
  kill(): void {
    this.server?.close();
    this.server = undefined;
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  get running(): boolean {
    return this.server !== undefined;
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const number = Number(request.url?.split('/').at(-1));
    const mishap = this.ledger.arrive(number);
    if (mishap === 'reset-unread') {
      request.socket.resetAndDestroy();
      return;
    }
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => {
      // A request that lost a part of itself would be another payment.
      if (bytes !== Number(request.headers['x-bytes'])) throw new Error(`payment ${number} has ${bytes} bytes`);
      if (mishap === 'reset-unprocessed') {
        request.socket.resetAndDestroy();
        return;
      }
      this.ledger.process(number);
      if (mishap === 'reset-processed') request.socket.resetAndDestroy();
      else if (mishap === 'cut-off') {
        response.writeHead(200, { 'content-length': 1_000 });
        response.write(`paid ${number}`, () => request.socket.destroy());
      } else if (mishap === 'slow') setTimeout(() => response.end(`paid ${number}`), 20 + (number % 10) * 15);
      else response.end(`paid ${number}`);
    });
    request.on('error', () => {});
  }
}

/** `repeatable`: by the method, or by a key on a route that takes keys. */
export interface Payment {
  readonly number: number;
  readonly method: string;
  readonly path: string;
  readonly key: boolean;
  readonly repeatable: boolean;
  readonly bytes: number;
}

export function paymentOf(number: number): Payment {
  const chance = seeded(number * 17 + 5)();
  const bytes = number % 13 === 0 ? 60_000 : 40;
  if (chance < 0.25) return { number, method: 'GET', path: `/pay/${number}`, key: false, repeatable: true, bytes: 0 };
  if (chance < 0.45) return { number, method: 'POST', path: `/keyed/${number}`, key: true, repeatable: true, bytes };
  // a key counts for nothing where the route does not take it
  const key = chance < 0.6;
  return { number, method: 'POST', path: `/pay/${number}`, key, repeatable: false, bytes };
}

/** `status` 0: the connection broke. */
export interface Told {
  readonly payment: Payment;
  readonly status: number;
  readonly body: string;
}

const PATIENCE_MS = 12_000;

export class LedgerClient {
  readonly told: Told[] = [];
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 8 });
  private readonly port: number;
  private readonly workers: Promise<void>[] = [];
  private next = 1;
  private running = true;

  constructor(port: number) {
    this.port = port;
    for (let i = 0; i < 8; i++) this.workers.push(this.work());
  }

  /** When every request has its answer. Rejects where one had none in time. */
  async stop(): Promise<void> {
    this.running = false;
    await Promise.all(this.workers);
    this.agent.destroy();
  }

  private async work(): Promise<void> {
    while (this.running) {
      const payment = paymentOf(this.next++);
      this.told.push(await this.pay(payment));
      await new Promise((wake) => setTimeout(wake, 3));
    }
  }

  private pay(payment: Payment): Promise<Told> {
    const { number, method, path, key, bytes } = payment;
    const headers = {
      'x-bytes': bytes,
      'content-length': bytes,
      ...(key ? { 'idempotency-key': `key-${number}` } : {}),
    };
    return new Promise((resolve, reject) => {
      const asked = httpRequest({ host: '127.0.0.1', port: this.port, path, method, headers, agent: this.agent });
      asked.setTimeout(PATIENCE_MS, () => reject(new Error(`payment ${number} hangs`)));
      asked.on('error', () => resolve({ payment, status: 0, body: '' }));
      asked.on('response', (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('error', () => resolve({ payment, status: 0, body }));
        response.on('end', () => resolve({ payment, status: response.statusCode ?? 0, body }));
      });
      asked.end(Buffer.alloc(bytes, 0x70));
    });
  }
}
