import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { afterEach, test } from 'node:test';
import { HealthFlag } from '../../proxy/cluster/shared.ts';
import type { ClusterHandle } from '../../proxy/upstream/contract.ts';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import { assignment, cluster, endpoint, limited } from '../cluster/support.ts';
import { answering, anywhere, exchange, head, type Mesh, mesh, OK, serve, type TestServer, until } from './support.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface Fixture extends Mesh {
  readonly server: TestServer;
  readonly cluster: ClusterHandle;
}

async function fixture(
  onSocket: (socket: Socket) => void,
  changes: Partial<Cluster> = {},
  options: Parameters<typeof mesh>[0] = {},
): Promise<Fixture> {
  const server = await serve(onSocket);
  const made = mesh(options);
  made.directory.setCluster(cluster('payment', changes));
  made.directory.setAssignment('payment', assignment('payment', [endpoint('127.0.0.1', server.port)]));
  cleanups.push(() => {
    made.table.destroy();
    server.close();
  });
  const handle = made.table.get('payment');
  assert.ok(handle);
  return { ...made, server, cluster: handle };
}

const silent = (): void => {};

test('requests one after another use one connection', async () => {
  const { cluster: payment, server, stat } = await fixture(answering(() => OK));
  for (let i = 1; i <= 5; i++) {
    const outcome = await exchange(payment, head('GET')).done;
    assert.equal(outcome.status, 200);
    assert.equal(outcome.body, 'ok');
    assert.equal(outcome.connection?.streamsStarted, i);
  }
  assert.equal(server.accepted, 1);
  assert.equal(stat('cluster.payment.upstream_cx_total'), 1);
  assert.equal(stat('cluster.payment.upstream_cx_http1_total'), 1);
  assert.equal(stat('cluster.payment.upstream_rq_total'), 5);
  assert.equal(stat('cluster.payment.upstream_rq_active'), 0);
  assert.ok(stat('cluster.payment.upstream_cx_rx_bytes_total') > 0);
  assert.ok(stat('cluster.payment.upstream_cx_tx_bytes_total') > 0);
});

test('requests at the same time have a connection each, and the one used last is used next', async () => {
  const { cluster: payment, server } = await fixture(answering(() => OK));
  const both = [exchange(payment, head('GET')), exchange(payment, head('GET'))];
  const outcomes = await Promise.all(both.map(({ done }) => done));
  assert.equal(server.accepted, 2);
  const next = await exchange(payment, head('GET')).done;
  assert.equal(next.connection, outcomes[1]?.connection);
});

test('a refused connection fails the request with nothing sent and Envoy’s words', async () => {
  const { cluster: payment, server, stat } = await fixture(silent);
  server.close();
  const outcome = await exchange(payment, head('POST')).done;
  assert.equal(outcome.reason, 'connection-failure');
  assert.equal(outcome.details, 'delayed connect error: Connection refused');
  assert.equal(outcome.host?.addressText, `127.0.0.1:${server.port}`);
  assert.equal(stat('cluster.payment.upstream_cx_connect_fail'), 1);
  assert.equal(stat('cluster.payment.upstream_rq_pending_failure_eject'), 1);
  assert.equal(stat('cluster.payment.upstream_cx_destroy'), 1);
  assert.equal(stat('cluster.payment.upstream_cx_destroy_remote'), 1);
  assert.equal(stat('cluster.payment.upstream_cx_active'), 0);
  assert.equal(stat('cluster.payment.upstream_rq_pending_active'), 0);
});

test('a connection that is not made in time is given up', async () => {
  // TEST-NET-1: nothing answers there.
  const { cluster: payment, directory, stat } = await fixture(silent, { connectTimeoutMs: 30 });
  directory.setAssignment('payment', assignment('payment', [endpoint('192.0.2.1', 9)]));
  const outcome = await exchange(payment, head('GET')).done;
  assert.ok(['connection-timeout', 'connection-failure'].includes(outcome.reason ?? ''), String(outcome.reason));
  assert.equal(stat('cluster.payment.upstream_cx_connect_fail'), 1);
});

test('max_pending_requests refuses what would wait beyond it', async () => {
  const { cluster: payment, stat } = await fixture(
    answering(() => OK),
    {
      thresholds: limited({ maxPendingRequests: 2 }),
    },
  );
  const requests = [1, 2, 3].map(() => exchange(payment, head('GET')));
  const outcomes = await Promise.all(requests.map(({ done }) => done));
  assert.deepEqual(
    outcomes.map(({ status, reason }) => reason ?? status),
    [200, 200, 'overflow'],
  );
  assert.equal(stat('cluster.payment.upstream_rq_pending_overflow'), 1);
});

test('at max_connections requests wait for a connection that exists', async () => {
  const {
    cluster: payment,
    server,
    stat,
  } = await fixture(
    answering(() => OK),
    {
      thresholds: limited({ maxConnections: 1 }),
    },
  );
  const outcomes = await Promise.all([1, 2, 3].map(() => exchange(payment, head('GET')).done));
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    [200, 200, 200],
  );
  assert.equal(server.accepted, 1);
  assert.ok(stat('cluster.payment.upstream_cx_overflow') > 0);
});

test('an endpoint without a connection gets one even when the cluster is at max_connections', async () => {
  const { cluster: payment } = await fixture(
    answering(() => OK),
    { thresholds: limited({ maxConnections: 0 }) },
  );
  assert.equal((await exchange(payment, head('GET')).done).status, 200);
});

test('max_requests refuses on a ready connection', async () => {
  const { cluster: payment, stat } = await fixture(
    answering((line) => (line.includes('/slow') ? undefined : OK)),
    {
      thresholds: limited({ maxRequests: 1 }),
    },
  );
  const slow = exchange(payment, head('GET', '/slow'));
  const refused = await exchange(payment, head('GET')).done;
  assert.equal(refused.reason, 'overflow');
  assert.equal(refused.bytesSent, false);
  assert.equal(stat('cluster.payment.upstream_rq_active_overflow'), 1);
  assert.equal(stat('cluster.payment.upstream_rq_pending_overflow'), 0);
  slow.stream?.reset('local-reset');
});

test('a withdrawn request gets no callback and leaves nothing behind', async () => {
  const { cluster: payment, stat } = await fixture(answering(() => OK));
  const withdrawn = exchange(payment, head('GET', '/withdrawn'));
  withdrawn.handle.cancel();
  assert.equal((await exchange(payment, head('GET')).done).status, 200);
  assert.equal(withdrawn.stream, undefined);
  assert.equal(stat('cluster.payment.upstream_rq_cancelled'), 1);
  assert.equal(stat('cluster.payment.upstream_rq_total'), 1);
});

test('a connection that says close is not used again', async () => {
  const closing = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok';
  const { cluster: payment, server } = await fixture(answering(() => closing));
  await exchange(payment, head('GET')).done;
  assert.equal((await exchange(payment, head('GET')).done).status, 200);
  assert.equal(server.accepted, 2);
});

test('a body that ends with the connection is whole', async () => {
  const { cluster: payment } = await fixture(
    answering((_line, socket) => {
      socket.end('HTTP/1.1 200 OK\r\n\r\nuntil the end');
      return undefined;
    }),
  );
  const outcome = await exchange(payment, head('GET')).done;
  assert.equal(outcome.body, 'until the end');
  assert.equal(outcome.reason, undefined);
});

test('a connection that ends under a request resets it, and says that bytes were sent', async () => {
  const { cluster: payment, stat } = await fixture(
    answering((_line, socket) => {
      socket.destroy();
      return undefined;
    }),
  );
  const outcome = await exchange(payment, head('POST'), { body: 'pay' }).done;
  assert.equal(outcome.reason, 'connection-termination');
  assert.equal(outcome.bytesSent, true);
  assert.equal(stat('cluster.payment.upstream_cx_destroy_with_active_rq'), 1);
  assert.equal(stat('cluster.payment.upstream_rq_active'), 0);
});

test('bytes that nobody asked for cost the connection, not the next request', async () => {
  const { cluster: payment, server, stat } = await fixture(answering(() => OK));
  await exchange(payment, head('GET')).done;
  for (const socket of server.sockets) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil');
  await until(() => stat('cluster.payment.upstream_cx_active') === 0, 'the connection is dropped');
  assert.equal((await exchange(payment, head('GET')).done).body, 'ok');
});

test('max_requests_per_connection ends the connection after that many', async () => {
  const base = cluster('payment');
  const {
    cluster: payment,
    server,
    stat,
  } = await fixture(
    answering(() => OK),
    {
      common: { ...base.common, maxRequestsPerConnection: 2 },
    },
  );
  for (let i = 0; i < 4; i++) assert.equal((await exchange(payment, head('GET')).done).status, 200);
  assert.equal(server.accepted, 2);
  assert.equal(stat('cluster.payment.upstream_cx_max_requests'), 2);
});

test('an idle connection is closed after the idle timeout', async () => {
  const base = cluster('payment');
  const { cluster: payment, stat } = await fixture(
    answering(() => OK),
    {
      common: { ...base.common, idleTimeoutMs: 20 },
    },
  );
  await exchange(payment, head('GET')).done;
  await until(() => stat('cluster.payment.upstream_cx_idle_timeout') === 1, 'the idle timeout');
  assert.equal(stat('cluster.payment.upstream_cx_active'), 0);
});

test('max_connection_duration ends a connection between requests', async () => {
  const base = cluster('payment');
  const { cluster: payment, stat } = await fixture(
    answering(() => OK),
    {
      common: { ...base.common, maxConnectionDurationMs: 20 },
    },
  );
  await exchange(payment, head('GET')).done;
  await until(() => stat('cluster.payment.upstream_cx_max_duration_reached') === 1, 'the longest duration');
  assert.equal(stat('cluster.payment.upstream_cx_active'), 0);
});

test('an idle connection that the endpoint closed is never given a request', async () => {
  let now = 0;
  const { cluster: payment, server } = await fixture(
    answering(() => OK),
    {},
    { now: () => now },
  );
  await exchange(payment, head('GET')).done;
  // The FIN is in our kernel, and this thread has not been back in the event loop to read it.
  now = 60_000;
  for (const socket of server.sockets) socket.end();
  const outcome = await exchange(payment, head('POST'), { body: 'pay' }).done;
  assert.equal(outcome.status, 200);
  assert.equal(server.accepted, 2);
});

test('an endpoint that closes as the next request is sent loses none and doubles none', {
  timeout: 30_000,
}, async () => {
  const idleMs = 5;
  const seen = new Map<string, number>();
  const { cluster: payment, server } = await fixture(
    answering((line, socket) => {
      const path = line.split(' ')[1] as string;
      seen.set(path, (seen.get(path) ?? 0) + 1);
      setTimeout(() => socket.end(), idleMs);
      return OK;
    }),
  );
  for (let i = 0; i < 300; i++) {
    const outcome = await exchange(payment, head('POST', `/${i}`), { body: 'pay' }).done;
    assert.equal(outcome.status, 200, `request ${i}: ${outcome.reason}`);
    await new Promise((resolve) => setTimeout(resolve, idleMs));
  }
  assert.ok([...seen.values()].every((times) => times === 1) && seen.size === 300);
  assert.ok(server.accepted > 100, 'the endpoint closed connections all the time');
});

test('a race that cannot be won is told honestly: bytes were sent', async () => {
  const { cluster: payment } = await fixture(
    answering((_line, socket) => {
      socket.write(OK);
      socket.end();
      return undefined;
    }),
  );
  const first = exchange(payment, head('POST'), { body: 'pay' });
  assert.equal((await first.done).status, 200);
  // At once, before the FIN that follows the response can be read.
  const second = await exchange(payment, head('POST'), { body: 'pay' }).done;
  assert.ok(second.status === 200 || second.bytesSent, `${second.reason}`);
});

test('an update of weights keeps the connections', async () => {
  const { cluster: payment, directory, server, table } = await fixture(answering(() => OK));
  await exchange(payment, head('GET')).done;
  const before = payment.choose(anywhere, 'default');
  directory.setAssignment('payment', assignment('payment', [endpoint('127.0.0.1', server.port, { weight: 7 })]));
  const handle = table.get('payment');
  assert.ok(handle);
  assert.equal(handle.choose(anywhere, 'default'), before, 'the same host');
  await exchange(handle, head('GET')).done;
  assert.equal(server.accepted, 1);
});

test('a removed endpoint loses its idle connections and finishes its requests', async () => {
  let finish: (() => void) | undefined;
  const {
    cluster: payment,
    directory,
    stat,
    table,
  } = await fixture(
    answering((line, socket) => {
      if (!line.includes('/slow')) return OK;
      finish = () => socket.write(OK);
      return undefined;
    }),
  );
  const slow = exchange(payment, head('GET', '/slow'));
  await exchange(payment, head('GET')).done;
  await until(() => finish !== undefined, 'the slow request arrived');
  directory.setAssignment('payment', assignment('payment', []));
  assert.equal(table.get('payment')?.choose(anywhere, 'default'), undefined);
  assert.equal(stat('cluster.payment.upstream_cx_active'), 1, 'the idle one is closed');
  finish?.();
  assert.equal((await slow.done).status, 200);
  await until(() => stat('cluster.payment.upstream_cx_active') === 0, 'the busy one is closed after its request');
});

test('a changed cluster finishes its requests on old connections and sends new ones on new ones', async () => {
  let finish: (() => void) | undefined;
  const {
    cluster: payment,
    directory,
    server,
    table,
    stat,
  } = await fixture(
    answering((line, socket) => {
      if (!line.includes('/slow')) return OK;
      finish = () => socket.write(OK);
      return undefined;
    }),
  );
  const slow = exchange(payment, head('GET', '/slow'));
  await until(() => finish !== undefined, 'the slow request arrived');
  directory.setCluster(cluster('payment', { connectTimeoutMs: 1234 }));
  const changed = table.get('payment');
  assert.ok(changed);
  const next = await exchange(changed, head('GET')).done;
  assert.equal(next.connection?.streamsStarted, 1);
  finish?.();
  assert.equal((await slow.done).status, 200);
  assert.equal(server.accepted, 2);
  await until(() => stat('cluster.payment.upstream_cx_active') === 1, 'the old connection is closed');
});

test('a removed cluster finishes its requests and forgets its statistics afterwards', async () => {
  let finish: (() => void) | undefined;
  const {
    cluster: payment,
    directory,
    table,
    stats,
  } = await fixture(
    answering((_line, socket) => {
      finish = () => socket.write(OK);
      return undefined;
    }),
  );
  const slow = exchange(payment, head('GET'));
  await until(() => finish !== undefined, 'the request arrived');
  directory.removeCluster('payment');
  assert.equal(table.get('payment'), undefined);
  finish?.();
  assert.equal((await slow.done).status, 200);
  await until(() => stats.get('cluster.payment.upstream_rq_total') === undefined, 'the statistics are gone');
});

test('requests under way are seen by every worker, and an endpoint’s numbers by the main thread', async () => {
  const { cluster: payment, directory, server } = await fixture(answering(() => undefined));
  const waiting = exchange(payment, head('GET'));
  await until(() => waiting.stream !== undefined, 'the stream is open');
  const slot = directory.view('payment')?.endpoint(`127.0.0.1:${server.port}`);
  assert.equal(slot === undefined ? -1 : Atomics.load(slot.cells, slot.base), 1);
  waiting.stream?.reset('local-reset');
  assert.equal(slot === undefined ? -1 : Atomics.load(slot.cells, slot.base), 0);
});

for (const closes of [false, true]) {
  const flag = closes ? 'with' : 'without';
  test(`an endpoint that fails its checks finishes what it carries, on no connection for others, ${flag} close_connections`, async () => {
    let reply: (() => void) | undefined;
    const changes = { closeConnectionsOnHostHealthFailure: closes };
    const {
      cluster: payment,
      directory,
      server,
    } = await fixture(
      answering((line, socket) => {
        if (!line.includes('/slow')) return OK;
        reply = () => socket.write(OK);
        return undefined;
      }),
      changes,
    );
    await exchange(payment, head('GET')).done;
    const slow = exchange(payment, head('GET', '/slow'));
    await until(() => reply !== undefined, 'the slow request is there');
    assert.equal(server.accepted, 1);
    directory.setCheckFlags('payment', `127.0.0.1:${server.port}`, HealthFlag.failedActiveHealthCheck, true);
    // In panic it is chosen all the same.
    assert.equal((await exchange(payment, head('GET')).done).status, 200);
    assert.equal(server.accepted, 2);
    reply?.();
    assert.equal((await slow.done).status, 200);
    await until(() => server.sockets.size === 1, 'the old connection has ended');
  });
}

for (const closes of [false, true]) {
  test(`a raw connection ${closes ? 'ends' : 'stays'} when its endpoint fails its checks ${closes ? 'with' : 'without'} close_connections`, async () => {
    const changes = { closeConnectionsOnHostHealthFailure: closes };
    const { cluster: payment, directory, server } = await fixture(silent, changes);
    const host = payment.choose(anywhere, 'default');
    assert.ok(host !== undefined);
    const socket = await new Promise<Socket>((done, failed) => {
      const callbacks = { onReady: (made: { socket: Socket }) => done(made.socket), onFailure: failed };
      payment.newTcpConnection(host, 'default', callbacks, anywhere);
    });
    directory.setCheckFlags('payment', `127.0.0.1:${server.port}`, HealthFlag.failedActiveHealthCheck, true);
    assert.equal(socket.destroyed, closes);
  });
}
