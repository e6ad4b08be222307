/** How a process ends, and how it sends its callers elsewhere before. */
import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import {
  answering,
  ask,
  bootstrapOf,
  clusterTo,
  eventually,
  forwarding,
  httpListener,
  keptConnection,
  Tollway,
} from './tollway.ts';

/** An upstream that answers when it is told to. */
class SlowUpstream {
  readonly waiting: ServerResponse[] = [];
  private readonly server = createServer((_request, response) => this.waiting.push(response));

  async start(t: TestContext): Promise<this> {
    await new Promise<void>((done) => this.server.listen(0, '127.0.0.1', done));
    t.after(() => {
      this.server.closeAllConnections();
      this.server.close();
    });
    return this;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async answer(): Promise<void> {
    const response = await eventually('a request has come', () => this.waiting.shift());
    response.end('done');
  }
}

const ROUTES = [answering('quick', '/quick'), forwarding('slow')];

async function started(t: TestContext, upstream: SlowUpstream, args: readonly string[] = [], more: object = {}) {
  const bootstrap = bootstrapOf([httpListener('in', 0, ROUTES, more)], [clusterTo('slow', upstream.port)]);
  const proxy = await new Tollway(t, bootstrap, args).live();
  return { proxy, port: await proxy.port('in') };
}

test('SIGTERM: what is under way finishes, others are told to go, the exit code is 0', async (t) => {
  const upstream = await new SlowUpstream().start(t);
  const { proxy, port } = await started(t, upstream, ['--drain-time-s', '20']);
  const agent = keptConnection(t);
  assert.equal((await ask({ port, path: '/quick', agent })).headers.connection, undefined);
  const slow = ask({ port, path: '/slow' });
  await eventually('the request is under way', () => (upstream.waiting.length > 0 ? true : undefined));
  proxy.signal('SIGTERM');
  await eventually('it drains', async () => ((await proxy.admin('/ready')).status === 503 ? true : undefined));
  assert.equal((await ask({ port, path: '/quick', agent })).headers.connection, 'close');
  assert.equal((await ask({ port, path: '/quick' })).headers.connection, 'close');
  assert.ok(proxy.running);
  await upstream.answer();
  const reply = await slow;
  assert.equal(reply.body, 'done');
  assert.deepEqual(await proxy.ended, { code: 0, signal: null });
  await assert.rejects(ask({ port, path: '/quick' }), /ECONNREFUSED/);
});

test('SIGTERM: a request that does not end is ended with the drain time', async (t) => {
  const upstream = await new SlowUpstream().start(t);
  const { proxy, port } = await started(t, upstream, ['--drain-time-s', '2']);
  const slow = ask({ port, path: '/slow' });
  slow.catch(() => undefined);
  await eventually('the request is under way', () => (upstream.waiting.length > 0 ? true : undefined));
  const from = performance.now();
  proxy.signal('SIGTERM');
  assert.equal((await proxy.ended).code, 0);
  const took = performance.now() - from;
  assert.ok(took > 1_500 && took < 6_000, `${took} ms`);
  await assert.rejects(slow);
  assert.match(proxy.stderr, /drain time is over/);
});

test('a second SIGTERM, SIGINT and /quitquitquit end at once', async (t) => {
  const upstream = await new SlowUpstream().start(t);
  for (const end of [
    async (proxy: Tollway) => {
      proxy.signal('SIGTERM');
      await eventually('it drains', () => (proxy.stderr.includes('draining') ? true : undefined));
      proxy.signal('SIGTERM');
    },
    async (proxy: Tollway) => proxy.signal('SIGINT'),
    async (proxy: Tollway) => {
      assert.equal((await proxy.admin('/quitquitquit')).status, 405, 'GET changes nothing');
      assert.ok(proxy.running);
      assert.equal((await proxy.admin('/quitquitquit', 'POST')).body, 'OK\n');
    },
  ]) {
    const { proxy, port } = await started(t, upstream, ['--drain-time-s', '600']);
    const slow = ask({ port, path: '/slow' });
    slow.catch(() => undefined);
    await eventually('the request is under way', () => upstream.waiting.shift());
    const from = performance.now();
    await end(proxy);
    assert.deepEqual(await proxy.ended, { code: 0, signal: null });
    assert.ok(performance.now() - from < 5_000);
  }
});

test('a failing health check ends connections, and serving goes on until it passes', async (t) => {
  const upstream = await new SlowUpstream().start(t);
  const { proxy, port } = await started(t, upstream);
  const agent = keptConnection(t);
  const first = await ask({ port, path: '/quick', agent });
  assert.equal((await proxy.admin('/healthcheck/fail')).status, 405);
  assert.equal((await proxy.admin('/healthcheck/fail', 'POST')).status, 200);
  assert.equal((await proxy.admin('/ready')).body, 'DRAINING\n');
  let closes = 0;
  /** Asks until the response says that of its connection: the worker hears of the check a moment later. */
  const askUntil = (connection: string | undefined) =>
    eventually(`connection: ${connection}`, async () => {
      const reply = await ask({ port, path: '/quick', agent });
      assert.equal(reply.status, 200);
      if (reply.headers.connection === 'close') closes++;
      return reply.headers.connection === connection ? reply : undefined;
    });
  assert.equal((await askUntil('close')).localPort, first.localPort);
  assert.equal((await proxy.admin('/healthcheck/ok', 'POST')).status, 200);
  assert.equal((await proxy.admin('/ready')).body, 'LIVE\n');
  await askUntil(undefined);
  assert.equal(await proxy.stat('http.in.downstream_cx_drain_close'), closes);
});

test('/drain_listeners?graceful ends connections over the drain time, then closes the sockets', async (t) => {
  const upstream = await new SlowUpstream().start(t);
  const { proxy, port } = await started(t, upstream, ['--drain-time-s', '1']);
  const agent = keptConnection(t);
  await ask({ port, path: '/quick', agent });
  assert.equal((await proxy.admin('/drain_listeners?graceful', 'POST')).status, 200);
  await eventually('a connection is ended', async () => {
    const { headers } = await ask({ port, path: '/quick', agent });
    return headers.connection === 'close' ? true : undefined;
  });
  await eventually('the socket is closed', () =>
    ask({ port, path: '/quick' }).then(
      () => undefined,
      () => true,
    ),
  );
  assert.equal(await proxy.stat('listener_manager.listener_stopped'), 1);
  assert.ok(proxy.running);
});

test('/drain_listeners closes the sockets and leaves connections alone; outbound stays when inbound is meant', async (t) => {
  const bootstrap = bootstrapOf([
    httpListener('in', 0, [answering('in')], { traffic_direction: 'INBOUND' }),
    httpListener('out', 0, [answering('out')], { traffic_direction: 'OUTBOUND' }),
  ]);
  const proxy = await new Tollway(t, bootstrap).live();
  const [inbound, outbound] = [await proxy.port('in'), await proxy.port('out')];
  const agent = keptConnection(t);
  await ask({ port: inbound, agent });
  assert.equal((await proxy.admin('/drain_listeners?inboundonly', 'POST')).status, 200);
  await eventually('the socket is closed', () =>
    ask({ port: inbound }).then(
      () => undefined,
      () => true,
    ),
  );
  const kept = await ask({ port: inbound, agent });
  assert.deepEqual([kept.body, kept.headers.connection], ['in', undefined]);
  assert.equal((await ask({ port: outbound })).body, 'out');
});
