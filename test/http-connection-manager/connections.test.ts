/** The connection manager's own part: heads, clocks, refusals, drains. Texts and details compared with Envoy 1.40. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpFilterFactory } from '../../proxy/filters/http/contract.ts';
import { CONTINUE, STOP } from '../../proxy/filters/http/contract.ts';
import type { TlsInfo } from '../../proxy/http/connection-info.ts';
import { HeaderMap } from '../../proxy/http/headers.ts';
import { decisionRecord } from '../../proxy/observe/decision-record.ts';
import { until } from '../upstream/support.ts';
import {
  Client,
  deadPort,
  ends,
  get,
  managerConfig,
  opened,
  type ProxyOptions,
  post,
  response,
  send,
  start,
} from './support.ts';

const { common } = managerConfig();

const meshTls: TlsInfo = {
  version: 'TLSv1.3',
  cipher: 'TLS_AES_256_GCM_SHA384',
  alpn: undefined,
  serverName: undefined,
  sessionReused: false,
  peerValidated: true,
  localSans: { uris: ['spiffe://mesh/ns/pay/sa/settlement'], dnsNames: [], ips: [], emails: [], others: [] },
  localSubject: undefined,
  peer: {
    subject: 'CN=pay',
    issuer: 'CN=ca',
    sans: { uris: ['spiffe://mesh/ns/pay/sa/payment'], dnsNames: ['pay.test'], ips: [], emails: [], others: [] },
    serial: '01',
    fingerprint256: 'ab12',
    fingerprint1: 'cd34',
    notBefore: 0,
    notAfter: 1,
    pem: () => 'PEM',
    chain: () => [],
    issuedBy: () => undefined,
  },
};

test('external requests lose what only the inside may say', async () => {
  const { proxy, upstream } = await start();
  const fields =
    'x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 9\r\nx-envoy-internal: true\r\nx-envoy-upstream-rq-timeout-ms: 1\r\n' +
    'x-envoy-original-path: /z\r\nx-envoy-other: 1\r\nx-forwarded-client-cert: By=me\r\nx-request-id: mine\r\n';
  await send(proxy.port, get('/', fields));
  const request = upstream.requests[0] ?? '';
  for (const gone of ['retry-on', 'max-retries', 'x-envoy-internal', 'upstream-rq-timeout', 'client-cert']) {
    assert.equal(request.includes(gone), false, gone);
  }
  assert.match(request, /x-envoy-original-path: \/z\r\n/);
  assert.match(request, /x-envoy-other: 1\r\n/);
  assert.match(request, /x-request-id: mine\r\n/);
});

test('at the edge the client is written down, its id replaced, and its scheme not believed', async () => {
  const { proxy, upstream } = await start({ manager: { useRemoteAddress: true, via: 'gw' } });
  const fields =
    'x-forwarded-for: 1.2.3.4\r\nx-request-id: mine\r\nx-forwarded-proto: https\r\nx-envoy-original-path: /z\r\n';
  const reply = await send(proxy.port, get('/', fields));
  const request = upstream.requests[0] ?? '';
  assert.match(request, /x-forwarded-for: 1.2.3.4,192.0.2.9\r\n/);
  assert.match(request, /x-envoy-external-address: 127.0.0.1\r\n/);
  assert.match(request, /x-request-id: 00000000-0000-4000-8000-000000000001\r\n/);
  assert.match(request, /x-forwarded-proto: http\r\n/);
  assert.equal(request.includes('x-envoy-original-path'), false);
  assert.match(request, /via: gw\r\n/);
  assert.equal(reply.headers.via, 'gw');
});

test('an internal request keeps its headers and is marked', async () => {
  const { proxy, upstream } = await start({
    manager: { useRemoteAddress: true, internalAddressRanges: [{ address: '127.0.0.0', prefixLength: 8 }] },
  });
  await send(proxy.port, get('/', 'x-envoy-upstream-rq-timeout-ms: 5000\r\n'));
  const request = upstream.requests[0] ?? '';
  assert.match(request, /x-envoy-internal: true\r\n/);
  assert.match(request, /x-envoy-expected-rq-timeout-ms: 5000\r\n/);
  assert.equal(proxy.stat('cluster.c.internal.upstream_rq_200'), 1);
});

test('the certificate of a mesh client is told to the upstream', async () => {
  const { proxy, upstream } = await start({
    tls: meshTls,
    manager: {
      forwardClientCert: 'sanitize-set',
      setClientCertDetails: { subject: true, cert: false, chain: false, dns: true, uri: true },
    },
  });
  await send(proxy.port, get('/', 'x-forwarded-client-cert: By=liar\r\n'));
  assert.match(
    upstream.requests[0] ?? '',
    /x-forwarded-client-cert: By=spiffe:\/\/mesh\/ns\/pay\/sa\/settlement;Hash=ab12;Subject="CN=pay";URI=spiffe:\/\/mesh\/ns\/pay\/sa\/payment;DNS=pay.test\r\n/,
  );
});

test('only a sidecar of the mesh is told that the application never saw its request', async () => {
  const port = await deadPort();
  const inside = await start({ tls: meshTls });
  inside.proxy.setCluster('c', [port]);
  const told = await send(inside.proxy.port, post('/pay', 'x'));
  assert.deepEqual([told.status, told.headers['x-tollway-unprocessed']], [503, 'true']);
  const outside = await start();
  outside.proxy.setCluster('c', [port]);
  assert.equal((await send(outside.proxy.port, post('/pay', 'x'))).headers['x-tollway-unprocessed'], undefined);
});

test('an application cannot claim that it never saw a request', async () => {
  const { proxy } = await start({ tls: meshTls }, () => response(503, 'no', 'x-tollway-unprocessed: true\r\n'));
  const reply = await send(proxy.port, post('/pay', 'x'));
  assert.deepEqual([reply.status, reply.headers['x-tollway-unprocessed']], [503, undefined]);
});

test('keep-alive serves many requests on one connection, and their count on both sides is right', async () => {
  const { proxy, upstream } = await start();
  const client = new Client(proxy.port);
  opened.push(client);
  for (let i = 0; i < 20; i++) {
    client.write(get(`/${i}`));
    assert.equal((await client.reply()).status, 200);
  }
  assert.equal(upstream.sockets.size, 1);
  assert.equal(proxy.stat('http.in.downstream_cx_total'), 1);
  assert.equal(proxy.stat('http.in.downstream_rq_completed'), 20);
  assert.equal(proxy.log.length, 20);
});

test('pipelined requests are answered in order', async () => {
  const { proxy } = await start({}, (request) => response(200, request.split(' ')[1] ?? ''));
  const client = new Client(proxy.port);
  opened.push(client);
  client.write(get('/1') + get('/2') + get('/3'));
  for (const path of ['/1', '/2', '/3']) assert.equal((await client.reply()).body, path);
});

test('a draining connection ends with its response, an idle one at once', async () => {
  const { proxy } = await start();
  const client = new Client(proxy.port);
  client.write(get('/'));
  assert.equal((await client.reply()).status, 200);
  proxy.connections[0]?.drain();
  await until(() => client.ended, 'the idle connection ended');
  proxy.draining = true;
  const reply = await send(proxy.port, get('/'));
  assert.equal(reply.headers.connection, 'close');
  assert.equal(proxy.stat('http.in.downstream_cx_drain_close'), 2);
});

test('max requests a connection ends it', async () => {
  const { proxy } = await start({ manager: { common: { ...common, maxRequestsPerConnection: 2 } } });
  const client = new Client(proxy.port);
  opened.push(client);
  client.write(get('/'));
  assert.equal((await client.reply()).headers.connection, undefined);
  client.write(get('/'));
  assert.equal((await client.reply()).headers.connection, 'close');
  assert.equal(proxy.stat('http.in.downstream_cx_max_requests_reached'), 1);
});

test('an idle connection is closed', async () => {
  const { proxy } = await start({ manager: { common: { ...common, idleTimeoutMs: 30 } } });
  const client = new Client(proxy.port);
  await until(() => client.ended, 'the connection ended');
  assert.equal(proxy.stat('http.in.downstream_cx_idle_timeout'), 1);
});

test('a stream without life is 504 SI', async () => {
  const { proxy, upstream } = await start({ manager: { streamIdleTimeoutMs: 30 } }, () => undefined);
  const reply = await send(proxy.port, get('/'));
  assert.deepEqual([reply.status, reply.body], [504, 'stream timeout']);
  assert.deepEqual(ends(proxy), [['SI', 'stream_idle_timeout']]);
  await until(() => upstream.sockets.size === 0, 'the upstream request was given up');
});

test('a request that does not end in time is 408', async () => {
  const { proxy } = await start({ manager: { requestTimeoutMs: 30 } });
  const reply = await send(proxy.port, 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab');
  assert.deepEqual([reply.status, reply.body, reply.headers.connection], [408, 'request timeout', 'close']);
  assert.deepEqual(ends(proxy), [['-', 'request_overall_timeout']]);
});

test('a stream that lasts too long is 504', async () => {
  const { proxy } = await start({ manager: { common: { ...common, maxStreamDurationMs: 30 } } }, () => undefined);
  const reply = await send(proxy.port, get('/'));
  assert.deepEqual([reply.status, reply.body], [504, 'downstream duration timeout']);
  assert.deepEqual(ends(proxy), [['-', 'max_duration_timeout']]);
});

test('what breaks HTTP is refused in words, counted and logged', async () => {
  const { proxy, upstream } = await start();
  const reply = await send(proxy.port, 'GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n');
  assert.deepEqual([reply.status, reply.body, reply.headers.connection], [400, 'Bad Request', 'close']);
  assert.deepEqual(ends(proxy), [['DPE', 'http1.codec_error']]);
  assert.equal(proxy.stat('http.in.downstream_cx_protocol_error'), 1);
  assert.equal(upstream.requests.length, 0);
  assert.equal((await send(proxy.port, get('/'))).status, 200);
});

test('an upgrade that nobody allowed is 403', async () => {
  const { proxy } = await start();
  const reply = await send(proxy.port, get('/', 'connection: upgrade\r\nupgrade: websocket\r\n'));
  assert.equal(reply.status, 403);
  assert.deepEqual(ends(proxy), [['-', 'upgrade_failed']]);
});

test('expect is answered here and not sent on', async () => {
  const { proxy, upstream } = await start();
  const client = new Client(proxy.port);
  opened.push(client);
  client.write('POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n');
  assert.equal((await client.reply()).status, 100);
  client.write('ab');
  assert.equal((await client.reply()).status, 200);
  assert.doesNotMatch(upstream.requests[0] ?? '', /\r\nexpect:/);
});

test('a gRPC request gets local replies as trailers-only', async () => {
  const { proxy } = await start();
  proxy.setCluster('c', []);
  const reply = await send(proxy.port, post('/s/M', '', 'content-type: application/grpc\r\n'));
  assert.equal(reply.status, 200);
  assert.equal(reply.headers['grpc-status'], '14');
  assert.equal(reply.headers['grpc-message'], 'no healthy upstream');
  assert.equal(proxy.log[0]?.responseCodeDetails, 'no_healthy_upstream');
});

test('a HEAD request gets the head of a local reply and no body', async () => {
  const { proxy } = await start();
  proxy.setCluster('c', []);
  const client = new Client(proxy.port);
  opened.push(client);
  client.write('HEAD / HTTP/1.1\r\nhost: a\r\n\r\n');
  const reply = await client.reply(true);
  assert.deepEqual([reply.status, reply.headers['content-length']], [503, '19']);
  proxy.setCluster('c', []);
  client.write(get('/'));
  assert.equal((await client.reply()).body, 'no healthy upstream');
});

test('local replies change as they are mapped', async () => {
  const { proxy } = await start({
    manager: {
      localReply: {
        contentType: undefined,
        bodyFormat: { kind: 'text', text: '%LOCAL_REPLY_BODY% (%RESPONSE_CODE%)', omitEmptyValues: false },
        mappers: [
          {
            filter: { kind: 'status', op: 'eq', value: 503, runtimeKey: undefined },
            status: 502,
            body: 'try later',
            format: undefined,
            contentType: undefined,
            // The status that the mapper was asked for, not the one it gives.
            headersToAdd: [{ name: 'x-why', value: '%RESPONSE_CODE%', action: 'append-or-add', keepEmptyValue: false }],
          },
        ],
      },
    },
  });
  proxy.setCluster('c', []);
  const reply = await send(proxy.port, get('/'));
  assert.deepEqual([reply.status, reply.body, reply.headers['x-why']], [502, 'try later (502)', '503']);
});

test('the decision record names what was chosen and what was tried', async () => {
  const { proxy } = await start();
  const port = await deadPort();
  proxy.setCluster('c', [port]);
  await send(proxy.port, get('/'));
  const [info] = proxy.log;
  assert.ok(info !== undefined);
  const record = decisionRecord(info);
  assert.deepEqual(
    [record.listener, record.routeConfig, record.virtualHost, record.route, record.cluster, record.endpoint],
    ['l', 'r', 'v', 'all', 'c', `127.0.0.1:${port}`],
  );
  assert.deepEqual([record.status, record.flags], [503, 'UF']);
  const [attempt] = record.attempts;
  assert.deepEqual([attempt?.class, attempt?.decision], ['not-sent', 'the route does not retry']);
  assert.deepEqual(JSON.parse(JSON.stringify(record.attempts)), record.attempts);
});

/** Filters that write down what they see; `hold` stops the request until its body is whole. */
function watching(name: string, seen: string[], hold = false): HttpFilterFactory {
  return {
    name,
    typeUrl: name,
    build: () => ({
      create: (callbacks) => ({
        onRequestHead(_head, end) {
          seen.push(`${name} head`);
          return hold && !end ? STOP : CONTINUE;
        },
        onRequestData(chunk, end) {
          seen.push(`${name} data ${chunk.length}${end ? ' end' : ''}`);
          if (hold && end) seen.push(`${name} holds ${callbacks.bufferedRequestBody()?.length}`);
          return hold && !end ? STOP : CONTINUE;
        },
        onResponseHead(head) {
          seen.push(`${name} response ${head.status}`);
          return CONTINUE;
        },
        onDestroy() {
          seen.push(`${name} destroyed`);
        },
      }),
    }),
  };
}

function withFilters(...factories: readonly HttpFilterFactory[]): ProxyOptions {
  const router = managerConfig().httpFilters;
  const own = factories.map(({ name, typeUrl }) => ({
    name,
    disabled: false,
    extension: { name, typeUrl, config: {} },
  }));
  return { filters: factories, manager: { httpFilters: [...own, ...router] } };
}

test('filters see a request first to last and its response last to first', async () => {
  const seen: string[] = [];
  const { proxy } = await start(withFilters(watching('a', seen), watching('b', seen)));
  assert.equal((await send(proxy.port, post('/', 'xy'))).status, 200);
  assert.deepEqual(seen, [
    'a head',
    'b head',
    'a data 2 end',
    'b data 2 end',
    'b response 200',
    'a response 200',
    'a destroyed',
    'b destroyed',
  ]);
});

test('a filter that holds a request lets it go whole', async () => {
  const seen: string[] = [];
  const { proxy, upstream } = await start(withFilters(watching('a', seen, true), watching('b', seen)));
  const client = new Client(proxy.port);
  opened.push(client);
  client.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc');
  await until(() => seen.includes('a data 3'), 'the first half came');
  assert.equal(seen.includes('b head'), false);
  client.write('def');
  assert.equal((await client.reply()).status, 200);
  assert.ok(seen.includes('a holds 3'), 'the piece that is shown is not among what waits');
  assert.equal(upstream.requests[0]?.endsWith('\r\n\r\nabcdef'), true);
});

test('more than a held request may be is 413', async () => {
  const { proxy, upstream } = await start(withFilters(watching('a', [], true)));
  const client = new Client(proxy.port);
  opened.push(client);
  client.write(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n${'x'.repeat(2_000_000)}`);
  assert.equal((await client.reply()).status, 413);
  assert.equal(upstream.requests.length, 0);
  assert.deepEqual(ends(proxy), [['-', 'request_payload_too_large']]);
  assert.equal(proxy.stat('http.in.downstream_rq_too_large'), 1);
});

test('more of a held response than may be is 500', async () => {
  const whole: HttpFilterFactory = {
    name: 'whole',
    typeUrl: 'whole',
    build: () => ({
      create: () => ({
        onResponseHead: (_head, end) => (end ? CONTINUE : STOP),
        onResponseData: (_chunk, end) => (end ? CONTINUE : STOP),
      }),
    }),
  };
  const { proxy } = await start(withFilters(whole), () => response(200, 'x'.repeat(2_000_000)));
  assert.equal((await send(proxy.port, get('/'))).status, 500);
  assert.deepEqual(ends(proxy), [['-', 'response_payload_too_large']]);
  assert.equal(proxy.stat('http.in.rs_too_large'), 1);
});

test('a filter answers, and every filter sees the answer go out', async () => {
  const seen: string[] = [];
  const deny: HttpFilterFactory = {
    name: 'deny',
    typeUrl: 'deny',
    build: () => ({
      create: (callbacks) => ({
        onRequestHead() {
          callbacks.sendLocalReply(403, 'no', 'denied', (headers) => headers.set('x-denied', '1'));
          return STOP;
        },
      }),
    }),
  };
  const { proxy, upstream } = await start(withFilters(watching('a', seen), deny));
  const reply = await send(proxy.port, get('/'));
  assert.deepEqual([reply.status, reply.body, reply.headers['x-denied']], [403, 'no', '1']);
  assert.deepEqual(seen, ['a head', 'a response 403', 'a destroyed']);
  assert.equal(upstream.requests.length, 0);
});

test('a filter answers with a response of its own, and the connection goes on', async () => {
  const seen: string[] = [];
  const own: HttpFilterFactory = {
    name: 'own',
    typeUrl: 'own',
    build: () => ({
      create: (callbacks) => ({
        onRequestHead({ path }) {
          if (path !== '/own') return CONTINUE;
          callbacks.sendResponse({ status: 202, headers: new HeaderMap() }, 'own_response');
          return STOP;
        },
      }),
    }),
  };
  const { proxy, upstream } = await start(withFilters(watching('a', seen), own));
  const client = new Client(proxy.port);
  opened.push(client);
  client.write(get('/own') + get('/'));
  const reply = await client.reply();
  assert.deepEqual([reply.status, reply.body, reply.headers['content-length']], [202, '', '0']);
  assert.equal((await client.reply()).status, 200);
  assert.deepEqual(seen.slice(0, 3), ['a head', 'a response 202', 'a destroyed']);
  assert.equal(upstream.requests.length, 1);
  assert.deepEqual(ends(proxy), [
    ['-', 'own_response'],
    ['-', 'via_upstream'],
  ]);
  assert.deepEqual([proxy.log[0]?.cluster, proxy.log[0]?.response?.status], ['c', 202]);
});

test('a slow reader slows the upstream down, and gets everything', async () => {
  const size = 8 * 1024 * 1024;
  const { proxy, upstream } = await start({}, () => response(200, 'x'.repeat(size)));
  const client = new Client(proxy.port);
  opened.push(client);
  client.socket.pause();
  client.write(get('/'));
  await until(() => upstream.requests.length === 1, 'the request arrived');
  let before = -1;
  let still = 0;
  await until(() => {
    const now = proxy.stat('cluster.c.upstream_cx_rx_bytes_total');
    still = now === before ? still + 1 : 0;
    before = now;
    return still > 200;
  }, 'nothing more is read from the upstream');
  assert.ok(before < size, `${before} bytes were read for a downstream that reads nothing`);
  client.socket.resume();
  assert.equal((await client.reply()).body.length, size);
});
