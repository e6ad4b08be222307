import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { ChannelCredentials, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { decodeMessage, encodeMessage, serviceDefinition } from '../../protos/index.ts';
import { systemClock } from '../../xds-client/clock.ts';
import { Configuration, type ConfigurationOptions } from '../../xds-client/configuration.ts';
import { resourceDecoder } from '../../xds-client/decode-resource.ts';
import type { XdsEvent } from '../../xds-client/events.ts';
import type { ConfigSource } from '../../xds-client/model/common.ts';
import type { Secret } from '../../xds-client/model/tls.ts';
import { RESOURCE_TYPES } from '../../xds-client/resource-types.ts';
import { FakeClock } from './fake-clock.ts';
import { ADS, assignment, cluster, portsOf, upstreamTls } from './models.ts';

const directory = mkdtempSync(join(tmpdir(), 'configuration-'));
after(() => rmSync(directory, { recursive: true }));

/** What was told, in words, and how it was found out. */
class Bench {
  readonly told: string[] = [];
  readonly events: XdsEvent[] = [];
  readonly connected: ConfigSource[] = [];
  readonly configuration: Configuration;
  private wake: () => void = () => {};

  constructor(options: Partial<ConfigurationOptions>) {
    this.configuration = new Configuration({
      listeners: [],
      clusters: [],
      secrets: [],
      lds: undefined,
      cds: undefined,
      secretsOf: () => [],
      node: { id: 'n' },
      decode: resourceDecoder(),
      clock: systemClock,
      random: () => 0.5,
      connect: () => assert.fail('nothing to connect to'),
      onChanges: () => {},
      ...options,
      onEvent: (event) => {
        this.events.push(event);
        this.wake();
      },
    });
  }

  tell(...words: string[]): void {
    this.told.push(...words);
    this.wake();
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    const limit = AbortSignal.timeout(5_000);
    while (!condition()) {
      if (limit.aborted) throw new Error(`never: ${what} (${this.told.join(', ')})`);
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        limit.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }
}

function file(name: string, resources: readonly object[]): ConfigSource {
  const path = join(directory, name);
  writeFileSync(`${path}.new`, JSON.stringify({ version_info: '1', resources }));
  renameSync(`${path}.new`, path);
  return { kind: 'path', path, watchedDirectory: undefined };
}

const AGENT: ConfigSource = { kind: 'grpc', cluster: 'sds-grpc', delta: false };

/** Asks for a bundle under each of the names. */
function secureCluster(name: string, source: ConfigSource, names: readonly string[]) {
  const { common, ...rest } = upstreamTls('unused');
  const [bundle = '', ...certificates] = names;
  const validation = { kind: 'sds', name: bundle, source, defaults: undefined } as const;
  const tls = {
    ...rest,
    common: {
      ...common,
      certificates: certificates.map((each) => ({ kind: 'sds', name: each, source }) as const),
      validation,
    },
  };
  const { localities } = assignment(name, 6);
  return cluster(name, { discovery: { kind: 'static', localities }, transportSocket: { kind: 'tls', tls } });
}

/** The same as a control plane says it, with one name and the usual time to wait. */
function secureClusterJson(): object {
  const tls = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
  const api_config_source = {
    api_type: 'GRPC',
    transport_api_version: 'V3',
    grpc_services: [{ envoy_grpc: { cluster_name: 'sds-grpc' } }],
  };
  const sds = { name: 'other', sds_config: { api_config_source, resource_api_version: 'V3' } };
  return {
    '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
    name: 's',
    type: 'STATIC',
    load_assignment: { cluster_name: 's' },
    transport_socket: {
      name: 'tls',
      typed_config: { '@type': tls, common_tls_context: { validation_context_sds_secret_config: sds } },
    },
  };
}

describe('a configuration', () => {
  it('comes from files alone, endpoints too, and follows them', async () => {
    const eds = (port: number) =>
      file('eds.json', [
        {
          '@type': RESOURCE_TYPES.endpoints.typeUrl,
          cluster_name: 'a',
          endpoints: [
            {
              lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }],
            },
          ],
        },
      ]);
    const source = eds(1);
    assert.ok(source.kind === 'path');
    const bench: Bench = new Bench({
      cds: file('cds.json', [
        {
          '@type': RESOURCE_TYPES.cluster.typeUrl,
          name: 'a',
          type: 'EDS',
          eds_cluster_config: { eds_config: { path_config_source: { path: source.path } } },
        },
      ]),
      lds: file('lds.json', [
        {
          '@type': RESOURCE_TYPES.listener.typeUrl,
          name: 'l',
          address: { socket_address: { address: '127.0.0.1', port_value: 1 } },
          filter_chains: [
            {
              filters: [
                {
                  name: 'tcp',
                  typed_config: {
                    '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
                    stat_prefix: 't',
                    cluster: 'a',
                  },
                },
              ],
            },
          ],
        },
      ]),
      onChanges: (changes) =>
        bench.tell(
          ...changes.map((change) =>
            'assignment' in change ? `${change.type} ${portsOf(change.assignment)}` : change.type,
          ),
        ),
    });
    bench.configuration.start();
    await bench.until('live', () => bench.told.includes('initialized'));
    assert.deepEqual(bench.told, ['cluster 1', 'listener', 'initialized']);
    eds(2);
    await bench.until('new endpoints', () => bench.told.includes('endpoints 2'));
    bench.configuration.stop();
  });

  it('lets those it tells answer at once, and keeps the order', () => {
    const dns = cluster('d', { discovery: { kind: 'strict-dns', localities: assignment('d', 5).localities } });
    const secure = cluster('s', {
      discovery: { kind: 'static', localities: assignment('s', 6).localities },
      transportSocket: { kind: 'tls', tls: upstreamTls('cert') },
    });
    const secret: Secret = {
      kind: 'certificate',
      name: 'cert',
      certificate: {
        certificateChain: { kind: 'inline', base64: '' },
        privateKey: { kind: 'inline', base64: '' },
        password: undefined,
        ocspStaple: undefined,
        watchedDirectory: undefined,
      },
    };
    const bench: Bench = new Bench({
      clusters: [dns, { ...secure, transportSocket: { kind: 'raw' } }],
      secrets: [secret],
      secretsOf: ({ value }) => (value.name === 's' ? ['sds cert'] : []),
      onChanges: (changes) => {
        for (const change of changes) {
          bench.tell(change.type === 'initialized' ? change.type : `${change.type} ${change.name}`);
          if (change.type === 'secret') bench.configuration.secretReady('sds cert');
          if (change.type === 'resolve') bench.configuration.dnsResolved(change.cluster, assignment('d', 7));
        }
      },
    });
    bench.configuration.start();
    assert.deepEqual(bench.told, ['secret cert', 'resolve d', 'cluster s', 'cluster d', 'initialized']);
    bench.configuration.stop();
  });

  it('is live without its control plane after 15 s for clusters and 15 s for listeners, and counts that', () => {
    const clock = new FakeClock();
    const bench: Bench = new Bench({
      clock,
      cds: ADS,
      lds: ADS,
      connect: () => ({
        endpoint: () => {
          throw new Error('nobody there');
        },
        initialMetadata: [],
      }),
      onChanges: (changes) => bench.tell(...changes.map(({ type }) => type)),
    });
    bench.configuration.start();
    clock.advance(29_999);
    assert.deepEqual(bench.told, []);
    clock.advance(1);
    assert.deepEqual(bench.told, ['initialized']);
    const timeouts = bench.events.flatMap((event) => (event.type === 'timeout' ? event.kind : []));
    assert.deepEqual(timeouts, ['cluster', 'listener']);
    bench.configuration.stop();
    assert.deepEqual(clock.pending(), []);
  });

  it('asks a source only for what is not supplied in its place, and not at all when everything is', () => {
    const asked = (names: readonly string[]): readonly string[] => {
      const clock = new FakeClock();
      const bench: Bench = new Bench({
        clock,
        clusters: [secureCluster('s', AGENT, names)],
        secretsOf: () => names,
        supply: {
          replaces: (source) => source.kind === 'grpc' && source.cluster === 'sds-grpc',
          supplies: (name) => name === 'ROOTCA',
          secret: (name) => ({ name, validation_context: { trusted_ca: { inline_string: 'PEM' } } }),
          version: () => '1',
          subscribe: () => {},
        },
        connect: (source) => {
          bench.connected.push(source);
          throw new Error('nobody there');
        },
        onChanges: (changes) => {
          for (const change of changes) if (change.type === 'secret') bench.tell(`${change.name} of ${change.source}`);
        },
      });
      try {
        bench.configuration.start();
      } catch (error) {
        bench.tell(String(error));
      }
      clock.advance(0);
      bench.configuration.stop();
      return [...bench.told, ...bench.connected.map(({ kind }) => kind)];
    };
    assert.deepEqual(asked(['ROOTCA']), ['ROOTCA of grpc:sds-grpc']);
    assert.deepEqual(asked(['other']), ['Error: nobody there', 'grpc']);
    assert.deepEqual(asked(['ROOTCA', 'other']), ['Error: nobody there', 'ROOTCA of grpc:sds-grpc', 'grpc']);
  });

  it('goes on when a push asks for secrets of a source that cannot be reached, and gives them up in time', () => {
    const clock = new FakeClock();
    const bench: Bench = new Bench({
      clock,
      clusters: [],
      cds: file('agentless.json', [secureClusterJson()]),
      secretsOf: () => ['other'],
      connect: () => {
        throw new Error('no cluster "sds-grpc"');
      },
      onChanges: (changes) => bench.tell(...changes.map(({ type }) => type)),
    });
    bench.configuration.start();
    clock.advance(1_000);
    assert.deepEqual(
      bench.events.flatMap((event) => (event.type === 'malformed' ? [event.message] : [])),
      ['no cluster "sds-grpc"'],
    );
    assert.equal(bench.told.length, 0);
    clock.advance(15_000);
    assert.ok(bench.events.some((event) => event.type === 'timeout' && event.name === 'other'));
    assert.ok(bench.told.includes('cluster'), bench.told.join(', '));
    bench.configuration.stop();
  });

  it('asks a dedicated source for secrets', async () => {
    const server = new Server();
    const names: string[][] = [];
    server.addService(serviceDefinition('envoy.service.secret.v3.SecretDiscoveryService'), {
      StreamSecrets: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on('error', () => {});
        call.on('data', (bytes: Buffer) => {
          const request = decodeMessage('envoy.service.discovery.v3.DiscoveryRequest', bytes);
          names.push(request.resource_names ?? []);
          if (names.length > 1) return;
          const { typeUrl, message } = RESOURCE_TYPES.secret;
          const roots = { name: 'roots', validation_context: { trusted_ca: { inline_string: 'PEM' } } };
          call.write(
            encodeMessage('envoy.service.discovery.v3.DiscoveryResponse', {
              version_info: '1',
              nonce: '1',
              type_url: typeUrl,
              resources: [{ type_url: typeUrl, value: encodeMessage(message, roots) }],
            }),
          );
        });
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    const bench: Bench = new Bench({
      clusters: [secureCluster('s', AGENT, ['roots'])],
      secretsOf: () => ['roots'],
      connect: (asked) => {
        bench.connected.push(asked);
        return {
          endpoint: () => ({ target: `127.0.0.1:${port}`, credentials: ChannelCredentials.createInsecure() }),
          initialMetadata: [],
        };
      },
      onChanges: (changes) => {
        for (const change of changes) {
          bench.tell(change.type);
          if (change.type === 'secret') bench.configuration.secretReady(change.name);
        }
      },
    });
    bench.configuration.start();
    await bench.until('serving', () => bench.told.includes('initialized'));
    assert.deepEqual(bench.told, ['secret', 'cluster', 'initialized']);
    assert.deepEqual([bench.connected, names[0]], [[AGENT], ['roots']]);
    bench.configuration.stop();
    server.forceShutdown();
  });
});
