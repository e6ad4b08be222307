import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { ChannelCredentials } from '@grpc/grpc-js';
import { AdsServer, type AdsServerOptions } from '../../deploy/local/control-plane/ads-server.ts';
import type { ClientAnswer } from '../../deploy/local/control-plane/ads-session.ts';
import { type Any, decodeMessage, encodeMessage, type MessageObject } from '../../protos/index.ts';
import type { ConfigChange } from '../../xds-client/changes.ts';
import { type Clock, systemClock } from '../../xds-client/clock.ts';
import { Configuration } from '../../xds-client/configuration.ts';
import type { XdsEvent } from '../../xds-client/events.ts';
import type { ResourceDecoder } from '../../xds-client/resource-decoder.ts';
import { RESOURCE_TYPES } from '../../xds-client/resource-types.ts';
import type { ControlPlaneEndpoint } from '../../xds-client/stream.ts';
import { ADS, assignment, chain, cluster, listener, portsOf, routes } from './models.ts';

const CDS = RESOURCE_TYPES.cluster.typeUrl;
const EDS = RESOURCE_TYPES.endpoints.typeUrl;
const LDS = RESOURCE_TYPES.listener.typeUrl;
const RDS = RESOURCE_TYPES.routes.typeUrl;

/** Real messages in, small models out: a cluster's connect timeout and an assignment's ports are what tests look at. */
const decode: ResourceDecoder = (kind, any) => {
  switch (kind) {
    case 'cluster': {
      const message = decodeMessage('envoy.config.cluster.v3.Cluster', any.value);
      if (message.alt_stat_name === 'bad') {
        return { ok: false, errors: [{ path: 'alt_stat_name', message: 'is bad' }], unsupported: [] };
      }
      const value = cluster(message.name ?? '', { altStatName: message.alt_stat_name });
      return { ok: true, value: { kind, value }, unsupported: [] };
    }
    case 'endpoints': {
      const message = decodeMessage('envoy.config.endpoint.v3.ClusterLoadAssignment', any.value);
      const ports = (message.endpoints ?? []).map(({ priority }) => priority ?? 0);
      return { ok: true, value: { kind, value: assignment(message.cluster_name ?? '', ...ports) }, unsupported: [] };
    }
    case 'listener': {
      const message = decodeMessage('envoy.config.listener.v3.Listener', any.value);
      const value = listener(message.name ?? '', [chain(message.stat_prefix ?? '')]);
      return { ok: true, value: { kind, value }, unsupported: [] };
    }
    case 'routes': {
      const message = decodeMessage('envoy.config.route.v3.RouteConfiguration', any.value);
      return { ok: true, value: { kind, value: routes(message.name ?? '', 'a') }, unsupported: [] };
    }
    case 'secret':
      throw new Error('no secrets here');
  }
};

type Resources = ReadonlyMap<string, MessageObject | Any>;

const clusters = (...list: [name: string, altStatName?: string][]): Resources =>
  new Map(list.map(([name, alt_stat_name = '']) => [name, { name, alt_stat_name }]));
/** An endpoint's port travels as its locality's priority. */
const endpoints = (cluster_name: string, ...ports: number[]): Resources =>
  new Map([[cluster_name, { cluster_name, endpoints: ports.map((priority) => ({ priority })) }]]);
const WHOLE = new Map<string, Resources>([
  [CDS, clusters(['a'])],
  [EDS, endpoints('a', 1)],
  [LDS, new Map([['l', { name: 'l', stat_prefix: 'r' }]])],
  [RDS, new Map([['r', { name: 'r' }]])],
]);

class Bench {
  readonly changes: ConfigChange[] = [];
  readonly events: XdsEvent[] = [];
  readonly answers: ClientAnswer[] = [];
  readonly configuration: Configuration;
  server: AdsServer;
  target = '';
  private waiting: (() => void)[] = [];

  constructor(options: { server?: AdsServerOptions; clock?: Clock; endpoint?: () => ControlPlaneEndpoint } = {}) {
    this.server = this.makeServer(options.server);
    this.configuration = new Configuration({
      listeners: [],
      clusters: [],
      secrets: [],
      lds: ADS,
      cds: ADS,
      secretsOf: () => [],
      node: { id: 'sidecar~1', cluster: 'payment' },
      decode,
      clock: options.clock ?? systemClock,
      random: () => 0.1,
      connect: () => ({
        endpoint:
          options.endpoint ?? (() => ({ target: this.target, credentials: ChannelCredentials.createInsecure() })),
        initialMetadata: [{ key: 'authorization', value: 'Bearer token' }],
        backoff: { baseMs: 200, maxMs: 1_000 },
      }),
      onChanges: (changes) => {
        this.changes.push(...changes);
        this.wake();
      },
      onEvent: (event) => {
        this.events.push(event);
        this.wake();
      },
    });
  }

  makeServer(options: AdsServerOptions = {}): AdsServer {
    return new AdsServer({
      ...options,
      onAnswer: (answer) => {
        this.answers.push(answer);
        this.wake();
      },
    });
  }

  async start(): Promise<void> {
    this.target = await this.server.listen();
    this.configuration.start();
  }

  /** Waits for a condition that something observed makes true. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(8_000);
    while (!condition()) {
      if (deadline.aborted) throw new Error(`never: ${what}`);
      await new Promise<void>((resolve) => {
        this.waiting.push(resolve);
        deadline.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  live(): Promise<void> {
    return this.until('live', () => this.configuration.store.initialized());
  }

  ports(name: string): number[] {
    let ports: number[] = [];
    for (const change of this.changes) {
      if ('assignment' in change && change.name === name) ports = portsOf(change.assignment);
    }
    return ports;
  }

  of<Type extends XdsEvent['type']>(type: Type): Extract<XdsEvent, { type: Type }>[] {
    return this.events.filter((event): event is Extract<XdsEvent, { type: Type }> => event.type === type);
  }

  private wake(): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const resolve of waiting) resolve();
  }
}

let benches: Bench[] = [];
const made = (bench: Bench): Bench => {
  benches.push(bench);
  return bench;
};

afterEach(() => {
  for (const bench of benches) {
    bench.configuration.stop();
    bench.server.kill();
  }
  benches = [];
});

describe('a client of a real ADS server', () => {
  it('comes to serve, acks all, sends its node once, and asks in order', async () => {
    const bench = made(new Bench());
    bench.server.setSnapshot(WHOLE);
    await bench.start();
    await bench.live();
    assert.deepEqual(
      bench.changes.map(({ type }) => type),
      ['cluster', 'routes', 'listener', 'initialized'],
    );
    await bench.until('all acked', () => bench.answers.filter(({ kind }) => kind === 'ack').length === 4);
    assert.deepEqual(
      bench.answers.filter(({ kind }) => kind === 'subscribe').map(({ typeUrl }) => typeUrl),
      [CDS, EDS, LDS, RDS],
    );
    assert.deepEqual(
      bench.answers.map(({ nodeSent }) => nodeSent),
      bench.answers.map((_, index) => index === 0),
    );
    assert.equal(bench.answers[0]?.node, 'sidecar~1');
    assert.equal(bench.of('server')[0]?.identifier, 'tollway-control-plane');
  });

  it('refuses a bad push with its path, changes nothing by it, and takes the next good one', async () => {
    const bench = made(new Bench());
    bench.server.setSnapshot(WHOLE);
    await bench.start();
    await bench.live();
    const before = bench.changes.length;
    const good = bench.answers.find(({ typeUrl, kind }) => typeUrl === CDS && kind === 'ack')?.version;
    bench.server.setResources(CDS, clusters(['a', 'bad']));
    await bench.until('a NACK', () => bench.answers.some(({ kind }) => kind === 'nack'));
    const nack = bench.answers.find(({ kind }) => kind === 'nack');
    assert.equal(nack?.version, good);
    assert.deepEqual(nack?.error, { code: 3, message: 'CDS "a": alt_stat_name: is bad' });
    assert.deepEqual(bench.of('nack')[0]?.errors, [{ resource: 'a', path: 'alt_stat_name', message: 'is bad' }]);
    assert.equal(bench.changes.length, before);
    const refused = bench.configuration.subscriptions('cluster')[0]?.refused().get('a');
    assert.match(refused?.details ?? '', /alt_stat_name/);
    bench.server.setResources(CDS, clusters(['a', 'fine']));
    await bench.until('the good one', () => bench.changes.length > before);
    assert.equal(bench.configuration.subscriptions('cluster')[0]?.refused().size, 0);
  });

  it('refuses garbage in an Any and lives on', async () => {
    const bench = made(new Bench());
    bench.server.setSnapshot(WHOLE);
    await bench.start();
    await bench.live();
    const garbage: Any = { type_url: CDS, value: Buffer.from('ff00ff00ff00', 'hex') };
    const whole = encodeMessage('envoy.config.cluster.v3.Cluster', { name: 'cut', alt_stat_name: 'x'.repeat(50) });
    const cut: Any = { type_url: CDS, value: whole.subarray(0, 20) };
    bench.server.setResources(CDS, new Map([...clusters(['a']), ['garbage', garbage] as const, ['cut', cut] as const]));
    await bench.until('a NACK', () => bench.of('nack').length === 1);
    assert.equal(bench.of('nack')[0]?.errors.length, 2);
    bench.server.sendRaw(Buffer.from('ffffffffff', 'hex'));
    await bench.until('malformed', () => bench.of('malformed').length === 1);
    bench.server.setResources(EDS, endpoints('a', 1, 2));
    await bench.until('the next push', () => bench.ports('a').length === 2);
    assert.deepEqual([bench.of('disconnected').length, bench.server.openStreams()], [0, 1]);
  });

  it('10: refuses a type it does not know and keeps the stream', async () => {
    const bench = made(new Bench());
    bench.server.setSnapshot(WHOLE);
    await bench.start();
    await bench.live();
    bench.server.sendRaw(
      encodeMessage('envoy.service.discovery.v3.DiscoveryResponse', { type_url: 'type.googleapis.com/x', nonce: 'n' }),
    );
    await bench.until('a NACK', () => bench.answers.some(({ typeUrl }) => typeUrl === 'type.googleapis.com/x'));
    const nack = bench.answers.find(({ typeUrl }) => typeUrl === 'type.googleapis.com/x');
    assert.deepEqual([nack?.kind, nack?.nonce], ['nack', 'n']);
    assert.equal(bench.of('disconnected').length, 0);
  });

  it('41: serves on while the control plane is away, and asks again with its versions', async () => {
    const bench = made(new Bench());
    bench.server.setSnapshot(WHOLE);
    await bench.start();
    await bench.live();
    await bench.until('all acked', () => bench.answers.filter(({ kind }) => kind === 'ack').length === 4);
    const versions = new Map(bench.answers.map(({ typeUrl, version }) => [typeUrl, version]));
    const before = bench.changes.length;
    bench.server.kill();
    await bench.until('failures', () => bench.of('disconnected').some(({ reason }) => !reason.answered));
    assert.equal(bench.changes.length, before, 'nothing is taken away');
    assert.equal(bench.of('disconnected')[0]?.reason.answered, true);
    bench.answers.length = 0;
    bench.server = bench.makeServer();
    bench.server.setSnapshot(new Map([...WHOLE, [EDS, endpoints('a', 7)]]));
    await bench.server.listen(bench.target);
    await bench.until('new endpoints', () => bench.ports('a')[0] === 7);
    assert.deepEqual(
      bench.changes.slice(before).map(({ type }) => type),
      ['endpoints'],
      'what comes again unchanged changes nothing',
    );
    const first = bench.answers.slice(0, 4);
    assert.deepEqual(
      first.map(({ typeUrl, version, nonce }) => [typeUrl, version, nonce]),
      [CDS, EDS, LDS, RDS].map((typeUrl) => [typeUrl, versions.get(typeUrl), '']),
    );
    assert.deepEqual(first[1]?.names, ['a']);
    assert.deepEqual(
      first.map(({ nodeSent }) => nodeSent),
      [true, false, false, false],
      'a new stream learns the node anew',
    );
  });

  it('42: a stream the server ends after an answer is opened again at once, and counts as Envoy counts it', async () => {
    const bench = made(new Bench());
    bench.server.setSnapshot(WHOLE);
    await bench.start();
    await bench.live();
    bench.server.endStreams();
    await bench.until('again', () => bench.of('connected').length === 2);
    const [closed] = bench.of('disconnected');
    assert.deepEqual([closed?.reason.code, closed?.reason.retryInMs], [0, 0]);
    assert.deepEqual(
      bench.of('failure').map(({ kind }) => kind),
      ['cluster', 'endpoints', 'listener', 'routes'],
    );
  });

  it('44: takes a response of more than 4 MiB', async () => {
    const bench = made(new Bench());
    const many = Array.from({ length: 6_000 }, (_, index): [string, string] => [`cluster-${index}`, 'x'.repeat(900)]);
    bench.server.setResources(CDS, clusters(...many));
    await bench.start();
    await bench.until('an answer', () => bench.answers.some(({ typeUrl, kind }) => typeUrl === CDS && kind === 'ack'));
    assert.equal(bench.configuration.subscriptions('cluster')[0]?.held().size, 6_000);
  });

  it('45: gathers a flood into few changes, the last one counting', async () => {
    const bench = made(new Bench());
    bench.server.setSnapshot(WHOLE);
    await bench.start();
    await bench.live();
    const before = bench.changes.length;
    for (let port = 2; port <= 1_000; port++) bench.server.setResources(EDS, endpoints('a', port));
    await bench.until('the last', () => bench.ports('a')[0] === 1_000);
    const changes = bench.changes.length - before;
    assert.ok(changes < 200, `${changes} changes for 999 pushes`);
    const answered = () => bench.answers.filter(({ typeUrl, kind }) => typeUrl === EDS && kind === 'ack').length;
    await bench.until('every push is answered', () => answered() >= 1_000);
  });

  it('43: a connection that stands still is noticed', async () => {
    let silent = false;
    const sockets: net.Socket[] = [];
    let target = '';
    const relay = net.createServer((socket) => {
      const [host = '', port = ''] = target.split(':');
      const onward = net.connect(Number(port), host);
      sockets.push(socket, onward);
      socket.on('error', () => {}).on('data', (bytes) => silent || onward.write(bytes));
      onward.on('error', () => {}).on('data', (bytes) => silent || socket.write(bytes));
    });
    relay.listen(0, '127.0.0.1');
    await once(relay, 'listening');
    const address = relay.address() as net.AddressInfo;
    const bench = made(
      new Bench({
        endpoint: () => ({
          target: `127.0.0.1:${address.port}`,
          credentials: ChannelCredentials.createInsecure(),
          options: { 'grpc.keepalive_time_ms': 100, 'grpc.keepalive_timeout_ms': 100 },
        }),
      }),
    );
    bench.server.setSnapshot(WHOLE);
    target = await bench.server.listen();
    bench.configuration.start();
    await bench.live();
    silent = true;
    await bench.until('noticed', () => bench.of('disconnected').length > 0);
    silent = false;
    await bench.until('again', () => bench.of('connected').length > 1);
    bench.configuration.stop();
    for (const socket of sockets) socket.destroy();
    relay.close();
  });
});
