/** The admin pages of both proxies after the same traffic: structure, types, status and content type, not values. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { accessLog, clusterOf, httpManager, loopback, render } from './harness/case.ts';
import { client, downstreamTls, FILES, server, tlsContext, upstreamTls } from './harness/certificates.ts';
import { get, over, run } from './harness/client.ts';
import { findEnvoy, type RunningProxy, startProxy } from './harness/proxies.ts';
import { shapeDifferences } from './harness/shape.ts';
import { reply, Upstream } from './harness/upstream.ts';

const ROUTES = {
  routes: [
    { match: { prefix: '/secure' }, route: { cluster: 'secure' } },
    { match: { prefix: '/' }, route: { cluster: 'a' } },
  ],
};
const BOOTSTRAP = {
  node: { id: 'node', cluster: 'cluster', locality: { region: 'r', zone: 'z' }, metadata: { KEY: 'value' } },
  admin: { address: loopback(0) },
  static_resources: {
    listeners: [
      {
        name: 'ingress',
        address: loopback(0),
        filter_chains: [
          {
            filters: [httpManager('ingress', ROUTES, { access_log: [accessLog()] })],
            transport_socket: downstreamTls(tlsContext('server', {})),
          },
        ],
      },
    ],
    clusters: [
      clusterOf('a', {
        endpoints: [],
        load_assignment: {
          cluster_name: 'a',
          endpoints: [
            {
              locality: { region: 'r', zone: 'z' },
              priority: 0,
              lb_endpoints: [
                { endpoint: { address: loopback('{{a}}'), hostname: 'a.test' }, load_balancing_weight: 2 },
                { endpoint: { address: loopback('{{a}}') }, health_status: 'UNHEALTHY' },
              ],
            },
          ],
        },
      }),
      clusterOf('secure', { endpoints: ['secure'], transport_socket: upstreamTls(tlsContext('client', {})) }),
    ],
  },
};

/**
 * Statistics of Envoy's that Tollway lacks: its own machinery's, and
 * - `ssl.certificate.<hash>`: named after the certificate's bytes; `/certs` and `server.days_until_first_cert_expiring` say it;
 * - `zone.<from>.<to>`: four more counters a request;
 * - `http1.*`: broken messages are counted by `downstream_cx_protocol_error` and `upstream_cx_protocol_error`;
 * - `http.<prefix>.tracing`: there when tracing is configured;
 * - `connections_accepted_per_socket_event`: Node accepts one connection an event.
 */
const OWN_STATISTICS =
  /\.(admin|worker_\d+|async-client)\.|^http\.(admin|async-client)\.|ssl\.(ciphers|curves|sigalgs|versions)|_ssl_socket_factory\.|\.default\.total_match_count$|ssl\.certificate\.|\.zone\.|(^|\.)http1\.|\.tracing\.|connections_accepted_per_socket_event$/;

/** Parts that differ on purpose, each with its reason. */
const EXCEPT: { readonly [page: string]: readonly RegExp[] } = {
  // Envoy lists what is compiled into it; both print the command line they know.
  '/server_info': [/\.node\.(extensions|user_agent_(build_)?version)/, /\.command_line_options\./],
  // A quantile is null until the histogram's first period is over, which is Envoy's by the clock.
  '/stats': [/\.values\[\]\.(cumulative|interval)/],
  // The bootstrap is dumped as it was read: the node's list of extensions is Envoy's own.
  '/config_dump': [/\.node\.(extensions|user_agent)/],
};

interface Page {
  readonly status: number;
  readonly type: string | null;
  readonly body: string;
}

async function page({ admin }: RunningProxy, path: string, method = 'GET'): Promise<Page> {
  const answer = await fetch(`http://${admin}${path}`, { method, signal: AbortSignal.timeout(5_000) });
  return { status: answer.status, type: answer.headers.get('content-type'), body: await answer.text() };
}

if (findEnvoy() === undefined) {
  test('admin pages are not compared', (t) => t.diagnostic('Envoy is not installed: npm run peers'));
} else {
  describe('admin pages', () => {
    const upstreams = [
      new Upstream('a', [reply(200, 'a')]),
      new Upstream('secure', [reply(200, 's')], { cert: server.chain, key: server.key }),
    ];
    const proxies: RunningProxy[] = [];

    before(async () => {
      for (const upstream of upstreams) await upstream.start();
      const text = render(BOOTSTRAP, new Map(upstreams.map(({ name, port }) => [name, port])));
      for (const kind of ['envoy', 'tollway'] as const) {
        const proxy = await startProxy(kind, text, ['ingress'], FILES);
        proxies.push(proxy);
        const own = { cert: client.chain, key: client.key };
        for (const path of ['/', '/secure']) await run(proxy.ports.get('ingress') as number, over(own, get(path)));
      }
    });
    after(async () => {
      for (const proxy of proxies) await proxy.stop();
      for (const upstream of upstreams) await upstream.stop();
    });
    const both = (path: string, method?: string) =>
      Promise.all(proxies.map((proxy) => page(proxy, path, method))) as Promise<[Page, Page]>;

    for (const path of [
      '/clusters?format=json',
      '/listeners?format=json',
      '/certs',
      '/server_info',
      '/config_dump',
      '/config_dump?include_eds',
      '/config_dump?resource=static_clusters',
      '/config_dump?mask=bootstrap',
      '/stats?format=json&filter=cluster.a.upstream_rq_total',
      '/stats?format=json&filter=cluster.a.upstream_rq_time',
    ]) {
      test(`${path} has the structure that clients parse`, async () => {
        const [envoy, tollway] = await both(path);
        assert.equal(tollway.status, envoy.status);
        assert.equal(tollway.type, envoy.type);
        const except = EXCEPT[path.split('?')[0] as string];
        assert.deepEqual(shapeDifferences(JSON.parse(envoy.body), JSON.parse(tollway.body), except), {
          onlyEnvoy: [],
          onlyTollway: [],
        });
      });
    }

    for (const path of [
      '/ready',
      '/healthcheck/fail',
      '/healthcheck/ok',
      '/quitquitquit',
      '/drain_listeners',
      '/reset_counters',
      '/nowhere',
      '/config_dump?resource=nothing',
      '/config_dump?mask=nothing',
      '/stats?format=csv',
      '/stats?filter=(',
      '/stats?filter=cluster.a.upstream_rq_(200|total)$',
      '/stats?usedonly&filter=cluster.a.upstream_rq_(200|503)$',
      '/stats/prometheus?filter=cluster.a.upstream_rq_total',
      '/runtime',
      '/logging',
    ]) {
      test(`GET ${path} answers alike`, async () => {
        const [envoy, tollway] = await both(path);
        assert.equal(tollway.status, envoy.status);
        assert.equal(tollway.type, envoy.type);
        // Lists of paths and of loggers are each proxy's own, and so is the text of each RE2.
        if (!['/nowhere', '/logging', '/runtime', '/stats?filter=('].includes(path))
          assert.equal(tollway.body, envoy.body);
      });
    }

    test('the list of an unknown path begins alike and names the pages', async () => {
      const [envoy, tollway] = await both('/nowhere');
      assert.equal(tollway.body.split('\n')[0], envoy.body.split('\n')[0]);
      for (const path of ['/clusters', '/config_dump', '/ready', '/stats'])
        assert.match(tollway.body, new RegExp(`^ {2}${path}`, 'm'));
    });

    test('failing the health check shows in /ready and in /server_info, and passes', async () => {
      const state = async () =>
        (await both('/server_info')).map(({ body }) => (JSON.parse(body) as { readonly state: string }).state);
      const [failed, failedToo] = await both('/healthcheck/fail', 'POST');
      assert.deepEqual(failedToo, failed);
      const [ready, readyToo] = await both('/ready');
      assert.deepEqual(readyToo, ready);
      const [states, statesToo] = await state();
      assert.equal(statesToo, states);
      const [passed, passedToo] = await both('/healthcheck/ok', 'POST');
      assert.deepEqual(passedToo, passed);
    });

    test('counters are reset by POST', async () => {
      const [envoy, tollway] = await both('/reset_counters', 'POST');
      assert.deepEqual(tollway, envoy);
      const [left, leftToo] = await both('/stats?filter=cluster.a.upstream_rq_total');
      assert.equal(leftToo.body, left.body);
    });

    test('names of clusters, listeners and statistics are the same', async () => {
      const [envoy, tollway] = await both('/clusters?format=json');
      const names = (text: string) =>
        (JSON.parse(text) as { readonly cluster_statuses: readonly { readonly name: string }[] }).cluster_statuses
          .map(({ name }) => name)
          .sort();
      assert.deepEqual(names(tollway.body), names(envoy.body));
      const [stats, statsToo] = await both('/stats?filter=^(cluster|http|listener)');
      const families = (text: string) =>
        new Set(
          text
            .split('\n')
            .map((line) => line.split(':')[0]?.replace(/127\.0\.0\.1_\d+/, '<address>') ?? '')
            .filter((name) => !OWN_STATISTICS.test(name)),
        );
      const missing = [...families(stats.body)].filter((name) => !families(statsToo.body).has(name));
      assert.deepEqual(missing, [], 'statistics of Envoy that Tollway lacks');
    });
  });
}
