/** Callers and endpoints that speak mutual TLS, for tests of rotation: who was connected with what, and what was lost. */
import { once } from 'node:events';
import { Agent, createServer, get, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { IssuedLeaf } from '../../certs/source/dev-ca.ts';

export interface Identity {
  readonly leaf: Pick<IssuedLeaf, 'chain' | 'key'> | undefined;
  /** What the caller trusts, PEM. */
  readonly roots: string;
}

export interface Answer {
  readonly status: number;
  /** Of the certificate that the server showed, lower-case hex. */
  readonly serial: string;
  /** It came over a connection that had carried another before. */
  readonly reused: boolean;
}

/** Serial of the certificate that the other side of the connection showed. */
export function serialOf(socket: TLSSocket): string {
  return (socket.getPeerX509Certificate()?.serialNumber ?? '').toLowerCase();
}

function newAgent({ leaf, roots }: Identity): Agent {
  return new Agent({
    keepAlive: true,
    maxSockets: 1,
    maxCachedSessions: 0,
    ca: roots,
    ...(leaf === undefined ? {} : { cert: leaf.chain, key: leaf.key }),
    checkServerIdentity: () => undefined,
  });
}

function ask(agent: Agent, port: number, path: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = get({ agent, host: '127.0.0.1', port, path }, (response) => {
      const answer = {
        status: response.statusCode ?? 0,
        serial: serialOf(response.socket as TLSSocket),
        reused: request.reusedSocket,
      };
      response.on('end', () => resolve(answer)).on('error', reject);
      response.resume();
    });
    request.on('error', reject);
  });
}

/** One request on a connection of its own; the reason when there was no answer. */
export async function once1(port: number, identity: Identity, path = '/here'): Promise<Answer | { error: string }> {
  const agent = newAgent(identity);
  try {
    return await ask(agent, port, path);
  } catch (error) {
    return { error: error instanceof Error ? `${Reflect.get(error, 'code') ?? ''} ${error.message}` : String(error) };
  } finally {
    agent.destroy();
  }
}

/** A caller that keeps one connection and asks again and again. */
export class KeptCaller {
  readonly failures: string[] = [];
  answers = 0;
  connections = 0;
  readonly #agent: Agent;
  readonly #port: number;
  readonly #path: string;
  #running = true;
  #done: Promise<void> | undefined;

  constructor(port: number, identity: Identity, path: string) {
    this.#agent = newAgent(identity);
    this.#port = port;
    this.#path = path;
  }

  /** One more request on its connection. */
  async ask(path = this.#path): Promise<number> {
    const { status, reused } = await ask(this.#agent, this.#port, path);
    if (!reused) this.connections++;
    this.answers++;
    return status;
  }

  run(): void {
    this.#done = this.#loop();
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
    this.#agent.destroy();
  }

  async #loop(): Promise<void> {
    while (this.#running) {
      try {
        const status = await this.ask();
        if (status !== 200) this.failures.push(`status ${status}`);
      } catch (error) {
        this.failures.push(String(error));
      }
      await new Promise((wake) => setTimeout(wake, 2));
    }
  }
}

/** An HTTPS endpoint that asks for certificates, and holds what is asked of it under `/slow` until it is let go. */
export class Endpoint {
  /** Serials of the certificates its connections were opened with, in order. */
  readonly callers: string[] = [];
  closed = 0;
  readonly #server: Server;
  #held: (() => void)[] = [];

  /** `roots`: whom it takes for a caller. */
  constructor(t: TestContext, leaf: Pick<IssuedLeaf, 'chain' | 'key'>, roots: string) {
    const options = { cert: leaf.chain, key: leaf.key, ca: roots, requestCert: true, rejectUnauthorized: true };
    this.#server = createServer({ ...options, keepAliveTimeout: 60_000 }, (request, response) => {
      if (request.url === '/slow') this.#held.push(() => response.end('slow'));
      else response.end('ok');
    });
    this.#server.on('secureConnection', (socket) => {
      this.callers.push(serialOf(socket));
      socket.on('close', () => this.closed++);
    });
    t.after(() => {
      this.#server.close();
      this.#server.closeAllConnections();
    });
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  /** Shows this certificate to connections from now on. */
  showsFromNowOn(leaf: Pick<IssuedLeaf, 'chain' | 'key'>, roots: string): void {
    this.#server.setSecureContext({ cert: leaf.chain, key: leaf.key, ca: roots });
  }

  get held(): number {
    return this.#held.length;
  }

  letGo(): void {
    const held = this.#held;
    this.#held = [];
    for (const answer of held) answer();
  }
}
