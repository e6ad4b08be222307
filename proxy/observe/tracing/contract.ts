/** Spans as the data path makes them. A request that is not sampled has no `RequestTrace` and allocates nothing. */
import type { Tracing } from '../../../xds-client/model/http-connection-manager.ts';
import type { RequestHead } from '../../http/headers.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import type { StatBlock } from '../stats/contract.ts';

/** A sampled request's place in its trace. Ids are lower-case hex. */
export interface RequestTrace {
  readonly traceId: string;
  /** This hop's server-side span. */
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly traceState: string | undefined;
  /** The client-side span of the current attempt; its id is what the upstream sees in `traceparent`. */
  clientSpanId: string | undefined;
}

/** One tracer a connection manager and worker. */
export interface Tracer {
  /**
   * Decides sampling and, when sampled, gives the request its trace. Reads and writes W3C `traceparent`/`tracestate`
   * on `head` either way: context is passed on unsampled too.
   */
  start(head: RequestHead, info: StreamInfo): RequestTrace | undefined;
  /** Gives the attempt its own span and writes `traceparent` for the upstream. Sampled requests only. */
  startAttempt(trace: RequestTrace, head: RequestHead): void;
  endAttempt(trace: RequestTrace, info: StreamInfo, startedAt: number): void;
  /** Ends the server span and queues it for the main thread. */
  finish(trace: RequestTrace, info: StreamInfo): void;
}

export interface TracerFactory {
  /** `stats`: a `TRACING_STATS` block, where the tracer counts its decisions. */
  create(tracing: Tracing, operation: 'ingress' | 'egress', stats: StatBlock): Tracer;
}

/** A finished span on its way to the main thread; times are wall-clock milliseconds with fractions. */
export interface SpanRecord {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly traceState: string | undefined;
  readonly name: string;
  readonly kind: 'server' | 'client';
  readonly startMs: number;
  readonly endMs: number;
  readonly error: boolean;
  readonly attributes: { readonly [key: string]: string | number | boolean };
  /** Index of the exporter (one a distinct provider configuration). */
  readonly exporter: string;
}
