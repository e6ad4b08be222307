/** Active health checks of a real process: what becomes of requests while an endpoint is not well. */
import assert from 'node:assert/strict';
import { createServer, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { address, ask, bootstrapOf, eventually, forwarding, httpListener, Tollway } from './tollway.ts';

const SERVING = 1;
const NOT_SERVING = 2;

/** A gRPC service with the health protocol, which answers everything else with its name. */
class Service {
  readonly name: string;
  health = SERVING;
  port = 0;

  constructor(name: string) {
    this.name = name;
  }

  async listen(t: TestContext): Promise<this> {
    const sessions = new Set<Http2Session>();
    const server = createServer();
    server.on('session', (session) => sessions.add(session));
    server.on('stream', (stream: ServerHttp2Stream, head) => {
      stream.on('error', () => {});
      if (head[':path'] === '/grpc.health.v1.Health/Check') this.check(stream);
      else {
        stream.respond({ ':status': 200 });
        stream.end(this.name);
      }
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    t.after(() => {
      for (const session of sessions) session.destroy();
      server.close();
    });
    this.port = (server.address() as AddressInfo).port;
    return this;
  }

  private check(stream: ServerHttp2Stream): void {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, this.health]));
  }
}

const HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  },
};

function checkedCluster(...services: readonly Service[]): object {
  return {
    name: 'pay',
    type: 'STATIC',
    typed_extension_protocol_options: HTTP2,
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
    load_assignment: {
      cluster_name: 'pay',
      endpoints: [{ lb_endpoints: services.map(({ port }) => ({ endpoint: { address: address(port) } })) }],
    },
    health_checks: [
      {
        timeout: '2s',
        interval: '0.05s',
        no_traffic_interval: '0.05s',
        unhealthy_threshold: 2,
        healthy_threshold: 2,
        grpc_health_check: {},
      },
    ],
  };
}

async function started(t: TestContext, services: readonly Service[], args: readonly string[] = []) {
  const bootstrap = bootstrapOf([httpListener('in', 0, [forwarding('pay')])], [checkedCluster(...services)]);
  const proxy = await new Tollway(t, bootstrap, args).live();
  const port = await proxy.port('in');
  const asked = async (): Promise<string[]> => {
    const replies = await Promise.all(Array.from({ length: 12 }, () => ask({ port })));
    return [...new Set(replies.map(({ status, body }) => (status === 200 ? body : String(status))))].sort();
  };
  const healthy = (count: number) =>
    eventually(`${count} endpoints are healthy`, async () =>
      (await proxy.stat('cluster.pay.membership_healthy')) === count ? true : undefined,
    );
  /** The message to the workers is on its way when the statistic has changed. */
  const gets = (names: readonly string[]) =>
    eventually(`${names} are asked`, async () => ((await asked()).join() === names.join() ? true : undefined));
  return { proxy, asked, healthy, gets };
}

test('an endpoint that says NOT_SERVING gets no more requests in any worker, and comes back', async (t) => {
  const services = [await new Service('a').listen(t), await new Service('b').listen(t)] as const;
  const { asked, healthy, gets } = await started(t, services, ['--concurrency', '2']);
  await gets(['a', 'b']);
  services[1].health = NOT_SERVING;
  await healthy(1);
  await gets(['a']);
  for (let i = 0; i < 5; i++) assert.deepEqual(await asked(), ['a']);
  services[1].health = SERVING;
  await healthy(2);
  await gets(['a', 'b']);
});

test('listeners serve after the first round, and nobody is asked who failed it', async (t) => {
  const services = [await new Service('a').listen(t), await new Service('b').listen(t)] as const;
  services[0].health = NOT_SERVING;
  const { proxy, asked } = await started(t, services);
  assert.deepEqual(await asked(), ['b']);
  assert.equal(await proxy.stat('cluster.pay.health_check.healthy'), 1);
});

test('without panic a cluster that is not well answers 503', async (t) => {
  const service = await new Service('a').listen(t);
  service.health = NOT_SERVING;
  const { asked, gets } = await started(t, [service]);
  assert.deepEqual(await asked(), ['503']);
  service.health = SERVING;
  await gets(['a']);
});
