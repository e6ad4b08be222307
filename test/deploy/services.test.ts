/** The demo's applications as processes, without a mesh between them: each asks the next one directly. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { REPORT, SETTLE, type Settled, type SettleReply } from '../../deploy/local/services/settlement-api.ts';

const SERVICE = join(import.meta.dirname, '../../deploy/local/services/service.ts');
const CLEARED = JSON.stringify({ id: 'x', hops: [{ service: 'clearance-0', mtls: false, from: '' }] });

interface Started {
  readonly port: number;
  readonly child: ChildProcess;
  lines(file: 'ledger' | 'reports'): readonly string[];
}

async function start(
  t: TestContext,
  name: string,
  env: { readonly [name: string]: string },
  port = 0,
): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-service-'));
  const child = fork(SERVICE, {
    env: {
      ...process.env,
      SERVICE_NAME: name,
      SERVICE_PORT: String(port),
      SERVICE_LEDGER: join(folder, 'ledger'),
      SERVICE_REPORTS: join(folder, 'reports'),
      ...env,
    },
  });
  t.after(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    rmSync(folder, { recursive: true, force: true });
  });
  const [listening] = (await once(child, 'message')) as [{ readonly port: number }];
  return {
    port: listening.port,
    child,
    lines: (file) => readFileSync(join(folder, file), 'utf8').split('\n').filter(Boolean),
  };
}

async function clearance(t: TestContext, answer: RequestListener): Promise<number> {
  const server = createServer(answer);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const settlementEnv = (next: number) => ({
  SERVICE_SPEAKS: 'grpc',
  SERVICE_OUTBOUND: `127.0.0.1:${next}`,
  SERVICE_NEXT: 'clearance',
});
const paymentEnv = (next: number) => ({
  SERVICE_OUTBOUND: `127.0.0.1:${next}`,
  SERVICE_NEXT: 'settlement',
  SERVICE_NEXT_SPEAKS: 'grpc',
});

function clientOf(t: TestContext, port: number): Client {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  t.after(() => client.close());
  return client;
}

function settle(client: Client, id: string, headers: { readonly [name: string]: string } = {}): Promise<SettleReply> {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const { path, requestSerialize, responseDeserialize } = SETTLE;
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, reply?: SettleReply): void => {
      if (error === null && reply !== undefined) resolve(reply);
      else reject(error);
    };
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { id }, metadata, done);
  });
}

async function pay(port: number, id: string): Promise<{ readonly status: number; readonly body: string }> {
  const answer = await fetch(`http://127.0.0.1:${port}/pay`, { method: 'POST', body: JSON.stringify({ id }) });
  return { status: answer.status, body: await answer.text() };
}

test('settles over gRPC, says who called, and passes the trace on', async (t) => {
  const seen: (string | undefined)[] = [];
  const next = await clearance(t, (request, response) => {
    seen.push(request.headers.host, request.headers.traceparent as string | undefined);
    response.end(CLEARED);
  });
  const settlement = await start(t, 'settlement-0', settlementEnv(next));
  const reply = await settle(clientOf(t, settlement.port), 'one', {
    traceparent: '00-1-2-01',
    'x-forwarded-client-cert': 'Hash=0;URI=spiffe://cluster.local/ns/payments/sa/payment',
  });
  assert.deepEqual(reply, {
    id: 'one',
    hops: [
      { service: 'settlement-0', mtls: true, from: 'spiffe://cluster.local/ns/payments/sa/payment' },
      { service: 'clearance-0', mtls: false, from: '' },
    ],
  });
  assert.deepEqual(seen, ['clearance', '00-1-2-01']);
  assert.deepEqual(settlement.lines('ledger'), ['one']);
});

test('a payment that was taken and failed further on is ABORTED, and payment says so', async (t) => {
  const next = await clearance(t, (_, response) => response.writeHead(503).end('no'));
  const settlement = await start(t, 'settlement-0', settlementEnv(next));
  await assert.rejects(settle(clientOf(t, settlement.port), 'one'), {
    code: status.ABORTED,
    details: 'clearance answered 503: no',
  });
  const payment = await start(t, 'payment-0', paymentEnv(settlement.port));
  const { status: code, body } = await pay(payment.port, 'two');
  assert.equal(code, 502);
  assert.match(body, /settlement answered ABORTED: clearance answered 503: no/);
  assert.deepEqual(settlement.lines('ledger'), ['one', 'two']);
});

test('the report tells each reader what is settled while it reads, and both ends write down the same', async (t) => {
  const next = await clearance(t, (_, response) => response.end(CLEARED));
  const settlement = await start(t, 'settlement-0', settlementEnv(next));
  const client = clientOf(t, settlement.port);
  const { path, requestSerialize, responseDeserialize } = REPORT;
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {});
  call.on('error', () => undefined);
  const first = once(call, 'data') as Promise<[Settled]>;
  const payment = await start(t, 'payment-0', paymentEnv(settlement.port));

  // Its own report begins when its call arrives: until then it is told nothing.
  const told = (): readonly string[] => payment.lines('reports').map((line) => line.split(' ')[1] ?? '');
  let paid = 0;
  while (told().length < 3) assert.equal((await pay(payment.port, `p${paid++}`)).status, 200);
  assert.equal((await first)[0].id, 'p0');
  assert.deepEqual(
    told(),
    Array.from({ length: told().length }, (_, at) => `p${paid - told().length + at}`),
  );

  const ended = new Promise((done) => call.once('status', done));
  call.cancel();
  await ended;
  while (!settlement.lines('reports').some((line) => !line.includes(' '))) await settle(client, 'last');
  const sent = settlement.lines('reports');
  for (const line of payment.lines('reports')) assert.ok(sent.includes(line), line);
});

test('a reader opens the report again when settlement comes back', async (t) => {
  const next = await clearance(t, (_, response) => response.end(CLEARED));
  const first = await start(t, 'settlement-0', settlementEnv(next));
  const payment = await start(t, 'payment-0', paymentEnv(first.port));
  const reports = (): ReadonlySet<string> =>
    new Set(payment.lines('reports').map((line) => line.split(' ')[0] as string));
  for (let id = 0; reports().size < 1; id++) await pay(payment.port, `a${id}`);
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  await start(t, 'settlement-0', settlementEnv(next), first.port);
  for (let id = 0; reports().size < 2; id++) await pay(payment.port, `b${id}`);
  assert.equal(reports().size, 2);
});
