/** CONNECT that ends here: both directions, each end, and a side that does not read. Beside Envoy: test/conformance/. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import type { RouteAction } from '../../xds-client/model/route.ts';
import {
  Client,
  ends,
  hostOf,
  opened,
  startProxy,
  type TestProxy,
  toCluster,
} from '../http-connection-manager/support.ts';
import { until } from '../upstream/support.ts';

const CONNECT = 'CONNECT vault.test:443 HTTP/1.1\r\nhost: vault.test:443\r\n\r\n';
const ENDED: Partial<RouteAction> = { upgrades: [{ type: 'connect', enabled: true, connect: { allowPost: false } }] };

/** A raw server behind the proxy, and what it accepted. */
async function tunnelTo(onSocket: (socket: Socket) => void): Promise<{ proxy: TestProxy; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const route = toCluster('c', ENDED, {});
  const proxy = await startProxy({
    routes: hostOf({ ...route, match: { ...route.match, path: { kind: 'connect' } } }),
  });
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  opened.push(proxy, { close });
  proxy.setCluster('c', [(server.address() as AddressInfo).port]);
  return { proxy, sockets };
}

async function connected(proxy: TestProxy): Promise<Client> {
  const client = new Client(proxy.port);
  opened.push(client);
  client.write(CONNECT);
  await until(() => client.text.includes('\r\n\r\n'), 'the tunnel is open');
  assert.match(client.text, /^HTTP\/1\.1 200 OK\r\n/);
  client.text = '';
  return client;
}

test('bytes pass both ways, and each side ends on its own', async () => {
  const { proxy, sockets } = await tunnelTo((socket) => {
    let got = '';
    socket.on('data', (chunk) => {
      got += chunk.toString();
    });
    socket.on('end', () => socket.end(`got ${got}`));
  });
  const client = await connected(proxy);
  client.write('one ');
  client.write('two');
  client.socket.end();
  await until(() => client.ended, 'the tunnel ended');
  assert.equal(client.text, 'got one two');
  assert.equal(sockets.length, 1);
  assert.deepEqual(ends(proxy), [['-', 'via_upstream']]);
  assert.equal(proxy.stat('http.in.downstream_cx_upgrades_total'), 1);
  assert.equal(proxy.stat('http.in.downstream_cx_upgrades_active'), 0);
});

test('an upstream that resets ends the tunnel', async () => {
  const { proxy } = await tunnelTo((socket) => socket.on('data', () => socket.resetAndDestroy()));
  const client = await connected(proxy);
  client.write('x');
  await until(() => client.ended && proxy.log.length === 1, 'the tunnel ended');
  assert.deepEqual(ends(proxy), [['UC', 'upstream_reset_after_response_started{connection_termination}']]);
});

test('an upstream that does not read stops the client, and nothing is lost', async () => {
  const size = 16 << 20;
  let read = 0;
  const { proxy, sockets } = await tunnelTo((socket) => socket.pause());
  const client = await connected(proxy);
  client.socket.end(Buffer.alloc(size, 'x'));
  await until(() => proxy.stat('http.in.downstream_flow_control_paused_reading_total') > 0, 'the client was paused');
  const [socket] = sockets;
  socket?.on('data', (chunk) => {
    read += chunk.length;
  });
  socket?.on('end', () => socket.end());
  socket?.resume();
  await until(() => read === size, 'everything came');
  await until(() => client.ended, 'the tunnel ended');
});
