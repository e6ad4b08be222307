/** The checkers against real sockets: what goes out, and what is made of what comes back. */
import assert from 'node:assert/strict';
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2, type ServerHttp2Stream } from 'node:http2';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import {
  BAD_ANSWER,
  DEGRADED,
  EXCLUDED,
  RETRIABLE_ANSWER,
  SUCCESS,
  UNREACHABLE,
} from '../../../proxy/cluster/health-check/contract.ts';
import { requestMessage, servingStatus } from '../../../proxy/cluster/health-check/grpc.ts';
import { payloadMatches } from '../../../proxy/cluster/health-check/payload.ts';
import type { HealthCheck } from '../../../xds-client/model/health-check.ts';
import { checkerTo, httpProbe, listening } from './support.ts';

function http(t: TestContext, answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<number> {
  return listening(t, createHttp(answer));
}

const deadPort = async (t: TestContext): Promise<number> => {
  const server = createServer();
  const port = await listening(t, server);
  await new Promise((done) => server.close(done));
  return port;
};

test("HTTP: the request is Envoy's, and 200 is well", async (t) => {
  const seen: unknown[] = [];
  const port = await http(t, ({ method, url, rawHeaders }, response) => {
    seen.push([method, url, rawHeaders]);
    response.end('fine');
  });
  const { ask } = checkerTo(t, port, { probe: httpProbe() });
  assert.deepEqual(await ask(), SUCCESS);
  assert.deepEqual(seen, [['GET', '/healthz', ['host', 'pay', 'user-agent', 'Envoy/HC']]]);
});

test('HTTP: host, headers and body are what the configuration says, and the endpoint names itself', async (t) => {
  const seen: unknown[] = [];
  const port = await http(t, (request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      seen.push([request.method, request.headers, body]);
      response.end();
    });
  });
  const probe = httpProbe({
    host: 'configured',
    method: 'POST',
    send: Buffer.from('how are you').toString('base64'),
    headersToAdd: [{ name: 'x-share', value: '5%%', action: 'append-or-add', keepEmptyValue: false }],
    headersToRemove: ['user-agent'],
  });
  assert.deepEqual(await checkerTo(t, port, { probe }).ask(), SUCCESS);
  const own = { address: undefined, port: undefined, hostname: 'own', disabled: false };
  assert.deepEqual(await checkerTo(t, port, { probe }, own).ask(), SUCCESS);
  const rest = { 'content-length': '11', 'x-share': '5%' };
  assert.deepEqual(seen, [
    ['POST', { host: 'configured', ...rest }, 'how are you'],
    ['POST', { host: 'own', ...rest }, 'how are you'],
  ]);
});

for (const [what, status, headers, expected] of [
  ['another status', 204, {}, BAD_ANSWER],
  ['a retriable status', 503, {}, RETRIABLE_ANSWER],
  ['an immediate failure', 503, { 'x-envoy-immediate-health-check-fail': '1' }, EXCLUDED],
  ['a degraded endpoint', 200, { 'x-envoy-degraded': '' }, DEGRADED],
] as const) {
  test(`HTTP: ${what}`, async (t) => {
    const port = await http(t, (_request, response) => {
      response.writeHead(status, headers);
      response.end();
    });
    const probe = httpProbe({ retriableStatuses: [{ start: 503, end: 504 }] });
    assert.deepEqual(await checkerTo(t, port, { probe }).ask(), expected);
  });
}

test('HTTP: the body has to hold the segments in order, within what is looked at', async (t) => {
  const port = await http(t, (_request, response) => response.end('abc-def'));
  const segment = (text: string): string => Buffer.from(text).toString('base64');
  const ask = (receive: string[], bufferBytes: number) =>
    checkerTo(t, port, { probe: httpProbe({ receive: receive.map(segment), bufferBytes }) }).ask();
  assert.deepEqual(await ask(['ab', 'ef'], 1024), SUCCESS);
  assert.deepEqual(await ask(['ef', 'ab'], 1024), BAD_ANSWER);
  assert.deepEqual(await ask(['ab', 'ef'], 6), BAD_ANSWER);
  assert.deepEqual(await ask(['ab', 'ef'], 0), SUCCESS);
});

test("HTTP: the service's name is verified where one is wanted", async (t) => {
  const port = await http(t, (_request, response) => {
    response.setHeader('x-envoy-upstream-healthchecked-cluster', 'pay-v2');
    response.end();
  });
  const named = (value: string): HealthCheck['probe'] =>
    httpProbe({ serviceName: { kind: 'prefix', value, ignoreCase: false } });
  const right = checkerTo(t, port, { probe: named('pay') });
  assert.deepEqual(await right.ask(), SUCCESS);
  assert.equal(right.verified(), 1);
  assert.deepEqual(await checkerTo(t, port, { probe: named('book') }).ask(), BAD_ANSWER);
});

test('HTTP: a connection is kept from one check to the next, or not', async (t) => {
  const ports = new Set<number | undefined>();
  const port = await http(t, (request, response) => {
    ports.add(request.socket.remotePort);
    response.end();
  });
  const kept = checkerTo(t, port, { probe: httpProbe() });
  for (let i = 0; i < 3; i++) assert.deepEqual(await kept.ask(), SUCCESS);
  assert.equal(ports.size, 1);
  const fresh = checkerTo(t, port, { probe: httpProbe(), reuseConnection: false });
  for (let i = 0; i < 3; i++) assert.deepEqual(await fresh.ask(), SUCCESS);
  assert.equal(ports.size, 4);
});

test('HTTP: an endpoint that closes the kept connection is asked over a new one', async (t) => {
  let answered = 0;
  const port = await http(t, (request, response) => {
    answered++;
    response.end();
    response.on('finish', () => request.socket.destroy());
  });
  const { ask } = checkerTo(t, port, { probe: httpProbe() });
  assert.deepEqual(await ask(), SUCCESS);
  await new Promise((done) => setImmediate(done));
  const second = await ask();
  // The end may meet the second request on its way: then it is lost, as any request would be.
  if (second.kind === 'success') assert.equal(answered, 2);
  else assert.deepEqual(second, UNREACHABLE);
});

test('HTTP: a refused connection, and one that ends without an answer, are unreachable', async (t) => {
  assert.deepEqual(await checkerTo(t, await deadPort(t), { probe: httpProbe() }).ask(), UNREACHABLE);
  const port = await http(t, (request) => request.socket.destroy());
  assert.deepEqual(await checkerTo(t, port, { probe: httpProbe() }).ask(), UNREACHABLE);
});

test("HTTP: after a check was given up its late answer is nobody's", async (t) => {
  const held: ServerResponse[] = [];
  let first: (() => void) | undefined;
  const came = new Promise<void>((done) => {
    first = done;
  });
  const port = await http(t, (_request, response) => {
    if (held.push(response) === 1) first?.();
    else response.writeHead(503).end();
  });
  const { checker, ask } = checkerTo(t, port, { probe: httpProbe() });
  checker.check();
  await came;
  checker.abort();
  held[0]?.end();
  assert.deepEqual(await ask(), BAD_ANSWER);
});

test('HTTP/2: spoken where it is configured', async (t) => {
  const seen: unknown[] = [];
  const server = createHttp2();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    seen.push(Object.fromEntries(Object.entries(headers)));
    stream.respond({ ':status': 200 });
    stream.end('x');
  });
  const port = await listening(t, server);
  const { ask } = checkerTo(t, port, { probe: httpProbe({ http2: true }) });
  assert.deepEqual(await ask(), SUCCESS);
  assert.deepEqual(await ask(), SUCCESS);
  assert.deepEqual(seen[0], {
    ':method': 'GET',
    ':authority': 'pay',
    ':path': '/healthz',
    ':scheme': 'http',
    'user-agent': 'Envoy/HC',
  });
});

function health(t: TestContext, answer: Buffer, status: string, seen: unknown[] = []): Promise<number> {
  const server = createHttp2();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      seen.push(Object.fromEntries(Object.entries(headers)), Buffer.concat(chunks).toString('hex'));
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
      stream.end(answer);
    });
  });
  return listening(t, server);
}

const status = (value: number): Buffer => Buffer.from([0, 0, 0, 0, 2, 8, value]);
const GRPC: HealthCheck['probe'] = { kind: 'grpc', service: 'svc', authority: undefined, metadata: [] };

test("gRPC: the call is Envoy's, and SERVING is well", async (t) => {
  const seen: unknown[] = [];
  const port = await health(t, status(1), '0', seen);
  assert.deepEqual(await checkerTo(t, port, { probe: GRPC }).ask(), SUCCESS);
  assert.deepEqual(seen, [
    {
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      ':authority': 'pay',
      ':scheme': 'http',
      te: 'trailers',
      'content-type': 'application/grpc',
      'user-agent': 'Envoy/HC',
      'grpc-timeout': '1000m',
    },
    '00000000050a03737663',
  ]);
});

for (const [what, answer, code] of [
  ['NOT_SERVING', status(2), '0'],
  ['SERVICE_UNKNOWN', status(3), '0'],
  ['no message', Buffer.alloc(0), '0'],
  ['a service that is not found', Buffer.alloc(0), '5'],
  ['SERVING with an error after it', status(1), '13'],
] as const) {
  test(`gRPC: ${what} is not well`, async (t) => {
    assert.deepEqual(await checkerTo(t, await health(t, answer, code), { probe: GRPC }).ask(), BAD_ANSWER);
  });
}

test('gRPC: a reset stream is unreachable', async (t) => {
  const server = createHttp2();
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.close(2);
  });
  const port = await listening(t, server);
  assert.deepEqual(await checkerTo(t, port, { probe: GRPC }).ask(), UNREACHABLE);
});

test('gRPC: messages are written and read as protobuf has them', () => {
  assert.equal(requestMessage('').toString('hex'), '0000000000');
  const long = requestMessage('s'.repeat(200));
  assert.equal(long.subarray(0, 8).toString('hex'), '00000000cb0ac801');
  assert.equal(servingStatus(Buffer.from('0000000000', 'hex')), 0);
  // a field that we do not know, before the one that we do
  assert.equal(servingStatus(Buffer.from('00000000061202aabb0801', 'hex')), 1);
  for (const broken of ['', '0000', '010000000208', '000000000508', '0000000001ff', '00000000021205']) {
    assert.equal(servingStatus(Buffer.from(broken, 'hex')), undefined, broken);
  }
});

test('gRPC: no bytes of an answer can throw, and no status is below 0', () => {
  const framed = fc.uint8Array({ maxLength: 40 }).map((message) => {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    return Buffer.concat([prefix, message]);
  });
  const loose = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(framed, loose), (body) => {
      const status = servingStatus(body);
      return status === undefined || status >= 0;
    }),
  );
});

test('TCP: a connection is enough where nothing is to be received', async (t) => {
  const port = await listening(t, createServer());
  const tcp = { kind: 'tcp', send: Buffer.from('x').toString('base64'), receive: [] } as const;
  assert.deepEqual(await checkerTo(t, port, { probe: tcp }).ask(), SUCCESS);
  assert.deepEqual(await checkerTo(t, await deadPort(t), { probe: tcp }).ask(), UNREACHABLE);
});

test('TCP: bytes are sent and others have to come back, over one connection', async (t) => {
  let connections = 0;
  const port = await listening(
    t,
    createServer((socket) => {
      connections++;
      socket.on('data', (data: Buffer) => socket.write(`<${data.toString().toUpperCase()}>`));
    }),
  );
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const probe = { kind: 'tcp', send: base64('ping'), receive: [base64('PI'), base64('NG')] } as const;
  const { ask } = checkerTo(t, port, { probe });
  assert.deepEqual(await ask(), SUCCESS);
  assert.deepEqual(await ask(), SUCCESS);
  assert.equal(connections, 1);
});

test('TCP: an endpoint that ends the kept connection between two checks has failed', async (t) => {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  let last: Socket | undefined;
  const port = await listening(
    t,
    createServer((socket) => {
      last = socket;
      socket.on('data', (data: Buffer) => socket.write(data));
    }),
  );
  const { ask, result } = checkerTo(t, port, { probe: { kind: 'tcp', send: base64('a'), receive: [base64('a')] } });
  assert.deepEqual(await ask(), SUCCESS);
  last?.end();
  assert.deepEqual(await result(), UNREACHABLE);
  assert.deepEqual(await ask(), SUCCESS);
});

test('payload segments match in order, without overlap, with anything between', () => {
  const segments = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text));
  assert.equal(payloadMatches([], Buffer.from('x')), true);
  assert.equal(payloadMatches(segments('aa', 'aa'), Buffer.from('aaa')), false);
  assert.equal(payloadMatches(segments('aa', 'aa'), Buffer.from('aaxaa')), true);
});

test('hostile answers fail a check and nothing else', async (t) => {
  const answers = [
    'HTTP/1.1 200',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
    `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(20_000)}\r\n`,
    '\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\x04\0\0\0\0\0',
  ];
  let turn = 0;
  const port = await listening(
    t,
    createServer((socket) => {
      socket.on('data', () => socket.end(answers[turn] ?? '', 'latin1'));
    }),
  );
  for (turn = 0; turn < answers.length; turn++) {
    for (const probe of [httpProbe(), httpProbe({ http2: true }), GRPC]) {
      assert.deepEqual(
        await checkerTo(t, port, { probe }).ask(),
        UNREACHABLE,
        `${probe.kind} ${answers[turn]?.slice(0, 40)}`,
      );
    }
  }
});
