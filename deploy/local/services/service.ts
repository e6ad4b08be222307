/**
 * One payment application: answers a payment, and asks the next service first where there is one. It knows nothing of the
 * mesh but its sidecar's outbound address. Configured by `SERVICE_*` environment variables; tells its starter over IPC when it listens.
 *
 * POST /anything {"id": "..."}  ->  200 {"id", "hops": [{"service", "mtls", "from"}]}
 * POST /-/fail?ms=5000          ->  answers 503 for that long, to see what the mesh makes of it
 */
import { openSync, writeSync } from 'node:fs';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';

interface Hop {
  readonly service: string;
  /** The request came over mTLS: the sidecar says who called. */
  readonly mtls: boolean;
  readonly from: string | undefined;
}

const name = process.env.SERVICE_NAME ?? 'service';
const host = process.env.SERVICE_HOST ?? '127.0.0.1';
const port = Number(process.env.SERVICE_PORT ?? 0);
/** `host:port` of the sidecar's outbound listener, and the authority to ask for. */
const outbound = process.env.SERVICE_OUTBOUND;
const next = process.env.SERVICE_NEXT;

/** Only these travel on: the trace and the request's identity. */
const PASSED_ON = ['traceparent', 'tracestate', 'x-request-id', 'idempotency-key'];
const MAX_BODY_BYTES = 64 * 1024;

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
/** The ledger of this end: the id of each payment that was taken, a line each. A file outlives a killed process. */
const ledger = openSync(process.env.SERVICE_LEDGER ?? '/dev/null', 'a', 0o600);
let failingUntil = 0;

createServer((incoming, response) => {
  void answer(incoming, response).catch((thrown: unknown) => {
    reply(response, 502, { service: name, error: thrown instanceof Error ? thrown.message : String(thrown) });
  });
}).listen(port, host, () => process.send?.({ type: 'listening' }));

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));

async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await read(incoming);
  const url = new URL(incoming.url ?? '/', 'http://service');
  if (url.pathname === '/-/fail') {
    failingUntil = Date.now() + Number(url.searchParams.get('ms') ?? 5_000);
    reply(response, 200, { failingUntil });
    return;
  }
  if (Date.now() < failingUntil) {
    reply(response, 503, { service: name, error: 'told to fail' });
    return;
  }
  const { id } = JSON.parse(body) as { readonly id: string };
  writeSync(ledger, `${id}\n`);
  const certificate = incoming.headers['x-forwarded-client-cert'];
  const xfcc = Array.isArray(certificate) ? certificate.join(',') : certificate;
  const hop: Hop = { service: name, mtls: xfcc !== undefined, from: /URI=([^;,]+)/.exec(xfcc ?? '')?.[1] };
  if (outbound === undefined || next === undefined) {
    reply(response, 200, { id, hops: [hop] });
    return;
  }
  const further = await forward(body, incoming);
  if (further.status !== 200) {
    reply(response, 502, { service: name, error: `${next} answered ${further.status}: ${further.body.slice(0, 200)}` });
    return;
  }
  const { hops } = JSON.parse(further.body) as { readonly hops: readonly Hop[] };
  reply(response, 200, { id, hops: [hop, ...hops] });
}

function forward(body: string, incoming: IncomingMessage): Promise<{ readonly status: number; readonly body: string }> {
  const headers: { [name: string]: string } = { host: next as string, 'content-type': 'application/json' };
  for (const passed of PASSED_ON) {
    const value = incoming.headers[passed];
    if (typeof value === 'string') headers[passed] = value;
  }
  const [outboundHost, outboundPort] = (outbound as string).split(':') as [string, string];
  return new Promise((resolve, reject) => {
    const call = request(
      { agent, host: outboundHost, port: Number(outboundPort), method: 'POST', path: '/', headers, timeout: 10_000 },
      (response) => {
        read(response).then((text) => resolve({ status: response.statusCode ?? 0, body: text }), reject);
      },
    );
    call.on('timeout', () => call.destroy(new Error(`${next} did not answer within 10 s`)));
    call.on('error', reject);
    call.end(body);
  });
}

async function read(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new Error(`a body of more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function reply(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
