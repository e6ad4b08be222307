/**
 * The main thread's side of tracing: spans go to their collectors over OTLP. The OpenTelemetry packages take long to
 * load, so only those of a protocol that is spoken are, and after the start: when a listener that traces is there, or with
 * the first span.
 */
import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace';
import type { Tracing } from '../../../xds-client/model/http-connection-manager.ts';
import type { Listener } from '../../../xds-client/model/listener.ts';
import { errorMessage } from '../../errors.ts';
import type { StatsStore } from '../stats/contract.ts';
import type { SpanRecord } from './contract.ts';

export type Provider = NonNullable<Tracing['provider']>;

/** Spans held for all collectors together while they are slow or the packages load. */
export const QUEUE_SPANS = 8192;
const FLUSH_MS = 1000;
/** A start has better things to do first. */
const PREPARE_AFTER_MS = 250;

export interface ExportTarget {
  readonly host: string;
  readonly port: number;
}

export interface TraceExporterOptions {
  /** An endpoint of the cluster, asked before every batch; `undefined` while there is none. */
  readonly resolve: (cluster: string) => ExportTarget | undefined;
  readonly stats: StatsStore;
  /** `service.name` where the configuration gives none. */
  readonly serviceName: string;
  /** Told of a failing collector, once a message. */
  readonly onError?: (message: string) => void;
  readonly flushMs?: number;
}

export class TraceExporter {
  /** Spans that reached no collector. */
  droppedSpans = 0;
  private readonly options: TraceExporterOptions;
  private readonly pipelines = new Map<string, Pipeline>();
  private modules: Promise<Modules> | undefined = undefined;
  private loaded: Modules | undefined = undefined;
  private waiting: SpanRecord[] = [];
  private lastError = '';

  constructor(options: TraceExporterOptions) {
    this.options = options;
  }

  /** A `spans` message of a worker. */
  accept(spans: readonly SpanRecord[]): void {
    if (this.loaded !== undefined) {
      for (const span of spans) this.hand(span, this.loaded);
      return;
    }
    for (const span of spans) {
      if (this.waiting.length < QUEUE_SPANS) this.waiting.push(span);
      else this.droppedSpans++;
    }
    this.load();
  }

  /** Soon loads what the listener's spans need, so that no traced request has to wait while it is done. */
  prepare(listener: Listener): void {
    const kinds = providersOf(listener).map(({ kind }) => kind);
    if (kinds.length === 0) return;
    setTimeout(() => {
      this.load();
      for (const kind of kinds) protocols[kind]().catch(() => {});
    }, PREPARE_AFTER_MS).unref();
  }

  private load(): void {
    if (this.modules !== undefined) return;
    this.modules = loadModules();
    this.modules.then(
      (modules) => {
        this.loaded = modules;
        const { waiting } = this;
        this.waiting = [];
        for (const span of waiting) this.hand(span, modules);
      },
      (thrown: unknown) => this.failed(`tracing: ${errorMessage(thrown)}`),
    );
  }

  /** Exports what is held; the last act before the process ends. */
  async close(): Promise<void> {
    await this.modules?.catch(() => {});
    await Promise.allSettled([...this.pipelines.values()].map(({ processor }) => processor.shutdown()));
    this.pipelines.clear();
  }

  private hand(span: SpanRecord, modules: Modules): void {
    let pipeline = this.pipelines.get(span.exporter);
    if (pipeline === undefined) {
      const provider = JSON.parse(span.exporter) as Provider;
      const processor = new modules.BatchSpanProcessor({
        exporter: this.exporterOf(provider, modules),
        maxQueueSize: QUEUE_SPANS,
        maxExportBatchSize: 512,
        scheduledDelayMillis: this.options.flushMs ?? FLUSH_MS,
        exportTimeoutMillis: 10_000,
      });
      const resource = modules.resourceFromAttributes({
        'service.name': provider.serviceName === '' ? this.options.serviceName : provider.serviceName,
        'telemetry.sdk.name': 'tollway',
        'telemetry.sdk.language': 'nodejs',
      });
      pipeline = { processor, resource };
      this.pipelines.set(span.exporter, pipeline);
    }
    pipeline.processor.onEnd(readable(span, pipeline.resource, modules));
  }

  /** Follows the cluster: another endpoint gets another exporter. */
  private exporterOf(provider: Provider, modules: Modules): SpanExporter {
    const cluster = provider.kind === 'otlp-grpc' ? provider.service.cluster : provider.cluster;
    const sent = this.options.stats.counter('tracing.opentelemetry.spans_sent');
    const flushed = this.options.stats.counter('tracing.opentelemetry.timer_flushed');
    let inner: Promise<SpanExporter> | undefined;
    let target = '';
    return {
      export: (spans, done) => {
        flushed.inc();
        const found = this.options.resolve(cluster);
        if (found === undefined) {
          this.droppedSpans += spans.length;
          this.failed(`tracing: cluster "${cluster}" has no endpoint, ${spans.length} spans are lost`);
          done({ code: modules.ExportResultCode.FAILED });
          return;
        }
        const host = found.host.includes(':') ? `[${found.host}]` : found.host;
        const next = `http://${host}:${found.port}`;
        if (inner === undefined || next !== target) {
          inner?.then((former) => former.shutdown()).catch(() => {});
          inner = modules.makeExporter(provider, next);
          target = next;
        }
        const lost = (why: string): void => {
          this.droppedSpans += spans.length;
          this.failed(`tracing: cluster "${cluster}" at ${next}: ${why}`);
        };
        inner.then(
          (exporter) =>
            exporter.export(spans, (result) => {
              if (result.code === modules.ExportResultCode.SUCCESS) sent.add(spans.length);
              else lost(result.error?.message ?? 'export failed');
              done(result);
            }),
          (thrown: unknown) => {
            lost(errorMessage(thrown));
            done({ code: modules.ExportResultCode.FAILED });
          },
        );
      },
      forceFlush: async () => (await inner)?.forceFlush?.(),
      shutdown: async () => (await inner)?.shutdown(),
    };
  }

  private failed(message: string): void {
    if (message === this.lastError) return;
    this.lastError = message;
    this.options.onError?.(message);
  }
}

/** One a distinct provider configuration. */
interface Pipeline {
  readonly processor: SpanProcessor;
  readonly resource: ReadableSpan['resource'];
}

type Modules = Awaited<ReturnType<typeof loadModules>>;

async function loadModules() {
  const [{ BatchSpanProcessor }, { resourceFromAttributes }, { ExportResultCode }, { createTraceState }] =
    await Promise.all([
      import('@opentelemetry/sdk-trace'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/core'),
      import('@opentelemetry/api'),
    ]);
  return { BatchSpanProcessor, resourceFromAttributes, ExportResultCode, createTraceState, makeExporter };
}

/** The packages of each protocol. */
const protocols = {
  'otlp-http': () => import('@opentelemetry/exporter-trace-otlp-proto'),
  'otlp-grpc': () => Promise.all([import('@opentelemetry/exporter-trace-otlp-grpc'), import('@grpc/grpc-js')]),
} as const;

function providersOf({ filterChains, defaultFilterChain }: Listener): Provider[] {
  const chains = defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
  return chains
    .flatMap(({ filters }) => filters)
    .flatMap((filter) => (filter.kind === 'http-connection-manager' ? [filter.config.tracing?.provider] : []))
    .filter((provider) => provider !== undefined);
}

async function makeExporter(provider: Provider, url: string): Promise<SpanExporter> {
  if (provider.kind === 'otlp-http') {
    const { OTLPTraceExporter } = await protocols[provider.kind]();
    const { pathname, search, host } = new URL(provider.uri);
    const headers = Object.fromEntries(provider.headers.map(({ key, value }) => [key, value]));
    return new OTLPTraceExporter({
      url: `${url}${pathname}${search}`,
      headers: { host, ...headers },
      timeoutMillis: provider.timeoutMs,
    });
  }
  const [{ OTLPTraceExporter }, { Metadata }] = await protocols[provider.kind]();
  const metadata = new Metadata();
  for (const { key, value } of provider.service.initialMetadata) metadata.add(key, value);
  return new OTLPTraceExporter({ url, metadata, timeoutMillis: provider.service.timeoutMs });
}

const SERVER_KIND = 1;
const CLIENT_KIND = 2;
const STATUS_ERROR = 2;
const SAMPLED = 1;

function hrTime(ms: number): [number, number] {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}

function readable(span: SpanRecord, resource: ReadableSpan['resource'], modules: Modules): ReadableSpan {
  const traceState = span.traceState === undefined ? undefined : modules.createTraceState(span.traceState);
  const { traceId, spanId, parentSpanId } = span;
  return {
    name: span.name,
    kind: span.kind === 'server' ? SERVER_KIND : CLIENT_KIND,
    spanContext: () => ({ traceId, spanId, traceFlags: SAMPLED, traceState }),
    parentSpanContext:
      parentSpanId === undefined ? undefined : { traceId, spanId: parentSpanId, traceFlags: SAMPLED, isRemote: true },
    startTime: hrTime(span.startMs),
    endTime: hrTime(span.endMs),
    duration: hrTime(Math.max(0, span.endMs - span.startMs)),
    status: span.error ? { code: STATUS_ERROR } : { code: 0 },
    attributes: span.attributes,
    links: [],
    events: [],
    ended: true,
    resource,
    instrumentationScope: { name: 'tollway' },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}
