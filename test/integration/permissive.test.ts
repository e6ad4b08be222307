import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { DevCa } from '../../certs/source/dev-ca.ts';
import {
  address,
  answering,
  ask,
  bootstrapOf,
  clusterTo,
  eventually,
  folderOf,
  httpListener,
  Tollway,
} from './tollway.ts';

const TYPE = 'type.googleapis.com/envoy.extensions';
const inspector = (name: string, message: string): object => ({
  name: `envoy.filters.listener.${name}`,
  typed_config: { '@type': `${TYPE}.filters.listener.${name}.v3.${message}` },
});
const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const other = new DevCa({ now: Date.now, trustDomain: 'td' });
const server = ca.issue({ spiffeId: 'spiffe://td/ns/pay/sa/payment', ttlMs: 600_000 });
const client = ca.issue({ spiffeId: 'spiffe://td/ns/shop/sa/checkout', ttlMs: 600_000 });
const stranger = other.issue({ spiffeId: 'spiffe://td/ns/shop/sa/checkout', ttlMs: 600_000 });
const LOG = '%FILTER_CHAIN_NAME% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_PEER_URI_SAN%\n';

/** As istiod writes a port in PERMISSIVE mode: mTLS by the mesh's ALPN, plaintext, and TLS of the application's own. */
function permissive(folder: string, applicationPort: number): object {
  const pem = (name: string, text: string): object => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return { filename: join(folder, name) };
  };
  const sink = {
    name: 'file',
    typed_config: {
      '@type': `${TYPE}.access_loggers.file.v3.FileAccessLog`,
      path: join(folder, 'access.log'),
      log_format: { text_format_source: { inline_string: LOG } },
    },
  };
  const http = httpListener('inbound', 0, [answering('payment')], {}, { access_log: [sink] });
  const [{ filters }] = Reflect.get(http, 'filter_chains') as [{ readonly filters: readonly object[] }];
  const tls = {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TYPE}.transport_sockets.tls.v3.DownstreamTlsContext`,
      require_client_certificate: true,
      common_tls_context: {
        alpn_protocols: ['istio-h2', 'istio-http/1.1', 'h2', 'http/1.1'],
        tls_certificates: [
          { certificate_chain: pem('cert.pem', server.chain), private_key: pem('key.pem', server.key) },
        ],
        validation_context: { trusted_ca: pem('ca.pem', ca.rootPem) },
      },
    },
  };
  const passed = {
    name: 'tcp',
    typed_config: {
      '@type': `${TYPE}.filters.network.tcp_proxy.v3.TcpProxy`,
      stat_prefix: 'passed',
      cluster: 'application',
    },
  };
  const mesh = ['istio', 'istio-peer-exchange', 'istio-http/1.0', 'istio-http/1.1', 'istio-h2'];
  return bootstrapOf(
    [
      {
        name: 'inbound',
        stat_prefix: 'inbound',
        address: address(0),
        listener_filters: [inspector('tls_inspector', 'TlsInspector'), inspector('http_inspector', 'HttpInspector')],
        filter_chains: [
          {
            name: 'mesh',
            filter_chain_match: { transport_protocol: 'tls', application_protocols: mesh },
            transport_socket: tls,
            filters,
          },
          { name: 'plain', filter_chain_match: { transport_protocol: 'raw_buffer' }, filters },
          { name: 'passed', filter_chain_match: { transport_protocol: 'tls' }, filters: [passed] },
        ],
      },
    ],
    [clusterTo('application', applicationPort)],
  );
}

/** What a request over TLS brings back: the body, or `refused`. */
function overTls(port: number, options: ConnectionOptions): Promise<string> {
  return new Promise((done) => {
    const socket = connect({
      port,
      host: '127.0.0.1',
      ca: ca.rootPem,
      checkServerIdentity: () => undefined,
      ...options,
    });
    let text = '';
    socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n'));
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => done(text === '' ? 'refused' : text.slice(text.indexOf('\r\n\r\n') + 4)));
  });
}

async function application(t: TestContext): Promise<number> {
  const own = createServer({ cert: server.chain, key: server.key }, (_, response) => response.end('the application'));
  await new Promise<void>((done) => own.listen(0, '127.0.0.1', done));
  t.after(() => own.close());
  return (own.address() as AddressInfo).port;
}

test('one port takes plaintext, the mesh and the application\u2019s own TLS, and says which', async (t) => {
  const folder = folderOf(t);
  const proxy = await new Tollway(t, permissive(folder, await application(t))).live();
  const port = await proxy.port('inbound');
  const alpn = { ALPNProtocols: ['istio-http/1.1', 'istio'] };

  assert.equal((await ask({ port })).body, 'payment');
  assert.equal(await overTls(port, { ...alpn, cert: client.chain, key: client.key }), 'payment');
  assert.equal(await overTls(port, { ...alpn, cert: stranger.chain, key: stranger.key }), 'refused');
  assert.equal(await overTls(port, alpn), 'refused');
  assert.match(await overTls(port, {}), /the application/);

  await eventually('the connections are counted', async () =>
    (await proxy.stat('listener.inbound.downstream_cx_tls')) === 1 ? true : undefined,
  );
  assert.equal(await proxy.stat('listener.inbound.downstream_cx_mtls'), 1);
  assert.equal(await proxy.stat('listener.inbound.downstream_cx_plaintext'), 1);
  assert.equal(await proxy.stat('listener.inbound.downstream_cx_total'), 5);
  const lines = await eventually('both requests are logged', () => {
    const found = readFileSync(join(folder, 'access.log'), 'utf8').trim().split('\n');
    return found.length === 2 ? found : undefined;
  });
  assert.deepEqual(lines, ['plain - -', 'mesh TLSv1.3 spiffe://td/ns/shop/sa/checkout']);
});
