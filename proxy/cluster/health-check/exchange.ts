/** One HTTP request at a time over a connection that is kept: what the HTTP and the gRPC check have in common. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Http1Options, Http2Options } from '../../../xds-client/model/http-connection-manager.ts';
import type { HeaderMap, RequestHead, ResponseHead } from '../../http/headers.ts';
import { internalFault } from '../../http/internal-fault.ts';
import type {
  ClientConnection,
  ClientConnectionHandler,
  ClientStreamHandler,
  ProtocolFault,
  Transport,
} from '../../http/stream.ts';
import { Http1ClientConnection } from '../../http1/client-connection.ts';
import { Http2ClientConnection } from '../../http2/client-connection.ts';
import { http2Limits } from '../../http2/options.ts';
import type { StatBlock } from '../../observe/stats/contract.ts';
import type { CheckTarget, Dialed } from './contract.ts';

/** Envoy's limit for response heads. */
const MAX_HEAD_BYTES = 60 * 1024;
const MAX_HEADERS = 100;

export interface ExchangeOptions {
  readonly http2: boolean;
  readonly http1Options: Http1Options;
  readonly http2Options: Http2Options;
  /** `cluster.<name>.http2.`, asked for where HTTP/2 is spoken. */
  readonly http2Stats: () => StatBlock;
  readonly alpn: readonly string[];
  /** How much of a body is kept. */
  readonly bodyBytes: number;
}

/** A response, whole. */
export interface Answer {
  readonly head: ResponseHead;
  readonly body: Buffer;
  readonly trailers: HeaderMap | undefined;
}

export interface ExchangeEvents {
  onAnswer(answer: Answer): void;
  /** The connection or the stream ended before the answer did. */
  onLost(): void;
}

export class Exchange {
  private readonly target: CheckTarget;
  private readonly options: ExchangeOptions;
  private readonly events: ExchangeEvents;
  private dialed: Dialed | undefined = undefined;
  private codec: ClientConnection | undefined = undefined;
  /** Counts requests: what belongs to an earlier one is not looked at. */
  private current = 0;
  private busy = false;

  constructor(target: CheckTarget, options: ExchangeOptions, events: ExchangeEvents) {
    this.target = target;
    this.options = options;
    this.events = events;
  }

  send(head: RequestHead, body: Buffer | undefined): void {
    if (this.codec !== undefined && (this.codec.availableStreams === 0 || this.dialed?.stale === true)) this.drop();
    this.busy = true;
    this.current++;
    if (this.codec !== undefined) {
      this.begin(this.codec, head, body);
      return;
    }
    this.dialed = this.target.dial(this.options.alpn, {
      onReady: (socket) =>
        this.guard(() => {
          this.codec = this.speak(socket);
          this.begin(this.codec, head, body);
        }),
      onClosed: () => {
        this.dialed = undefined;
        this.lose();
      },
    });
  }

  /** Ends the connection and what is under way on it, without a word. */
  drop(): void {
    this.busy = false;
    const { dialed, codec } = this;
    this.dialed = undefined;
    this.codec = undefined;
    dialed?.destroy();
    codec?.destroyed('local-reset');
  }

  private speak(socket: Socket): ClientConnection {
    const { options } = this;
    const handler: ClientConnectionHandler = {
      onStreamEnd: () => {},
      onGoAway: () => {},
      onFault: (_fault: ProtocolFault) => {
        this.target.onProtocolError();
        this.lose();
      },
    };
    const transport = new SocketTransport(socket, () => this.lose());
    const limits = { maxHeadersBytes: MAX_HEAD_BYTES, maxHeadersCount: MAX_HEADERS };
    const codec = options.http2
      ? new Http2ClientConnection(transport, handler, {
          ...limits,
          limits: http2Limits(options.http2Options, false),
          stats: options.http2Stats(),
          random: Math.random,
        })
      : new Http1ClientConnection(transport, handler, { ...limits, http1: options.http1Options });
    socket.on('data', (bytes: Buffer) => {
      if (this.codec !== codec) return;
      // Bytes that nobody asked for must not be taken for the next answer.
      if (codec.activeStreams === 0 && !options.http2) {
        this.target.onProtocolError();
        this.drop();
      } else this.guard(() => codec.receive(bytes));
    });
    socket.on('end', () => {
      if (this.codec === codec) this.guard(() => codec.receiveEnd());
    });
    socket.on('drain', () => this.guard(() => codec.writable()));
    return codec;
  }

  /** An exception that nobody expects costs one check, not the process. */
  private guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      internalFault('a health check', error);
      this.lose();
    }
  }

  private begin(codec: ClientConnection, head: RequestHead, body: Buffer | undefined): void {
    const stream = codec.newStream(this.collector(this.current));
    stream.sendHead(head, body === undefined);
    if (body !== undefined) stream.sendData(body, true);
  }

  private collector(request: number): ClientStreamHandler {
    let head: ResponseHead | undefined;
    let kept = 0;
    const chunks: Buffer[] = [];
    const done = (trailers: HeaderMap | undefined): void => {
      if (head !== undefined && this.busy && this.current === request) {
        this.finish({ head, body: Buffer.concat(chunks), trailers });
      }
    };
    return {
      onInformational: () => {},
      onHead: (came, end) => {
        head = came;
        if (end) done(undefined);
      },
      onData: (chunk, end) => {
        const part = chunk.subarray(0, Math.max(0, this.options.bodyBytes - kept));
        kept += part.length;
        // valid until this returns only
        if (part.length > 0) chunks.push(Buffer.from(part));
        if (end) done(undefined);
      },
      onTrailers: done,
      onReset: () => {
        if (this.current === request) this.lose();
      },
      onDrain: () => {},
    };
  }

  private finish(answer: Answer): void {
    this.busy = false;
    if (!this.target.reuseConnection) {
      // The codec is in the middle of handing this answer over.
      queueMicrotask(() => {
        if (!this.busy) this.drop();
      });
    }
    this.events.onAnswer(answer);
  }

  private lose(): void {
    const { busy } = this;
    this.drop();
    if (busy) this.events.onLost();
  }
}

/** What a codec writes to. */
class SocketTransport implements Transport {
  /** There with TLS only: tells the codec that what it writes is kept. */
  declare readonly encrypted?: true;
  private readonly socket: Socket;
  private readonly onDestroy: () => void;

  constructor(socket: Socket, onDestroy: () => void) {
    this.socket = socket;
    this.onDestroy = onDestroy;
    if (socket instanceof TLSSocket) this.encrypted = true;
  }

  write(data: Uint8Array): boolean {
    return this.socket.write(data);
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
    this.onDestroy();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  get writableLength(): number {
    return this.socket.writableLength;
  }

  get destroyed(): boolean {
    return this.socket.destroyed;
  }
}
