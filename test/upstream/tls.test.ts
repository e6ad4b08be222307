import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, test } from 'node:test';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { TimerWheel } from '../../proxy/timers.ts';
import { ConnectionLives } from '../../proxy/tls/lives.ts';
import { WorkerTlsProvider } from '../../proxy/tls/provider.ts';
import { secretKeys } from '../../proxy/tls/secret-key.ts';
import { SecretTable } from '../../proxy/tls/secret-table.ts';
import type { ClusterHandle, UpstreamTcpConnection } from '../../proxy/upstream/contract.ts';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Endpoint } from '../../xds-client/model/endpoint.ts';
import { assignment, cluster, endpoint } from '../cluster/support.ts';
import { putCertificate, putTrust, upstreamTls, uriSan } from '../tls/support.ts';
import { answering, anywhere, exchange, head, type Mesh, mesh, OK, serve, until } from './support.ts';

const SERVER = 'spiffe://td/ns/pay/sa/server';
const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const other = new DevCa({ now: Date.now, trustDomain: 'td' });
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface SecureServer {
  readonly port: number;
  readonly names: (string | false | null | undefined)[];
}

async function secureServer(onSocket = answering(() => OK), more: TlsOptions = {}): Promise<SecureServer> {
  const leaf = ca.issue({ spiffeId: SERVER, dnsNames: ['a.test'] });
  const names: SecureServer['names'] = [];
  const own = { cert: leaf.chain, key: leaf.key, ca: ca.rootPem, requestCert: true, rejectUnauthorized: true };
  const options = { ...own, ...more };
  const open = new Set<TLSSocket>();
  const server = createServer(options, (socket) => {
    open.add(socket);
    names.push(socket.servername);
    socket.on('error', () => {});
    onSocket(socket);
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port, names };
}

interface Fixture extends Mesh {
  readonly secrets: SecretTable;
  readonly cluster: ClusterHandle;
  /** Lets so much time pass for the lives of connections. */
  pass(ms: number): void;
}

function fixture(target: Endpoint, changes: Partial<Cluster> = {}, now?: () => number): Fixture {
  const secrets = new SecretTable();
  putCertificate(secrets, ca.issue({ spiffeId: 'spiffe://td/ns/pay/sa/client' }));
  putTrust(secrets, ca.rootPem, { sanMatches: [uriSan(SERVER)] });
  let passed = 0;
  const clock = (): number => passed;
  const timers = new TimerWheel({ now: clock, wakeAt: () => {} });
  const wallClock = (): number => Date.now() + passed;
  const lives = new ConnectionLives({
    timers,
    wallClock,
    now: clock,
    random: () => 0,
    number: () => undefined,
    log: undefined,
  });
  const tls = new WorkerTlsProvider(secrets, wallClock, () => {}, lives);
  const pass = (ms: number): void => {
    passed += ms;
    timers.advance();
  };
  const made = mesh(now === undefined ? { tls } : { tls, now });
  cleanups.push(() => made.table.destroy());
  made.directory.setCluster(cluster('payment', { transportSocket: { kind: 'tls', tls: upstreamTls() }, ...changes }));
  made.directory.setAssignment('payment', assignment('payment', [target]));
  const handle = made.table.get('payment');
  assert.ok(handle);
  return { ...made, secrets, cluster: handle, pass };
}

const to = (authority: string): Parameters<typeof exchange> extends [unknown, ...infer Rest] ? Rest : never => {
  const request = head('GET', '/', authority);
  return [request, { context: { ...anywhere, head: request } }];
};

test('a request goes over verified mTLS, and says who answered', async () => {
  const server = await secureServer();
  const { cluster: payment, stat } = fixture(endpoint('127.0.0.1', server.port));
  const outcome = await exchange(payment, head('GET')).done;
  assert.equal(outcome.status, 200);
  assert.deepEqual(outcome.connection?.tls?.peer?.sans.uris, [SERVER]);
  assert.equal(stat('cluster.payment.ssl.handshake'), 1);
});

test('HTTP/1.1 is offered where the configuration names no protocol, and only there', async () => {
  const server = await secureServer(undefined, { ALPNProtocols: ['istio', 'http/1.1'] });
  const agreed = async (alpnProtocols: readonly string[]): Promise<string | undefined> => {
    const common = { ...upstreamTls().common, alpnProtocols };
    const transportSocket = { kind: 'tls', tls: upstreamTls({}, common) } as const;
    const { cluster: payment } = fixture(endpoint('127.0.0.1', server.port), { transportSocket });
    return (await exchange(payment, head('GET')).done).connection?.tls?.alpn;
  };
  assert.equal(await agreed([]), 'http/1.1');
  assert.equal(await agreed(['istio']), 'istio');
});

test('an endpoint with another identity gets no byte of the request', async () => {
  const requests: string[] = [];
  const server = await secureServer(
    answering((line) => {
      requests.push(line);
      return OK;
    }),
  );
  const { cluster: payment, secrets, stat } = fixture(endpoint('127.0.0.1', server.port));
  putTrust(secrets, ca.rootPem, { sanMatches: [uriSan('spiffe://td/ns/pay/sa/other')] });
  const outcome = await exchange(payment, head('POST')).done;
  assert.equal(outcome.reason, 'connection-failure');
  assert.match(outcome.details ?? '', /^TLS_error: .*SAN matcher/);
  assert.equal(stat('cluster.payment.ssl.fail_verify_san'), 1);
  assert.equal(stat('cluster.payment.upstream_cx_connect_fail'), 1);
  assert.deepEqual(requests, []);
});

test('a missing secret fails the request, and nothing goes out in plaintext', async () => {
  const server = await serve(answering(() => OK));
  cleanups.push(server.close);
  const common = {
    ...upstreamTls().common,
    certificates: [{ kind: 'sds', name: 'late', source: { kind: 'ads' } }],
  } as const;
  const { cluster: payment, stat } = fixture(endpoint('127.0.0.1', server.port), {
    transportSocket: { kind: 'tls', tls: upstreamTls({}, common) },
  });
  const outcome = await exchange(payment, head('GET')).done;
  assert.equal(outcome.reason, 'connection-failure');
  assert.equal(outcome.details, 'TLS_error: Secret is not supplied by SDS');
  assert.equal(stat('cluster.payment.client_ssl_socket_factory.upstream_context_secrets_not_ready'), 1);
  assert.equal(server.accepted, 0);
});

test('an endpoint that does not speak TLS fails the connection', async () => {
  const server = await serve((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  cleanups.push(server.close);
  const { cluster: payment, stat } = fixture(endpoint('127.0.0.1', server.port));
  const outcome = await exchange(payment, head('GET')).done;
  assert.equal(outcome.reason, 'connection-failure');
  assert.match(outcome.details ?? '', /^TLS_error: /);
  assert.equal(stat('cluster.payment.ssl.connection_error'), 1);
});

test('auto_sni sends the authority’s name, and names do not share connections', async () => {
  const server = await secureServer();
  const { cluster: payment } = fixture(endpoint('127.0.0.1', server.port), { autoSni: true });
  for (const authority of ['a.test:8443', 'b.test', 'a.test']) {
    assert.equal((await exchange(payment, ...to(authority)).done).status, 200);
  }
  assert.deepEqual(server.names, ['a.test', 'b.test']);
});

test('auto_san_validation wants the authority’s name in the certificate', async () => {
  const server = await secureServer();
  const { cluster: payment } = fixture(endpoint('127.0.0.1', server.port), { autoSni: true, autoSanValidation: true });
  assert.equal((await exchange(payment, ...to('a.test')).done).status, 200);
  const refused = await exchange(payment, ...to('b.test')).done;
  assert.equal(refused.reason, 'connection-failure');
  assert.match(refused.details ?? '', /b\.test/);
});

test('auto_host_sni sends the endpoint’s hostname', async () => {
  const server = await secureServer();
  const { cluster: payment } = fixture(endpoint('127.0.0.1', server.port, { hostname: 'pod-1.test' }), {
    transportSocket: { kind: 'tls', tls: upstreamTls({ autoHostSni: true }) },
  });
  assert.equal((await exchange(payment, head('GET')).done).status, 200);
  assert.deepEqual(server.names, ['pod-1.test']);
});

/** Answers all but `/slow`, which waits for `finish`. */
function slowServer() {
  const slow: { finish: (() => void) | undefined } = { finish: undefined };
  const server = secureServer(
    answering((line, socket) => {
      if (!line.includes('/slow')) return OK;
      slow.finish = () => socket.write(OK);
      return undefined;
    }),
  );
  return { slow, server };
}

test('a removed root ends idle connections at once, and requests under way finish', async () => {
  const { slow, server } = slowServer();
  const { cluster: payment, secrets, stat } = fixture(endpoint('127.0.0.1', (await server).port));
  const waiting = exchange(payment, head('GET', '/slow'));
  await exchange(payment, head('GET')).done;
  await until(() => slow.finish !== undefined, 'the slow request arrived');
  putTrust(secrets, other.rootPem, { sanMatches: [uriSan(SERVER)] });
  await until(() => stat('cluster.payment.upstream_cx_active') === 1, 'the idle one is gone');
  slow.finish?.();
  assert.equal((await waiting.done).status, 200);
  await until(() => stat('cluster.payment.upstream_cx_active') === 0, 'the other one is gone');
  assert.equal(stat('cluster.payment.ssl.connection_distrusted'), 2);
  assert.equal(stat('cluster.payment.ssl.connection_cut'), 0);
  assert.equal((await exchange(payment, head('GET')).done).reason, 'connection-failure');
});

test('what an endpoint of a removed root does not answer within the grace is cut off', async () => {
  const { slow, server } = slowServer();
  const { cluster: payment, secrets, stat, pass } = fixture(endpoint('127.0.0.1', (await server).port));
  const waiting = exchange(payment, head('GET', '/slow'));
  await until(() => slow.finish !== undefined, 'the slow request arrived');
  putTrust(secrets, other.rootPem, { sanMatches: [uriSan(SERVER)] });
  await until(() => stat('cluster.payment.ssl.connection_distrusted') === 1, 'it is told to end');
  pass(29_000);
  assert.equal(stat('cluster.payment.upstream_cx_active'), 1);
  pass(1_100);
  const { reason, details } = await waiting.done;
  assert.deepEqual([reason, details], ['connection-termination', 'connection_certificate_distrusted']);
  assert.equal(stat('cluster.payment.ssl.connection_cut'), 1);
  assert.equal(stat('cluster.payment.upstream_cx_active'), 0);
});

test('a root that is added ends nothing, nor does one that is removed when others are meant', async () => {
  const server = await secureServer();
  const { cluster: payment, secrets, stat } = fixture(endpoint('127.0.0.1', server.port));
  await exchange(payment, head('GET')).done;
  const third = new DevCa({ now: Date.now, trustDomain: 'td' });
  const bundles = [[ca, other], [ca, third], [third, ca], [ca]];
  for (const [i, bundle] of bundles.entries()) {
    putTrust(secrets, bundle.map(({ rootPem }) => rootPem).join(''), { sanMatches: [uriSan(SERVER)] });
    const next = await exchange(payment, head('GET')).done;
    assert.deepEqual([next.status, next.connection?.streamsStarted], [200, i + 2]);
  }
  assert.equal(stat('cluster.payment.upstream_cx_total'), 1);
});

test('a name that is not let in any more ends connections as a root does', async () => {
  const server = await secureServer();
  const { cluster: payment, secrets, stat } = fixture(endpoint('127.0.0.1', server.port));
  await exchange(payment, head('GET')).done;
  putTrust(secrets, ca.rootPem, { sanMatches: [uriSan(SERVER), uriSan('spiffe://td/ns/pay/sa/other')] });
  assert.equal((await exchange(payment, head('GET')).done).connection?.streamsStarted, 2);
  putTrust(secrets, ca.rootPem, { sanMatches: [uriSan('spiffe://td/ns/pay/sa/other')] });
  await until(() => stat('cluster.payment.upstream_cx_active') === 0, 'it is gone');
  assert.equal((await exchange(payment, head('GET')).done).reason, 'connection-failure');
});

test('connections end before the first of both certificates does, and requests under way finish', async () => {
  const { slow, server } = slowServer();
  const { cluster: payment, secrets, stat, pass } = fixture(endpoint('127.0.0.1', (await server).port));
  putCertificate(secrets, ca.issue({ spiffeId: 'spiffe://td/ns/pay/sa/client', ttlMs: 20_000 }));
  const waiting = exchange(payment, head('GET', '/slow'));
  await exchange(payment, head('GET')).done;
  await until(() => slow.finish !== undefined, 'the slow request arrived');
  pass(15_000);
  assert.equal(stat('cluster.payment.upstream_cx_active'), 2);
  pass(3_900);
  assert.equal(stat('cluster.payment.upstream_cx_active'), 1);
  assert.equal(stat('cluster.payment.ssl.connection_expired'), 2);
  slow.finish?.();
  assert.equal((await waiting.done).status, 200);
  await until(() => stat('cluster.payment.upstream_cx_active') === 0, 'the other one is gone');
});

test('the endpoint’s certificate bounds its connections, and what lasts longer is cut off', async () => {
  const { slow, server } = slowServer();
  const { cluster: payment, stat, pass } = fixture(endpoint('127.0.0.1', (await server).port));
  const waiting = exchange(payment, head('GET', '/slow'));
  await until(() => slow.finish !== undefined, 'the slow request arrived');
  pass(30_000);
  assert.equal(stat('cluster.payment.ssl.connection_expired'), 1);
  pass(28_000);
  assert.equal(stat('cluster.payment.upstream_cx_active'), 1);
  pass(2_100);
  const { reason, details } = await waiting.done;
  assert.deepEqual([reason, details], ['connection-termination', 'connection_certificate_expired']);
});

for (const [why, details] of [
  ['expired', 'connection_certificate_expired'],
  ['distrusted', 'connection_certificate_distrusted'],
] as const) {
  test(`a raw connection that is ${why} goes on until its time is over, and says why`, async () => {
    const server = await secureServer((socket) => socket.resume());
    const { cluster: payment, secrets, stat, pass } = fixture(endpoint('127.0.0.1', server.port));
    const host = payment.choose(anywhere, 'default');
    assert.ok(host);
    const connection = await new Promise<UpstreamTcpConnection>((resolve, reject) => {
      const callbacks = { onReady: resolve, onFailure: reject };
      payment.newTcpConnection(host, 'default', callbacks, anywhere);
    });
    if (why === 'distrusted') {
      pass(1);
      putTrust(secrets, other.rootPem);
      await until(() => stat('cluster.payment.ssl.connection_distrusted') === 1, 'it is told');
    }
    // of a certificate of 30 s, cut to whole seconds
    pass(28_000);
    assert.equal(stat('cluster.payment.upstream_cx_active'), 1);
    const closed = once(connection.socket, 'close');
    pass(2_100);
    await closed;
    assert.equal(connection.cutDetails, details);
    assert.equal(stat('cluster.payment.ssl.connection_cut'), 1);
    assert.equal(stat('cluster.payment.upstream_cx_active'), 0);
  });
}

test('a certificate of our own that rotates leaves pooled connections in use, and new ones show it', async () => {
  const server = await secureServer();
  const { cluster: payment, secrets, stat } = fixture(endpoint('127.0.0.1', server.port));
  await exchange(payment, head('GET')).done;
  putCertificate(secrets, ca.issue({ spiffeId: 'spiffe://td/ns/pay/sa/renewed' }));
  const next = await exchange(payment, head('GET')).done;
  assert.deepEqual([next.status, next.connection?.streamsStarted], [200, 2]);
  assert.equal(stat('cluster.payment.upstream_cx_total'), 1);
  putTrust(secrets, other.rootPem, { sanMatches: [uriSan(SERVER)] });
  await until(() => stat('cluster.payment.upstream_cx_active') === 0, 'nothing is open');
  putTrust(secrets, ca.rootPem, { sanMatches: [uriSan(SERVER)] });
  const renewed = await exchange(payment, head('GET')).done;
  assert.deepEqual(renewed.connection?.tls?.localSans.uris, ['spiffe://td/ns/pay/sa/renewed']);
});

test('a removed root ends all idle connections, and the pool goes on with what comes after', async () => {
  const server = await secureServer();
  const { cluster: payment, secrets, stat } = fixture(endpoint('127.0.0.1', server.port));
  await Promise.all(Array.from({ length: 4 }, () => exchange(payment, head('GET')).done));
  assert.equal(stat('cluster.payment.upstream_cx_active'), 4);
  putTrust(secrets, other.rootPem, { sanMatches: [uriSan(SERVER)] });
  // before anybody has looked at the connections
  assert.equal((await exchange(payment, head('GET')).done).reason, 'connection-failure');
  assert.equal(stat('cluster.payment.upstream_cx_active'), 0);
  putTrust(secrets, ca.rootPem, { sanMatches: [uriSan(SERVER)] });
  for (let streams = 1; streams <= 3; streams++) {
    const next = await exchange(payment, head('GET')).done;
    assert.deepEqual([next.status, next.connection?.streamsStarted], [200, streams]);
  }
});

test('a changed trust is honoured while a connection is looked at', async () => {
  const server = await secureServer();
  let now = 0;
  const { cluster: payment, secrets, stat } = fixture(endpoint('127.0.0.1', server.port), {}, () => now);
  await exchange(payment, head('GET')).done;
  // long idle, so that it is looked at for a turn before it carries the next request
  now = 1_000;
  const next = exchange(payment, head('GET'));
  putTrust(secrets, other.rootPem, { sanMatches: [uriSan(SERVER)] });
  assert.equal((await next.done).reason, 'connection-failure');
  assert.equal(stat('cluster.payment.upstream_cx_total'), 2);
});

test('secrets that are let go do not fail what still waits on them', async () => {
  const server = await secureServer();
  const { cluster: payment, secrets } = fixture(endpoint('127.0.0.1', server.port));
  assert.equal((await exchange(payment, head('GET')).done).status, 200);
  for (const key of secretKeys(upstreamTls())) secrets.delete(key);
  const two = [exchange(payment, head('GET')), exchange(payment, head('GET'))];
  for (const { done } of two) assert.equal((await done).status, 200);
});

test('the endpoint’s metadata chooses between TLS and plaintext', async () => {
  const secure = await secureServer();
  const plain = await serve(answering(() => OK));
  cleanups.push(plain.close);
  const marked = { metadata: { 'envoy.transport_socket_match': { tlsMode: 'istio' } } };
  const { cluster: payment, directory } = fixture(endpoint('127.0.0.1', secure.port, marked), {
    transportSocket: { kind: 'raw' },
    transportSocketMatches: [
      { name: 'tlsMode-istio', match: { tlsMode: 'istio' }, transportSocket: { kind: 'tls', tls: upstreamTls() } },
    ],
  });
  assert.notEqual((await exchange(payment, head('GET')).done).connection?.tls, undefined);
  directory.setAssignment('payment', assignment('payment', [endpoint('127.0.0.1', plain.port)]));
  const outcome = await exchange(payment, head('GET')).done;
  assert.equal(outcome.status, 200);
  assert.equal(outcome.connection?.tls, undefined);
});

test('a removed cluster takes its TLS statistics along, a changed one keeps them', async () => {
  const server = await secureServer();
  const { cluster: payment, directory, table, stat, stats } = fixture(endpoint('127.0.0.1', server.port));
  assert.equal((await exchange(payment, head('GET')).done).status, 200);
  const socket = { kind: 'tls', tls: upstreamTls() } as const;
  directory.setCluster(cluster('payment', { transportSocket: socket, connectTimeoutMs: 4_000 }));
  assert.equal(stat('cluster.payment.ssl.handshake'), 1);
  directory.removeCluster('payment');
  assert.equal(table.get('payment'), undefined);
  await until(() => stats.get('cluster.payment.ssl.handshake') === undefined, 'the statistics are gone');
});
