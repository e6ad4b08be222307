import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { AdsServer } from '../../deploy/local/control-plane/ads-server.ts';
import { encodeMessage } from '../../protos/index.ts';
import { systemClock } from '../../xds-client/clock.ts';
import { AGGREGATED_METHOD } from '../../xds-client/resource-types.ts';
import { type ControlPlaneEndpoint, type StreamClosed, XdsStream } from '../../xds-client/stream.ts';

const REQUEST = encodeMessage('envoy.service.discovery.v3.DiscoveryRequest', {
  type_url: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
});

/** Connects, asks for clusters; gives the first answer's length or why the stream closed. */
function ask(endpoint: ControlPlaneEndpoint): Promise<number | StreamClosed> {
  return new Promise((resolve) => {
    const stream = new XdsStream(
      {
        endpoint: () => endpoint,
        method: AGGREGATED_METHOD,
        initialMetadata: [],
        clock: systemClock,
        random: () => 0,
      },
      {
        opened: () => stream.send(REQUEST),
        message: (bytes) => {
          stream.stop();
          resolve(bytes.length);
        },
        closed: (reason) => {
          stream.stop();
          resolve(reason);
        },
      },
    );
    stream.start();
  });
}

const CLUSTERS = new Map([['a', { name: 'a' }]]);
const CDS = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';

it('reaches a control plane over mutual TLS, and one that another CA signed not at all', async () => {
  const ca = new DevCa({ now: Date.now, trustDomain: 'cluster.local' });
  const stranger = new DevCa({ now: Date.now, trustDomain: 'cluster.local' });
  const serving = ca.issue({ dnsNames: ['localhost'], ips: ['127.0.0.1'] });
  const client = ca.issue({ spiffeId: 'spiffe://cluster.local/ns/default/sa/payment' });
  const server = new AdsServer({
    credentials: ServerCredentials.createSsl(
      Buffer.from(ca.rootPem),
      [{ cert_chain: Buffer.from(serving.chain), private_key: Buffer.from(serving.key) }],
      true,
    ),
  });
  server.setResources(CDS, CLUSTERS);
  const target = await server.listen();
  const serverName = 'localhost';
  const credentials = (roots: string): ChannelCredentials =>
    ChannelCredentials.createSsl(Buffer.from(roots), Buffer.from(client.key), Buffer.from(client.chain));
  try {
    assert.equal(typeof (await ask({ target, serverName, credentials: credentials(ca.rootPem) })), 'number');
    const refused = await ask({ target, serverName, credentials: credentials(stranger.rootPem) });
    assert.ok(typeof refused !== 'number');
    assert.match(refused.details, /certificate/);
    assert.deepEqual([refused.code, refused.answered], [14, false]);
    const anonymous = await ask({
      target,
      serverName,
      credentials: ChannelCredentials.createSsl(Buffer.from(ca.rootPem)),
    });
    assert.notEqual(typeof anonymous, 'number', 'the server wants a certificate');
  } finally {
    server.kill();
  }
});

it('reaches a control plane on a UNIX socket', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ads-'));
  const server = new AdsServer();
  server.setResources(CDS, CLUSTERS);
  try {
    const target = await server.listen(`unix:${join(directory, 'ads.sock')}`);
    assert.equal(typeof (await ask({ target, credentials: ChannelCredentials.createInsecure() })), 'number');
  } finally {
    server.kill();
    rmSync(directory, { recursive: true });
  }
});
