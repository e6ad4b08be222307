/** A real process under a real ADS server: pushed to, left alone, refused. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AdsServer } from '../../deploy/local/control-plane/ads-server.ts';
import type { ClientAnswer } from '../../deploy/local/control-plane/ads-session.ts';
import { fromJson, type JsonProblem, type MessageObject } from '../../protos/index.ts';
import { address, answering, ask, clusterTo, eventually, httpListener, occupiedPort, Tollway } from './tollway.ts';

const LISTENER = 'envoy.config.listener.v3.Listener';
const CLUSTER = 'envoy.config.cluster.v3.Cluster';

function messages(type: typeof LISTENER | typeof CLUSTER, resources: readonly object[]): Map<string, MessageObject> {
  const made = new Map<string, MessageObject>();
  for (const resource of resources) {
    const problems: JsonProblem[] = [];
    const message = fromJson(type, resource, problems);
    assert.deepEqual(problems, []);
    made.set(message.name ?? '', { ...message });
  }
  return made;
}

class ControlPlane {
  readonly answers: ClientAnswer[] = [];
  readonly server = new AdsServer({ onAnswer: (answer) => this.answers.push(answer) });

  async listen(t: TestContext, port = 0): Promise<number> {
    t.after(() => this.server.kill());
    return Number((await this.server.listen(`127.0.0.1:${port}`)).split(':')[1]);
  }

  /** The whole set of listeners from now on, beside a cluster: listeners wait for an answer about clusters. */
  push(...listeners: readonly object[]): void {
    this.server.setSnapshot(
      new Map([
        [`type.googleapis.com/${CLUSTER}`, messages(CLUSTER, [clusterTo('pushed', 1)])],
        [`type.googleapis.com/${LISTENER}`, messages(LISTENER, listeners)],
      ]),
    );
  }

  /** The text of the newest NACK. */
  refusal(): Promise<string> {
    return eventually(
      'a push is refused',
      () => this.answers.findLast(({ error }) => error !== undefined)?.error?.message,
    );
  }
}

function bootstrapAt(port: number): object {
  const ads = { ads: {}, resource_api_version: 'V3' };
  const http2 = {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      explicit_http_config: { http2_protocol_options: {} },
    },
  };
  return {
    node: { id: 'node', cluster: 'cluster' },
    admin: { address: address(0) },
    static_resources: { clusters: [clusterTo('xds', port, { typed_extension_protocol_options: http2 })] },
    dynamic_resources: {
      ads_config: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
      cds_config: ads,
      lds_config: ads,
    },
  };
}

interface Dump {
  readonly configs: readonly {
    readonly name: string;
    readonly active_state?: object;
    readonly error_state?: { readonly details: string };
  }[];
}

async function dumped(proxy: Tollway, name: string) {
  const { body } = await proxy.admin('/config_dump?resource=dynamic_listeners');
  return (JSON.parse(body) as Dump).configs.find((one) => one.name === name);
}

test('serving goes on without the control plane, and changes come when it is back', async (t) => {
  const first = new ControlPlane();
  const port = await first.listen(t);
  first.push(httpListener('in', 0, [answering('one')]));
  const proxy = new Tollway(t, bootstrapAt(port));
  const inbound = await proxy.port('in');
  await proxy.live();
  assert.equal((await ask({ port: inbound })).body, 'one');
  assert.equal(await proxy.stat('control_plane.connected_state'), 1);

  first.server.kill();
  await eventually('the loss is seen', async () =>
    (await proxy.stat('control_plane.connected_state')) === 0 ? true : undefined,
  );
  assert.equal((await ask({ port: inbound })).body, 'one');
  assert.equal((await proxy.admin('/ready')).status, 200);

  const second = new ControlPlane();
  second.push(httpListener('in', 0, [answering('two')]));
  await second.listen(t, port);
  await eventually('the change serves', async () => ((await ask({ port: inbound })).body === 'two' ? true : undefined));
  assert.equal(await proxy.stat('control_plane.connected_state'), 1);
});

test('a bad push is refused with every error, and changes nothing', async (t) => {
  const plane = new ControlPlane();
  const port = await plane.listen(t);
  plane.push(httpListener('in', 0, [answering('good')]));
  const proxy = new Tollway(t, bootstrapAt(port));
  const inbound = await proxy.port('in');
  plane.push(
    httpListener('in', 0, [
      { match: { safe_regex: { regex: '(' } }, direct_response: { status: 200 } },
      { ...answering('x'), request_headers_to_add: [{ header: { key: 'x', value: '%NO_SUCH%' } }] },
    ]),
  );
  const refusal = await plane.refusal();
  assert.match(refusal, /LDS "in".*routes\[0\].*regex/);
  assert.match(refusal, /routes\[1\].*NO_SUCH/);
  assert.equal((await ask({ port: inbound })).body, 'good');
  const shown = await dumped(proxy, 'in');
  assert.match(shown?.error_state?.details ?? '', /NO_SUCH/);
  assert.ok(shown?.active_state);
  assert.equal(await proxy.stat('listener_manager.lds.update_rejected'), 1);
});

test('a listener whose port is taken is refused, and the rest is served', async (t) => {
  const taken = await occupiedPort(t);
  const plane = new ControlPlane();
  const port = await plane.listen(t);
  plane.push(httpListener('bad', taken, [answering('x')]), httpListener('good', 0, [answering('good')]));
  const proxy = await new Tollway(t, bootstrapAt(port)).live();
  assert.equal((await ask({ port: await proxy.port('good') })).body, 'good');
  assert.match(await plane.refusal(), new RegExp(`LDS "bad".*127\\.0\\.0\\.1:${taken}.*in use`));
  const shown = await dumped(proxy, 'bad');
  assert.match(shown?.error_state?.details ?? '', /in use/);
  assert.equal(shown?.active_state, undefined);
  assert.equal(await proxy.stat('listener_manager.listener_create_failure'), 1);
  // Once at first, and once more where the server sends again to who speaks twice.
  assert.ok(((await proxy.stat('listener_manager.lds.update_rejected')) ?? 0) >= 1);
  assert.ok(proxy.running);
});

test('a listener that moves to a taken port stays where it is', async (t) => {
  const taken = await occupiedPort(t);
  const plane = new ControlPlane();
  const port = await plane.listen(t);
  plane.push(httpListener('in', 0, [answering('here')]));
  const proxy = new Tollway(t, bootstrapAt(port));
  const inbound = await proxy.port('in');
  plane.push(httpListener('in', taken, [answering('there')]));
  assert.match(await plane.refusal(), /in use/);
  assert.equal((await ask({ port: inbound })).body, 'here');
});
