/**
 * The smallest OpenTelemetry collector: takes OTLP over HTTP (protobuf or JSON) and counts spans. It reads the wire format
 * itself because counting needs three nested field numbers: ExportTraceServiceRequest.resource_spans (1),
 * ResourceSpans.scope_spans (2), ScopeSpans.spans (2).
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

const MAX_BODY_BYTES = 16 * 1024 * 1024;
const PATH_TO_SPANS = [1, 2, 2];

export class Collector {
  spans = 0;
  private readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  static start(): Promise<Collector> {
    const server = createServer();
    const collector = new Collector(server);
    server.on('request', (incoming, response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      incoming.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_BODY_BYTES) incoming.destroy();
        else chunks.push(chunk);
      });
      incoming.on('end', () => {
        const json = incoming.headers['content-type']?.startsWith('application/json') ?? false;
        const body = Buffer.concat(chunks);
        collector.spans += json ? countJson(body) : countAt(body, PATH_TO_SPANS);
        response.writeHead(200, { 'content-type': json ? 'application/json' : 'application/x-protobuf' });
        response.end(json ? '{}' : undefined);
      });
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve(collector));
    });
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

interface OtlpJson {
  readonly resourceSpans?: readonly { readonly scopeSpans?: readonly { readonly spans?: readonly object[] }[] }[];
}

function countJson(body: Buffer): number {
  const request = JSON.parse(body.toString('utf8')) as OtlpJson;
  let spans = 0;
  for (const resource of request.resourceSpans ?? []) {
    for (const scope of resource.scopeSpans ?? []) spans += scope.spans?.length ?? 0;
  }
  return spans;
}

/** How often the field at the end of `path` occurs in a protobuf message. */
export function countAt(message: Uint8Array, path: readonly number[]): number {
  const [field, ...rest] = path;
  let count = 0;
  let at = 0;
  const varint = (): number => {
    let value = 0;
    let scale = 1;
    while (at < message.length) {
      const byte = message[at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 128;
    }
    return value;
  };
  while (at < message.length) {
    const tag = varint();
    const wireType = tag & 7;
    if (wireType === 0) varint();
    else if (wireType === 1) at += 8;
    else if (wireType === 5) at += 4;
    else if (wireType === 2) {
      const length = varint();
      if (tag >>> 3 === field) count += rest.length === 0 ? 1 : countAt(message.subarray(at, at + length), rest);
      at += length;
    } else return count;
  }
  return count;
}
