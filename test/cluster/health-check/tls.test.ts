/** Checks over the cluster's own TLS: who is asked, and who is not. */
import assert from 'node:assert/strict';
import { createSecureServer, type ServerHttp2Stream } from 'node:http2';
import { type TestContext, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { DevCa } from '../../../certs/source/dev-ca.ts';
import { SUCCESS, UNREACHABLE } from '../../../proxy/cluster/health-check/contract.ts';
import { TimerWheel } from '../../../proxy/timers.ts';
import { ConnectionLives } from '../../../proxy/tls/lives.ts';
import { WorkerTlsProvider } from '../../../proxy/tls/provider.ts';
import { SecretTable } from '../../../proxy/tls/secret-table.ts';
import type { HealthCheck } from '../../../xds-client/model/health-check.ts';
import type { UpstreamTls } from '../../../xds-client/model/tls.ts';
import { parameters, putCertificate, putTrust, upstreamTls, uriSan } from '../../tls/support.ts';
import { checkerTo, listening } from './support.ts';

const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const SERVER = 'spiffe://td/ns/pay/sa/server';
const CLIENT = 'spiffe://td/ns/pay/sa/client';
const GRPC: HealthCheck['probe'] = { kind: 'grpc', service: '', authority: undefined, metadata: [] };

/** A gRPC service that lets in who has a certificate of its authority, and notes what each connection agreed on. */
async function service(t: TestContext): Promise<{ readonly port: number; readonly seen: unknown[] }> {
  const { chain, key } = ca.issue({ spiffeId: SERVER });
  const server = createSecureServer({ key, cert: chain, ca: ca.rootPem, requestCert: true });
  const seen: unknown[] = [];
  server.on('secureConnection', (socket: TLSSocket) => {
    seen.push([socket.alpnProtocol, socket.getPeerX509Certificate()?.subjectAltName]);
  });
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
  });
  return { port: await listening(t, server), seen };
}

function material(trust: DevCa = ca): SecretTable {
  const secrets = new SecretTable();
  putCertificate(secrets, ca.issue({ spiffeId: CLIENT }));
  putTrust(secrets, trust.rootPem);
  return secrets;
}

const over = (secrets: SecretTable, tls: UpstreamTls = upstreamTls()) => ({
  changes: { transportSocket: { kind: 'tls', tls } } as const,
  tls: new WorkerTlsProvider(secrets, Date.now, (message) => assert.fail(message)),
});

test('an endpoint is asked with our certificate, in HTTP/2 by ALPN', async (t) => {
  const { port, seen } = await service(t);
  const { ask, stat } = checkerTo(t, port, { probe: GRPC }, undefined, over(material()));
  assert.deepEqual(await ask(), SUCCESS);
  assert.deepEqual(seen, [['h2', `URI:${CLIENT}`]]);
  assert.equal(stat('ssl.handshake'), 1);
});

test('an endpoint of another authority is not asked', async (t) => {
  const { port } = await service(t);
  const stranger = new DevCa({ now: Date.now, trustDomain: 'td' });
  const { ask, stat } = checkerTo(t, port, { probe: GRPC }, undefined, over(material(stranger)));
  assert.deepEqual(await ask(), UNREACHABLE);
  assert.equal(stat('ssl.fail_verify_error'), 1);
  assert.equal(stat('ssl.handshake'), 0);
});

test('an endpoint of another name is not asked', async (t) => {
  const { port } = await service(t);
  const secrets = material();
  putTrust(secrets, ca.rootPem, { sanMatches: [uriSan(CLIENT)] });
  const { ask, stat } = checkerTo(t, port, { probe: GRPC }, undefined, over(secrets));
  assert.deepEqual(await ask(), UNREACHABLE);
  assert.equal(stat('ssl.fail_verify_san'), 1);
});

test('nobody is asked in plaintext while there is no material', async (t) => {
  const { port, seen } = await service(t);
  const secrets = new SecretTable();
  const { checker, ask } = checkerTo(t, port, { probe: GRPC }, undefined, over(secrets));
  assert.throws(() => checker.check(), /Secret is not supplied by SDS/);
  checker.abort();
  putCertificate(secrets, ca.issue({ spiffeId: CLIENT }));
  putTrust(secrets, ca.rootPem);
  assert.deepEqual(await ask(), SUCCESS);
  assert.equal(seen.length, 1);
});

test('a rotated certificate is shown with the next connection', async (t) => {
  const { port, seen } = await service(t);
  const secrets = material();
  const { ask } = checkerTo(t, port, { probe: GRPC, reuseConnection: false }, undefined, over(secrets));
  assert.deepEqual(await ask(), SUCCESS);
  putCertificate(secrets, ca.issue({ spiffeId: SERVER }));
  assert.deepEqual(await ask(), SUCCESS);
  assert.deepEqual(
    seen.map((one) => JSON.stringify(one)),
    [`["h2","URI:${CLIENT}"]`, `["h2","URI:${SERVER}"]`],
  );
});

test('a kept connection is not asked again once its endpoint is not trusted, or its certificates end', async (t) => {
  const { port, seen } = await service(t);
  const secrets = material();
  let passed = 0;
  const now = (): number => passed;
  const timers = new TimerWheel({ now, wakeAt: () => undefined });
  const turns: (() => void)[] = [];
  const lives = new ConnectionLives({
    timers,
    now,
    wallClock: () => Date.now() + passed,
    random: () => 0,
    number: () => undefined,
    log: undefined,
    later: (next) => turns.push(next),
  });
  const tls = new WorkerTlsProvider(secrets, Date.now, (message) => assert.fail(message), lives);
  const { ask, stat } = checkerTo(t, port, { probe: GRPC }, undefined, { ...over(secrets), tls });
  assert.deepEqual([await ask(), await ask()], [SUCCESS, SUCCESS]);
  assert.equal(seen.length, 1);
  passed = 29_000;
  timers.advance();
  assert.equal(stat('ssl.connection_expired'), 1);
  assert.deepEqual([await ask(), await ask()], [SUCCESS, SUCCESS]);
  assert.equal(seen.length, 2, 'a new connection, which is kept');
  putTrust(secrets, new DevCa({ now: Date.now, trustDomain: 'td' }).rootPem);
  for (const next of turns.splice(0)) next();
  assert.equal(stat('ssl.connection_distrusted'), 1);
  assert.deepEqual(await ask(), UNREACHABLE);
});

test('the match criteria of the check choose the transport socket', async (t) => {
  const { port, seen } = await service(t);
  const { changes, tls } = over(material());
  const matches = [{ name: 'm', match: { tlsMode: 'istio' }, transportSocket: changes.transportSocket }];
  const wrapped = { changes: { transportSocketMatches: matches }, tls };
  const check = { probe: GRPC, socketMatch: { tlsMode: 'istio' } };
  assert.deepEqual(await checkerTo(t, port, check, undefined, wrapped).ask(), SUCCESS);
  assert.equal(seen.length, 1);
});

test('the protocols that the check names are offered', async (t) => {
  const { port, seen } = await service(t);
  const own = upstreamTls({}, parameters({ alpnProtocols: ['istio'] }));
  const { ask } = checkerTo(t, port, { probe: GRPC, alpn: ['istio-h2', 'h2'] }, undefined, over(material(), own));
  assert.deepEqual(await ask(), SUCCESS);
  assert.equal(seen.length, 1);
});
