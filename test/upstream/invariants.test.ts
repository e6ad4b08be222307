/** Whatever happens, what was taken is given back: counts, slots, connections. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { CELLS_PER_SLOT, EndpointCell } from '../../proxy/cluster/shared.ts';
import { assignment, cluster, endpoint, limited } from '../cluster/support.ts';
import { anywhere, type Exchange, exchange, head, mesh, OK, serve, until } from './support.ts';

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Servers that do everything wrong that a server can do. */
function unruly(random: () => number) {
  return (socket: Socket): void => {
    if (random() < 0.05) {
      socket.destroy();
      return;
    }
    let text = '';
    socket.on('data', (chunk) => {
      text += String(chunk);
      while (text.includes('\r\n\r\n')) {
        text = text.slice(text.indexOf('\r\n\r\n') + 4);
        const drawn = random();
        if (drawn < 0.55) socket.write(OK);
        else if (drawn < 0.6) socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok');
        else if (drawn < 0.65) socket.end('HTTP/1.1 200 OK\r\n\r\nuntil close');
        else if (drawn < 0.7) socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort');
        else if (drawn < 0.75) socket.write('this is not HTTP\r\n\r\n');
        else if (drawn < 0.8) socket.resetAndDestroy();
        else if (drawn < 0.85) socket.write(`${OK}HTTP/1.1 200 OK\r\n`);
        else if (drawn < 0.9) setTimeout(() => socket.destroyed || socket.end(OK), 2);
        else setTimeout(() => socket.destroyed || socket.write(OK), 3);
      }
    });
  };
}

for (const seed of [1, 2, 3]) {
  test(`every count is back at zero after a storm (seed ${seed})`, { timeout: 30_000 }, async () => {
    const random = seeded(seed);
    const servers = await Promise.all([0, 1, 2].map(() => serve(unruly(random))));
    const { directory, table, stat } = mesh({ random });
    const config = (connectTimeoutMs: number) =>
      cluster('payment', {
        connectTimeoutMs,
        thresholds: limited({ maxConnections: 6, maxPendingRequests: 8, maxRequests: 7 }),
      });
    const endpoints = servers.map(({ port }) => endpoint('127.0.0.1', port));
    endpoints.push(endpoint('127.0.0.1', 1));
    directory.setCluster(config(500));
    directory.setAssignment('payment', assignment('payment', endpoints));
    const slots = new Set<Int32Array>();
    const view = directory.view('payment');
    assert.ok(view);
    const { slot } = view;

    const open: Exchange[] = [];
    const outcomes = new Map<string, number>();
    const collected: Promise<void>[] = [];
    const withdraw = new Map<Exchange, () => void>();
    for (let i = 0; i < 1500; i++) {
      const payment = table.get('payment');
      assert.ok(payment);
      slots.add(slot.cells);
      const host = payment.choose(anywhere, 'default');
      if (host !== undefined) {
        const made = exchange(payment, head('GET'), { host });
        open.push(made);
        const { promise: withdrawn, resolve } = Promise.withResolvers<undefined>();
        withdraw.set(made, () => resolve(undefined));
        collected.push(
          Promise.race([made.done, withdrawn]).then((outcome) => {
            const kind = outcome === undefined ? 'withdrawn' : (outcome.reason ?? 'answered');
            outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
          }),
        );
      }
      const some = open[Math.floor(random() * open.length)];
      const drawn = random();
      if (some !== undefined && drawn < 0.1) {
        withdraw.get(some)?.();
        some.handle.cancel();
        some.stream?.reset('local-reset');
      } else if (drawn < 0.12) {
        directory.setCluster(config(500 + i));
      } else if (drawn < 0.16) {
        directory.setAssignment(
          'payment',
          assignment(
            'payment',
            endpoints.filter(() => random() < 0.7),
          ),
        );
      }
      if (drawn > 0.4) await new Promise((resolve) => setImmediate(resolve));
      for (const resource of [0, 1, 2]) {
        const count = Atomics.load(slot.cells, slot.base + resource);
        assert.ok(count >= 0, `resource ${resource} fell to ${count}`);
      }
    }
    await Promise.all(collected);
    assert.ok((outcomes.get('answered') ?? 0) > 200, JSON.stringify([...outcomes]));
    table.destroy();
    await until(() => stat('cluster.payment.upstream_cx_active') === 0, 'connections are closed');
    assert.equal(stat('cluster.payment.upstream_rq_active'), 0);
    assert.equal(stat('cluster.payment.upstream_rq_pending_active'), 0);
    assert.equal(
      stat('cluster.payment.upstream_cx_total'),
      stat('cluster.payment.upstream_cx_destroy'),
      'every connection was closed once',
    );
    const counts = [...slot.cells.subarray(slot.base, slot.base + 8)];
    assert.deepEqual(counts, [0, 0, 0, 0, 0, 0, 0, 0], 'the circuit breaker');
    for (const cells of slots) {
      for (let base = 0; base < cells.length; base += CELLS_PER_SLOT) {
        for (const cell of [EndpointCell.requestsActive, EndpointCell.connectionsActive, EndpointCell.pendingActive]) {
          assert.equal(cells[base + cell], 0, `slot ${base / CELLS_PER_SLOT}, cell ${cell}`);
        }
      }
    }
    for (const server of servers) server.close();
  });
}
