/** Payments over HTTP/1.1. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NotTaken, type Payment, type Payments } from './payments.ts';
import { readText } from './read-text.ts';

/**
 * POST /anything {"id": "..."}  ->  200 {"id", "hops": [{"service", "mtls", "from"}]}
 * POST /-/fail?ms=5000          ->  answers 503 for that long, to see what the mesh makes of it
 */
export function httpServer(payments: Payments): Server {
  return createServer((incoming, response) => {
    void answer(payments, incoming, response).catch((thrown: unknown) => {
      const error = thrown instanceof Error ? thrown.message : String(thrown);
      reply(response, thrown instanceof NotTaken ? 503 : 502, { service: payments.name, error });
    });
  });
}

/** Resolves when it listens, with the port. */
export function listenHttp(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

async function answer(payments: Payments, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await readText(incoming);
  const url = new URL(incoming.url ?? '/', 'http://service');
  if (url.pathname === '/-/fail') {
    reply(response, 200, { failingUntil: payments.fail(Number(url.searchParams.get('ms') ?? 5_000)) });
    return;
  }
  const payment = JSON.parse(body) as Payment;
  const hops = await payments.take(payment, (name) => {
    const value = incoming.headers[name];
    return Array.isArray(value) ? value.join(',') : value;
  });
  reply(response, 200, { id: payment.id, hops });
}

function reply(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
