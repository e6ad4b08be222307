/**
 * The worker's side of tracing: decides, makes ids, hands finished spans on. As in Envoy, the request id carries the
 * decision from hop to hop, and an unsampled `traceparent` vetoes it: see sampling.ts.
 */
import type { Tracing } from '../../../xds-client/model/http-connection-manager.ts';
import type { RequestHead } from '../../http/headers.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import type { StatBlock } from '../stats/contract.ts';
import {
  type Attributes,
  attemptAttributes,
  compileTag,
  isFailure,
  type SpanIdentity,
  serverAttributes,
  type TagSource,
} from './attributes.ts';
import type { RequestTrace, SpanRecord, Tracer, TracerFactory } from './contract.ts';
import { newSpanId, newTraceId } from './ids.ts';
import type { SpanQueue } from './queue.ts';
import { decide, Reason } from './sampling.ts';
import { TracingStat } from './stats.ts';
import { formatTraceParent, isUnsampled, parseTraceParent } from './trace-context.ts';

export interface TracerOptions {
  readonly queue: SpanQueue;
  readonly node: SpanIdentity;
  /** From 0 to below 1. */
  readonly random: () => number;
}

export class WorkerTracerFactory implements TracerFactory {
  private readonly options: TracerOptions;

  constructor(options: TracerOptions) {
    this.options = options;
  }

  create(tracing: Tracing, operation: 'ingress' | 'egress', stats: StatBlock): Tracer {
    return new WorkerTracer(tracing, operation, stats, this.options);
  }
}

/** The counter of a decision. */
const COUNTER: { readonly [reason in Reason]: number } = {
  [Reason.None]: TracingStat.NOT_TRACEABLE,
  [Reason.Sampled]: TracingStat.RANDOM_SAMPLING,
  [Reason.ServiceForced]: TracingStat.SERVICE_FORCED,
  [Reason.ClientEnabled]: TracingStat.CLIENT_ENABLED,
};

class WorkerTracer implements Tracer {
  private readonly tracing: Tracing;
  private readonly operation: 'ingress' | 'egress';
  private readonly stats: StatBlock;
  private readonly options: TracerOptions;
  private readonly exporter: string;
  private readonly tags: readonly (readonly [string, TagSource])[];

  constructor(tracing: Tracing, operation: 'ingress' | 'egress', stats: StatBlock, options: TracerOptions) {
    this.tracing = tracing;
    this.operation = operation;
    this.stats = stats;
    this.options = options;
    this.exporter = JSON.stringify(tracing.provider);
    this.tags = tracing.customTags.map(compileTag);
  }

  start(head: RequestHead, info: StreamInfo): RequestTrace | undefined {
    if (info.healthCheck) {
      this.stats.inc(TracingStat.HEALTH_CHECK);
      return undefined;
    }
    const reason = decide(head, info, this.tracing, this.options.random);
    this.stats.inc(COUNTER[reason]);
    // Without a provider nobody would get the spans: the caller's context goes on as it is.
    if (reason === Reason.None) return undefined;
    info.traceForced = reason === Reason.ServiceForced;
    if (this.tracing.provider === undefined) return undefined;
    const field = head.headers.get('traceparent');
    if (field !== undefined && isUnsampled(field)) return undefined;
    const parent = field === undefined ? undefined : parseTraceParent(field);
    if (parent?.sampled === false) return undefined;
    if (parent !== undefined) return this.trace(parent.traceId, parent.spanId, head.headers.joined('tracestate'));
    // A broken traceparent takes its tracestate with it (§3.3.1.1).
    if (field !== undefined) head.headers.remove('tracestate');
    return this.trace(newTraceId(), undefined, undefined);
  }

  startAttempt(trace: RequestTrace, head: RequestHead): void {
    if (this.tracing.spawnUpstreamSpan) trace.clientSpanId = newSpanId();
    head.headers.set('traceparent', formatTraceParent(trace.traceId, trace.clientSpanId ?? trace.spanId));
  }

  endAttempt(trace: RequestTrace, info: StreamInfo, startedAt: number): void {
    const spanId = trace.clientSpanId;
    if (spanId === undefined) return;
    trace.clientSpanId = undefined;
    this.queue(
      trace,
      { spanId, parentSpanId: trace.spanId, name: `router ${info.cluster ?? '-'} egress`, kind: 'client' },
      wall(info, startedAt),
      wall(info, info.upstreamResponseLastByteAt || info.completeAt || performance.now()),
      isFailure(info),
      this.withTags(attemptAttributes(info), info),
    );
  }

  finish(trace: RequestTrace, info: StreamInfo): void {
    const { spanId, parentSpanId } = trace;
    const decorated = info.route?.decorator?.operation;
    const plain = this.operation === 'egress' ? `egress ${info.request.authority}` : 'ingress';
    // Without spans of their own for the attempts, the caller's side of a hop is this one.
    const kind = this.operation === 'egress' && !this.tracing.spawnUpstreamSpan ? 'client' : 'server';
    this.queue(
      trace,
      { spanId, parentSpanId, name: decorated === undefined || decorated === '' ? plain : decorated, kind },
      info.startTime,
      wall(info, info.completeAt || performance.now()),
      isFailure(info),
      this.withTags(serverAttributes(info, this.options.node, this.tracing.maxPathTagLength), info),
    );
  }

  private trace(traceId: string, parentSpanId: string | undefined, traceState: string | undefined): RequestTrace {
    return { traceId, spanId: newSpanId(), parentSpanId, traceState, clientSpanId: undefined };
  }

  private withTags(attributes: Attributes, info: StreamInfo): Attributes {
    for (const [name, source] of this.tags) {
      const value = source(info);
      if (value !== undefined && value !== '') attributes[name] = value;
    }
    return attributes;
  }

  private queue(
    trace: RequestTrace,
    span: Pick<SpanRecord, 'spanId' | 'parentSpanId' | 'name' | 'kind'>,
    startMs: number,
    endMs: number,
    error: boolean,
    attributes: Attributes,
  ): void {
    const { traceId, traceState } = trace;
    this.options.queue.push({
      ...span,
      traceId,
      traceState,
      startMs,
      endMs,
      error,
      attributes,
      exporter: this.exporter,
    });
  }
}

/** A `performance.now()` moment of the request as wall clock. */
function wall(info: StreamInfo, at: number): number {
  return info.startTime + (at - info.startedAt);
}
