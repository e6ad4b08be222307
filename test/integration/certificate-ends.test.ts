/** Callers whose certificates live for seconds: how a proxy tells them, what is still answered, and when it is over. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { DevCa, type IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { httpsListener, staticCluster } from './tls-config.ts';
import { bootstrapOf, eventually, Tollway } from './tollway.ts';

const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const issue = (ttlMs: number): IssuedLeaf => ca.issue({ spiffeId: 'spiffe://td/sa/pay', ttlMs });
const TTL_MS = 5000;
const GRACE_MS = 1000;
/** Timers of a busy machine. */
const SLACK_MS = 2000;

/** Holds what is asked under `/slow` until it is let go, and talks TCP beside that. */
async function backgrounds(t: TestContext) {
  const held: ServerResponse[] = [];
  const app = createServer((request, response) => {
    if (request.url === '/slow') held.push(response);
    else response.end('ok');
  }).listen(0, '127.0.0.1');
  const echo = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  }).listen(0, '127.0.0.1');
  await Promise.all([once(app, 'listening'), once(echo, 'listening')]);
  t.after(() => {
    app.close();
    app.closeAllConnections();
    echo.close();
  });
  const port = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;
  return { held, app: port(app), echo: port(echo) };
}

async function start(t: TestContext) {
  const { held, app, echo } = await backgrounds(t);
  const server = issue(600_000);
  const common = {
    alpn_protocols: ['h2', 'http/1.1'],
    tls_certificates: [
      { certificate_chain: { inline_string: server.chain }, private_key: { inline_string: server.key } },
    ],
    validation_context: { trusted_ca: { inline_string: ca.rootPem } },
  };
  const http = httpsListener('in', common, 'app');
  const tcp = httpsListener('raw', common, 'echo');
  const [chain] = Reflect.get(tcp, 'filter_chains') as { filters: object[] }[];
  if (chain !== undefined) {
    const type = 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';
    chain.filters = [{ name: 'tcp', typed_config: { '@type': type, stat_prefix: 'raw', cluster: 'echo' } }];
  }
  const static_layer = { 'tollway.certificates.grace_ms': GRACE_MS };
  const bootstrap = {
    ...bootstrapOf([http, tcp], [staticCluster('app', app), staticCluster('echo', echo)]),
    layered_runtime: { layers: [{ name: 'static', static_layer }] },
  };
  const proxy = await new Tollway(t, bootstrap, ['--concurrency', '1']).live();
  const leaf = issue(TTL_MS);
  const options = {
    host: '127.0.0.1',
    ca: ca.rootPem,
    cert: leaf.chain,
    key: leaf.key,
    checkServerIdentity: () => undefined,
  };
  const dial = async (listener: string): Promise<TLSSocket> => {
    const socket = connect({ ...options, port: await proxy.port(listener), ALPNProtocols: ['http/1.1'] });
    socket.on('error', () => undefined);
    t.after(() => socket.destroy());
    await once(socket, 'secureConnect');
    return socket;
  };
  const session = async (): Promise<ClientHttp2Session> => {
    const made = connectHttp2(`https://127.0.0.1:${await proxy.port('in')}`, options);
    made.on('error', () => undefined);
    t.after(() => made.destroy());
    await once(made, 'connect');
    return made;
  };
  return { proxy, held, dial, session, endsAt: leaf.notAfter };
}

/** The next response as text, heads and all. */
async function asked(socket: TLSSocket, path: string): Promise<string> {
  socket.write(`GET ${path} HTTP/1.1\r\nhost: a.test\r\n\r\n`);
  const [chunk] = await once(socket, 'data');
  return String(chunk);
}

test('HTTP/1.1: told before the certificate ends, with an answer', { timeout: 60_000 }, async (t) => {
  const { proxy, dial, endsAt } = await start(t);
  const socket = await dial('in');
  const closed = once(socket, 'close');
  for (;;) {
    const answer = await asked(socket, '/here');
    assert.match(answer, /^HTTP\/1\.1 200 /);
    if (/^connection: close/im.test(answer)) break;
    assert.ok(Date.now() < endsAt, 'told in time');
    await new Promise((wake) => setTimeout(wake, 20));
  }
  assert.ok(Date.now() < endsAt + SLACK_MS && Date.now() > endsAt - TTL_MS / 2);
  socket.end();
  await closed;
  assert.equal(await proxy.stat('listener.in.ssl.connection_expired'), 1);
  assert.equal(await proxy.stat('listener.in.ssl.connection_cut'), 0);
});

test('HTTP/2: GOAWAY before the certificate ends, what is under way is answered, and the rest is cut off', {
  timeout: 60_000,
}, async (t) => {
  const { proxy, held, session, endsAt } = await start(t);
  const sessions = [await session(), await session()];
  const closed = Promise.all(sessions.map((one) => once(one, 'close')));
  const goaways = Promise.all(sessions.map((one) => once(one, 'goaway')));
  const answers = sessions.map(async (one) => {
    const stream = one.request({ ':path': '/slow' });
    stream.on('error', () => undefined);
    stream.resume();
    const [head] = await once(stream, 'response');
    return head[':status'];
  });
  for (const answer of answers) answer.catch(() => undefined);
  await eventually('both are at the application', () => (held.length === 2 ? true : undefined));
  assert.deepEqual(
    (await goaways).map(([code]) => code),
    [0, 0],
  );
  assert.ok(Date.now() < endsAt + SLACK_MS);
  held[0]?.end('slow');
  assert.equal(await Promise.race(answers), 200);
  await closed;
  assert.ok(Date.now() >= endsAt + GRACE_MS, 'the other one had its grace');
  assert.ok(Date.now() < endsAt + GRACE_MS + SLACK_MS, 'and no more');
  assert.equal(await proxy.stat('listener.in.ssl.connection_expired'), 2);
  assert.equal(await proxy.stat('listener.in.ssl.connection_cut'), 1);
});

test('TCP: the session ends with the certificate, and not before', { timeout: 60_000 }, async (t) => {
  const { proxy, dial, endsAt } = await start(t);
  const socket = await dial('raw');
  const closed = once(socket, 'close').then(() => Date.now());
  const talking = setInterval(() => socket.write('x'), 20);
  t.after(() => clearInterval(talking));
  let heard = 0;
  socket.on('data', () => (heard = Date.now()));
  const at = await closed;
  clearInterval(talking);
  assert.ok(heard > endsAt - 500 || at - heard < 500, 'it talked to the end');
  assert.ok(at >= endsAt && at < endsAt + SLACK_MS, `closed ${at - endsAt} ms after the expiry`);
  assert.equal(await proxy.stat('listener.raw.ssl.connection_cut'), 1);
});
