import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { GrpcLoad } from '../../bench/load/http2/grpc-client.ts';
import { HeaderEncoder } from '../../bench/load/http2/header-encoder.ts';
import { readH2load } from '../../bench/load/lib/generators.ts';
import { freePort, http2Server, tcpOpen, until } from '../../bench/load/lib/stage.ts';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { HpackDecoder } from '../../proxy/http2/hpack-decoder.ts';

const folder = mkdtempSync(join(tmpdir(), 'bench-http2-'));
const ca = new DevCa({ now: Date.now, trustDomain: 'cluster.local' });
const leaf = ca.issue({
  spiffeId: 'spiffe://cluster.local/ns/bench/sa/bench',
  dnsNames: ['localhost'],
  ips: ['127.0.0.1'],
  ttlMs: 600_000,
});
const certs = { ca: join(folder, 'ca.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
writeFileSync(certs.ca, ca.rootPem);
writeFileSync(certs.cert, leaf.chain);
writeFileSync(certs.key, leaf.key, { mode: 0o600 });
after(() => rmSync(folder, { recursive: true, force: true }));

function decoded(decoder: HpackDecoder, block: Buffer): string[] {
  assert.ok(decoder.decode(block, 0, block.length, 1 << 20, 100));
  return decoder.fields.slice(0, decoder.count).map(({ name, value }) => `${name.text} ${value}`);
}

/** What the load of the gRPC rows says of `port`, after a fifth of a second. */
function grpcLoad(port: number, kind: GrpcLoad['kind']): Promise<{ requests: number; failed: number; why?: string }> {
  const load: GrpcLoad = { kind, port, connections: 2, streams: 4, seconds: 0.2, tls: certs };
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../bench/load/http2/grpc-client.ts')], {
    env: { ...process.env, BENCH_LOAD: JSON.stringify(load) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  return new Promise((resolve) => child.on('close', () => resolve(JSON.parse(text))));
}

async function secureServer(
  answer: (stream: ServerHttp2Stream, headers: { readonly [name: string]: unknown }) => void,
): Promise<{ readonly server: Http2SecureServer; readonly port: number }> {
  const server = createSecureServer({ ca: ca.rootPem, cert: leaf.chain, key: leaf.key, requestCert: true });
  server.on('stream', answer);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { server, port: (server.address() as AddressInfo).port };
}

describe('the HTTP/2 upstream of the bench', () => {
  let upstream: ChildProcess;
  let http2Port: number;
  let http2TlsPort: number;
  before(async () => {
    [http2Port, http2TlsPort] = await Promise.all([freePort(), freePort()]);
    const { args, env } = http2Server({ http2Port, http2TlsPort, certs });
    upstream = spawn(process.execPath, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await until(
      async () => (await tcpOpen(http2Port)) && (await tcpOpen(http2TlsPort)),
      () => 'see above',
    );
  });
  after(() => upstream.kill());

  it('answers a request without a body with 100 bytes', async () => {
    const session = connect(`http://127.0.0.1:${http2Port}`);
    for (let turn = 0; turn < 3; turn++) {
      const stream = session.request({ ':path': '/100' });
      const headers = new Promise<{ readonly [name: string]: unknown }>((done) => stream.once('response', done));
      assert.equal((await stream.toArray()).join('').length, 100);
      const { ':status': status, 'content-type': type, 'content-length': length } = await headers;
      assert.deepEqual([status, type, length], [200, 'text/plain', '100']);
    }
    session.close();
  });

  it('sends bytes back through narrow windows, then the status', async () => {
    const session = connect(`http://127.0.0.1:${http2Port}`, { settings: { initialWindowSize: 1_000 } });
    const stream = session.request({ ':path': '/', ':method': 'POST' });
    const trailers = new Promise<{ readonly [name: string]: unknown }>((done) => stream.once('trailers', done));
    const sent = Buffer.alloc(100_000, 'abcdefg');
    stream.end(sent);
    assert.ok(Buffer.concat((await stream.toArray()) as Buffer[]).equals(sent));
    assert.equal((await trailers)['grpc-status'], '0');
    session.close();
  });

  for (const kind of ['unary', 'stream'] as const) {
    it(`carries the ${kind} load without a failure`, async () => {
      const { requests, failed } = await grpcLoad(http2TlsPort, kind);
      assert.ok(requests > 100, `${requests} requests`);
      assert.equal(failed, 0);
    });
  }
});

describe('the gRPC load of the bench', () => {
  it('gives every call an id and a trace of its own', async () => {
    const ids: unknown[] = [];
    const { server, port } = await secureServer((stream, headers) => {
      ids.push(headers['x-request-id'], headers.traceparent);
      assert.equal(headers['content-type'], 'application/grpc');
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.on('error', () => undefined);
      stream.pipe(stream);
    });
    const { requests, failed } = await grpcLoad(port, 'unary');
    server.close();
    assert.equal(failed, 0);
    assert.ok(requests > 50, `${requests} requests`);
    assert.equal(new Set(ids).size, ids.length);
  });

  it('counts what a proxy answers itself as failed', async () => {
    const { server, port } = await secureServer((stream) => {
      stream.on('error', () => undefined);
      stream.respond({ ':status': 200, 'grpc-status': '14' }, { endStream: true });
    });
    const { requests, failed, why } = await grpcLoad(port, 'unary');
    server.close();
    assert.equal(requests, 0);
    assert.ok(failed > 0);
    assert.equal(why, 'an answer without a message');
  });

  it('writes blocks that stay in step with the table of the reader', () => {
    const shape = 'xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx';
    const encoder = new HeaderEncoder([3, 7], { ':path': '/a', te: 'trailers' }, { 'x-request-id': shape }, 7);
    const decoder = new HpackDecoder(4096);
    const out = Buffer.alloc(1024);
    const seen = new Set<string>();
    for (let turn = 0; turn < 500; turn++) {
      const fields = decoded(decoder, out.subarray(0, encoder.write(out)));
      assert.deepEqual(fields.slice(0, 4), [':method POST', ':scheme https', ':path /a', 'te trailers']);
      assert.match(fields[4] ?? '', /^x-request-id [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
      seen.add(fields[4] ?? '');
    }
    assert.equal(seen.size, 500);
  });
});

describe('figures of h2load', () => {
  const printed = (succeeded: number) => `finished in 5.00s, 2000.40 req/s, 1MB/s
requests: 10002 total, 10130 started, 10002 done, ${succeeded} succeeded, 2 failed, 0 errored, 0 timeout`;

  it('are requests that succeeded, and all others as failed', () => {
    const { requests, failed, perSecond } = readH2load(printed(10_000));
    assert.deepEqual({ requests, failed, perSecond }, { requests: 10_000, failed: 2, perSecond: 2000.4 });
  });

  it('are refused where it printed something else', () => {
    assert.throws(() => readH2load('could not connect'), /h2load printed no figures/);
  });
});
