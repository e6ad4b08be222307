import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { address, bootstrapOf, clusterTo, Tollway } from './tollway.ts';
import { fromHttp2, toHttp2 } from './websocket-bridges.ts';
import { Ends, TALKS } from './websocket-talks.ts';

const EXTENSIONS = 'type.googleapis.com/envoy.extensions';
const HTTP2 = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': `${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions`,
      explicit_http_config: { http2_protocol_options: { allow_connect: true } },
    },
  },
};

const ROUTER = { name: 'router', typed_config: { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` } };

/** A listener that takes WebSockets and sends them to the cluster that the path's first segment names. */
function socketListener(name: string, clusters: readonly string[], filters: readonly object[], socket = {}): object {
  const routes = clusters.map((cluster) => ({ match: { prefix: `/${cluster}/` }, route: { cluster, timeout: '0s' } }));
  const typed_config = {
    '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    http2_protocol_options: { allow_connect: true },
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    route_config: { name, virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
    http_filters: [...filters, ROUTER],
  };
  return { name, address: address(0), filter_chains: [{ filters: [{ name: 'http', typed_config }], ...socket }] };
}

function coder(kind: 'compressor' | 'decompressor', type: string): object {
  const library = { '@type': `${EXTENSIONS}.compression.gzip.${kind}.v3.Gzip` };
  const typed_config = {
    '@type': `${EXTENSIONS}.filters.http.${kind}.v3.${type}`,
    [`${kind}_library`]: { name: 'gzip', typed_config: library },
  };
  return { name: kind, typed_config };
}
const FILTERS = [
  { name: 'grpc-web', typed_config: { '@type': `${EXTENSIONS}.filters.http.grpc_web.v3.GrpcWeb` } },
  { name: 'cors', typed_config: { '@type': `${EXTENSIONS}.filters.http.cors.v3.Cors` } },
  coder('compressor', 'Compressor'),
  coder('decompressor', 'Decompressor'),
];

test('a WebSocket is through the proxy what it is without, from and to either protocol', async (t) => {
  const ends = new Ends(t);
  const endpoint = await ends.port();
  const clusters = [clusterTo('h1', endpoint), clusterTo('h2', await fromHttp2(t, endpoint), HTTP2)];
  const next = await new Tollway(
    t,
    bootstrapOf([socketListener('sockets', ['mesh'], [])], [{ ...clusters[0], name: 'mesh' }]),
  ).live();
  // A sidecar of its own before the endpoint: HTTP/2 is spoken between the two.
  clusters.push(clusterTo('mesh', await next.port('sockets'), HTTP2));
  const listener = socketListener('sockets', ['h1', 'h2', 'mesh'], []);
  const proxy = await new Tollway(t, bootstrapOf([listener], clusters)).live();
  const downstream = { h1: await proxy.port('sockets'), h2: await toHttp2(t, await proxy.port('sockets')) };

  for (const [name, talk] of Object.entries(TALKS)) {
    await t.test(name, { timeout: 20_000 }, async (one) => {
      const direct = await talk(ends, `ws://127.0.0.1:${endpoint}/`);
      for (const [from, port] of Object.entries(downstream)) {
        for (const to of ['h1', 'h2', 'mesh']) {
          await one.test(`${from} to ${to}`, { timeout: 10_000 }, async () => {
            assert.deepEqual(await talk(ends, `ws://127.0.0.1:${port}/${to}/`), direct);
          });
        }
      }
    });
  }
});

test('so it is over TLS and through filters that change bodies', async (t) => {
  const ends = new Ends(t);
  const endpoint = await ends.port();
  const clusters = [clusterTo('h1', endpoint), clusterTo('h2', await fromHttp2(t, endpoint), HTTP2)];
  const leaf = new DevCa({ now: Date.now, trustDomain: 'td' }).issue({ dnsNames: ['localhost'], ttlMs: 600_000 });
  const inline = (text: string) => ({ inline_string: text });
  const common_tls_context = {
    tls_certificates: [{ certificate_chain: inline(leaf.chain), private_key: inline(leaf.key) }],
    alpn_protocols: ['h2', 'http/1.1'],
  };
  const transport_socket = {
    name: 'tls',
    typed_config: { '@type': `${EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext`, common_tls_context },
  };
  const listener = socketListener('tls', ['h1', 'h2'], FILTERS, { transport_socket });
  const proxy = await new Tollway(t, bootstrapOf([listener], clusters)).live();
  const port = await proxy.port('tls');
  for (const [name, talk] of Object.entries(TALKS)) {
    // Half an end and a reset are not the same over TLS.
    if (/ an? (end|reset) |^an? (end|reset)|the end$/.test(name)) continue;
    const direct = await talk(ends, `ws://127.0.0.1:${endpoint}/`);
    for (const to of ['h1', 'h2']) {
      await t.test(`${name}, to ${to}`, { timeout: 10_000 }, async () => {
        assert.deepEqual(await talk(ends, `wss://127.0.0.1:${port}/${to}/`), direct);
      });
    }
  }
});
