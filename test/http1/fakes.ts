/** Stand-ins for what surrounds a codec: a transport that records, and handlers that write down what they are told. */
import { Buffer } from 'node:buffer';
import type { HeaderMap, RequestHead, ResponseHead } from '../../proxy/http/headers.ts';
import { flushOutputs } from '../../proxy/http/output.ts';
import type {
  ClientConnectionHandler,
  ClientStreamHandler,
  ProtocolFault,
  ServerConnectionHandler,
  ServerStream,
  ServerStreamHandler,
  Transport,
} from '../../proxy/http/stream.ts';
import { Http1ClientConnection, type Http1ClientOptions } from '../../proxy/http1/client-connection.ts';
import { Http1ServerConnection, type Http1ServerOptions } from '../../proxy/http1/server-connection.ts';
import type { Http1Options } from '../../xds-client/model/http-connection-manager.ts';
import { request, response } from './messages.ts';

export class FakeTransport implements Transport {
  readonly #writes: string[] = [];
  writableLength = 0;
  destroyed = false;
  ended = false;
  paused = false;
  /** What `write` answers. */
  accepts = true;

  /** What was written, after the end of the turn. */
  get writes(): readonly string[] {
    flushOutputs();
    return this.#writes;
  }

  /** What was written, in the middle of the turn. */
  get writesSoFar(): readonly string[] {
    return this.#writes;
  }

  get text(): string {
    return this.writes.join('');
  }

  write(data: Uint8Array): boolean {
    this.#writes.push(Buffer.from(data).toString('latin1'));
    return this.accepts;
  }
  end(): void {
    this.ended = true;
  }
  destroy(): void {
    this.destroyed = true;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
}

export const HTTP1: Http1Options = {
  acceptHttp10: false,
  defaultHostForHttp10: undefined,
  allowAbsoluteUrl: true,
  headerCase: 'lower',
  enableTrailers: false,
  allowChunkedLength: false,
  overrideStreamErrorOnInvalidHttpMessage: undefined,
};

export const LIMITS = { maxHeadersBytes: 60 * 1024, maxHeadersCount: 100 };

export function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function pairs(headers: HeaderMap): string {
  return headers.names.map((name, i) => `${name}=${headers.values[i]}`).join('|');
}

/** One request as a server handler saw it. */
export class SeenRequest implements ServerStreamHandler {
  readonly stream: ServerStream;
  readonly head: RequestHead;
  body = '';
  complete: boolean;
  trailers: string | undefined;
  reset: string | undefined;
  drains = 0;

  constructor(stream: ServerStream, head: RequestHead, end: boolean) {
    this.stream = stream;
    this.head = head;
    this.complete = end;
  }
  onData(chunk: Buffer, end: boolean): void {
    this.body += chunk.toString('latin1');
    this.complete ||= end;
  }
  onTrailers(trailers: HeaderMap): void {
    this.trailers = pairs(trailers);
    this.complete = true;
  }
  onReset(reason: string): void {
    this.reset = reason;
  }
  onDrain(): void {
    this.drains++;
  }
  get line(): string {
    const { method, authority, path, version, protocol, headers } = this.head;
    return `${method} ${authority} ${path} ${version} ${protocol ?? '-'} ${pairs(headers)}`;
  }
  /** What was written, after the end of the turn. */
  get writes(): readonly string[] {
    flushOutputs();
    return this.writes;
  }

  get text(): string {
    return `${this.line} [${this.body}] ${this.complete} ${this.trailers ?? '-'} ${this.reset ?? '-'}`;
  }
}

export class Server implements ServerConnectionHandler {
  readonly transport = new FakeTransport();
  readonly connection: Http1ServerConnection;
  readonly requests: SeenRequest[] = [];
  readonly faults: ProtocolFault[] = [];
  /** Called for each request as it begins. */
  answer: ((seen: SeenRequest) => void) | undefined;
  answersFaults = true;

  constructor(options: Partial<Http1ServerOptions> = {}, http1: Partial<Http1Options> = {}) {
    this.connection = new Http1ServerConnection(this.transport, this, {
      ...LIMITS,
      scheme: 'http',
      underscores: 'allow',
      http1: { ...HTTP1, ...http1 },
      ...options,
    });
  }
  onRequest(stream: ServerStream, head: RequestHead, end: boolean): ServerStreamHandler {
    const seen = new SeenRequest(stream, head, end);
    this.requests.push(seen);
    this.answer?.(seen);
    return seen;
  }
  onFault(fault: ProtocolFault, stream: ServerStream | undefined): void {
    this.faults.push(fault);
    if (this.answersFaults) stream?.sendHead(response(fault.status), true);
  }
  receive(text: string): void {
    this.connection.receive(latin1(text));
  }
  get last(): SeenRequest {
    const seen = this.requests.at(-1);
    if (seen === undefined) throw new Error('no request came');
    return seen;
  }
}

/** One response as a client handler saw it. */
export class SeenResponse implements ClientStreamHandler {
  informational: number[] = [];
  head: ResponseHead | undefined;
  body = '';
  complete = false;
  trailers: string | undefined;
  reset: string | undefined;
  drains = 0;

  onInformational(head: ResponseHead): void {
    this.informational.push(head.status);
  }
  onHead(head: ResponseHead, end: boolean): void {
    this.head = head;
    this.complete ||= end;
  }
  onData(chunk: Buffer, end: boolean): void {
    this.body += chunk.toString('latin1');
    this.complete ||= end;
  }
  onTrailers(trailers: HeaderMap): void {
    this.trailers = pairs(trailers);
    this.complete = true;
  }
  onReset(reason: string): void {
    this.reset = reason;
  }
  onDrain(): void {
    this.drains++;
  }
  /** What was written, after the end of the turn. */
  get writes(): readonly string[] {
    flushOutputs();
    return this.writes;
  }

  get text(): string {
    const head = this.head === undefined ? '-' : `${this.head.status} ${pairs(this.head.headers)}`;
    return `${this.informational} ${head} [${this.body}] ${this.complete} ${this.trailers ?? '-'} ${this.reset ?? '-'}`;
  }
}

export class Client implements ClientConnectionHandler {
  readonly transport = new FakeTransport();
  readonly connection: Http1ClientConnection;
  readonly ends: boolean[] = [];
  goAways = 0;
  readonly faults: ProtocolFault[] = [];

  constructor(options: Partial<Http1ClientOptions> = {}, http1: Partial<Http1Options> = {}) {
    this.connection = new Http1ClientConnection(this.transport, this, {
      ...LIMITS,
      http1: { ...HTTP1, ...http1 },
      ...options,
    });
  }
  onStreamEnd(reusable: boolean): void {
    this.ends.push(reusable);
  }
  onGoAway(): void {
    this.goAways++;
  }
  onFault(fault: ProtocolFault): void {
    this.faults.push(fault);
  }
  receive(text: string): void {
    this.connection.receive(latin1(text));
  }
}

export { request, response };
