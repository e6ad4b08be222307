import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import { address, answering, bootstrapOf, clusterTo, eventually, httpListener, Tollway } from './tollway.ts';

const TYPE = 'type.googleapis.com/envoy.extensions.filters';
const GREETING = Buffer.from('4a0000000a382e302e333600', 'hex');
const SETTINGS = Buffer.from('000000040000000000', 'hex');
const SOON_MS = 50;

const inspector = (name: string, message: string): object => ({
  name: `envoy.filters.listener.${name}`,
  typed_config: { '@type': `${TYPE}.listener.${name}.v3.${message}` },
});
const INSPECTORS = [inspector('tls_inspector', 'TlsInspector'), inspector('http_inspector', 'HttpInspector')];

function tcpProxy(cluster: string): object {
  const typed_config = { '@type': `${TYPE}.network.tcp_proxy.v3.TcpProxy`, stat_prefix: cluster, cluster };
  return { name: 'tcp', typed_config };
}

const ANY = [{ any: true }];
const DENY = {
  name: 'rbac',
  typed_config: {
    '@type': `${TYPE}.network.rbac.v3.RBAC`,
    stat_prefix: 'guarded.',
    rules: { action: 'DENY', policies: { nobody: { permissions: ANY, principals: ANY } } },
  },
};
const ONE_AT_A_TIME = {
  name: 'limit',
  typed_config: {
    '@type': `${TYPE}.network.connection_limit.v3.ConnectionLimit`,
    stat_prefix: 'limited',
    max_connections: 1,
  },
};

/** HTTP to the connection manager, TLS to `secret`, everything else to `cluster`: as istiod writes a port of an unknown protocol. */
function sniffing(cluster: string, more: object = {}): object {
  const [http] = Reflect.get(httpListener(cluster, 0, [answering('http')]), 'filter_chains') as [object];
  return {
    name: cluster,
    stat_prefix: cluster,
    address: address(0),
    listener_filters: INSPECTORS,
    filter_chains: [
      { ...http, filter_chain_match: { application_protocols: ['http/1.1', 'h2c'] } },
      { filter_chain_match: { transport_protocol: 'tls' }, filters: [tcpProxy('secret')] },
    ],
    default_filter_chain: { filters: [tcpProxy(cluster)] },
    ...more,
  };
}

async function upstream(t: TestContext, onSocket: (socket: Socket) => void): Promise<[number, Server]> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return [(server.address() as AddressInfo).port, server];
}

interface Mesh {
  readonly proxy: Tollway;
  dial(listener: string): Promise<Socket>;
}

async function mesh(t: TestContext): Promise<Mesh> {
  const greets = (socket: Socket): void => {
    socket.write(GREETING);
    socket.on('data', (chunk: Buffer) => socket.write(Buffer.concat([Buffer.from('got '), chunk])));
    socket.on('end', () => socket.end('bye'));
  };
  const quiet = (socket: Socket): void => {
    socket.on('data', (chunk: Buffer) => socket.write(chunk));
    socket.on('end', () => socket.end());
  };
  const [database] = await upstream(t, greets);
  const [silent] = await upstream(t, quiet);
  const [http2] = await upstream(t, (socket) => void socket.write(SETTINGS));
  const [brief] = await upstream(t, (socket) => void socket.end());
  const proxy = await new Tollway(
    t,
    bootstrapOf(
      [
        sniffing('database'),
        sniffing('guarded', { default_filter_chain: { filters: [DENY, tcpProxy('database')] } }),
        sniffing('limited', { default_filter_chain: { filters: [ONE_AT_A_TIME, tcpProxy('database')] } }),
        sniffing('silent'),
        sniffing('http2'),
        sniffing('brief'),
        sniffing('impatient', {
          listener_filters_timeout: '0.3s',
          default_filter_chain: { filters: [tcpProxy('silent')] },
        }),
      ],
      [
        clusterTo('database', database),
        clusterTo('silent', silent),
        clusterTo('http2', http2),
        clusterTo('brief', brief),
        clusterTo('secret', silent),
      ],
    ),
  ).live();
  return {
    proxy,
    async dial(listener) {
      const socket = connect({ port: await proxy.port(listener), host: '127.0.0.1', allowHalfOpen: true });
      t.after(() => socket.destroy());
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      return socket;
    },
  };
}

async function next(socket: Socket): Promise<Buffer> {
  const [chunk] = await once(socket, 'data', { signal: AbortSignal.timeout(5_000) });
  assert.ok(Buffer.isBuffer(chunk));
  return chunk;
}

async function rest(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += String(chunk);
  });
  socket.on('end', () => socket.end());
  await once(socket, 'close', { signal: AbortSignal.timeout(5_000) }).catch(() => assert.fail(`open, after ${text}`));
  return text;
}

const REQUEST = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

test('a server that speaks first is heard at once, and inspection goes on with the first byte', async (t) => {
  const { proxy, dial } = await mesh(t);
  const delays: number[] = [];
  for (let at = 0; at < 5; at++) {
    const socket = await dial('database');
    const begun = performance.now();
    assert.deepEqual(await next(socket), GREETING);
    delays.push(performance.now() - begun);
    socket.write('login');
    assert.equal(String(await next(socket)), 'got login');
    socket.end();
    assert.equal(String(await next(socket)), 'bye');
    socket.destroy();
  }
  assert.ok(Math.min(...delays) < SOON_MS, `greeted after ${delays.map(Math.round)} ms`);
  assert.equal(await proxy.stat('tls_inspector.tls_not_found'), 5);
  assert.equal(await proxy.stat('http_inspector.http_not_found'), 5);
  assert.equal(await proxy.stat('tcp.database.downstream_cx_total'), 5);
  await eventually('all are gone', async () =>
    (await proxy.stat('listener.database.downstream_cx_active')) === 0 ? true : undefined,
  );
  assert.equal(await proxy.stat('listener.database.downstream_pre_cx_active'), 0);
});

test('a caller that only listens is served to the end', async (t) => {
  const { dial } = await mesh(t);
  const socket = await dial('database');
  await next(socket);
  socket.end();
  assert.equal(await rest(socket), 'bye');
});

test('a caller that takes its time is served by the chain that it turns out to be for', async (t) => {
  const { proxy, dial } = await mesh(t);
  for (const listener of ['silent', 'http2', 'brief']) {
    const web = await dial(listener);
    await pause(120);
    web.write(REQUEST);
    assert.match(await rest(web), /^HTTP\/1\.1 200 OK[\s\S]*http$/, listener);
    assert.equal(
      await proxy.stat(`tcp.${listener}.downstream_cx_total`),
      0,
      `${listener}: the supposed chain counts nothing`,
    );
  }
  const bytes = await dial('silent');
  await pause(120);
  bytes.write('\x00');
  bytes.end('bytes');
  assert.equal(await rest(bytes), '\x00bytes');
  assert.equal(await proxy.stat('tcp.silent.downstream_cx_total'), 1);
  const slow = await dial('silent');
  await pause(120);
  const secure = tlsConnect({ socket: slow, servername: 'a.test', rejectUnauthorized: false });
  secure.on('error', () => undefined);
  await eventually('it goes where TLS goes', async () =>
    (await proxy.stat('tcp.secret.downstream_cx_total')) === 1 ? true : undefined,
  );
  secure.destroy();
  await eventually('the upstream connections are gone', async () =>
    (await proxy.stat('cluster.silent.upstream_cx_active')) === 0 ? true : undefined,
  );
});

test('a caller that hears a greeting and then speaks HTTP is let go', async (t) => {
  const { proxy, dial } = await mesh(t);
  const socket = await dial('database');
  await next(socket);
  socket.write(REQUEST);
  assert.equal(await rest(socket), '');
  assert.equal(await proxy.stat('listener.database.downstream_listener_filter_error'), 1);
});

test('where both sides say nothing the timeout of the listener filters holds', async (t) => {
  const { proxy, dial } = await mesh(t);
  const socket = await dial('impatient');
  assert.equal(await rest(socket), '');
  assert.equal(await proxy.stat('listener.impatient.downstream_pre_cx_timeout'), 1);
  assert.equal(await proxy.stat('cluster.silent.upstream_cx_active'), 0);
});

test('a server that speaks first is not heard by who may not come in', async (t) => {
  const { proxy, dial } = await mesh(t);
  const socket = await dial('guarded');
  const heard = rest(socket);
  await pause(2 * SOON_MS);
  assert.equal(await proxy.stat('cluster.database.upstream_cx_total'), 0);
  socket.write('login');
  assert.equal(await heard, '');
  assert.equal(await proxy.stat('guarded.rbac.denied'), 1, 'judged once');
});

test('a silent caller counts once, and makes room when it has gone', async (t) => {
  const { proxy, dial } = await mesh(t);
  for (let at = 0; at < 2; at++) {
    const socket = await dial('limited');
    assert.deepEqual(await next(socket), GREETING);
    socket.write('login');
    assert.equal(String(await next(socket)), 'got login');
    assert.equal(await proxy.stat('connection_limit.limited.active_connections'), 1);
    socket.destroy();
    await eventually('it is gone', async () =>
      (await proxy.stat('connection_limit.limited.active_connections')) === 0 ? true : undefined,
    );
  }
  assert.equal(await proxy.stat('connection_limit.limited.limited_connections'), 0);
});
