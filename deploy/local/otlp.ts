/**
 * Reads what OTLP's exporters post, as far as a trace needs it: ExportTraceServiceRequest -> ResourceSpans -> ScopeSpans ->
 * Span of opentelemetry/proto/trace/v1/trace.proto, by field numbers.
 */
import protobuf, { type Reader } from 'protobufjs';

export interface Span {
  /** `service.name` of its resource. */
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: the trace begins here. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: 'server' | 'client' | 'other';
  /** Milliseconds since 1970, with fractions. */
  readonly startMs: number;
  readonly endMs: number;
}

const KINDS: { readonly [kind: number]: Span['kind'] } = { 2: 'server', 3: 'client' };

/** The spans of a request's body, protobuf or JSON. Throws on bytes that are neither. */
export function readSpans(body: Buffer, json: boolean): Span[] {
  return json ? fromJson(JSON.parse(body.toString('utf8')) as JsonRequest) : fromProtobuf(body);
}

function fromProtobuf(body: Buffer): Span[] {
  const spans: Span[] = [];
  eachField(body, {
    1: (request) => {
      const scopes: Uint8Array[] = [];
      let service = '';
      eachField(request.bytes(), {
        1: (resource) =>
          eachField(resource.bytes(), {
            1: (attribute) => {
              const { key, value } = keyValue(attribute.bytes());
              if (key === 'service.name') service = value;
            },
          }),
        2: (scope) => scopes.push(scope.bytes()),
      });
      for (const scope of scopes) eachField(scope, { 2: (span) => spans.push(spanOf(span.bytes(), service)) });
    },
  });
  return spans;
}

function spanOf(bytes: Uint8Array, service: string): Span {
  const span = { service, traceId: '', spanId: '', parentSpanId: '', name: '', startMs: 0, endMs: 0 };
  let kind: Span['kind'] = 'other';
  eachField(bytes, {
    1: (field) => {
      span.traceId = hex(field.bytes());
    },
    2: (field) => {
      span.spanId = hex(field.bytes());
    },
    4: (field) => {
      span.parentSpanId = hex(field.bytes());
    },
    5: (field) => {
      span.name = field.string();
    },
    6: (field) => {
      kind = KINDS[field.uint32()] ?? 'other';
    },
    7: (field) => {
      span.startMs = Number(field.fixed64()) / 1e6;
    },
    8: (field) => {
      span.endMs = Number(field.fixed64()) / 1e6;
    },
  });
  return { ...span, kind };
}

function keyValue(bytes: Uint8Array): { readonly key: string; readonly value: string } {
  let key = '';
  let value = '';
  eachField(bytes, {
    1: (field) => {
      key = field.string();
    },
    2: (any) =>
      eachField(any.bytes(), {
        1: (text) => {
          value = text.string();
        },
      }),
  });
  return { key, value };
}

/** Calls the function of each field that has one; the others are passed over. */
function eachField(bytes: Uint8Array, fields: { readonly [number: number]: (reader: Reader) => void }): void {
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const read = fields[tag >>> 3];
    if (read === undefined) reader.skipType(tag & 7);
    else read(reader);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

interface JsonRequest {
  readonly resourceSpans?: readonly {
    readonly resource?: {
      readonly attributes?: readonly { readonly key?: string; readonly value?: { readonly stringValue?: string } }[];
    };
    readonly scopeSpans?: readonly { readonly spans?: readonly JsonSpan[] }[];
  }[];
}

interface JsonSpan {
  readonly traceId?: string;
  readonly spanId?: string;
  readonly parentSpanId?: string;
  readonly name?: string;
  readonly kind?: number;
  readonly startTimeUnixNano?: string | number;
  readonly endTimeUnixNano?: string | number;
}

function fromJson(request: JsonRequest): Span[] {
  const spans: Span[] = [];
  for (const { resource, scopeSpans } of request.resourceSpans ?? []) {
    const service = resource?.attributes?.find(({ key }) => key === 'service.name')?.value?.stringValue ?? '';
    for (const scope of scopeSpans ?? []) {
      for (const span of scope.spans ?? []) {
        spans.push({
          service,
          traceId: span.traceId ?? '',
          spanId: span.spanId ?? '',
          parentSpanId: span.parentSpanId ?? '',
          name: span.name ?? '',
          kind: KINDS[span.kind ?? 0] ?? 'other',
          startMs: Number(span.startTimeUnixNano ?? 0) / 1e6,
          endMs: Number(span.endTimeUnixNano ?? 0) / 1e6,
        });
      }
    }
  }
  return spans;
}
