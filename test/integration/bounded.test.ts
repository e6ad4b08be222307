/**
 * A fast writer and a slow reader, of requests and responses, in every pairing of protocols: what waits in the proxy stays
 * bounded, and everything arrives. `TOLLWAY_STREAM_MIB`: how long each body is; CI takes 1024.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { env } from 'node:process';
import type { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { type Caller, caller, Endpoint, type Protocol, SlowReader, Source } from './long-streams.ts';
import { address, bootstrapOf, clusterTo, Tollway } from './tollway.ts';

const MIB = 1 << 20;
const LENGTH = Number(env.TOLLWAY_STREAM_MIB ?? 96) * MIB;
/** Of resident memory above what the idle proxy has: while the reader reads nothing, and ever. */
const WHILE_STALLED = 64 * MIB;
const EVER = 96 * MIB;
/** Sent and not read by anybody: the windows of three processes, and what the kernel gives two connections of its own accord. */
const UNREAD = 12 * MIB + 2 * (kernelMost('tcp_rmem') + kernelMost('tcp_wmem'));

const TYPE = 'type.googleapis.com/envoy.extensions';
const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const leaf = ca.issue({ spiffeId: 'spiffe://td/pay', dnsNames: ['localhost'], ttlMs: 600_000 });

const WINDOWS = { initial_stream_window_size: MIB, initial_connection_window_size: 2 * MIB };

const spoken = (protocol: Protocol) => ({
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`,
      explicit_http_config: protocol === 'h2' ? { http2_protocol_options: WINDOWS } : { http_protocol_options: {} },
    },
  },
});
const tlsOf = (side: 'Downstream' | 'Upstream', common: object) => ({
  transport_socket: {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TYPE}.transport_sockets.tls.v3.${side}TlsContext`,
      common_tls_context: common,
    },
  },
});
const inline = (text: string) => ({ inline_string: text });

/** Compresses what goes in and out, and takes it back: the two sides see what was sent. */
const CODED: readonly object[] = [
  coder('decompressor', 'one', { request_direction_config: { common_config: { enabled: switched(false) } } }),
  coder('compressor', 'two', { request_direction_config: {}, response_direction_config: {} }),
  coder('decompressor', 'three', {
    request_direction_config: { advertise_accept_encoding: false },
    response_direction_config: { common_config: { enabled: switched(false) } },
  }),
];

function switched(on: boolean): object {
  return { default_value: on, runtime_key: 'coded' };
}

function coder(kind: 'compressor' | 'decompressor', name: string, config: object): object {
  const library = {
    '@type': `${TYPE}.compression.zstd.${kind}.v3.Zstd`,
    ...(kind === 'compressor' ? { compression_level: 1 } : {}),
  };
  return {
    name,
    typed_config: {
      '@type': `${TYPE}.filters.http.${kind}.v3.${kind === 'compressor' ? 'Compressor' : 'Decompressor'}`,
      [`${kind}_library`]: { name, typed_config: library },
      ...config,
    },
  };
}

function listener(name: string, clusters: readonly string[], socket: object, filters: readonly object[] = []): object {
  const routes = clusters.map((cluster) => ({ match: { prefix: `/${cluster}` }, route: { cluster, timeout: '0s' } }));
  const typed_config = {
    '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    http2_protocol_options: WINDOWS,
    route_config: { name, virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
    http_filters: [...filters, { name: 'router', typed_config: { '@type': `${TYPE}.filters.http.router.v3.Router` } }],
  };
  return { name, address: address(0), filter_chains: [{ filters: [{ name: 'http', typed_config }], ...socket }] };
}

/** The most bytes that the kernel buffers of one side of a connection; where it does not say, what Linux has by default. */
function kernelMost(name: 'tcp_rmem' | 'tcp_wmem'): number {
  try {
    return Number(readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').trim().split(/\s+/)[2]);
  } catch {
    return 6 * MIB;
  }
}

/** Resident bytes. */
function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) * 1024;
}

/** Resolves when the source gives nothing any more: nobody asked for a while. */
async function stalled(source: Source): Promise<void> {
  for (let last = -1; source.sent !== last; ) {
    last = source.sent;
    await new Promise((wake) => setTimeout(wake, 300));
  }
}

interface Way {
  readonly ask: Caller;
  readonly endpoint: Endpoint;
  readonly path: string;
}

/** Sends the source up, as a request's body; gives what the endpoint reads, and what ends the exchange. */
async function up({ ask, endpoint, path }: Way, source: Source): Promise<[Readable, () => Promise<void>]> {
  const answered = ask(path, source.stream);
  const { request, response } = await endpoint.next();
  const finish = async (): Promise<void> => {
    response.end();
    (await answered).resume();
  };
  return [request, finish];
}

/** The same down, as a response's body. */
async function down({ ask, endpoint, path }: Way, source: Source): Promise<[Readable, () => Promise<void>]> {
  const answered = ask(path);
  const { request, response } = await endpoint.next();
  request.resume();
  source.stream.pipe(response);
  return [await answered, async () => undefined];
}

async function send(
  t: TestContext,
  pid: number,
  idle: number,
  open: () => Promise<[Readable, () => Promise<void>]>,
  source: Source,
): Promise<void> {
  let peak = 0;
  const look = (): void => {
    peak = Math.max(peak, residentBytes(pid));
  };
  const [stream, finish] = await open();
  const reader = new SlowReader(stream, 16 * MIB, look);
  await stalled(source);
  look();
  const { sent } = source;
  const atStall = peak;
  reader.read();
  await reader.ended;
  await finish();
  look();
  const grown = (bytes: number) => `${((bytes - idle) / MIB).toFixed(1)} MiB more than idle`;
  t.diagnostic(`stalled after ${(sent / MIB).toFixed(1)} MiB with ${grown(atStall)}; at most ${grown(peak)}`);
  assert.equal(reader.received, LENGTH);
  assert.equal(reader.crc, source.crc);
  assert.ok(sent < UNREAD, `${sent} bytes were sent that nobody read`);
  assert.ok(atStall - idle < WHILE_STALLED, grown(atStall));
  assert.ok(peak - idle < EVER, grown(peak));
}

test('a slow reader makes a fast writer wait, and nothing is lost', async (t) => {
  const endpoints: readonly (readonly [string, Endpoint, object])[] = [
    ['h1', new Endpoint(t, 'h1'), spoken('h1')],
    ['h2', new Endpoint(t, 'h2'), spoken('h2')],
    ['tls-h1', new Endpoint(t, 'h1', leaf), { ...spoken('h1'), ...tlsOf('Upstream', {}) }],
    ['tls-h2', new Endpoint(t, 'h2', leaf), { ...spoken('h2'), ...tlsOf('Upstream', {}) }],
  ];
  const clusters = await Promise.all(
    endpoints.map(async ([name, endpoint, more]) => clusterTo(name, await endpoint.port(), more)),
  );
  const common = {
    tls_certificates: [{ certificate_chain: inline(leaf.chain), private_key: inline(leaf.key) }],
    alpn_protocols: ['h2', 'http/1.1'],
  };
  const names = endpoints.map(([name]) => name);
  const listeners = [
    listener('plain', names, {}),
    listener('tls', names, tlsOf('Downstream', common)),
    listener('coded', names, {}, CODED),
  ];
  const proxy = await new Tollway(t, bootstrapOf(listeners, clusters), ['--concurrency', '1']).live();

  const ways: [string, Way][] = [];
  for (const [from, to] of [
    ['h1', 'h1'],
    ['h1', 'h2'],
    ['h2', 'h1'],
    ['h2', 'h2'],
    ['tls-h1', 'tls-h1'],
    ['tls-h2', 'tls-h2'],
    ['coded-h1', 'h2'],
    ['coded-h2', 'h1'],
  ] as const) {
    const tls = from.startsWith('tls');
    const ask = await caller(
      t,
      from.endsWith('h1') ? 'h1' : 'h2',
      await proxy.port(/^(tls|coded)/.exec(from)?.[1] ?? 'plain'),
      tls,
    );
    const endpoint = endpoints.find(([name]) => name === to)?.[1];
    if (endpoint === undefined) throw new Error(`no endpoint ${to}`);
    ways.push([`${from} to ${to}`, { ask, endpoint, path: `/${to}` }]);
  }
  // Once each before memory is measured: connections are open and code is compiled.
  for (const [, way] of ways) {
    for (const open of [up, down]) {
      const source = new Source(MIB);
      const [stream, finish] = await open(way, source);
      const reader = new SlowReader(stream, MIB, () => undefined);
      reader.read();
      await reader.ended;
      await finish();
    }
  }
  const idle = residentBytes(proxy.pid);
  for (const [name, way] of ways) {
    for (const open of [up, down]) {
      await t.test(`${name}, ${open === up ? 'requests' : 'responses'}`, { timeout: 120_000 }, async (one) => {
        const source = new Source(LENGTH);
        await send(one, proxy.pid, idle, () => open(way, source), source);
      });
    }
  }
  for (const direction of ['request', 'response']) {
    const compressed = (await proxy.stat(`http.coded.compressor.two.zstd.${direction}.compressed`)) ?? 0;
    assert.ok(compressed >= 4, `${compressed} bodies were compressed`);
  }
});
