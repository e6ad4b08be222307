import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer as createHttp2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import { HTTP1 } from '../http1/fakes.ts';
import { block, frame, HTTP2 } from '../http2/fakes.ts';
import { until } from '../upstream/support.ts';
import {
  Client,
  get,
  hostOf,
  type ProxyOptions,
  post,
  retryPolicy,
  send,
  startProxy,
  type TestProxy,
  toCluster,
} from './support.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end();
});

const TO_HTTP2: Cluster['protocol'] = { kind: 'http2', http2: HTTP2 };

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

interface Upstream {
  readonly port: number;
  readonly heads: IncomingHttpHeaders[];
  readonly sessions: ServerHttp2Session[];
}

async function http2Upstream(
  serve: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
): Promise<Upstream> {
  const heads: IncomingHttpHeaders[] = [];
  const sessions: ServerHttp2Session[] = [];
  const server = createHttp2Server();
  server.on('session', (session) => sessions.push(session));
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {});
    heads.push(headers);
    serve(stream, headers);
  });
  ends.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: await listen(server), heads, sessions };
}

async function http1Upstream(serve: (request: IncomingMessage, response: ServerResponse) => void): Promise<number> {
  const server = createServer(serve);
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return listen(server);
}

async function start(port: number, cluster: Partial<Cluster> = {}, options: ProxyOptions = {}): Promise<TestProxy> {
  const proxy = await startProxy({ routes: hostOf(toCluster('settlement')), ...options });
  proxy.setCluster('settlement', [port], cluster);
  ends.push(() => proxy.close());
  return proxy;
}

function session(proxy: TestProxy): ClientHttp2Session {
  const client = connect(`http://127.0.0.1:${proxy.port}`);
  client.on('error', () => {});
  ends.push(() => client.destroy());
  return client;
}

interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  trailers: IncomingHttpHeaders | undefined;
  code: number;
}

/** Sends a request and waits for its end, whichever way it ends. */
async function ask(
  client: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: Buffer | string,
  trailers?: OutgoingHttpHeaders,
): Promise<Reply> {
  const stream = client.request(
    { ':path': '/', ':authority': 'payment.test', ...headers },
    {
      endStream: body === undefined && trailers === undefined,
      waitForTrailers: trailers !== undefined,
    },
  );
  const reply: Reply = { status: 0, headers: {}, body: Buffer.alloc(0), trailers: undefined, code: 0 };
  const chunks: Buffer[] = [];
  stream.on('response', (head) => {
    reply.status = head[':status'] ?? 0;
    reply.headers = head;
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('trailers', (found) => {
    reply.trailers = found;
  });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? {}));
  stream.on('error', () => {});
  if (body !== undefined || trailers !== undefined) stream.end(body ?? '');
  await once(stream, 'close').catch(() => {});
  reply.code = stream.rstCode ?? 0;
  reply.body = Buffer.concat(chunks);
  return reply;
}

/** Answers with what was asked: method, path, authority and body. */
function echo(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'x-saw': `${headers[':method']} ${headers[':path']} ${headers[':authority']}` });
    stream.end(Buffer.concat(chunks));
  });
}

describe('HTTP/2 downstream, HTTP/1.1 upstream', () => {
  test('a request with a body, its trailers and the response in chunks', async () => {
    const port = await http1Upstream((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        response.setHeader('x-saw', `${request.method} ${request.url} ${request.headers.host} ${request.httpVersion}`);
        response.write('got ');
        response.end(Buffer.concat(chunks));
      });
    });
    const proxy = await start(port);
    const reply = await ask(session(proxy), { ':method': 'POST', ':path': '/pay?x=1', cookie: 'a=1' }, 'money');
    assert.equal(reply.status, 200);
    assert.equal(reply.body.toString(), 'got money');
    assert.equal(reply.headers['x-saw'], 'POST /pay?x=1 payment.test 1.1');
    assert.equal(reply.headers['transfer-encoding'], undefined);
    assert.equal(proxy.log[0]?.request.version, 20);
    assert.equal(proxy.stat('http.in.downstream_cx_http2_total'), 1);
    assert.equal(proxy.stat('http.in.downstream_rq_http2_total'), 1);
    assert.equal(proxy.stat('http.in.downstream_cx_http1_total'), 0);
  });

  test('many requests at a time on one connection', async () => {
    const port = await http1Upstream((request, response) => response.end(request.url));
    const proxy = await start(port);
    const client = session(proxy);
    const replies = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(client, { ':path': `/${i}` })));
    assert.deepEqual(
      replies.map(({ body }) => body.toString()),
      replies.map((_, i) => `/${i}`),
    );
    assert.equal(proxy.stat('http.in.downstream_cx_total'), 1);
  });

  test('an upstream that is not there is 503 for its stream alone', async () => {
    const proxy = await start(1);
    const client = session(proxy);
    assert.equal((await ask(client, {})).status, 503);
    assert.equal((await ask(client, { ':path': '/again' })).status, 503);
    assert.equal(proxy.stat('http.in.downstream_cx_total'), 1);
  });

  test('a downstream that gives up ends the request upstream', async () => {
    let gone = false;
    const port = await http1Upstream((request) => request.on('close', () => (gone = true)));
    const proxy = await start(port);
    const stream = session(proxy).request({ ':path': '/slow' });
    stream.on('error', () => {});
    await until(() => proxy.stat('cluster.settlement.upstream_rq_active') === 1, 'the request is upstream');
    stream.close(constants.NGHTTP2_CANCEL);
    await until(() => gone, 'the upstream request ended');
    await until(() => proxy.log.length === 1, 'the request is logged');
    assert.equal(proxy.log[0]?.responseCodeDetails, 'http2.remote_reset');
    assert.equal(proxy.stat('http2.rx_reset'), 1);
  });
});

describe('HTTP/1.1 downstream, HTTP/2 upstream', () => {
  test('requests with and without a body share a connection', async () => {
    const upstream = await http2Upstream(echo);
    const proxy = await start(upstream.port, { protocol: TO_HTTP2 });
    const first = await send(proxy.port, get('/a', 'te: trailers\r\nx-a: 1\r\n'));
    assert.deepEqual([first.status, first.headers['x-saw']], [200, 'GET /a payment.test']);
    const second = await send(proxy.port, post('/b', 'money'));
    assert.equal(second.body.includes('money'), true);
    assert.equal(upstream.heads[0]?.te, 'trailers');
    assert.equal(upstream.heads[0]?.connection, undefined);
    assert.equal(upstream.sessions.length, 1);
    assert.equal(proxy.stat('cluster.settlement.upstream_cx_http2_total'), 1);
    assert.equal(proxy.log[0]?.upstreamProtocol, 'HTTP/2');
  });

  test('requests that come at once wait for one connection', async () => {
    const upstream = await http2Upstream(echo);
    const proxy = await start(upstream.port, { protocol: TO_HTTP2 });
    const replies = await Promise.all(Array.from({ length: 30 }, (_, i) => send(proxy.port, get(`/${i}`))));
    assert.ok(replies.every(({ status }) => status === 200));
    assert.equal(upstream.sessions.length, 1);
  });
});

describe('HTTP/2 on both sides', () => {
  test('a gRPC call keeps its trailers and its te', async () => {
    const upstream = await http2Upstream((stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'fine' }));
      stream.on('data', (chunk) => stream.write(chunk));
      stream.on('end', () => stream.end());
    });
    const proxy = await start(upstream.port, { protocol: TO_HTTP2 });
    const head = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };
    const reply = await ask(session(proxy), head, Buffer.from([0, 0, 0, 0, 2, 1, 2]));
    assert.equal(reply.trailers?.['grpc-status'], '0');
    assert.equal(reply.trailers?.['grpc-message'], 'fine');
    assert.deepEqual([...reply.body], [0, 0, 0, 0, 2, 1, 2]);
    assert.equal(upstream.heads[0]?.te, 'trailers');
  });

  test('trailers of a request arrive', async () => {
    let trailers: IncomingHttpHeaders | undefined;
    const upstream = await http2Upstream((stream) => {
      stream.on('trailers', (found) => (trailers = found));
      stream.resume();
      stream.on('end', () => {
        stream.respond({ ':status': 204 }, { endStream: true });
      });
    });
    const proxy = await start(upstream.port, { protocol: TO_HTTP2 });
    const reply = await ask(session(proxy), { ':method': 'POST' }, 'x', { 'x-sum': 'abc' });
    assert.equal(reply.status, 204);
    assert.equal(trailers?.['x-sum'], 'abc');
  });

  test('messages of a streaming call pass at once, both ways', async () => {
    const upstream = await http2Upstream((stream) => {
      stream.respond({ ':status': 200 });
      stream.on('data', (chunk: Buffer) => stream.write(chunk.toString().toUpperCase()));
      stream.on('end', () => stream.end());
    });
    const proxy = await start(upstream.port, { protocol: TO_HTTP2 });
    const stream = session(proxy).request({ ':path': '/', ':method': 'POST' });
    let text = '';
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    for (const word of ['one ', 'two ', 'three']) {
      stream.write(word);
      await until(() => text.endsWith(word.toUpperCase()), `${word} came back`);
    }
    stream.end();
    await once(stream, 'close');
    assert.equal(text, 'ONE TWO THREE');
  });

  test('a large body passes both ways unchanged', async () => {
    const upstream = await http2Upstream((stream) => {
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    });
    const proxy = await start(upstream.port, { protocol: TO_HTTP2 });
    const body = Buffer.alloc(20 * 1024 * 1024);
    for (let i = 0; i < body.length; i += 4) body.writeUInt32BE(i, i);
    const reply = await ask(session(proxy), { ':method': 'POST' }, body);
    assert.equal(reply.body.equals(body), true);
    assert.equal(proxy.stat('http2.pending_send_bytes'), 0);
    assert.equal(proxy.stat('cluster.settlement.http2.pending_send_bytes'), 0);
  });

  test('a downstream that does not read holds its upstream back', async () => {
    let sent = 0;
    const upstream = await http2Upstream((stream) => {
      stream.respond({ ':status': 200 });
      const more = () => {
        while (!stream.destroyed && sent < 400 * 1024 * 1024) {
          sent += 65_536;
          if (!stream.write(Buffer.alloc(65_536))) break;
        }
      };
      stream.on('drain', more);
      more();
    });
    const small = { ...HTTP2, initialStreamWindowSize: 65_536, initialConnectionWindowSize: 131_072 };
    const proxy = await start(upstream.port, { protocol: { kind: 'http2', http2: small } });
    const stream = session(proxy).request({ ':path': '/' });
    stream.on('error', () => {});
    stream.pause();
    let before = -1;
    // Still when a while passes and nothing more is sent.
    await until(() => {
      const same = sent === before && sent > 0;
      before = sent;
      return same;
    }, 'the upstream waits');
    assert.ok(sent < 16 * 1024 * 1024, `${sent} bytes were taken`);
    const other = await ask(session(proxy), { ':method': 'HEAD' });
    assert.equal(other.status, 200);
    stream.destroy();
  });

  test('a refused stream is sent again', async () => {
    let refused = 0;
    const upstream = await http2Upstream((stream, headers) => {
      if (refused++ === 0) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else echo(stream, headers);
    });
    const routes = hostOf(toCluster('settlement', { retry: retryPolicy(['refused-stream']) }));
    const proxy = await start(upstream.port, { protocol: TO_HTTP2 }, { routes });
    const reply = await ask(session(proxy), { ':method': 'POST' }, 'once');
    assert.equal(reply.status, 200);
    assert.equal(reply.body.toString(), 'once');
    assert.equal(proxy.stat('cluster.settlement.upstream_rq_retry'), 1);
    assert.equal(proxy.log[0]?.attempts?.[0]?.class, 'unprocessed');
  });

  test('a POST whose stream was reset is not sent again', async () => {
    const upstream = await http2Upstream((stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
    const routes = hostOf(toCluster('settlement', { retry: retryPolicy(['reset', 'refused-stream']) }));
    const proxy = await start(upstream.port, { protocol: TO_HTTP2 }, { routes });
    assert.equal((await ask(session(proxy), { ':method': 'POST' }, 'once')).status, 503);
    assert.equal(upstream.heads.length, 1);
  });

  test('an upstream that goes away finishes what it has, and a new connection takes the rest', async () => {
    const upstream = await http2Upstream((stream, headers) => {
      if (upstream.heads.length === 1) stream.session?.goaway();
      echo(stream, headers);
    });
    const proxy = await start(upstream.port, { protocol: TO_HTTP2 });
    const client = session(proxy);
    assert.equal((await ask(client, {})).status, 200);
    assert.equal((await ask(client, {})).status, 200);
    assert.equal(upstream.sessions.length, 2);
    assert.equal(proxy.stat('cluster.settlement.upstream_cx_close_notify'), 1);
  });

  test('the upstream is spoken to as the downstream speaks', async () => {
    const upstream = await http2Upstream(echo);
    const proxy = await start(upstream.port, { protocol: { kind: 'downstream', http1: HTTP1, http2: HTTP2 } });
    assert.equal((await ask(session(proxy), {})).status, 200);
    assert.equal(proxy.stat('cluster.settlement.upstream_cx_http2_total'), 1);
  });

  test('no more streams go to a connection than its upstream allows', async () => {
    const server = createHttp2Server({ settings: { maxConcurrentStreams: 2 } });
    const held: ServerHttp2Stream[] = [];
    const sessions: ServerHttp2Session[] = [];
    server.on('session', (one) => sessions.push(one));
    server.on('stream', (stream: ServerHttp2Stream) => held.push(stream));
    ends.push(() => {
      for (const one of sessions) one.destroy();
      server.close();
    });
    const proxy = await start(await listen(server), { protocol: TO_HTTP2 });
    const client = session(proxy);
    // The upstream's limit is known from here on.
    const first = ask(client, {});
    await until(() => held.length === 1, 'the first is there');
    const others = [1, 2, 3].map(() => ask(client, {}));
    await until(() => held.length === 4, 'all are there');
    for (const stream of held) stream.respond({ ':status': 204 }, { endStream: true });
    for (const reply of await Promise.all([first, ...others])) assert.equal(reply.status, 204);
    assert.equal(sessions.length, 2);
  });
});

describe('an HTTP/2 downstream connection', () => {
  test('drains: what is under way ends, then the connection', async () => {
    const upstream = await http2Upstream((stream, headers) => {
      setImmediate(() => echo(stream, headers));
    });
    const proxy = await start(upstream.port, { protocol: TO_HTTP2 });
    const client = session(proxy);
    let goaways = 0;
    client.on('goaway', () => goaways++);
    await ask(client, {});
    const under = ask(client, {}, 'body');
    await until(() => proxy.stat('http.in.downstream_rq_active') === 1, 'the request is under way');
    proxy.connections[0]?.drain();
    assert.equal((await under).status, 200);
    await until(() => client.destroyed || client.closed, 'the connection ended');
    assert.ok(goaways >= 1);
    await until(() => proxy.stat('http.in.downstream_cx_active') === 0, 'the connection is gone');
    assert.equal(proxy.stat('http2.goaway_sent'), 2);
    assert.equal(proxy.stat('http.in.downstream_cx_http2_active'), 0);
    assert.equal(proxy.stat('http2.streams_active'), 0);
  });

  test('ends after a response that says so, once the time to drain is over', async () => {
    const upstream = await http2Upstream(echo);
    const proxy = await start(upstream.port, { protocol: TO_HTTP2 }, { manager: { drainTimeoutMs: 20 } });
    const client = session(proxy);
    await ask(client, {});
    assert.equal(proxy.stat('http2.goaway_sent'), 0);
    proxy.draining = true;
    assert.equal((await ask(client, {})).status, 200);
    await until(() => proxy.stat('http.in.downstream_cx_active') === 0, 'the connection is gone');
    assert.equal(proxy.stat('http.in.downstream_cx_drain_close'), 1);
  });

  test('drains while it is idle', async () => {
    const upstream = await http2Upstream(echo);
    const proxy = await start(upstream.port, { protocol: TO_HTTP2 });
    const client = session(proxy);
    await ask(client, {});
    proxy.connections[0]?.drain();
    await until(() => proxy.stat('http.in.downstream_cx_active') === 0, 'the connection is gone');
  });

  test('ends when its streams are reset as soon as they are opened', async () => {
    const upstream = await http2Upstream(() => {});
    const proxy = await start(upstream.port, { protocol: TO_HTTP2 });
    const client = session(proxy);
    await once(client, 'connect');
    for (let i = 0; i < 300; i++) {
      const stream = client.request({ ':path': '/' });
      stream.on('error', () => {});
      stream.close(constants.NGHTTP2_CANCEL);
      if (i % 50 === 0) await new Promise(setImmediate);
    }
    await until(() => proxy.stat('http.in.downstream_rq_too_many_premature_resets') === 1, 'it was noticed');
    await until(() => proxy.stat('http.in.downstream_cx_active') === 0, 'the connection is gone');
    await until(() => proxy.stat('cluster.settlement.upstream_rq_active') === 0, 'nothing is left upstream');
  });

  test('ends when a head does not end in time', async () => {
    const proxy = await start(1, {}, { manager: { requestHeadersTimeoutMs: 30 } });
    const client = new Client(proxy.port);
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    client.write(Buffer.concat([preface, frame(4, 0, 0), frame(1, 0, 1, block(':method', 'GET'))]).toString('latin1'));
    await until(() => client.ended, 'the connection ended');
    assert.equal(proxy.stat('http.in.downstream_rq_header_timeout'), 1);
  });

  test('a websocket by extended CONNECT reaches an HTTP/2 upstream as one', async () => {
    const server = createHttp2Server({ settings: { enableConnectProtocol: true } });
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      stream.on('error', () => {});
      stream.respond({ ':status': 200, 'x-saw': `${headers[':method']} ${headers[':protocol']}` });
      stream.on('data', (chunk) => stream.write(chunk));
      stream.on('end', () => stream.end());
    });
    const sessions: ServerHttp2Session[] = [];
    server.on('session', (one) => sessions.push(one));
    ends.push(() => {
      for (const one of sessions) one.destroy();
      server.close();
    });
    const upgrades = [{ type: 'websocket', enabled: true, filters: [] }];
    const proxy = await start(
      await listen(server),
      { protocol: TO_HTTP2 },
      { manager: { upgrades, http2: { ...HTTP2, allowConnect: true } } },
    );
    const client = session(proxy);
    await once(client, 'remoteSettings');
    const stream = client.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'http',
      ':path': '/chat',
      ':authority': 'payment.test',
    });
    const [head] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    assert.deepEqual([head[':status'], head['x-saw']], [200, 'CONNECT websocket']);
    stream.write('ping');
    const [chunk] = (await once(stream, 'data')) as [Buffer];
    assert.equal(chunk.toString(), 'ping');
    stream.end();
    await once(stream, 'close');
  });
});
