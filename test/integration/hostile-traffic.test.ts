/**
 * Recorded traffic changed at random, from callers and from upstreams at once, through a whole proxy: whatever comes of each
 * exchange, nothing throws, nothing stays open, and what is well-formed is served as ever.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { type Mutant, mutants, recordings } from '../recordings.ts';
import { smugglers } from './smugglers.ts';
import { answering, ask, bootstrapOf, clusterTo, eventually, httpListener, Tollway } from './tollway.ts';

const CALLERS_AT_A_TIME = 50;
const WITHIN_MS = 400;
const EXTENSIONS = 'type.googleapis.com/envoy.extensions';

const HTTP2 = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': `${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions`,
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

const samples = (protocol: 'h1' | 'h2', way: 'up' | 'down', seed: number, numRuns: number): readonly Mutant[] =>
  fc.sample(mutants(recordings(protocol, way)), { seed, numRuns });

function sendPieces(socket: Socket, { bytes, cuts }: Mutant): void {
  for (let at = 0, i = 0; at < bytes.length && i < 200; i++) {
    const size = i === 199 ? bytes.length : (cuts[i % cuts.length] ?? 1);
    if (!socket.destroyed) socket.write(bytes.subarray(at, at + size));
    at += size;
  }
}

/** A server that answers each connection's first bytes with one of the mutants, by turn. */
async function hostileUpstream(t: TestContext, all: readonly Mutant[]): Promise<number> {
  const sockets = new Set<Socket>();
  let turn = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    const mutant = all[turn++ % all.length];
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    socket.once('data', () => mutant !== undefined && sendPieces(socket, mutant)).resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Says what the mutant says, and listens for a while. */
function call(port: number, mutant: Mutant): Promise<void> {
  return new Promise((done) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const over = (): void => {
      clearTimeout(limit);
      socket.destroy();
      done();
    };
    const limit = setTimeout(over, WITHIN_MS);
    socket.on('connect', () => sendPieces(socket, mutant));
    socket.on('error', over).on('close', over).resume();
  });
}

async function callAll(port: number, all: readonly Mutant[]): Promise<void> {
  const left = [...all];
  const one = async (): Promise<void> => {
    for (let mutant = left.pop(); mutant !== undefined; mutant = left.pop()) await call(port, mutant);
  };
  await Promise.all(Array.from({ length: CALLERS_AT_A_TIME }, one));
}

test('changed traffic from both sides harms nothing', { timeout: 60_000 }, async (t) => {
  const route = (cluster: string) => ({ match: { prefix: '/' }, route: { cluster, timeout: '0.15s' } });
  const names = ['h1', 'h2'] as const;
  const clusters = await Promise.all(
    names.map(async (name) =>
      clusterTo(name, await hostileUpstream(t, samples(name, 'down', 41, 300)), name === 'h2' ? HTTP2 : {}),
    ),
  );
  // A caller that is gone is not seen while the proxy does not read from it: its upstream takes no more of its body.
  const idle = { stream_idle_timeout: '1s' };
  const listeners = [
    httpListener('to-h1', 0, [route('h1')], {}, idle),
    httpListener('to-h2', 0, [route('h2')], {}, idle),
    httpListener('direct', 0, [answering('fine')], {}, idle),
  ];
  const proxy = await new Tollway(t, bootstrapOf(listeners, clusters), ['--concurrency', '1']).live();
  for (const [i, listener] of ['to-h1', 'to-h2', 'direct'].entries()) {
    const port = await proxy.port(listener);
    for (const name of names) await callAll(port, samples(name, 'up', 50 + i, 300));
  }
  const log = `${proxy.stdout}${proxy.stderr}`;
  assert.ok(!/internal error|a worker failed/.test(log), log.slice(-4000));
  assert.equal((await ask({ port: await proxy.port('direct') })).body, 'fine');
  const open = ['http.to-h1', 'http.to-h2', 'http.direct'].map((prefix) => `${prefix}.downstream_rq_active`);
  for (const name of [...open, 'cluster.h1.upstream_rq_active', 'cluster.h2.upstream_rq_active']) {
    await eventually(`${name} is 0`, async () => ((await proxy.stat(name)) === 0 ? true : undefined));
  }
  for (const name of names) {
    t.diagnostic(`${name}: ${await proxy.stat(`cluster.${name}.upstream_rq_total`)} requests went up`);
    assert.ok(((await proxy.stat(`cluster.${name}.upstream_rq_total`)) ?? 0) > 20, name);
  }
});

for (const insecureHTTPParser of [false, true]) {
  const kind = insecureHTTPParser ? 'a lenient' : 'a strict';
  test(`${kind} upstream sees only requests that the proxy made`, { timeout: 60_000 }, (t) =>
    onlyOurs(t, insecureHTTPParser),
  );
}

async function onlyOurs(t: TestContext, insecureHTTPParser: boolean): Promise<void> {
  const seed = insecureHTTPParser ? 71 : 61;
  const ids: unknown[] = [];
  const faults: string[] = [];
  // Another parser than ours: what it takes for a request is one.
  const upstream = createHttpServer({ insecureHTTPParser }, (request, response) => {
    ids.push(request.headers['x-request-id']);
    request.resume().on('end', () => response.end('ok'));
  });
  upstream.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // A request whose caller went away is cut off, and that is all that may be wrong with one.
    if (error.code !== 'ECONNRESET' && error.code !== 'HPE_INVALID_EOF_STATE')
      faults.push(`${error.code} ${error.message}`);
    socket.destroy();
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  t.after(() => {
    upstream.closeAllConnections();
    upstream.close();
  });
  const { port: to } = upstream.address() as AddressInfo;
  const listener = httpListener('in', 0, [{ match: { prefix: '/' }, route: { cluster: 'h1' } }]);
  const proxy = await new Tollway(t, bootstrapOf([listener], [clusterTo('h1', to)]), ['--concurrency', '1']).live();
  const port = await proxy.port('in');
  for (const [i, name] of (['h1', 'h2'] as const).entries()) await callAll(port, samples(name, 'up', seed + i, 700));
  await callAll(port, fc.sample(smugglers, { seed, numRuns: 1500 }));
  assert.deepEqual(faults, []);
  assert.ok(ids.every((id) => typeof id === 'string' && /^[0-9a-f-]{36}$/.test(id)));
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(ids.length > 500, `${ids.length} requests`);
  assert.ok(ids.length <= ((await proxy.stat('cluster.h1.upstream_rq_total')) ?? 0));
  t.diagnostic(`${ids.length} requests`);
}
