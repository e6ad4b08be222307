import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Load } from '../../deploy/local/load.ts';

const PAYMENTS = [
  { path: '/pay', authority: 'payment-service' },
  { path: '/payments', authority: 'shop.example' },
];

async function payingAt(t: TestContext, answer: RequestListener): Promise<Load> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Load({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }, PAYMENTS);
}

const paid = (mtls: readonly boolean[]): string => {
  const services = ['payment-service-2', 'settlement-v1-0', 'clearance-0'];
  return JSON.stringify({ id: 'x', hops: services.map((service, at) => ({ service, mtls: mtls[at] ?? false })) });
};

test('takes both paths in turn, and counts what each deployment took', async (t) => {
  const seen: string[] = [];
  const load = await payingAt(t, (request, response) => {
    seen.push(`${request.headers.host}${request.url}`);
    response.end(paid([true, true, true]));
  });
  for (let i = 0; i < 3; i++) await load.pay();
  await load.stop();
  assert.deepEqual(seen, ['payment-service/pay', 'shop.example/payments', 'payment-service/pay']);
  assert.deepEqual(load.figures, { sent: 3, ok: 3, failed: 0, mtls: 3 });
  assert.deepEqual(Object.fromEntries(load.takeVersions()), { 'payment-service': 3, 'settlement-v1': 3, clearance: 3 });
  assert.deepEqual([...load.ledger.values()], [true, true, true]);
});

test('a payment is over mutual TLS when every hop is', async (t) => {
  const load = await payingAt(t, (_, response) => response.end(paid([true, false, true])));
  await load.pay();
  await load.stop();
  assert.deepEqual(load.figures, { sent: 1, ok: 1, failed: 0, mtls: 0 });
});

test('a payment that was refused or cut off has failed, and the ledger does not count on it', async (t) => {
  let asked = 0;
  const load = await payingAt(t, (request, response) => {
    if (asked++ === 0) response.writeHead(503).end('no');
    else request.socket.destroy();
  });
  await load.pay();
  await load.pay();
  await load.stop();
  assert.deepEqual(load.figures, { sent: 2, ok: 0, failed: 2, mtls: 0 });
  assert.deepEqual([...load.ledger.values()], [false, false]);
  assert.match(load.failures.join('\n'), /^\/pay: 503 no\n\/payments: socket hang up$/);
});

test('pays one after the other at first', async (t) => {
  let under = 0;
  let most = 0;
  const load = await payingAt(t, (_, response) => {
    most = Math.max(most, ++under);
    setTimeout(() => {
      under--;
      response.end(paid([true, true, true]));
    }, 20);
  });
  await load.start(500);
  assert.equal(most, 1, 'the rate alone would have made it ten');
  assert.ok(load.figures.sent > 10);
  await load.stop();
  assert.equal(load.figures.ok, load.figures.sent);
});
