import assert from 'node:assert/strict';
import { test } from 'node:test';
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

/** A listener that takes WebSockets and sends them to the cluster that the path's first segment names. */
function socketListener(clusters: readonly string[]): object {
  const routes = clusters.map((cluster) => ({ match: { prefix: `/${cluster}/` }, route: { cluster, timeout: '0s' } }));
  const typed_config = {
    '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'sockets',
    http2_protocol_options: { allow_connect: true },
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    route_config: { name: 'sockets', virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
    http_filters: [{ name: 'router', typed_config: { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` } }],
  };
  return { name: 'sockets', address: address(0), filter_chains: [{ filters: [{ name: 'http', typed_config }] }] };
}

test('a WebSocket is through the proxy what it is without, from and to either protocol', async (t) => {
  const ends = new Ends(t);
  const endpoint = await ends.port();
  const clusters = [clusterTo('h1', endpoint), clusterTo('h2', await fromHttp2(t, endpoint), HTTP2)];
  const proxy = await new Tollway(t, bootstrapOf([socketListener(['h1', 'h2'])], clusters)).live();
  const downstream = { h1: await proxy.port('sockets'), h2: await toHttp2(t, await proxy.port('sockets')) };

  for (const [name, talk] of Object.entries(TALKS)) {
    await t.test(name, { timeout: 20_000 }, async (one) => {
      const direct = await talk(ends, `ws://127.0.0.1:${endpoint}/`);
      for (const [from, port] of Object.entries(downstream)) {
        for (const to of ['h1', 'h2']) {
          await one.test(`${from} to ${to}`, { timeout: 10_000 }, async () => {
            assert.deepEqual(await talk(ends, `ws://127.0.0.1:${port}/${to}/`), direct);
          });
        }
      }
    });
  }
});
