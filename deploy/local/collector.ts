/**
 * The smallest OpenTelemetry collector: takes OTLP over HTTP (protobuf or JSON), counts spans, and shows the newest trace
 * at `/trace`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readSpans } from './otlp.ts';
import { Traces, traceText } from './traces.ts';

const MAX_BODY_BYTES = 16 * 1024 * 1024;

export class Collector {
  spans = 0;
  private readonly traces = new Traces();
  private readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
    server.on('request', (incoming, response) => {
      if (incoming.method === 'GET') this.show(response);
      else this.take(incoming, response);
    });
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  static start(): Promise<Collector> {
    const server = createServer();
    const collector = new Collector(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve(collector));
    });
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private take(incoming: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    let size = 0;
    incoming.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_BODY_BYTES) incoming.destroy();
      else chunks.push(chunk);
    });
    incoming.on('end', () => {
      const json = incoming.headers['content-type']?.startsWith('application/json') ?? false;
      try {
        const spans = readSpans(Buffer.concat(chunks), json);
        this.spans += spans.length;
        for (const span of spans) this.traces.add(span, performance.now());
      } catch {
        response.writeHead(400).end('not an OTLP export of traces\n');
        return;
      }
      response.writeHead(200, { 'content-type': json ? 'application/json' : 'application/x-protobuf' });
      response.end(json ? '{}' : undefined);
    });
  }

  private show(response: ServerResponse): void {
    const spans = this.traces.newest(performance.now());
    response.writeHead(spans === undefined ? 404 : 200, { 'content-type': 'text/plain' });
    response.end(spans === undefined ? 'no trace has arrived yet: one payment in ten is traced\n' : traceText(spans));
  }
}
