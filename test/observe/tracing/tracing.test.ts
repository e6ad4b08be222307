import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseFlag } from '../../../proxy/http/stream-info.ts';
import { MainStats } from '../../../proxy/observe/stats/main-stats.ts';
import type { SpanRecord, Tracer } from '../../../proxy/observe/tracing/contract.ts';
import { TraceExporter } from '../../../proxy/observe/tracing/exporter.ts';
import { SpanQueue } from '../../../proxy/observe/tracing/queue.ts';
import { TRACING_STATS, TracingStat } from '../../../proxy/observe/tracing/stats.ts';
import { formatTraceParent, parseTraceParent } from '../../../proxy/observe/tracing/trace-context.ts';
import { WorkerTracerFactory } from '../../../proxy/observe/tracing/tracer.ts';
import type { Tracing } from '../../../xds-client/model/http-connection-manager.ts';
import { finished, TLS } from '../stream-info.ts';
import { type Collector, grpcCollector, httpCollector } from './otlp-collector.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

const BASE: Tracing = {
  clientSampling: 100,
  randomSampling: 100,
  overallSampling: 100,
  verbose: false,
  maxPathTagLength: 256,
  customTags: [],
  provider: {
    kind: 'otlp-http',
    cluster: 'otlp',
    uri: 'http://collector.mesh:4318/v1/traces',
    headers: [{ key: 'x-tenant', value: 'pay' }],
    timeoutMs: 1000,
    serviceName: 'payment',
  },
  spawnUpstreamSpan: true,
};

function setup(
  change: Partial<Tracing> = {},
  operation: 'ingress' | 'egress' = 'ingress',
  random: () => number = () => 0.5,
): { tracer: Tracer; spans: SpanRecord[]; flush: () => void; count: (name: keyof typeof TracingStat) => number } {
  const spans: SpanRecord[] = [];
  const queue = new SpanQueue((batch) => spans.push(...batch), { schedule: () => {} });
  const factory = new WorkerTracerFactory({ queue, node: { nodeId: 'node-1', zone: 'z1' }, random });
  const stats = new MainStats().block('tracing.', TRACING_STATS);
  const tracer = factory.create({ ...BASE, ...change }, operation, stats);
  return { tracer, spans, flush: () => queue.flush(), count: (name) => stats.get(TracingStat[name]) };
}

test('joins the trace of a caller that sampled, and gives every attempt a span of its own', () => {
  const { tracer, spans, flush } = setup();
  const info = finished({ traceparent: formatTraceParent(TRACE, PARENT), tracestate: 'a=b', 'x-request-id': 'id-1' });
  const { request } = info;
  const trace = tracer.start(request, info);
  assert.ok(trace);
  assert.deepEqual([trace.traceId, trace.parentSpanId, trace.traceState], [TRACE, PARENT, 'a=b']);
  const sent: (string | undefined)[] = [];
  for (let attempt = 1; attempt <= 2; attempt++) {
    info.attemptCount = attempt;
    tracer.startAttempt(trace, request);
    sent.push(parseTraceParent(request.headers.get('traceparent') ?? '')?.spanId);
    tracer.endAttempt(trace, info, 1002);
  }
  tracer.finish(trace, info);
  flush();
  const [first, second, server] = spans;
  assert.deepEqual([first?.spanId, second?.spanId], sent);
  assert.notEqual(first?.spanId, second?.spanId);
  assert.deepEqual([first?.parentSpanId, second?.parentSpanId], [trace.spanId, trace.spanId]);
  assert.deepEqual([first?.kind, server?.kind], ['client', 'server']);
  assert.deepEqual([server?.spanId, server?.parentSpanId, server?.traceId], [trace.spanId, PARENT, TRACE]);
  assert.equal(first?.name, 'router svc.one egress');
  assert.equal(server?.name, 'ingress');
  assert.equal(request.headers.get('tracestate'), 'a=b');
  assert.equal(second?.attributes.retry_count, '1');
});

test('follows a caller that did not sample, and leaves its context alone', () => {
  const { tracer } = setup();
  const field = `00-${TRACE}-${PARENT}-00`;
  const info = finished({ traceparent: field, tracestate: 'a=b' });
  assert.equal(tracer.start(info.request, info), undefined);
  assert.equal(info.request.headers.get('traceparent'), field);
  assert.equal(info.request.headers.get('tracestate'), 'a=b');
});

test('starts a trace anew when the context is broken', () => {
  const { tracer } = setup();
  for (const field of [
    'junk',
    `00-${'0'.repeat(32)}-${PARENT}-01`,
    `00-${TRACE}-${PARENT}-01-x`,
    `ff-${TRACE}-${PARENT}-01`,
  ]) {
    const info = finished({ traceparent: field, tracestate: 'a=b' });
    const trace = tracer.start(info.request, info);
    assert.ok(trace, field);
    assert.notEqual(trace.traceId, TRACE);
    assert.equal(trace.parentSpanId, undefined);
    assert.equal(info.request.headers.get('tracestate'), undefined);
  }
  // A later version may carry more fields.
  assert.equal(parseTraceParent(`01-${TRACE}-${PARENT}-01-more`)?.traceId, TRACE);
});

test('draws lots where no caller decided', () => {
  const sampled = (change: Partial<Tracing>, fields: { [name: string]: string } = {}): boolean => {
    const info = finished(fields);
    return setup(change).tracer.start(info.request, info) !== undefined;
  };
  assert.equal(sampled({ randomSampling: 50 }), false);
  assert.equal(sampled({ randomSampling: 51 }), true);
  assert.equal(sampled({ overallSampling: 50 }), false);
  assert.equal(sampled({ randomSampling: 0 }, { 'x-client-trace-id': 'x' }), true);
  assert.equal(sampled({ randomSampling: 0, clientSampling: 0 }, { 'x-client-trace-id': 'x' }), false);
  const healthCheck = finished();
  healthCheck.healthCheck = true;
  assert.equal(setup().tracer.start(healthCheck.request, healthCheck), undefined);
  assert.equal(sampled({ provider: undefined }), false);
});

test('takes the decision from the request id, and leaves it there for the next hop', () => {
  const decide = (id: string, change: Partial<Tracing>, field?: string): string | undefined => {
    const info = finished({ 'x-request-id': id, ...(field === undefined ? {} : { traceparent: field }) });
    const trace = setup(change).tracer.start(info.request, info);
    assert.equal(info.request.headers.get('x-request-id'), info.requestId);
    return trace === undefined ? undefined : info.requestId;
  };
  // Envoy 1.40: a sampled parent alone does not pass a hop that samples nothing.
  const undecided = '00001387-2f99-4716-8a95-c7cffeb02104';
  const sampled = '00001387-2f99-9716-8a95-c7cffeb02104';
  const parent = formatTraceParent(TRACE, PARENT);
  assert.equal(decide(undecided, { randomSampling: 0 }, parent), undefined);
  assert.equal(decide(sampled, { randomSampling: 0 }, parent), sampled);
  assert.equal(decide(sampled, { randomSampling: 0 }, `00-${TRACE}-${PARENT}-00`), undefined);
  assert.equal(decide(sampled, { overallSampling: 0 }, parent), undefined);
  // 0x1387 is 4999: the lot is 49.99 at every hop.
  assert.equal(decide(undecided, { randomSampling: 50 }), sampled);
  assert.equal(decide(undecided, { randomSampling: 49 }), undefined);
});

test('counts why it traces, also where nobody gets the spans, and tells the next hop', () => {
  const ids = (mark: string): { [name: string]: string } => ({
    'x-request-id': `00001387-2f99-${mark}716-8a95-c7cffeb02104`,
  });
  const decide = (fields: { [name: string]: string }, change: Partial<Tracing> = {}) => {
    const info = finished(fields);
    const { tracer, count } = setup({ provider: undefined, ...change });
    assert.equal(tracer.start(info.request, info), undefined);
    const names = Object.keys(TracingStat) as (keyof typeof TracingStat)[];
    assert.equal(info.traceForced, count('SERVICE_FORCED') === 1);
    return [names.filter((name) => count(name) === 1).join(), info.requestId?.[14]];
  };
  assert.deepEqual(decide(ids('4')), ['RANDOM_SAMPLING', '9']);
  assert.deepEqual(decide(ids('a')), ['SERVICE_FORCED', 'a']);
  assert.deepEqual(decide(ids('b')), ['CLIENT_ENABLED', 'b']);
  const forced = { ...ids('4'), 'x-envoy-force-trace': 'true' };
  assert.deepEqual(decide(forced, { randomSampling: 0 }), ['SERVICE_FORCED', 'a']);
  assert.deepEqual(decide({ ...forced, 'x-client-trace-id': 'mine' }), ['CLIENT_ENABLED', 'b']);
  assert.deepEqual(decide(ids('4'), { randomSampling: 0 }), ['NOT_TRACEABLE', '4']);
  // Overall sampling takes back what was decided, and the next hop is told so.
  assert.deepEqual(decide(ids('9'), { overallSampling: 0 }), ['NOT_TRACEABLE', '4']);
  const healthCheck = finished(ids('4'));
  healthCheck.healthCheck = true;
  const { tracer, count } = setup();
  tracer.start(healthCheck.request, healthCheck);
  assert.equal(count('HEALTH_CHECK'), 1);
});

test('stands for the caller when attempts have no spans of their own', () => {
  const { tracer, spans, flush } = setup({ spawnUpstreamSpan: false }, 'egress');
  const info = finished();
  const trace = tracer.start(info.request, info);
  assert.ok(trace);
  tracer.startAttempt(trace, info.request);
  tracer.endAttempt(trace, info, 1001);
  tracer.finish(trace, info);
  flush();
  assert.equal(spans.length, 1);
  assert.deepEqual([spans[0]?.kind, spans[0]?.name], ['client', 'egress 127.0.0.1:28910']);
  assert.equal(info.request.headers.get('traceparent'), formatTraceParent(trace.traceId, trace.spanId));
});

test('tells what Envoy tells, the decision record beside it, and no secret', () => {
  const { tracer, spans, flush } = setup({
    customTags: [
      { tag: 'env', from: { kind: 'literal', value: 'prod' } },
      { tag: 'who', from: { kind: 'request-header', name: 'authorization', fallback: '' } },
      { tag: 'tenant', from: { kind: 'request-header', name: 'x-tenant', fallback: 'none' } },
      { tag: 'meta', from: { kind: 'metadata', of: 'route', namespace: 'com.test', path: ['b'], fallback: '' } },
      { tag: 'left-out', from: { kind: 'environment', name: 'TOLLWAY_NO_SUCH_VARIABLE', fallback: '' } },
    ],
  });
  const info = finished(
    { authorization: 'Bearer hush-hush', 'x-request-id': 'id-1' },
    '/pay?token=hush&card=4111111111111111',
    TLS,
  );
  info.flags = ResponseFlag.UpstreamRequestTimeout;
  if (info.response !== undefined) info.response.status = 504;
  info.attempts = [
    {
      endpoint: info.endpoint,
      startedAt: 1001,
      endedAt: 1002,
      class: 'unknown',
      outcome: 'timeout',
      decision: 'not retried',
    },
  ];
  const trace = tracer.start(info.request, info);
  assert.ok(trace);
  tracer.finish(trace, info);
  flush();
  const [span] = spans;
  assert.ok(span);
  assert.equal(span.error, true);
  assert.equal(span.startMs, Date.UTC(2026, 10, 21, 12, 1, 59, 832));
  assert.ok(Math.abs(span.endMs - span.startMs - 3.02) < 0.01);
  const { attributes } = span;
  for (const [key, value] of [
    ['component', 'proxy'],
    ['node_id', 'node-1'],
    ['zone', 'z1'],
    ['guid:x-request-id', 'id-1'],
    ['http.method', 'GET'],
    ['http.protocol', 'HTTP/1.1'],
    ['http.status_code', '504'],
    ['response_flags', 'UT'],
    ['upstream_cluster', 'svc.one'],
    ['upstream_cluster.name', 'svc.one'],
    ['error', 'true'],
    ['env', 'prod'],
    ['tenant', 'none'],
    ['meta', 'x'],
    ['tollway.attempt.1', '127.0.0.1:28901 unknown timeout: not retried'],
    ['tollway.downstream_identity', 'spiffe://mesh/ns/pay/sa/payment'],
  ] as const) {
    assert.equal(attributes[key], value, key);
  }
  assert.ok(!('left-out' in attributes));
  const all = JSON.stringify(span);
  assert.ok(!all.includes('hush'), all);
  assert.ok(!all.includes('41111111'), all);
});

test('posts spans in batches', () => {
  const batches: number[] = [];
  const timers: (() => void)[] = [];
  const queue = new SpanQueue((spans) => batches.push(spans.length), { schedule: (body) => timers.push(body) });
  const span: SpanRecord = {
    traceId: TRACE,
    spanId: PARENT,
    parentSpanId: undefined,
    traceState: undefined,
    name: 'n',
    kind: 'server',
    startMs: 0,
    endMs: 1,
    error: false,
    attributes: {},
    exporter: '{}',
  };
  for (let i = 0; i < 300; i++) queue.push(span);
  assert.deepEqual(batches, [256]);
  timers[0]?.();
  assert.deepEqual(batches, [256, 44]);
});

async function exported(collector: Collector, provider: Tracing['provider']): Promise<MainStats> {
  const stats = new MainStats();
  const exporter = new TraceExporter({
    resolve: (cluster) => (cluster === 'otlp' ? { host: '127.0.0.1', port: collector.port } : undefined),
    stats,
    serviceName: 'fallback',
    flushMs: 20,
    onError: (message) => assert.fail(message),
  });
  const { tracer, spans, flush } = setup({ provider });
  const info = finished({ traceparent: formatTraceParent(TRACE, PARENT), tracestate: 'a=b' });
  const trace = tracer.start(info.request, info);
  assert.ok(trace);
  tracer.startAttempt(trace, info.request);
  tracer.endAttempt(trace, info, 1002);
  tracer.finish(trace, info);
  flush();
  exporter.accept(spans);
  await exporter.close();
  const [client, server] = collector.spans;
  assert.equal(collector.spans.length, 2);
  assert.deepEqual([client?.kind, server?.kind], [3, 2]);
  assert.deepEqual([server?.traceId, server?.parentSpanId, server?.spanId], [TRACE, PARENT, trace.spanId]);
  assert.deepEqual([client?.traceId, client?.parentSpanId], [TRACE, trace.spanId]);
  assert.equal(server?.traceState, 'a=b');
  assert.equal(server?.attributes['http.method'], 'GET');
  assert.equal(server?.start, BigInt(Date.UTC(2026, 10, 21, 12, 1, 59, 832)) * 1_000_000n);
  assert.equal(stats.get('tracing.opentelemetry.spans_sent'), 2);
  await collector.close();
  return stats;
}

test('sends spans over HTTP to where the cluster says, with their parents', async () => {
  const collector = await httpCollector();
  await exported(collector, BASE.provider);
  assert.equal(collector.requests[0]?.url, '/v1/traces');
  assert.equal(collector.requests[0]?.headers.host, 'collector.mesh:4318');
  assert.equal(collector.requests[0]?.headers['x-tenant'], 'pay');
  assert.equal(collector.spans[0]?.service, 'payment');
});

test('sends spans over gRPC, with metadata', async () => {
  const collector = await grpcCollector();
  await exported(collector, {
    kind: 'otlp-grpc',
    service: {
      cluster: 'otlp',
      authority: undefined,
      timeoutMs: 2000,
      initialMetadata: [{ key: 'x-tenant', value: 'pay' }],
    },
    serviceName: '',
  });
  assert.equal(collector.requests[0]?.headers['x-tenant'], 'pay');
  assert.equal(collector.spans[0]?.service, 'fallback');
});

test('loses spans, says so once and goes on when the cluster has no endpoint', async () => {
  const told: string[] = [];
  const exporter = new TraceExporter({
    resolve: () => undefined,
    stats: new MainStats(),
    serviceName: 's',
    flushMs: 10,
    onError: (message) => told.push(message),
  });
  const { tracer, spans, flush } = setup();
  const info = finished();
  const trace = tracer.start(info.request, info);
  assert.ok(trace);
  tracer.finish(trace, info);
  flush();
  exporter.accept(spans);
  await exporter.close();
  assert.equal(exporter.droppedSpans, 1);
  assert.deepEqual(told, ['tracing: cluster "otlp" has no endpoint, 1 spans are lost']);
});
