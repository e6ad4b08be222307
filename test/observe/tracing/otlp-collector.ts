/** Collectors that keep what they are sent: OTLP over HTTP and over gRPC, spans taken apart by hand. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { Server, ServerCredentials } from '@grpc/grpc-js';

export interface CollectedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  /** 2 server, 3 client. */
  readonly kind: number;
  /** Nanoseconds. */
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: { readonly [key: string]: string };
}

export interface Collector {
  readonly port: number;
  readonly spans: CollectedSpan[];
  readonly requests: { readonly url: string; readonly headers: IncomingHttpHeaders }[];
  close(): Promise<void>;
}

export function httpCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const requests: { url: string; headers: IncomingHttpHeaders }[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      requests.push({ url: request.url ?? '', headers: request.headers });
      spans.push(...parseExport(Buffer.concat(chunks)));
      response.end();
    });
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const close = (): Promise<void> =>
        new Promise((done) => {
          server.close(() => done());
          server.closeAllConnections();
        });
      resolve({ port, spans, requests, close });
    });
  });
}

export function grpcCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const requests: { url: string; headers: IncomingHttpHeaders }[] = [];
  const server = new Server();
  const path = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
  const same = (bytes: Buffer): Buffer => bytes;
  server.addService(
    {
      export: {
        path,
        requestStream: false,
        responseStream: false,
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    },
    {
      export: (
        call: { request: Buffer; metadata: { getMap(): { [key: string]: string | Buffer } } },
        done: (error: null, response: Buffer) => void,
      ) => {
        const headers: IncomingHttpHeaders = {};
        for (const [key, value] of Object.entries(call.metadata.getMap())) headers[key] = String(value);
        requests.push({ url: path, headers });
        spans.push(...parseExport(call.request));
        done(null, Buffer.alloc(0));
      },
    },
  );
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
      if (error !== null) reject(error);
      else {
        const close = (): Promise<void> =>
          new Promise((done) => {
            server.forceShutdown();
            done();
          });
        resolve({ port, spans, requests, close });
      }
    });
  });
}

type Field = readonly [number: number, value: Buffer | bigint];

/** The fields of a protobuf message; fixed numbers and varints as bigints. */
function fields(bytes: Buffer): Field[] {
  const out: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes.readUInt8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const wire = tag & 7;
    if (wire === 0) out.push([tag >>> 3, varint()]);
    else if (wire === 1) {
      out.push([tag >>> 3, bytes.readBigUInt64LE(at)]);
      at += 8;
    } else if (wire === 5) {
      out.push([tag >>> 3, BigInt(bytes.readUInt32LE(at))]);
      at += 4;
    } else {
      const length = Number(varint());
      out.push([tag >>> 3, bytes.subarray(at, at + length)]);
      at += length;
    }
  }
  return out;
}

const messages = (of: readonly Field[], number: number): Buffer[] =>
  of.flatMap(([found, value]) => (found === number && typeof value !== 'bigint' ? [value] : []));
const first = (of: readonly Field[], number: number): Buffer => messages(of, number)[0] ?? Buffer.alloc(0);
const number = (of: readonly Field[], wanted: number): bigint => {
  const value = of.find(([found]) => found === wanted)?.[1];
  return typeof value === 'bigint' ? value : 0n;
};

function attributes(pairs: readonly Buffer[]): { [key: string]: string } {
  const out: { [key: string]: string } = {};
  for (const pair of pairs.map(fields)) {
    const [value] = fields(first(pair, 2));
    out[String(first(pair, 1))] = value === undefined ? '' : String(value[1]);
  }
  return out;
}

/** ExportTraceServiceRequest. */
function parseExport(bytes: Buffer): CollectedSpan[] {
  return messages(fields(bytes), 1).flatMap((resourceSpans) => {
    const parts = fields(resourceSpans);
    const resource = attributes(messages(fields(first(parts, 1)), 1));
    return messages(parts, 2).flatMap((scope) =>
      messages(fields(scope), 2).map((span) => {
        const of = fields(span);
        return {
          service: resource['service.name'] ?? '',
          traceId: first(of, 1).toString('hex'),
          spanId: first(of, 2).toString('hex'),
          traceState: String(first(of, 3)),
          parentSpanId: first(of, 4).toString('hex'),
          name: String(first(of, 5)),
          kind: Number(number(of, 6)),
          start: number(of, 7),
          end: number(of, 8),
          attributes: attributes(messages(of, 9)),
        };
      }),
    );
  });
}
