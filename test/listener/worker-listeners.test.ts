import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { DevCa, type IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { ProxyError } from '../../proxy/errors.ts';
import type { ConnectionFilterCallbacks } from '../../proxy/filters/network/contract.ts';
import type { ListenerEnvironment } from '../../proxy/listener/environment.ts';
import { type ListenerOutcome, WorkerListeners } from '../../proxy/listener/worker-listeners.ts';
import { RuntimeValues } from '../../proxy/runtime.ts';
import { SharedNumberTable, sharedNumbersBuffer } from '../../proxy/shared-numbers.ts';
import { createTimers } from '../../proxy/timers.ts';
import { WorkerTlsProvider } from '../../proxy/tls/provider.ts';
import { SecretTable } from '../../proxy/tls/secret-table.ts';
import type { FilterChain, FilterChainMatch, Listener } from '../../xds-client/model/listener.ts';
import { downstreamTls, FakeStats, parameters, putCertificate, putTrust, uriSan } from '../tls/support.ts';
import { ECHO, EchoFilter, listener, rawChain } from './support.ts';

const GATE = 'test.Gate';
const HTTP_INSPECTOR = 'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector';
const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const otherCa = new DevCa({ now: Date.now, trustDomain: 'other' });
const CLIENT = 'spiffe://td/ns/pay/sa/client';
const clientLeaf = ca.issue({ spiffeId: CLIENT });

const opened: { destroy(): void }[] = [];
afterEach(() => {
  for (const one of opened) one.destroy();
  opened.length = 0;
});

class Bench {
  readonly stats = new FakeStats();
  readonly secrets = new SecretTable();
  readonly filters: EchoFilter[] = [];
  readonly listeners: WorkerListeners;
  readonly log: string[] = [];
  /** What the gate filter decides, and how to go on after `wait`. */
  gate: 'continue' | 'close' | 'wait' = 'continue';
  waiting: ConnectionFilterCallbacks | undefined;
  #outcome: ListenerOutcome | undefined;

  constructor(changes: Partial<ListenerEnvironment> = {}) {
    let ids = 0;
    const never = { build: () => assert.fail('not part of this test') };
    this.listeners = new WorkerListeners(
      {
        filters: {
          httpConnectionManager: never,
          tcpProxy: never,
          extensions: new Map([
            [
              ECHO,
              {
                name: 'echo',
                typeUrl: ECHO,
                buildTerminal: (config, context) => {
                  const filter = new EchoFilter(String(config));
                  filter.context = context;
                  this.filters.push(filter);
                  return filter;
                },
              },
            ],
            [
              GATE,
              {
                name: 'gate',
                typeUrl: GATE,
                buildConnectionFilter: () => ({
                  onNewConnection: (_info, callbacks) => {
                    this.waiting = callbacks;
                    return this.gate;
                  },
                }),
              },
            ],
          ]),
        },
        tls: new WorkerTlsProvider(this.secrets, Date.now, (message) => this.log.push(message)),
        stats: this.stats,
        timers: createTimers(),
        runtime: new RuntimeValues(),
        shared: new SharedNumberTable(sharedNumbersBuffer()),
        workerIndex: 0,
        reusePort: false,
        maxConnections: 100,
        now: () => performance.now(),
        random: () => 0.5,
        nextConnectionId: () => ids++,
        log: (_level, message) => this.log.push(message),
        ...changes,
      },
      (_name, outcome) => (this.#outcome = outcome),
      60_000,
    );
    opened.push({ destroy: () => this.listeners.stop() });
  }

  async set(config: Listener): Promise<number> {
    await this.listeners.set(config);
    assert.equal(this.#outcome?.state, 'listening', JSON.stringify(this.#outcome));
    const [address = ''] = this.#outcome?.state === 'listening' ? this.#outcome.addresses : [];
    return Number(address.slice(address.lastIndexOf(':') + 1));
  }

  async failure(config: Listener): Promise<string> {
    await this.listeners.set(config);
    assert.equal(this.#outcome?.state, 'failed');
    return this.#outcome?.state === 'failed' ? this.#outcome.message : '';
  }

  stat(name: string): number {
    return this.stats.get(`listener.test.${name}`);
  }

  goOn(): void {
    assert.ok(this.waiting);
    this.waiting.continue();
  }

  filter(name: string): EchoFilter {
    const found = this.filters.findLast((filter) => filter.name === name);
    assert.ok(found, `no filter ${name}`);
    return found;
  }

  /** Waits for what the server does after the client has seen its part. */
  async until(condition: () => boolean): Promise<void> {
    for (let i = 0; i < 500 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.ok(condition(), `${condition} never came true: ${JSON.stringify([...this.stats.values])}`);
  }
}

function dial(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  opened.push(socket);
  return socket;
}

/** `leaf` is the caller's certificate; `null` is a caller that shows none. */
function dialTls(port: number, leaf: IssuedLeaf | null = clientLeaf, options: ConnectionOptions = {}): TLSSocket {
  const identity = leaf === null ? {} : { cert: leaf.chain, key: leaf.key };
  const socket = tlsConnect({
    port,
    host: '127.0.0.1',
    ca: ca.rootPem,
    ...identity,
    ...options,
    checkServerIdentity: () => undefined,
  });
  socket.on('error', () => undefined);
  opened.push(socket);
  return socket;
}

function closed(socket: Socket): Promise<void> {
  // what nobody reads keeps a socket from closing
  socket.resume();
  return new Promise((resolve) => socket.on('close', () => resolve()));
}

async function ask(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const [data] = await once(socket, 'data');
  return String(data);
}

function tlsChain(
  name: string,
  match: Partial<FilterChainMatch> = {},
  alpnProtocols: readonly string[] = [],
): FilterChain {
  const tls = downstreamTls({}, parameters({ alpnProtocols }));
  return { ...rawChain(name, match), transportSocket: { kind: 'tls', tls } };
}

function secure(bench: Bench): void {
  putCertificate(bench.secrets, ca.issue({ spiffeId: 'spiffe://td/server', dnsNames: ['localhost'] }));
  putTrust(bench.secrets, ca.rootPem, { sanMatches: [uriSan(CLIENT)] });
}

test('a connection reaches the terminal filter with what is known of it', async () => {
  const bench = new Bench();
  const port = await bench.set(listener());
  const socket = dial(port);
  assert.equal(await ask(socket, 'x'), 'a:x');
  const [info] = bench.filter('a').infos;
  assert.equal(info?.localPort, port);
  assert.equal(info?.remoteAddress, '127.0.0.1');
  assert.equal(info?.remotePort, socket.localPort);
  assert.equal(info?.tls, undefined);
  assert.equal(bench.stat('downstream_cx_active'), 1);
  assert.equal(bench.stat('worker_0.downstream_cx_total'), 1);
  assert.deepEqual(bench.listeners.counts(), { connections: 1, streams: 1 });
  socket.end();
  await closed(socket);
  await bench.until(() => bench.stat('downstream_cx_active') === 0);
  assert.equal(bench.stat('downstream_cx_destroy'), 1);
  assert.equal(bench.stats.recorded.get('listener.test.downstream_cx_length_ms')?.length, 1);
});

test('a port in use is a clear error and disturbs nothing', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  opened.push({ destroy: () => taken.close() });
  const { port } = taken.address() as AddressInfo;
  const bench = new Bench();
  const good = await bench.set(listener({ name: 'good' }));
  const message = await bench.failure(listener({ name: 'bad', address: { kind: 'socket', host: '127.0.0.1', port } }));
  assert.match(message, new RegExp(`listener "bad": cannot bind 127.0.0.1:${port}: the address is in use`));
  assert.equal(await ask(dial(good), 'x'), 'a:x');
});

test('additional addresses and pipes serve the same chains', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-pipe-'));
  const path = join(folder, 'l.sock');
  const bench = new Bench();
  await bench.set(listener({ additionalAddresses: [{ kind: 'pipe', path }] }));
  const socket = connect(path);
  opened.push(socket);
  assert.equal(await ask(socket, 'x'), 'a:x');
  bench.listeners.stop();
  await bench.until(() => !existsSync(path));
  rmSync(folder, { recursive: true });
});

test('the file of a pipe has the mode that the configuration says', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-pipe-'));
  const path = join(folder, 'l.sock');
  for (const mode of [0o600, 0o666]) {
    const bench = new Bench();
    await bench.set(listener({ address: { kind: 'pipe', path, mode } }));
    assert.equal(statSync(path).mode & 0o777, mode);
    bench.listeners.stop();
    await bench.until(() => !existsSync(path));
  }
  rmSync(folder, { recursive: true });
});

test('an abstract socket serves, and leaves no file', async () => {
  const path = `@tollway-${process.pid}-abstract`;
  const bench = new Bench();
  await bench.set(listener({ address: { kind: 'pipe', path } }));
  const socket = connect(path.replace('@', '\0'));
  opened.push(socket);
  assert.equal(await ask(socket, 'x'), 'a:x');
  assert.equal(existsSync(path), false);
});

test('chains are chosen by server name, and what was read is given back', async () => {
  const bench = new Bench();
  secure(bench);
  const port = await bench.set(
    listener({
      filterChains: [
        tlsChain('exact', { serverNames: ['a.pay.example'] }),
        tlsChain('wild', { serverNames: ['*.pay.example'] }),
        tlsChain('istio', { applicationProtocols: ['istio'], transportProtocol: 'tls' }),
        rawChain('plain', { transportProtocol: 'raw_buffer' }),
      ],
    }),
  );
  assert.equal(await ask(dialTls(port, clientLeaf, { servername: 'A.pay.example' }), 'x'), 'exact:x');
  assert.equal(await ask(dialTls(port, clientLeaf, { servername: 'b.pay.example' }), 'x'), 'wild:x');
  assert.equal(await ask(dialTls(port, clientLeaf, { servername: 'q', ALPNProtocols: ['istio'] }), 'x'), 'istio:x');
  assert.equal(await ask(dial(port), 'GET /'), 'plain:GET /');
  assert.equal(bench.filter('exact').infos[0]?.requestedServerName, 'a.pay.example');
  assert.deepEqual(bench.filter('exact').infos[0]?.tls?.peer?.sans.uris, [CLIENT]);
  const stranger = dialTls(port, clientLeaf, { servername: 'other' });
  await closed(stranger);
  assert.equal(bench.stat('no_filter_chain_match'), 1);
  assert.equal(bench.stats.get('tls_inspector.tls_found'), 4);
  assert.equal(bench.stats.get('tls_inspector.tls_not_found'), 1);
  assert.equal(bench.stat('downstream_pre_cx_active'), 0);
});

test('a hello that comes byte by byte in small records is served', async () => {
  const bench = new Bench();
  secure(bench);
  const port = await bench.set(listener({ filterChains: [tlsChain('a', { serverNames: ['localhost'] })] }));
  const relay = createServer({ noDelay: true }, (near) => {
    const far = dial(port);
    far.setNoDelay(true);
    far.pipe(near);
    near.on('error', () => undefined);
    near.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; at += 50) far.write(chunk.subarray(at, at + 50));
    });
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  opened.push({ destroy: () => relay.close() });
  const socket = dialTls((relay.address() as AddressInfo).port, clientLeaf, { servername: 'localhost' });
  assert.equal(await ask(socket, 'x'), 'a:x');
});

test('protocols without a common one are served without', async () => {
  const bench = new Bench();
  secure(bench);
  // No chain and no listener filter asks for a look at the ClientHello.
  const port = await bench.set(listener({ filterChains: [tlsChain('a', {}, ['h2'])] }));
  const both = dialTls(port, clientLeaf, { ALPNProtocols: ['http/1.1', 'h2'] });
  assert.equal(await ask(both, 'x'), 'a:x');
  assert.equal(both.alpnProtocol, 'h2');
  const none = dialTls(port, clientLeaf, { ALPNProtocols: ['foo'] });
  assert.equal(await ask(none, 'x'), 'a:x');
  assert.equal(none.alpnProtocol, false);
  assert.equal(bench.stats.values.get('tls_inspector.tls_found') ?? 0, 0, 'no listener filter counts');
});

test('bad callers are counted, and the next connection is fine', async () => {
  const bench = new Bench();
  secure(bench);
  const port = await bench.set(listener({ filterChains: [tlsChain('a')] }));
  const bad: [string, () => Socket][] = [
    ['ssl.fail_verify_san', () => dialTls(port, ca.issue({ spiffeId: 'spiffe://td/other' }))],
    ['ssl.fail_verify_error', () => dialTls(port, otherCa.issue({ spiffeId: CLIENT }))],
    ['ssl.fail_verify_no_cert', () => dialTls(port, null)],
    [
      'ssl.connection_error',
      () => {
        const socket = dial(port);
        socket.write('garbage instead of a hello\r\n\r\n');
        return socket;
      },
    ],
  ];
  for (const [stat, attempt] of bad) {
    const socket = attempt();
    await closed(socket);
    await bench.until(() => bench.stat(stat) === 1);
  }
  const halfClosed = dial(port);
  halfClosed.end(Buffer.from([22, 3, 1]));
  await closed(halfClosed);
  assert.equal(bench.filter('a').infos.length, 0);
  assert.equal(await ask(dialTls(port), 'x'), 'a:x');
  assert.equal(bench.stat('ssl.handshake'), 1);
  assert.equal(bench.stat('ssl.versions.TLSv1.3'), 1);
  await bench.until(() => bench.stat('downstream_cx_active') === 1);
  assert.equal(bench.stat('downstream_cx_destroy'), 5);
});

test('bytes that do not decrypt end an established connection', async () => {
  const bench = new Bench();
  secure(bench);
  const port = await bench.set(listener({ filterChains: [tlsChain('a')] }));
  const raw = dial(port);
  const socket = tlsConnect({
    socket: raw,
    ca: ca.rootPem,
    cert: clientLeaf.chain,
    key: clientLeaf.key,
    rejectUnauthorized: false,
  });
  socket.on('error', () => undefined);
  assert.equal(await ask(socket, 'x'), 'a:x');
  raw.write(Buffer.from('17030300050102030405', 'hex'));
  await bench.until(() => bench.stat('downstream_cx_active') === 0);
});

test('a rotation serves new handshakes and leaves open connections alone', async () => {
  const bench = new Bench();
  secure(bench);
  const port = await bench.set(listener({ filterChains: [tlsChain('a')] }));
  const before = dialTls(port);
  assert.equal(await ask(before, 'x'), 'a:x');
  const renewed = ca.issue({ spiffeId: 'spiffe://td/server', dnsNames: ['localhost'] });
  putCertificate(bench.secrets, renewed);
  const next = dialTls(port);
  assert.equal(await ask(next, 'y'), 'a:y');
  assert.equal(next.getPeerX509Certificate()?.serialNumber.toLowerCase(), renewed.serial);
  assert.equal(await ask(before, 'z'), 'a:z');
});

test('connections are refused while the secret is missing, and served when it comes', async () => {
  const bench = new Bench();
  const port = await bench.set(listener({ filterChains: [tlsChain('a')] }));
  await closed(dialTls(port));
  await bench.until(() => bench.stat('server_ssl_socket_factory.downstream_context_secrets_not_ready') === 1);
  secure(bench);
  assert.equal(await ask(dialTls(port), 'x'), 'a:x');
});

test('a caller that says nothing is closed, or goes on, when its time is up', async () => {
  for (const goesOn of [false, true]) {
    const bench = new Bench();
    const port = await bench.set(
      listener({
        filterChains: [rawChain('h1', { applicationProtocols: ['http/1.1'], transportProtocol: 'raw_buffer' })],
        defaultFilterChain: rawChain('default'),
        listenerFilters: [{ name: 'http', typeUrl: HTTP_INSPECTOR, config: null }],
        listenerFiltersTimeoutMs: 40,
        continueOnListenerFiltersTimeout: goesOn,
      }),
    );
    assert.equal(await ask(dial(port), 'GET / HTTP/1.1\r\n'), 'h1:GET / HTTP/1.1\r\n');
    assert.equal(bench.stats.get('http_inspector.http11_found'), 1);
    const silent = dial(port);
    if (goesOn) {
      silent.write('GE');
      await bench.until(() => bench.filter('default').infos.length === 1);
      const [data] = await once(silent, 'data');
      assert.equal(String(data), 'default:GE');
    } else await closed(silent);
    assert.equal(bench.stat('downstream_pre_cx_timeout'), 1);
    assert.equal(bench.stat('downstream_pre_cx_active'), 0);
  }
});

test('a handshake that never ends is ended, and one that never begins', async () => {
  const bench = new Bench();
  secure(bench);
  for (const [times, alpn] of [[], ['h2']].entries()) {
    const chain = { ...tlsChain(`a${times}`, {}, alpn), transportSocketConnectTimeoutMs: 40 };
    const port = await bench.set(listener({ filterChains: [chain] }));
    await closed(dial(port));
    await bench.until(() => bench.stat('downstream_cx_transport_socket_connect_timeout') === times + 1);
  }
  assert.equal(bench.stat('downstream_pre_cx_timeout'), 0);
  assert.equal(bench.stat('ssl.connection_error'), 0);
});

test('a caller that leaves while it is looked at is counted', async () => {
  const bench = new Bench();
  const port = await bench.set(listener({ filterChains: [rawChain('a', { serverNames: ['x'] })] }));
  const socket = dial(port);
  socket.end(Buffer.from([22, 3]));
  await closed(socket);
  await bench.until(() => bench.stat('downstream_listener_filter_remote_close') === 1);
  assert.equal(bench.stat('downstream_cx_total'), 0);
  await bench.until(() => bench.listeners.counts().connections === 0);
});

test('a request that comes with its end is served', async () => {
  const bench = new Bench();
  const port = await bench.set(
    listener({ listenerFilters: [{ name: 'http', typeUrl: HTTP_INSPECTOR, config: null }] }),
  );
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  opened.push(socket);
  socket.end('GET / HTTP/1.0\r\n\r\n');
  const [data] = await once(socket, 'data');
  assert.equal(String(data), 'a:GET / HTTP/1.0\r\n\r\n');
});

test('an update keeps the socket and unchanged chains, and serves new chains to new connections', async () => {
  const bench = new Bench();
  const first = listener({
    filterChains: [rawChain('kept', { destinationPort: 1 })],
    defaultFilterChain: rawChain('old'),
  });
  const port = await bench.set(first);
  const before = dial(port);
  assert.equal(await ask(before, 'x'), 'old:x');
  const kept = bench.filter('kept');
  assert.equal(await bench.set({ ...first, defaultFilterChain: rawChain('new') }), port);
  assert.equal(bench.filter('kept'), kept);
  assert.equal(await ask(dial(port), 'x'), 'new:x');
  assert.equal(await ask(before, 'y'), 'old:y');
  assert.equal(bench.filter('old').closed, false);
  before.destroy();
  await bench.until(() => bench.filter('old').closed);
  assert.equal(kept.closed, false);
});

test('an update that cannot serve leaves the old configuration in place', async () => {
  const bench = new Bench();
  const port = await bench.set(listener());
  const message = await bench.failure(listener({ filterChains: [rawChain('b'), rawChain('c')] }));
  assert.match(message, /filter chains "b" and "c" have the same match/);
  assert.equal(await ask(dial(port), 'x'), 'a:x');
  assert.ok(bench.filter('b').closed);
});

test('a removed listener accepts nothing more and ends its connections after the drain time', async () => {
  const bench = new Bench();
  const port = await bench.set(listener());
  const socket = dial(port);
  assert.equal(await ask(socket, 'x'), 'a:x');
  await bench.listeners.remove('l', 60);
  const refused = dial(port);
  await closed(refused);
  assert.equal(await ask(socket, 'y'), 'a:y');
  await closed(socket);
  await bench.until(() => bench.listeners.counts().connections === 0);
});

test('an immediate drain tells every connection, and new ones are still accepted', async () => {
  const bench = new Bench();
  const port = await bench.set(listener());
  const socket = dial(port);
  assert.equal(await ask(socket, 'x'), 'a:x');
  bench.listeners.drain('all', 'immediate', 1000);
  await closed(socket);
  assert.equal(bench.filter('a').drained, 1);
  assert.equal(await ask(dial(port), 'x'), 'a:x');
});

test('a drain of the inbound side leaves outbound listeners alone', async () => {
  const bench = new Bench();
  await bench.set(listener({ name: 'in', trafficDirection: 'inbound', filterChains: [rawChain('in')] }));
  const port = await bench.set(
    listener({ name: 'out', trafficDirection: 'outbound', filterChains: [rawChain('out')] }),
  );
  const socket = dial(port);
  assert.equal(await ask(socket, 'x'), 'out:x');
  bench.listeners.drain('inbound', 'immediate', 1000);
  bench.listeners.stopListening(true);
  assert.equal(await ask(socket, 'y'), 'out:y');
  assert.equal(bench.filter('out').drained, 0);
});

test('a failing health check drains what is asked between requests, until it passes', async () => {
  const bench = new Bench();
  await bench.set(listener());
  await bench.set(listener({ name: 'kept', drainType: 'modify-only', filterChains: [rawChain('kept')] }));
  const asked = (name: string): boolean | undefined => bench.filter(name).context?.drain.shouldDrain();
  assert.deepEqual([asked('a'), asked('kept')], [false, false]);
  bench.listeners.setHealthFailing(true);
  assert.deepEqual([asked('a'), asked('kept')], [true, false]);
  await bench.set(listener({ name: 'late', filterChains: [rawChain('late')] }));
  assert.equal(asked('late'), true);
  bench.listeners.setHealthFailing(false);
  assert.deepEqual([asked('a'), asked('late')], [false, false]);
});

test('connections beyond the bound are closed and counted', async () => {
  const bench = new Bench({ maxConnections: 1 });
  const port = await bench.set(listener());
  const socket = dial(port);
  assert.equal(await ask(socket, 'x'), 'a:x');
  await closed(dial(port));
  assert.equal(bench.stat('downstream_global_cx_overflow'), 1);
  socket.destroy();
  await bench.until(() => bench.listeners.counts().connections === 0);
  assert.equal(await ask(dial(port), 'x'), 'a:x');
});

test('connection filters let pass, close, or decide later', async () => {
  const bench = new Bench();
  const chain = rawChain('a');
  const gate = { kind: 'extension', name: 'g', extension: { name: 'g', typeUrl: GATE, config: null } } as const;
  const port = await bench.set(listener({ filterChains: [{ ...chain, filters: [gate, ...chain.filters] }] }));
  assert.equal(await ask(dial(port), 'x'), 'a:x');
  bench.gate = 'close';
  await closed(dial(port));
  bench.gate = 'wait';
  bench.waiting = undefined;
  const socket = dial(port);
  socket.write('late');
  await bench.until(() => bench.waiting !== undefined);
  assert.equal(bench.filter('a').infos.length, 1);
  bench.goOn();
  const [data] = await once(socket, 'data');
  assert.equal(String(data), 'a:late');
  const refused = await bench.failure(listener({ name: 'x', filterChains: [{ ...chain, filters: [gate] }] }));
  assert.match(refused, /network filter "g" cannot be the last of its chain/);
});

/** Redirected connections: where they were going is `going` of the moment, `undefined` for one that was not redirected. */
class Redirected extends Bench {
  going: { readonly address: string; readonly port: number } | undefined;

  constructor() {
    const answer = () => this.going;
    super({ originalDestinations: () => answer });
  }

  /** A listener without a socket, whose chain is named like it. */
  async add(name: string, host: string, port: number): Promise<void> {
    const address = { kind: 'socket', host, port } as const;
    await this.set(listener({ name, address, bindToPort: false, filterChains: [rawChain(name)] }));
  }
}

const VIRTUAL: Partial<Listener> = { useOriginalDst: true, filterChains: [rawChain('virtual')] };

test('a redirected connection goes to the listener of where it was going', async () => {
  const bench = new Redirected();
  const port = await bench.set(listener(VIRTUAL));
  await bench.add('exact', '10.0.0.1', 80);
  await bench.add('any', '0.0.0.0', 80);
  const answered = async (address: string, to: number) => {
    bench.going = { address, port: to };
    return ask(dial(port), 'x');
  };
  assert.equal(await answered('10.0.0.1', 80), 'exact:x');
  assert.equal(await answered('10.0.0.2', 80), 'any:x');
  assert.equal(await answered('10.0.0.1', 81), 'virtual:x');
  const [info] = bench.filter('any').infos;
  assert.deepEqual([info?.localAddress, info?.localPort, info?.localAddressRestored], ['10.0.0.2', 80, true]);
  assert.equal(bench.listeners.counts().connections, 3);
  bench.listeners.stop();
  await bench.until(() => bench.listeners.counts().connections === 0);
});

test('a connection that was not redirected stays, and a listener that is gone takes none', async () => {
  const bench = new Redirected();
  const port = await bench.set(listener(VIRTUAL));
  await bench.add('any', '0.0.0.0', 80);
  assert.equal(await ask(dial(port), 'x'), 'virtual:x');
  assert.equal(bench.filter('virtual').infos[0]?.localAddressRestored, false);
  bench.going = { address: '10.0.0.1', port: 80 };
  assert.equal(await ask(dial(port), 'x'), 'any:x');
  await bench.listeners.remove('any', 1000);
  assert.equal(await ask(dial(port), 'x'), 'virtual:x');
});

test('the listener that takes a redirected connection looks at its first bytes itself', async () => {
  const bench = new Redirected();
  const inspector = { name: 'http', typeUrl: HTTP_INSPECTOR, config: {} };
  const port = await bench.set(listener({ ...VIRTUAL, listenerFilters: [inspector] }));
  const address = { kind: 'socket', host: '0.0.0.0', port: 80 } as const;
  const filterChains = [rawChain('http', { applicationProtocols: ['http/1.1'] })];
  await bench.set(listener({ name: 'any', address, bindToPort: false, listenerFilters: [inspector], filterChains }));
  bench.going = { address: '10.0.0.1', port: 80 };
  assert.equal(await ask(dial(port), 'GET / HTTP/1.1\r\n\r\n'), 'http:GET / HTTP/1.1\r\n\r\n');
});

test('the original_dst filter restores the destination and hands nothing over', async () => {
  const bench = new Redirected();
  const typeUrl = 'envoy.extensions.filters.listener.original_dst.v3.OriginalDst';
  const filterChains = [rawChain('other'), rawChain('of-port', { destinationPort: 80 })];
  const port = await bench.set(listener({ listenerFilters: [{ name: 'o', typeUrl, config: {} }], filterChains }));
  await bench.add('any', '0.0.0.0', 80);
  bench.going = { address: '10.0.0.1', port: 80 };
  assert.equal(await ask(dial(port), 'x'), 'of-port:x');
});

test('a listener fails with the reason where the kernel cannot be asked', async () => {
  const bench = new Bench({
    originalDestinations: () => {
      throw new ProxyError('native-missing', 'the package koffi cannot be loaded');
    },
  });
  assert.equal(await bench.failure(listener(VIRTUAL)), 'the package koffi cannot be loaded');
});

test('a listener on :: takes IPv4 with ipv4_compat alone', async () => {
  const bench = new Redirected();
  const virtual = await bench.set(listener(VIRTUAL));
  const address = { kind: 'socket', host: '::', port: 0 } as const;
  const [alone, compatible] = [
    await bench.set(listener({ name: 'alone', address, filterChains: [rawChain('alone')] })),
    await bench.set(
      listener({
        name: 'compatible',
        address: { ...address, ipv4Compat: true },
        filterChains: [rawChain('compatible')],
      }),
    ),
  ];
  const refused = dial(alone);
  await closed(refused);
  assert.equal(await ask(dial(compatible), 'x'), 'compatible:x');
  bench.going = { address: '10.0.0.1', port: compatible };
  assert.equal(await ask(dial(virtual), 'x'), 'compatible:x');
  bench.going = { address: '10.0.0.1', port: alone };
  assert.equal(await ask(dial(virtual), 'x'), 'virtual:x');
});

test('socket options are set before the socket is bound, and one that cannot be is named', {
  skip: process.platform !== 'linux',
}, async () => {
  const bench = new Bench();
  // SO_KEEPALIVE, and one that there is not.
  const port = await bench.set(listener({ socketOptions: [{ level: 1, name: 9, value: 1 }] }));
  assert.equal(await ask(dial(port), 'x'), 'a:x');
  const failure = await bench.failure(
    listener({ name: 'bad', socketOptions: [{ level: 1, name: 9999, value: 'AQAAAA==' }] }),
  );
  assert.match(failure, /cannot bind 127\.0\.0\.1:0: socket option 9999 of level 1: ENOPROTOOPT/);
});
