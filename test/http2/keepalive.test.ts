import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, frame, GET, headers, Server } from './fakes.ts';

const keepalive = { intervalMs: 1000, timeoutMs: 200, intervalJitterPercent: 15 };

test('a connection whose PING is not answered in time ends', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new Server({ keepalive });
  server.receive(headers(1, true, ...GET));
  t.mock.timers.tick(999);
  assert.deepEqual(server.frames(), []);
  t.mock.timers.tick(1);
  assert.deepEqual(server.frames(), ['PING 8']);
  t.mock.timers.tick(200);
  assert.equal(server.frames()[0]?.startsWith('GOAWAY 1'), true);
  assert.equal(server.last.reset, 'protocol-error');
  assert.equal(server.stats.named('keepalive_timeout'), 1);
  assert.equal(server.transport.ended, true);
});

test('a connection whose PINGs are answered goes on, and stops when it ends', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const client = new Client({ keepalive });
  client.receive(frame(4, 0, 0));
  client.frames();
  for (let i = 0; i < 3; i++) {
    t.mock.timers.tick(1000);
    assert.deepEqual(client.frames(), ['PING 8']);
    client.receive(frame(6, 1, 0, 'tollway2'));
    t.mock.timers.tick(200);
  }
  assert.deepEqual(client.faults, []);
  client.connection.destroyed('connection-termination');
  t.mock.timers.tick(5000);
  assert.deepEqual(client.frames(), []);
});
