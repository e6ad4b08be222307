import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect as tlsConnect, createServer as tlsServer } from 'node:tls';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { type Direction, Flow } from '../../proxy/filters/network/tcp-proxy/relay.ts';
import { readSlabs } from '../../proxy/http/bytes.ts';
import { ownReads } from '../../proxy/http/own-reads.ts';
import { readInto } from '../../proxy/http/read-buffer.ts';

const leaf = new DevCa({ now: Date.now, trustDomain: 'test' }).issue({
  spiffeId: 'spiffe://test/ns/a/sa/b',
  dnsNames: ['localhost'],
  ips: ['127.0.0.1'],
  ttlMs: 3_600_000,
});

async function port(server: ReturnType<typeof createServer>): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

/** Bytes that are nowhere the same. */
function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32BE((at * 2_654_435_761) >>> 0, at);
  return bytes;
}

const SIZE = 2 << 20;
const CONNECTIONS = 6;
const sent = pattern(SIZE);
const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Reads in starts and stops, so that the writer's socket fills and empties. */
async function haltingly(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => {
    parts.push(chunk);
    if (parts.length % 7 !== 0) return;
    socket.pause();
    setTimeout(() => socket.resume(), 1);
  });
  await once(socket, 'end');
  return Buffer.concat(parts);
}

for (const [name, inTls, outTls] of [
  ['plain on both sides', false, false],
  ['TLS from the downstream', true, false],
  ['TLS to the upstream', false, true],
] as const) {
  test(`every byte arrives as it was, both ways, ${name}`, { timeout: 30_000 }, async () => {
    const events = {
      onBytes: (_: Direction, __: number) => undefined,
      onPaused: () => undefined,
      onResumed: () => undefined,
    };
    const flows: Flow[] = [];
    const echoed: string[] = [];
    const answer = async (socket: Socket): Promise<void> => {
      socket.on('error', () => undefined);
      socket.write(sent);
      echoed.push(digest(await haltingly(socket)));
      socket.end();
    };
    const options = { cert: leaf.chain, key: leaf.key, allowHalfOpen: true };
    const upstream = outTls ? tlsServer(options, answer) : createServer({ allowHalfOpen: true }, answer);
    const upstreamPort = await port(upstream);
    const accept = (accepted: Socket): void => {
      accepted.pause();
      let answers: Flow | undefined;
      const reads = readInto(
        (bytes) => answers?.write(bytes),
        () => assert.fail('read over'),
      );
      const dialled = { host: '127.0.0.1', port: upstreamPort, allowHalfOpen: true, onread: reads.onread };
      const onConnect = (): void => {
        let requests: Flow | undefined;
        const own = inTls ? undefined : ownReads(accepted, (bytes) => requests?.write(bytes));
        const downstream = own?.socket ?? accepted;
        if (own === undefined) accepted.on('data', (bytes: Buffer) => requests?.write(bytes));
        requests = new Flow(downstream, socket, 'request', events);
        answers = new Flow(socket, downstream, 'response', events);
        flows.push(requests, answers);
        if (own?.pending !== undefined) requests.write(own.pending);
        if (own === undefined) accepted.resume();
      };
      const socket: Socket = outTls
        ? tlsConnect({ ...dialled, rejectUnauthorized: false }, onConnect)
        : connect(dialled, onConnect);
      socket.on('close', () => reads.close());
    };
    const proxy = inTls ? tlsServer(options, accept) : createServer({ allowHalfOpen: true }, accept);
    const proxyPort = await port(proxy);
    const talk = async (): Promise<string> => {
      const target = { port: proxyPort, host: '127.0.0.1', allowHalfOpen: true };
      const client: Socket = inTls ? tlsConnect({ ...target, rejectUnauthorized: false }) : connect(target);
      client.write(sent.subarray(0, 100));
      client.end(sent.subarray(100));
      const heard = digest(await haltingly(client));
      client.destroy();
      return heard;
    };
    const all = Array.from({ length: CONNECTIONS }, () => digest(sent));
    // What one connection brings must never be read over by another.
    assert.deepEqual(await Promise.all(all.map(talk)), all);
    assert.deepEqual(echoed, all);
    for (const flow of flows) flow.close();
    upstream.close();
    proxy.close();
    assert.ok(readSlabs.out < 3, 'what was on loan came back');
  });
}
