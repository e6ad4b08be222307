/** Stand-ins for what surrounds a codec, whichever it is: a transport, and handlers that write down what they are told. */
import type { Buffer } from 'node:buffer';
import { HeaderMap, type RequestHead, type ResponseHead } from '../../proxy/http/headers.ts';
import type {
  ClientConnectionHandler,
  ClientStreamHandler,
  ProtocolFault,
  ServerConnectionHandler,
  ServerStream,
  ServerStreamHandler,
  Transport,
} from '../../proxy/http/stream.ts';

/** Notes how it was treated; what is written is its subclass's business. */
export abstract class RecordingTransport implements Transport {
  writableLength = 0;
  destroyed = false;
  ended = false;
  paused = false;
  /** What `write` answers. */
  accepts = true;

  abstract write(data: Uint8Array): boolean;

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
  get text(): string {
    return `${this.line} [${this.body}] ${this.complete} ${this.trailers ?? '-'} ${this.reset ?? '-'}`;
  }
}

/** The server's side: every request that begins, and what was no request. */
export class RecordingServer implements ServerConnectionHandler {
  readonly requests: SeenRequest[] = [];
  readonly faults: ProtocolFault[] = [];
  /** Called for each request as it begins. */
  answer: ((seen: SeenRequest) => void) | undefined;
  answersFaults = true;

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
  get text(): string {
    const head = this.head === undefined ? '-' : `${this.head.status} ${pairs(this.head.headers)}`;
    return `${this.informational} ${head} [${this.body}] ${this.complete} ${this.trailers ?? '-'} ${this.reset ?? '-'}`;
  }
}

/** The client's side: the end of each stream, and what the peer did to the connection. */
export class RecordingClient implements ClientConnectionHandler {
  readonly ends: boolean[] = [];
  goAways = 0;
  readonly faults: ProtocolFault[] = [];

  onStreamEnd(reusable: boolean): void {
    this.ends.push(reusable);
  }
  onGoAway(): void {
    this.goAways++;
  }
  onFault(fault: ProtocolFault): void {
    this.faults.push(fault);
  }
}

export function response(status: number, headers: HeaderMap = new HeaderMap()): ResponseHead {
  return { status, headers };
}
