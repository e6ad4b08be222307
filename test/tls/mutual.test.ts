import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { connect, TLSSocket } from 'node:tls';
import { DevCa, type LeafRequest } from '../../certs/source/dev-ca.ts';
import { parseCertificates } from '../../certs/tls-context.ts';
import type { TlsInfo } from '../../proxy/http/connection-info.ts';
import type { TlsRefusal } from '../../proxy/tls/contract.ts';
import type { DownstreamContext } from '../../proxy/tls/downstream-context.ts';
import { WorkerTlsProvider } from '../../proxy/tls/provider.ts';
import { SecretTable } from '../../proxy/tls/secret-table.ts';
import type { UpstreamContext } from '../../proxy/tls/upstream-context.ts';
import { spkiHash } from '../../proxy/tls/validator.ts';
import type { DownstreamTls, TlsParameters, UpstreamTls, ValidationContext } from '../../xds-client/model/tls.ts';
import { downstreamTls, helloOf, parameters, putCertificate, putTrust, upstreamTls, uriSan } from './support.ts';

const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const otherCa = new DevCa({ now: Date.now, trustDomain: 'other' });
const SERVER = 'spiffe://td/ns/pay/sa/server';
const CLIENT = 'spiffe://td/ns/pay/sa/client';

interface Side {
  readonly secrets: SecretTable;
  readonly errors: string[];
}

const open: (Socket | Server)[] = [];
after(() => {
  for (const one of open) 'destroy' in one ? one.destroy() : one.close();
});

function provider(): Side & { readonly tls: WorkerTlsProvider } {
  const secrets = new SecretTable();
  const errors: string[] = [];
  return { secrets, errors, tls: new WorkerTlsProvider(secrets, Date.now, (message) => errors.push(message)) };
}

interface Refused {
  readonly refusal: TlsRefusal | undefined;
}
interface Accepted {
  readonly socket: TLSSocket;
  readonly info: TlsInfo;
}

/** A server that greets every connection that its context lets in, and reports what it did with each. */
class Echo {
  readonly context: DownstreamContext;
  readonly #server: Server;
  readonly outcomes: (Accepted | Refused | Error)[] = [];
  #waiting: (() => void) | undefined;

  constructor(context: DownstreamContext) {
    this.context = context;
    this.#server = createServer((socket) => {
      const secured = context.accept(socket);
      assert.ok(secured instanceof TLSSocket);
      open.push(socket);
      secured.on('error', (error) => this.#push(error));
      secured.on('secure', () => {
        const refusal = context.verify(secured);
        if (refusal !== undefined) {
          secured.destroy();
          this.#push({ refusal });
          return;
        }
        this.#push({ socket: secured, info: context.info(secured) });
        secured.write('hello');
        secured.on('data', (chunk: Buffer) => secured.write(chunk));
      });
    });
    open.push(this.#server);
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async next(): Promise<Accepted | Refused | Error> {
    while (this.outcomes.length === 0) await new Promise<void>((resolve) => (this.#waiting = resolve));
    return this.outcomes.shift() as Accepted | Refused | Error;
  }

  async accepted(): Promise<Accepted> {
    const outcome = await this.next();
    assert.ok('info' in outcome, `refused: ${JSON.stringify(outcome)}`);
    return outcome;
  }

  async refusedWith(): Promise<string> {
    const outcome = await this.next();
    assert.ok('refusal' in outcome, `not refused: ${JSON.stringify(outcome)}`);
    return String(outcome.refusal?.stat);
  }

  #push(outcome: Accepted | Refused | Error): void {
    this.outcomes.push(outcome);
    this.#waiting?.();
  }
}

interface Setup {
  readonly server?: Partial<DownstreamTls>;
  readonly serverCommon?: Partial<TlsParameters>;
  readonly serverRules?: Partial<ValidationContext>;
  readonly serverLeaf?: LeafRequest;
  readonly client?: Partial<UpstreamTls>;
  readonly clientCommon?: Partial<TlsParameters>;
  readonly clientRules?: Partial<ValidationContext>;
  readonly clientLeaf?: LeafRequest;
}

async function setUp(setup: Setup = {}) {
  const server = provider();
  putCertificate(server.secrets, ca.issue(setup.serverLeaf ?? { spiffeId: SERVER, dnsNames: ['*.pay.example'] }));
  putTrust(server.secrets, ca.rootPem, { sanMatches: [uriSan(CLIENT)], ...setup.serverRules });
  const echo = new Echo(server.tls.downstream(downstreamTls(setup.server, parameters(setup.serverCommon))));
  const port = await echo.listen();
  const client = provider();
  putCertificate(client.secrets, ca.issue(setup.clientLeaf ?? { spiffeId: CLIENT }));
  putTrust(client.secrets, ca.rootPem, { sanMatches: [uriSan(SERVER)], ...setup.clientRules });
  const upstream = client.tls.upstream(upstreamTls(setup.client, parameters(setup.clientCommon)));
  return { server, echo, port, client, upstream };
}

async function dial(port: number, upstream: UpstreamContext, sni?: string, expectedSan?: string) {
  const socket = connect({ port, host: '127.0.0.1', ...upstream.connectOptions(sni, undefined) });
  upstream.started(socket);
  open.push(socket);
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  const refusal = upstream.verify(socket, expectedSan);
  return { socket, refusal };
}

function closed(socket: Socket): Promise<void> {
  socket.on('error', () => undefined);
  return new Promise((resolve) => socket.on('close', () => resolve()));
}

test('both sides know the other by its SPIFFE id', async () => {
  const { echo, port, upstream } = await setUp({
    serverCommon: { alpnProtocols: ['h2', 'http/1.1'] },
    clientCommon: { alpnProtocols: ['http/1.1'], maxVersion: 'TLSv1.3' },
  });
  const { socket, refusal } = await dial(port, upstream, 'a.pay.example');
  assert.equal(refusal, undefined);
  const server = (await echo.accepted()).info;
  assert.deepEqual(server.peer?.sans.uris, [CLIENT]);
  assert.deepEqual(server.localSans.uris, [SERVER]);
  assert.equal(server.alpn, 'http/1.1');
  assert.equal(server.serverName, 'a.pay.example');
  assert.equal(server.version, 'TLSv1.3');
  assert.equal(server.cipher, 'TLS_AES_128_GCM_SHA256');
  assert.ok(server.peerValidated);
  assert.ok(!server.sessionReused);
  const client = upstream.info(socket);
  assert.deepEqual(client.peer?.sans.uris, [SERVER]);
  assert.deepEqual(client.peer?.sans.dnsNames, ['*.pay.example']);
  assert.ok(client.peerValidated);
  assert.match(client.peer?.issuer ?? '', /^CN=td Root CA [0-9a-f]{8},O=Tollway development$/);
  assert.match(client.peer?.fingerprint256 ?? '', /^[0-9a-f]{64}$/);
  assert.match(client.peer?.pem() ?? '', /^-----BEGIN CERTIFICATE-----/);
});

test('towards upstreams TLS 1.2 is the newest, unless the configuration says otherwise', async () => {
  for (const [asked, agreed] of [
    [{}, 'TLSv1.2'],
    [{ maxVersion: 'TLSv1.3' }, 'TLSv1.3'],
    [{ minVersion: 'TLSv1.3' }, 'TLSv1.3'],
  ] as const) {
    const { echo, port, upstream } = await setUp({ clientCommon: asked });
    await dial(port, upstream);
    assert.equal((await echo.accepted()).info.version, agreed);
  }
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  const only = { minVersion: version, maxVersion: version };

  test(`the server refuses the wrong id, the wrong authority and an expired certificate (${version})`, async () => {
    const { echo, port } = await setUp({ serverCommon: only });
    const attempts: [string, () => ReturnType<DevCa['issue']>][] = [
      ['fail_verify_san', () => ca.issue({ spiffeId: 'spiffe://td/ns/pay/sa/other' })],
      ['fail_verify_error', () => otherCa.issue({ spiffeId: CLIENT })],
      ['fail_verify_error', () => ca.issue({ spiffeId: CLIENT, ttlMs: -1000 })],
    ];
    for (const [stat, issue] of attempts) {
      const client = provider();
      putCertificate(client.secrets, issue());
      putTrust(client.secrets, ca.rootPem);
      const upstream = client.tls.upstream(upstreamTls({}, parameters(only)));
      const socket = connect({ port, host: '127.0.0.1', ...upstream.connectOptions(undefined, undefined) });
      open.push(socket);
      let read = 0;
      socket.on('data', (chunk: Buffer) => (read += chunk.length));
      socket.on('secureConnect', () => socket.write('pay 100'));
      await closed(socket);
      assert.equal(await echo.refusedWith(), stat);
      assert.equal(read, 0);
    }
    const client = provider();
    putCertificate(client.secrets, ca.issue({ spiffeId: CLIENT }));
    putTrust(client.secrets, ca.rootPem);
    await dial(port, client.tls.upstream(upstreamTls({}, parameters(only))));
    await echo.accepted();
  });

  test(`a caller without a certificate ends in the handshake (${version})`, async () => {
    const { echo, port } = await setUp({ serverCommon: only });
    const client = provider();
    putTrust(client.secrets, ca.rootPem);
    const upstream = client.tls.upstream(upstreamTls({}, parameters({ certificates: [], ...only })));
    const socket = connect({ port, host: '127.0.0.1', ...upstream.connectOptions(undefined, undefined) });
    open.push(socket);
    const [error] = await once(socket, 'error');
    assert.match(String(error), /alert|reset/i);
    const outcome = await echo.next();
    assert.ok(outcome instanceof Error);
    assert.equal(Reflect.get(outcome, 'code'), 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE');
  });

  test(`the second connection resumes the first one's session (${version})`, async () => {
    const { echo, port, upstream } = await setUp({ serverCommon: only, clientCommon: only });
    const first = await dial(port, upstream);
    await once(first.socket, 'data');
    await echo.accepted();
    const second = await dial(port, upstream);
    assert.equal(second.refusal, undefined);
    assert.ok(second.socket.isSessionReused());
    const { info } = await echo.accepted();
    assert.ok(info.sessionReused);
    assert.deepEqual(info.peer?.sans.uris, [CLIENT]);
    assert.ok(info.peerValidated);
  });

  test(`a session opens nothing once its authority is gone (${version})`, async () => {
    const { echo, port, server, upstream } = await setUp({ serverCommon: only, clientCommon: only });
    const first = await dial(port, upstream);
    await once(first.socket, 'data');
    await echo.accepted();
    putTrust(server.secrets, otherCa.rootPem, { sanMatches: [uriSan(CLIENT)] });
    const socket = connect({ port, host: '127.0.0.1', ...upstream.connectOptions(undefined, undefined) });
    open.push(socket);
    await closed(socket);
    assert.equal(await echo.refusedWith(), 'fail_verify_error');
  });

  test(`no session outlives a change of the server’s trust, also where nobody is turned away (${version})`, async () => {
    const { echo, port, server, upstream } = await setUp({ serverCommon: only, clientCommon: only });
    await once((await dial(port, upstream)).socket, 'data');
    await echo.accepted();
    putTrust(server.secrets, ca.rootPem + otherCa.rootPem, { sanMatches: [uriSan(CLIENT)] });
    const { session } = upstream.connectOptions(undefined, undefined);
    assert.ok(session, 'the client offers its session');
    const offered = { ...upstream.connectOptions(undefined, undefined), session };
    const socket = connect({ port, host: '127.0.0.1', ...offered });
    open.push(socket);
    await once(socket, 'data');
    assert.equal(socket.isSessionReused(), false);
    assert.equal((await echo.accepted()).info.sessionReused, false);
  });

  test(`no session outlives a change of the client’s trust (${version})`, async () => {
    const { echo, port, client, upstream } = await setUp({ serverCommon: only, clientCommon: only });
    const first = await dial(port, upstream);
    await once(first.socket, 'data');
    await echo.accepted();
    putTrust(client.secrets, ca.rootPem + otherCa.rootPem, { sanMatches: [uriSan(SERVER)] });
    assert.equal(upstream.connectOptions(undefined, undefined).session, undefined);
    const second = await dial(port, upstream);
    assert.deepEqual([second.refusal, second.socket.isSessionReused()], [undefined, false]);
    await once(second.socket, 'data');
    // a ticket that comes late is one of the old trust
    first.socket.emit('session', Buffer.from('late'));
    assert.notEqual(upstream.connectOptions(undefined, undefined).session?.toString(), 'late');
    putTrust(client.secrets, otherCa.rootPem, { sanMatches: [uriSan(SERVER)] });
    assert.equal((await dial(port, upstream)).refusal?.stat, 'fail_verify_error');
  });

  test(`a resumed session whose certificate has expired is refused (${version})`, async () => {
    let now = Date.now();
    const secrets = new SecretTable();
    putCertificate(secrets, ca.issue({ spiffeId: SERVER }));
    putTrust(secrets, ca.rootPem);
    const tls = new WorkerTlsProvider(secrets, () => now, assert.fail);
    const echo = new Echo(tls.downstream(downstreamTls({}, parameters(only))));
    const port = await echo.listen();
    const client = provider();
    putCertificate(client.secrets, ca.issue({ spiffeId: CLIENT }));
    putTrust(client.secrets, ca.rootPem);
    const upstream = client.tls.upstream(upstreamTls({}, parameters(only)));
    await once((await dial(port, upstream)).socket, 'data');
    await echo.accepted();
    now += 60_000;
    const socket = connect({ port, host: '127.0.0.1', ...upstream.connectOptions(undefined, undefined) });
    let reused = false;
    socket.on('secureConnect', () => (reused = socket.isSessionReused()));
    open.push(socket);
    await closed(socket);
    assert.equal(await echo.refusedWith(), 'fail_verify_error');
    if (version === 'TLSv1.3') assert.ok(reused);
  });
}

test('the client refuses the wrong id, the wrong authority and the wrong name', async () => {
  const { echo, port } = await setUp();
  const attempts: [string | undefined, string, Partial<ValidationContext>, string | undefined][] = [
    ['fail_verify_san', ca.rootPem, { sanMatches: [uriSan('spiffe://td/ns/pay/sa/other')] }, undefined],
    ['fail_verify_error', otherCa.rootPem, { sanMatches: [uriSan(SERVER)] }, undefined],
    ['fail_verify_san', ca.rootPem, {}, 'b.example'],
    [undefined, ca.rootPem, {}, 'b.pay.example'],
    ['fail_verify_san', ca.rootPem, {}, 'a.b.pay.example'],
    ['fail_verify_cert_hash', ca.rootPem, { certificateHashes: ['00'.repeat(32)] }, undefined],
    ['fail_verify_cert_hash', ca.rootPem, { spkiHashes: ['AAAA'] }, undefined],
    [undefined, otherCa.rootPem, { trustChain: 'accept-untrusted' }, undefined],
  ];
  for (const [stat, root, rules, expectedSan] of attempts) {
    const client = provider();
    putCertificate(client.secrets, ca.issue({ spiffeId: CLIENT }));
    putTrust(client.secrets, root, rules);
    const { refusal } = await dial(port, client.tls.upstream(upstreamTls()), undefined, expectedSan);
    assert.equal(refusal?.stat, stat, JSON.stringify({ rules, expectedSan }));
    await echo.next();
  }
});

test('a pinned key is let in, with or without an authority', async () => {
  const leaf = ca.issue({ spiffeId: SERVER });
  const [certificate] = parseCertificates(leaf.chain);
  assert.ok(certificate);
  const server = provider();
  putCertificate(server.secrets, leaf);
  putTrust(server.secrets, ca.rootPem);
  const echo = new Echo(server.tls.downstream(downstreamTls()));
  const port = await echo.listen();
  for (const [root, pins, stat] of [
    [ca.rootPem, { spkiHashes: [spkiHash(certificate)] }, undefined],
    [undefined, { spkiHashes: [spkiHash(certificate)] }, undefined],
    [undefined, { certificateHashes: [certificate.fingerprint256.replaceAll(':', '').toLowerCase()] }, undefined],
    [otherCa.rootPem, { spkiHashes: [spkiHash(certificate)] }, 'fail_verify_error'],
  ] as const) {
    const client = provider();
    putCertificate(client.secrets, ca.issue({ spiffeId: CLIENT }));
    putTrust(client.secrets, root, pins);
    const { refusal } = await dial(port, client.tls.upstream(upstreamTls()));
    assert.equal(refusal?.stat, stat);
    await echo.next();
  }
});

test('names without an authority vouch for nothing', async () => {
  const { echo, port } = await setUp();
  const client = provider();
  putCertificate(client.secrets, ca.issue({ spiffeId: CLIENT }));
  putTrust(client.secrets, undefined, { sanMatches: [uriSan(SERVER)] });
  const { refusal } = await dial(port, client.tls.upstream(upstreamTls()));
  assert.equal(refusal?.stat, 'fail_verify_error');
  await echo.next();
});

test('a rotation leaves open connections alone and new ones get the new certificate', async () => {
  const { echo, port, server, upstream } = await setUp();
  const before = await dial(port, upstream);
  await once(before.socket, 'data');
  await echo.accepted();
  const generation = echo.context.generation;
  const renewed = ca.issue({ spiffeId: SERVER, dnsNames: ['renewed.example'] });
  putCertificate(server.secrets, renewed);
  assert.ok(echo.context.generation > generation);
  const next = await dial(port, upstream);
  await echo.accepted();
  assert.equal(next.refusal, undefined);
  assert.equal(upstream.info(next.socket).peer?.serial, renewed.serial);
  before.socket.write('still here');
  const [data] = await once(before.socket, 'data');
  assert.equal(String(data), 'still here');
});

test('material that OpenSSL refuses leaves the last good context in place', async () => {
  const { echo, port, server, upstream } = await setUp();
  putCertificate(server.secrets, { ...ca.issue({ spiffeId: SERVER }), key: otherCa.issue({}).key });
  assert.ok(echo.context.ready);
  const { refusal } = await dial(port, upstream);
  assert.equal(refusal, undefined);
  assert.match(server.errors.join(), /^TLS context: .*key values mismatch/);
});

test('a missing secret is not ready and connects nowhere', () => {
  const client = provider();
  putTrust(client.secrets, ca.rootPem);
  const upstream = client.tls.upstream(upstreamTls());
  assert.equal(upstream.ready, false);
  assert.throws(() => upstream.connectOptions(undefined, undefined), /Secret is not supplied by SDS/);
  putCertificate(client.secrets, ca.issue({ spiffeId: CLIENT }));
  assert.equal(upstream.ready, true);
});

test('configurations with the same secrets and settings share one secure context', () => {
  const client = provider();
  putTrust(client.secrets, ca.rootPem);
  putCertificate(client.secrets, ca.issue({ spiffeId: CLIENT }));
  const contexts = [upstreamTls({ sni: 'a' }), upstreamTls({ sni: 'b' })].map(
    (config) => client.tls.upstream(config).connectOptions(undefined, undefined).secureContext,
  );
  assert.ok(contexts[0] !== undefined && contexts[0] === contexts[1]);
  const other = client.tls.upstream(upstreamTls({}, parameters({ maxVersion: 'TLSv1.2' })));
  assert.notEqual(other.connectOptions(undefined, undefined).secureContext, contexts[0]);
});

test('nothing in common in ALPN goes on without it when the hello was inspected', async () => {
  const { server } = await setUp();
  const context = server.tls.downstream(downstreamTls({}, parameters({ alpnProtocols: ['h2'] })));
  const listener = createServer((socket) => {
    open.push(socket);
    const secured = context.accept(socket, helloOf({ alpn: ['foo'] }));
    assert.ok(secured instanceof TLSSocket);
    secured.on('secure', () => secured.end(String(context.info(secured).alpn)));
  });
  open.push(listener);
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const client = provider();
  putCertificate(client.secrets, ca.issue({ spiffeId: CLIENT }));
  putTrust(client.secrets, ca.rootPem);
  const options = client.tls.upstream(upstreamTls()).connectOptions(undefined, ['foo']);
  const socket = connect({ port: (listener.address() as AddressInfo).port, ...options });
  const [data] = await once(socket, 'data');
  assert.equal(String(data), 'undefined');
  socket.destroy();
});

test('without tickets TLS 1.2 is resumed by the id of the session', async () => {
  const { echo, port, upstream } = await setUp({ server: { sessionTickets: false } });
  for (const resumed of [false, true]) {
    const { socket } = await dial(port, upstream);
    await once(socket, 'data');
    assert.equal(socket.getProtocol(), 'TLSv1.2');
    assert.equal(socket.isSessionReused(), resumed);
    const accepted = await echo.accepted();
    assert.equal(accepted.info.sessionReused, resumed);
    assert.ok(accepted.info.peer, 'a resumed session knows its peer');
  }
});

test('without tickets no session outlives a change of trust either', async () => {
  const { echo, port, server, upstream } = await setUp({ server: { sessionTickets: false } });
  await once((await dial(port, upstream)).socket, 'data');
  await echo.accepted();
  putTrust(server.secrets, ca.rootPem + otherCa.rootPem, { sanMatches: [uriSan(CLIENT)] });
  const second = await dial(port, upstream);
  assert.equal(second.refusal, undefined);
  assert.equal(second.socket.isSessionReused(), false);
  await echo.accepted();
  putTrust(server.secrets, otherCa.rootPem, { sanMatches: [uriSan(CLIENT)] });
  const socket = connect({ port, host: '127.0.0.1', ...upstream.connectOptions(undefined, undefined) });
  open.push(socket);
  await closed(socket);
  assert.equal(await echo.refusedWith(), 'fail_verify_error');
});

test('without tickets TLS 1.3 is not resumed', async () => {
  const { echo, port, upstream } = await setUp({
    server: { sessionTickets: false },
    clientCommon: { maxVersion: 'TLSv1.3' },
  });
  await once((await dial(port, upstream)).socket, 'data');
  await echo.accepted();
  const second = await dial(port, upstream);
  assert.equal(second.socket.getProtocol(), 'TLSv1.3');
  assert.equal(second.socket.isSessionReused(), false);
});

test('resumption can be turned off', async () => {
  const { echo, port, upstream } = await setUp({ server: { sessionTickets: false, sessionIds: false } });
  await once((await dial(port, upstream)).socket, 'data');
  await echo.accepted();
  const second = await dial(port, upstream);
  assert.equal(second.refusal, undefined);
  assert.equal(second.socket.isSessionReused(), false);
});

test('where the whole chain has to be seen, callers do not resume, and upstreams resume what they proved', async () => {
  const strict = { maxVerifyDepth: 3 };
  const { echo, port, upstream } = await setUp({ serverRules: strict });
  await once((await dial(port, upstream)).socket, 'data');
  await echo.accepted();
  const second = await dial(port, upstream);
  assert.equal(second.socket.isSessionReused(), false);
  assert.equal(second.refusal, undefined);
  await echo.accepted();
  const other = await setUp({ clientRules: strict });
  await once((await dial(other.port, other.upstream)).socket, 'data');
  const resumed = await dial(other.port, other.upstream);
  assert.equal(resumed.socket.isSessionReused(), true);
  assert.equal(resumed.refusal, undefined);
});

test('who is let in untrusted is not taken for who it says it is', async () => {
  const { echo, port } = await setUp({ serverRules: { trustChain: 'accept-untrusted' } });
  const stranger = provider();
  putCertificate(stranger.secrets, otherCa.issue({ spiffeId: CLIENT }));
  putTrust(stranger.secrets, ca.rootPem);
  await dial(port, stranger.tls.upstream(upstreamTls()));
  const { info } = await echo.accepted();
  assert.deepEqual([info.peerValidated, info.tolerated], [false, 'fail_verify_error']);
  const known = provider();
  putCertificate(known.secrets, ca.issue({ spiffeId: CLIENT }));
  putTrust(known.secrets, ca.rootPem);
  await dial(port, known.tls.upstream(upstreamTls()));
  const accepted = await echo.accepted();
  assert.deepEqual([accepted.info.peerValidated, accepted.info.tolerated], [true, undefined]);
});
