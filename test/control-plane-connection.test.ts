import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ServerCredentials } from '@grpc/grpc-js';
import { DevCa } from '../certs/source/dev-ca.ts';
import { AdsServer } from '../deploy/local/control-plane/ads-server.ts';
import { encodeMessage } from '../protos/index.ts';
import { controlPlaneConnection } from '../proxy/control-plane-connection.ts';
import { systemClock } from '../xds-client/clock.ts';
import type { Bootstrap } from '../xds-client/model/bootstrap.ts';
import type { DataSource } from '../xds-client/model/common.ts';
import type { SanMatch, TlsParameters } from '../xds-client/model/tls.ts';
import { AGGREGATED_METHOD } from '../xds-client/resource-types.ts';
import { XdsStream } from '../xds-client/stream.ts';
import { parameters, upstreamTls, validationContext } from './tls/support.ts';
import { assignment, cluster } from './xds-client/models.ts';

const CDS = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
const REQUEST = encodeMessage('envoy.service.discovery.v3.DiscoveryRequest', { type_url: CDS });
const ca = new DevCa({ now: Date.now, trustDomain: 'cluster.local' });
const client = ca.issue({ spiffeId: 'spiffe://cluster.local/ns/default/sa/payment' });
// no name that anybody dials, and no address
const serving = ca.issue({ spiffeId: 'spiffe://cluster.local/ns/istio-system/sa/istiod', dnsNames: ['istiod.test'] });

function inline(text: string): DataSource {
  return { kind: 'inline', base64: Buffer.from(text).toString('base64') };
}

/** A mutually authenticated ADS server on 127.0.0.1; its port. */
async function controlPlane(t: TestContext): Promise<number> {
  const server = new AdsServer({
    credentials: ServerCredentials.createSsl(
      Buffer.from(ca.rootPem),
      [{ cert_chain: Buffer.from(serving.chain), private_key: Buffer.from(serving.key) }],
      true,
    ),
  });
  t.after(() => server.kill());
  server.setResources(CDS, new Map([['a', { name: 'a' }]]));
  return Number((await server.listen()).split(':').at(-1));
}

function bootstrap(port: number, changes: Partial<TlsParameters>): Bootstrap {
  const common = parameters({
    certificates: [
      {
        kind: 'inline',
        secret: {
          certificateChain: inline(client.chain),
          privateKey: inline(client.key),
          password: undefined,
          ocspStaple: undefined,
          watchedDirectory: undefined,
        },
      },
    ],
    validation: { kind: 'inline', context: validationContext({ trustedCa: inline(ca.rootPem) }) },
    ...changes,
  });
  const { localities } = assignment('xds', port);
  const xds = cluster('xds', {
    discovery: { kind: 'static', localities },
    transportSocket: { kind: 'tls', tls: upstreamTls({}, common) },
  });
  return {
    node: { id: 'node', cluster: 'payment', metadata: {}, locality: undefined },
    listeners: [],
    clusters: [xds],
    secrets: [],
    lds: undefined,
    cds: undefined,
    ads: {
      services: [{ cluster: 'xds', authority: undefined, timeoutMs: undefined, initialMetadata: [] }],
      delta: false,
    },
    admin: undefined,
    identity: undefined,
    statsFlushIntervalMs: 5_000,
    statsPrefix: undefined,
    runtime: {},
  };
}

/** Dials as the proxy does; the answer's length, or why there was none. */
function ask(from: Bootstrap): Promise<number | string> {
  return new Promise((resolve) => {
    const stream = new XdsStream(
      {
        ...controlPlaneConnection(from, { kind: 'ads' }),
        method: AGGREGATED_METHOD,
        clock: systemClock,
        random: () => 0,
      },
      {
        opened: () => stream.send(REQUEST),
        message: (bytes) => {
          stream.stop();
          resolve(bytes.length);
        },
        closed: ({ details }) => {
          stream.stop();
          resolve(details);
        },
      },
    );
    stream.start();
  });
}

function sans(...sanMatches: SanMatch[]): Partial<TlsParameters> {
  const context = validationContext({ trustedCa: inline(ca.rootPem), sanMatches });
  return { validation: { kind: 'inline', context } };
}

const exactly = (type: SanMatch['type'], value: string): SanMatch => ({
  type,
  match: { kind: 'exact', value, ignoreCase: false },
});

test('a control plane is reached over TLS by its address, without SNI', async (t) => {
  const port = await controlPlane(t);
  assert.equal(typeof (await ask(bootstrap(port, {}))), 'number');
});

test('the control plane has to carry a name that the configuration wants', async (t) => {
  const port = await controlPlane(t);
  const spiffe = 'spiffe://cluster.local/ns/istio-system/sa/istiod';
  assert.equal(typeof (await ask(bootstrap(port, sans(exactly('uri', spiffe))))), 'number');
  assert.equal(typeof (await ask(bootstrap(port, sans(exactly('dns', 'istiod.test'))))), 'number');
  assert.match(String(await ask(bootstrap(port, sans(exactly('dns', 'other.test'))))), /SAN matcher/);
});

test('a control plane that another authority vouches for is refused', async (t) => {
  const port = await controlPlane(t);
  const other = new DevCa({ now: Date.now, trustDomain: 'cluster.local' });
  const context = validationContext({ trustedCa: inline(other.rootPem) });
  const refused = await ask(bootstrap(port, { validation: { kind: 'inline', context } }));
  assert.match(String(refused), /certificate/);
});

test('material may be a secret of the bootstrap, and no other', async (t) => {
  const port = await controlPlane(t);
  const validation = { kind: 'sds', name: 'roots', source: { kind: 'self' }, defaults: undefined } as const;
  const unknown = bootstrap(port, { validation });
  const named = {
    ...unknown,
    secrets: [
      { kind: 'validation', name: 'roots', validation: validationContext({ trustedCa: inline(ca.rootPem) }) } as const,
    ],
  };
  assert.equal(typeof (await ask(named)), 'number');
  assert.match(String(await ask(unknown)), /"roots" is none of them/);
});

test('an agent behind a UNIX socket is tried again within a second, a server far away with patience', () => {
  const far = bootstrap(1, {});
  const [xds] = far.clusters;
  assert.ok(xds !== undefined);
  const { localities } = assignment('agent', 1);
  const atPipe = localities.map((locality) => ({
    ...locality,
    endpoints: locality.endpoints.map((one) => ({ ...one, address: { kind: 'pipe', path: '/run/sds.sock' } as const })),
  }));
  const agent = cluster('agent', { discovery: { kind: 'static', localities: atPipe } });
  const both = { ...far, clusters: [xds, agent] };
  const to = (name: string) => controlPlaneConnection(both, { kind: 'grpc', cluster: name, delta: false });
  assert.equal(to('agent').backoff?.maxMs, 1_000);
  assert.equal(to('xds').backoff, undefined);
  assert.equal(controlPlaneConnection(both, { kind: 'ads' }).backoff, undefined);
});

test('a stream is to move on at three quarters of the life of the client certificate', () => {
  const { notBefore, notAfter } = client;
  const { endpoint } = controlPlaneConnection(bootstrap(1, {}), { kind: 'ads' });
  assert.equal(endpoint(0).reopenAt, notBefore + (notAfter - notBefore) * 0.75);
  const anonymous = controlPlaneConnection(bootstrap(1, { certificates: [] }), { kind: 'ads' });
  assert.equal(anonymous.endpoint(0).reopenAt, Number.POSITIVE_INFINITY);
});
