import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, test } from 'node:test';
import type { NetworkConnection } from '../../proxy/filters/network/contract.ts';
import { chooseCluster, TcpProxyFactory } from '../../proxy/filters/network/tcp-proxy/factory.ts';
import { resetSocket } from '../../proxy/filters/network/tcp-proxy/relay.ts';
import type { ConnectionInfo } from '../../proxy/http/connection-info.ts';
import { ResponseFlag, type StreamInfo } from '../../proxy/http/stream-info.ts';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Listener } from '../../xds-client/model/listener.ts';
import type { TcpProxy } from '../../xds-client/model/tcp-proxy.ts';
import { assignment, cluster, endpoint, limited } from '../cluster/support.ts';
import { workerParts } from '../network-filters/support.ts';
import { type Mesh, mesh, serve, type TestServer, until } from '../upstream/support.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface Fixture extends Mesh {
  readonly logged: StreamInfo[];
  readonly sessions: NetworkConnection[];
  /** A new connection to the proxy. */
  dial(): Socket;
}

const defaults: TcpProxy = {
  statPrefix: 'pay',
  clusters: [{ name: 'payment', weight: 1 }],
  idleTimeoutMs: 3_600_000,
  maxConnectAttempts: 1,
  maxDownstreamConnectionDurationMs: undefined,
  accessLogs: [],
};

async function proxy(
  ports: readonly number[],
  config: Partial<TcpProxy> = {},
  changes: Partial<Cluster> = {},
): Promise<Fixture> {
  const made = mesh();
  made.directory.setCluster(cluster('payment', changes));
  made.directory.setAssignment(
    'payment',
    assignment(
      'payment',
      ports.map((port) => endpoint('127.0.0.1', port)),
    ),
  );
  const logged: StreamInfo[] = [];
  const accessLogs = { create: () => [{ log: (info: StreamInfo) => void logged.push(info) }] };
  const instance = new TcpProxyFactory({ clusters: made.table, accessLogs }).build(
    { ...defaults, ...config },
    {
      listener: {} as Listener,
      statPrefix: 'listener.test.',
      stats: made.stats,
      drain: { shouldDrain: () => false },
      ...workerParts(),
      now: () => performance.now(),
      random: () => 0,
    },
  );
  const sessions: NetworkConnection[] = [];
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    sessions.push(instance.accept(socket, {} as ConnectionInfo));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  cleanups.push(() => {
    server.close();
    for (const session of sessions) session.destroy();
    made.table.destroy();
  });
  return {
    ...made,
    logged,
    sessions,
    dial() {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', () => {});
      cleanups.push(() => socket.destroy());
      return socket;
    },
  };
}

async function upstream(onSocket: (socket: Socket) => void): Promise<TestServer> {
  const server = await serve(onSocket, { allowHalfOpen: true });
  cleanups.push(server.close);
  return server;
}

/** What comes until the other side ends; our side stays as it is. */
function everything(socket: Socket): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = '';
  socket.on('data', (chunk) => {
    text += String(chunk);
  });
  socket.on('end', () => resolve(text));
  return promise;
}

/** The other side ended, gracefully or not, and so did we. */
function closed(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on('close', () => resolve());
  socket.on('end', () => socket.end());
  socket.resume();
  return promise;
}

test('bytes go both ways, and those sent before the upstream was there are not lost', async () => {
  const server = await upstream((socket) => socket.pipe(socket));
  const run = await proxy([server.port]);
  const client = run.dial();
  client.end('early bytes');
  assert.equal(await everything(client), 'early bytes');
  await until(() => run.logged.length === 1, 'the access log');
  const [info] = run.logged;
  assert.equal(info?.requestBodyBytes, 11);
  assert.equal(info?.responseBodyBytes, 11);
  assert.equal(info?.flags, 0);
  assert.equal(info?.cluster, 'payment');
  assert.equal(run.stat('tcp.pay.downstream_cx_total'), 1);
  assert.equal(run.stat('tcp.pay.downstream_cx_rx_bytes_total'), 11);
  assert.equal(run.stat('cluster.payment.upstream_cx_tx_bytes_total'), 11);
  assert.equal(run.stat('cluster.payment.upstream_cx_active'), 0);
});

test('the client may finish sending and still be answered', async () => {
  const server = await upstream((socket) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += String(chunk);
    });
    socket.on('end', () => socket.end(`got ${text}`));
  });
  const client = (await proxy([server.port])).dial();
  client.end('everything');
  assert.equal(await everything(client), 'got everything');
});

test('the endpoint may finish sending and still be told', async () => {
  let heard = '';
  const server = await upstream((socket) => {
    socket.end('goodbye');
    socket.on('data', (chunk) => {
      heard += String(chunk);
    });
  });
  const client = (await proxy([server.port])).dial();
  assert.equal(await everything(client), 'goodbye');
  client.end('still here');
  await until(() => heard === 'still here', 'the endpoint hears the rest');
});

test('a reader that stops stops the writer, and nothing is lost', { timeout: 20_000 }, async () => {
  const size = 32 << 20;
  const block = Buffer.alloc(1 << 16, 'x');
  let sent = 0;
  const server = await upstream((socket) => {
    const push = (): void => {
      while (sent < size) {
        sent += block.length;
        if (!socket.write(block)) {
          socket.once('drain', push);
          return;
        }
      }
      socket.end();
    };
    push();
  });
  const run = await proxy([server.port]);
  const client = run.dial();
  client.pause();
  await once(client, 'connect');
  let before = -1;
  // Until nothing moves any more for twenty turns.
  for (let still = 0; still < 20; still = sent === before && sent > 0 ? still + 1 : 0) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.ok(sent < size, 'the endpoint was held back');
  let received = 0;
  client.on('data', (chunk) => {
    received += chunk.length;
  });
  client.resume();
  await once(client, 'end');
  assert.equal(received, size);
});

test('a refused connection is tried again as often as allowed, then the client is let go', async () => {
  const gone = await upstream(() => {});
  gone.close();
  const run = await proxy([gone.port], { maxConnectAttempts: 3 });
  await closed(run.dial());
  assert.equal(run.stat('cluster.payment.upstream_cx_connect_fail'), 3);
  assert.equal(run.stat('cluster.payment.upstream_cx_connect_attempts_exceeded'), 1);
  const [info] = run.logged;
  assert.equal(info?.flags, ResponseFlag.UpstreamConnectionFailure | ResponseFlag.UpstreamRetryLimitExceeded);
  assert.equal(info?.upstreamTransportFailureReason, 'delayed connect error: Connection refused');
});

test('the second attempt may reach another endpoint, with the early bytes', async () => {
  const gone = await upstream(() => {});
  gone.close();
  const server = await upstream((socket) => socket.pipe(socket));
  const run = await proxy([gone.port, server.port], { maxConnectAttempts: 2 });
  const client = run.dial();
  client.end('early');
  assert.equal(await everything(client), 'early');
});

test('a cluster that is not known, or has nobody, ends the connection with its flag', async () => {
  const unknown = await proxy([], { clusters: [{ name: 'nobody', weight: 1 }] });
  await closed(unknown.dial());
  assert.equal(unknown.logged[0]?.flags, ResponseFlag.NoClusterFound);
  assert.equal(unknown.stat('tcp.pay.downstream_cx_no_route'), 1);
  const empty = await proxy([]);
  await closed(empty.dial());
  assert.equal(empty.logged[0]?.flags, ResponseFlag.NoHealthyUpstream);
  assert.equal(empty.stat('cluster.payment.upstream_cx_none_healthy'), 1);
});

test('a connection beyond max_connections is refused at once', async () => {
  const server = await upstream((socket) => socket.pipe(socket));
  const run = await proxy([server.port], {}, { thresholds: limited({ maxConnections: 1 }) });
  const first = run.dial();
  first.write('1');
  await once(first, 'data');
  await closed(run.dial());
  assert.equal(run.stat('cluster.payment.upstream_cx_overflow'), 1);
  assert.equal(server.accepted, 1);
  assert.equal(run.logged[0]?.attemptCount, 0);
  first.destroy();
  await until(() => run.stat('cluster.payment.upstream_cx_active') === 0, 'the first one ends');
  const third = run.dial();
  third.end('3');
  assert.equal(await everything(third), '3');
});

test('a connection without bytes ends after the idle timeout', async () => {
  const server = await upstream(() => {});
  const run = await proxy([server.port], { idleTimeoutMs: 20 });
  await closed(run.dial());
  assert.equal(run.stat('tcp.pay.idle_timeout'), 1);
  await until(() => run.stat('cluster.payment.upstream_cx_active') === 0, 'the upstream side is closed too');
});

test('a connection ends after its longest duration', async () => {
  const server = await upstream(() => {});
  const run = await proxy([server.port], { maxDownstreamConnectionDurationMs: 20 });
  await closed(run.dial());
  assert.equal(run.stat('tcp.pay.max_downstream_connection_duration'), 1);
  assert.equal(run.logged[0]?.flags, ResponseFlag.DurationTimeout);
});

test('a session whose certificates end is cut off, and says so in its log', async () => {
  const server = await upstream((socket) => socket.resume());
  const run = await proxy([server.port]);
  const client = run.dial();
  client.write('x');
  await until(() => server.accepted === 1, 'the upstream connection');
  assert.equal(run.sessions[0]?.retires, false);
  run.sessions[0]?.retire();
  assert.equal(run.sessions[0]?.activeStreams, 1);
  run.sessions[0]?.cut('connection_certificate_expired');
  await closed(client);
  const [info] = run.logged;
  assert.deepEqual(
    [info?.flags, info?.connectionTerminationDetails],
    [ResponseFlag.DurationTimeout, 'connection_certificate_expired'],
  );
});

test('a client that resets takes the upstream connection with it', async () => {
  const server = await upstream((socket) => socket.resume());
  const run = await proxy([server.port]);
  const client = run.dial();
  client.write('x');
  await until(() => server.accepted === 1, 'the upstream connection');
  client.resetAndDestroy();
  await until(() => run.stat('cluster.payment.upstream_cx_active') === 0, 'the upstream connection ends');
  assert.equal(run.logged.length, 1);
});

test('an endpoint that resets takes the client with it', async () => {
  const server = await upstream((socket) => void socket.once('data', () => socket.resetAndDestroy()));
  const run = await proxy([server.port]);
  const client = run.dial();
  client.write('x');
  const [error] = await once(client, 'error');
  assert.equal(error.code, 'ECONNRESET', 'the client is reset as well');
  await until(() => run.logged.length === 1, 'the access log');
  assert.equal(run.logged[0]?.flags, ResponseFlag.UpstreamRemoteReset);
});

test('a socket that is reset while its FIN is on the way is closed all the same', async () => {
  const server = await upstream((socket) => void socket.on('error', () => undefined).resume());
  const client = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
  await once(client, 'connect');
  client.end('x');
  resetSocket(client);
  await once(client, 'close');
});

test('destroy ends a session that waits for its upstream, and one that has it', async () => {
  const server = await upstream(() => {});
  const run = await proxy([server.port]);
  const client = run.dial();
  await until(() => run.sessions.length === 1, 'the session');
  run.sessions[0]?.destroy();
  await closed(client);
  assert.equal(run.sessions[0]?.activeStreams, 0);
  assert.equal(run.logged.length, 1);
});

test('weighted clusters get their share', () => {
  const clusters = [
    { name: 'a', weight: 1 },
    { name: 'b', weight: 3 },
  ];
  const drawn = [0, 0.24, 0.25, 0.6, 0.999].map((at) => chooseCluster(clusters, at));
  assert.deepEqual(drawn, ['a', 'a', 'b', 'b', 'b']);
});
