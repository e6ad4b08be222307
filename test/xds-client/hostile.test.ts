/**
 * A control plane that sends what none should, over a real stream to the real client with the real decoders: every response
 * is answered, what is wrong with it is told in one bounded text, and what serves stays as it is.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ChannelCredentials } from '@grpc/grpc-js';
import fc from 'fast-check';
import { AdsServer } from '../../deploy/local/control-plane/ads-server.ts';
import type { ClientAnswer } from '../../deploy/local/control-plane/ads-session.ts';
import { type Any, encodeMessage, fromJson, type MessageObject } from '../../protos/index.ts';
import { decodeChecks } from '../../proxy/decode-checks.ts';
import type { ConfigChange } from '../../xds-client/changes.ts';
import { systemClock } from '../../xds-client/clock.ts';
import { Configuration } from '../../xds-client/configuration.ts';
import { resourceDecoder } from '../../xds-client/decode-resource.ts';
import type { XdsEvent } from '../../xds-client/events.ts';
import { nameInBytes } from '../../xds-client/resource-name.ts';
import { RESOURCE_TYPES, type ResourceKind } from '../../xds-client/resource-types.ts';
import { hcm, listener, loopback } from '../decode/decoding.ts';
import { ADS } from './models.ts';

const RDS_ROUTES = { rds: { route_config_name: 'r', config_source: { ads: {}, resource_api_version: 'V3' } } };
const GOOD: { readonly [kind in Exclude<ResourceKind, 'secret'>]: object } = {
  cluster: {
    name: 'c',
    type: 'EDS',
    eds_cluster_config: { eds_config: { ads: {}, resource_api_version: 'V3' } },
  },
  endpoints: { cluster_name: 'c', endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback } }] }] },
  listener: listener([hcm({ route_config: undefined, ...RDS_ROUTES })]),
  routes: {
    name: 'r',
    virtual_hosts: [{ name: 'v', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'c' } }] }],
  },
};
const NAMES = { cluster: 'c', endpoints: 'c', listener: 'in', routes: 'r' } as const;
const KINDS = ['cluster', 'endpoints', 'listener', 'routes'] as const;
type Kind = (typeof KINDS)[number];

const bytesOf = (kind: Kind, json: object): Buffer => {
  const { message } = RESOURCE_TYPES[kind];
  return encodeMessage(message, fromJson(message, JSON.parse(JSON.stringify(json)), []));
};
const anyOf = (kind: Kind, value: Buffer): Any => ({ type_url: RESOURCE_TYPES[kind].typeUrl, value });

class Bench {
  readonly changes: ConfigChange[] = [];
  readonly events: XdsEvent[] = [];
  readonly answers: ClientAnswer[] = [];
  readonly server: AdsServer;
  readonly configuration: Configuration;
  private target = '';
  private nonces = 0;
  private waiting: (() => void)[] = [];

  constructor(t: TestContext) {
    this.server = new AdsServer({
      onAnswer: (answer) => {
        this.answers.push(answer);
        this.wake();
      },
    });
    this.configuration = new Configuration({
      listeners: [],
      clusters: [],
      secrets: [],
      lds: ADS,
      cds: ADS,
      secretsOf: () => [],
      node: { id: 'sidecar~1', cluster: 'payment' },
      decode: resourceDecoder(decodeChecks(() => true)),
      clock: systemClock,
      random: () => 0.1,
      connect: () => ({
        endpoint: () => ({ target: this.target, credentials: ChannelCredentials.createInsecure() }),
        initialMetadata: [],
        backoff: { baseMs: 50, maxMs: 200 },
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
    t.after(() => {
      this.configuration.stop();
      this.server.kill();
    });
  }

  async start(): Promise<this> {
    for (const kind of KINDS) {
      const { typeUrl } = RESOURCE_TYPES[kind];
      this.server.setResources(typeUrl, new Map([[NAMES[kind], anyOf(kind, bytesOf(kind, GOOD[kind]))]]));
    }
    this.target = await this.server.listen();
    this.configuration.start();
    await this.until('live', () => this.configuration.store.initialized());
    await this.until('all is accepted', () => KINDS.every((kind) => this.answerOf(kind)?.kind === 'ack'));
    return this;
  }

  /** Sends resources as they are and waits for the answer. */
  async send(kind: Kind, resources: readonly Any[]): Promise<ClientAnswer> {
    const nonce = `hostile-${++this.nonces}`;
    const response: MessageObject = {
      version_info: nonce,
      type_url: RESOURCE_TYPES[kind].typeUrl,
      nonce,
      resources: [...resources],
    };
    this.server.sendRaw(encodeMessage('envoy.service.discovery.v3.DiscoveryResponse', response));
    const find = (): ClientAnswer | undefined => this.answers.find((answer) => answer.nonce === nonce);
    await this.until(`an answer to ${nonce}`, () => find() !== undefined);
    return find() as ClientAnswer;
  }

  /** What serves, as the model has it. */
  serving(): unknown {
    const { store } = this.configuration;
    return [
      store.clusterState('c').serving,
      store.listenerState('in').serving,
      ...(['endpoints', 'routes'] as const).map((kind) =>
        this.configuration.subscriptions(kind).map((one) => [...one.held().values()].map(({ value }) => value)),
      ),
    ];
  }

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

  private answerOf(kind: Kind): ClientAnswer | undefined {
    return this.answers.findLast(({ typeUrl, nonce }) => typeUrl === RESOURCE_TYPES[kind].typeUrl && nonce !== '');
  }

  private wake(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const resolve of waiting) resolve();
  }
}

function refused(answer: ClientAnswer): string {
  assert.equal(answer.kind, 'nack', JSON.stringify(answer));
  const text = answer.error?.message ?? '';
  assert.ok(text.length > 0 && text.length < 17_000, `${text.length} characters`);
  return text;
}

test('pushes of broken bytes are answered, and what serves stays', async (t) => {
  const bench = await new Bench(t).start();
  const before = bench.serving();
  const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
  const pushes = fc.sample(
    fc.record({
      kind: fc.constantFrom(...KINDS),
      changes: fc.array(change, { minLength: 1, maxLength: 5 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
    { numRuns: 150, seed: 17 },
  );
  let nacks = 0;
  for (const { kind, changes, share } of pushes) {
    const bytes = Buffer.from(bytesOf(kind, GOOD[kind]));
    for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
    const sent = bytes.subarray(0, Math.ceil(bytes.length * Math.max(share, 0.5)));
    const answer = await bench.send(kind, [anyOf(kind, sent)]);
    if (answer.kind === 'nack') {
      nacks++;
      refused(answer);
      // Under another name it says, as any whole response does, that this one is gone.
      if (nameInBytes(sent) === NAMES[kind]) assert.deepEqual(bench.serving(), before);
    }
    // What a lucky change has made of it is taken back: the good content is asked for each time.
    await bench.send(kind, [anyOf(kind, bytesOf(kind, GOOD[kind]))]);
    assert.deepEqual(bench.serving(), before);
  }
  assert.ok(nacks > 75, `only ${nacks} were refused`);
});

test('everything that is wrong with a push is told at once, shortly, and nothing changes', async (t) => {
  const bench = await new Bench(t).start();
  const before = bench.serving();
  const count = bench.changes.length;
  const long = 'x'.repeat(100_000);
  const raw = (kind: Kind, message: MessageObject): Any =>
    anyOf(kind, encodeMessage(RESOURCE_TYPES[kind].message, message));
  const cluster = (name: string, more: MessageObject): Any => raw('cluster', { name, type: 'STATIC', ...more });

  const all = refused(
    await bench.send('cluster', [
      cluster('c', { connect_timeout: { seconds: -1 } }),
      cluster(long, { connect_timeout: { seconds: 9e18 } }),
      cluster('third', { common_lb_config: { healthy_panic_threshold: { value: NaN } } }),
      cluster('twice', {}),
      cluster('twice', {}),
      anyOf('listener', bytesOf('listener', GOOD.listener)),
      anyOf('cluster', Buffer.from([0xff, 0xff])),
      { type_url: 'type.googleapis.com/none.Such', value: Buffer.from('x') },
      cluster('', {}),
    ]),
  );
  const expected = [
    '"c": connect_timeout',
    '"xxxx',
    '"third": common_lb_config',
    '"twice": is in',
    'resources[5]',
    'resources[6]',
  ];
  for (const part of [...expected, 'none.Such', 'resources[8]": has no name']) {
    assert.ok(all.includes(part), `${part} is not in ${all}`);
  }
  refused(
    await bench.send(
      'cluster',
      Array.from({ length: 3_000 }, (_, i) => cluster(`bad ${i}`, { connect_timeout: { seconds: -1 } })),
    ),
  );
  refused(
    await bench.send('routes', [raw('routes', { name: 'r', virtual_hosts: [{ name: long, domains: [long, long] }] })]),
  );
  // Lone halves of surrogate pairs are no UTF-8: a server would refuse the request that repeats them.
  refused(await bench.send('routes', [raw('routes', { name: 'r', virtual_hosts: [{ name: '\ud83d', domains: [] }] })]));
  const deep = deepStruct(90);
  const nested = await bench.send('cluster', [anyOf('cluster', Buffer.concat([cluster('c', {}).value, deep]))]);
  assert.match(refused(nested), /"c": .*depth/);
  assert.deepEqual(bench.serving(), before);
  assert.equal(bench.changes.length, count);
  assert.equal(bench.events.filter(({ type }) => type === 'disconnected').length, 0);
});

test('what is no response is told, and the stream goes on', async (t) => {
  const bench = await new Bench(t).start();
  const before = bench.serving();
  bench.server.sendRaw(Buffer.from([0x0a, 0xff]));
  await bench.until('it is told', () => bench.events.some(({ type }) => type === 'malformed'));
  assert.equal((await bench.send('endpoints', [anyOf('endpoints', bytesOf('endpoints', GOOD.endpoints))])).kind, 'ack');
  assert.deepEqual(bench.serving(), before);
});

/** `Cluster.metadata` with structs in structs, deeper than any protobuf reader goes. */
function deepStruct(depth: number): Buffer {
  const wrap = (tag: number, inner: Buffer): Buffer => {
    const length: number[] = [];
    for (let rest = inner.length; ; rest = Math.floor(rest / 128)) {
      if (rest < 128) {
        length.push(rest);
        break;
      }
      length.push((rest % 128) | 0x80);
    }
    return Buffer.concat([Buffer.from([tag, ...length]), inner]);
  };
  let value: Buffer = wrap(0x1a, Buffer.from('x'));
  // Struct.fields is a map: entry {1: key, 2: Value}; Value.struct_value is field 5.
  const entry = (of: Buffer): Buffer => wrap(0x0a, Buffer.concat([wrap(0x0a, Buffer.from('k')), wrap(0x12, of)]));
  for (let level = 0; level < depth; level++) value = wrap(0x2a, entry(value));
  // Metadata.filter_metadata is a map as well; Cluster.metadata is field 25.
  const metadata = wrap(0x0a, Buffer.concat([wrap(0x0a, Buffer.from('m')), wrap(0x12, entry(value))]));
  return Buffer.concat([Buffer.from([0xca, 0x01]), wrap(0, metadata).subarray(1)]);
}
