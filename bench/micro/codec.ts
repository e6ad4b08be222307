/** The HTTP/1.1 codec with a typical request of a mesh: fifteen fields of which several are unique to the request. */
import { Buffer } from 'node:buffer';
import { HeaderMap, type RequestHead, type ResponseHead } from '../../proxy/http/headers.ts';
import type {
  ClientStreamHandler,
  ProtocolFault,
  ServerStream,
  ServerStreamHandler,
  Transport,
} from '../../proxy/http/stream.ts';
import { Http1ClientConnection } from '../../proxy/http1/client-connection.ts';
import { Http1ServerConnection } from '../../proxy/http1/server-connection.ts';
import type { Bench } from './measure.ts';

const http1 = {
  acceptHttp10: false,
  defaultHostForHttp10: undefined,
  allowAbsoluteUrl: true,
  headerCase: 'lower',
  enableTrailers: false,
  allowChunkedLength: false,
  overrideStreamErrorOnInvalidHttpMessage: undefined,
} as const;
const limits = { maxHeadersBytes: 61_440, maxHeadersCount: 100 };

const REQUEST = Buffer.from(
  'POST /payments/v1/settlements/8f14e45f?trace=1 HTTP/1.1\r\nHost: settlement.payments.svc.cluster.local:8080\r\n' +
    'User-Agent: payment/1.4.2\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\nContent-Type: application/json\r\n' +
    'Idempotency-Key: 0b9c1c7e-6f0c-4f8e-9d0a-9f6f0f6b1f11\r\nContent-Length: 100\r\nX-Request-Id: 5d41402a-bc4b-4a76-b971-9d911017c592\r\n' +
    'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nX-Forwarded-Proto: http\r\n' +
    'Authorization: Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwYXkifQ.c2lnbmF0dXJl\r\nX-Forwarded-For: 10.1.2.3\r\n' +
    `Connection: keep-alive\r\n\r\n${'x'.repeat(100)}`,
);
const RESPONSE = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n' +
    `Server: settlement\r\nX-Request-Id: 5d41402a-bc4b-4a76-b971-9d911017c592\r\n\r\n${'y'.repeat(100)}`,
);

class Sink implements Transport {
  bytes = 0;
  readonly writableLength = 0;
  readonly destroyed = false;
  write(data: Uint8Array): boolean {
    this.bytes += data.length;
    return true;
  }
  end(): void {}
  destroy(): void {}
  pause(): void {}
  resume(): void {}
}

const answer: ResponseHead = { status: 200, headers: new HeaderMap() };
for (const [name, value] of [
  ['content-type', 'application/json'],
  ['content-length', '100'],
  ['date', 'Sat, 21 Nov 2026 12:00:00 GMT'],
  ['server', 'tollway'],
] as const) {
  answer.headers.add(name, value);
}
const body = Buffer.alloc(100, 'y');

/** Answers every request when it is complete. */
class Answering implements ServerStreamHandler {
  private stream: ServerStream | undefined = undefined;
  begin(stream: ServerStream): this {
    this.stream = stream;
    return this;
  }
  onData(_chunk: Buffer, end: boolean): void {
    if (!end) return;
    this.stream?.sendHead(answer, false);
    this.stream?.sendData(body, true);
  }
  onTrailers(): void {}
  onReset(): void {}
  onDrain(): void {}
}

function fail(fault: ProtocolFault): never {
  throw new Error(fault.message);
}

export function serverExchange(): Bench {
  const sink = new Sink();
  const handler = new Answering();
  const onRequest = (stream: ServerStream): ServerStreamHandler => handler.begin(stream);
  const connection = new Http1ServerConnection(
    sink,
    { onRequest, onFault: fail },
    { ...limits, http1, scheme: 'http', underscores: 'allow' },
  );
  return {
    name: 'http1 server: parse 600-byte request, encode response',
    run(count) {
      for (let i = 0; i < count; i++) connection.receive(REQUEST);
      return sink.bytes;
    },
  };
}

/** The request as the server codec makes it, for the client codec to write. */
function parsedRequest(): RequestHead {
  let made: RequestHead | undefined;
  const connection = new Http1ServerConnection(
    new Sink(),
    {
      onRequest(_stream, head) {
        made = head;
        return new Answering();
      },
      onFault: fail,
    },
    { ...limits, http1, scheme: 'http', underscores: 'allow' },
  );
  connection.receive(REQUEST);
  if (made === undefined) throw new Error('the request was not parsed');
  return made;
}

export function clientExchange(): Bench {
  const sink = new Sink();
  const connection = new Http1ClientConnection(
    sink,
    { onStreamEnd() {}, onGoAway() {}, onFault: fail },
    { ...limits, http1 },
  );
  const handler: ClientStreamHandler = {
    onInformational() {},
    onHead() {},
    onData() {},
    onTrailers() {},
    onReset() {},
    onDrain() {},
  };
  const head = parsedRequest();
  return {
    name: 'http1 client: encode request, parse 250-byte response',
    run(count) {
      for (let i = 0; i < count; i++) {
        const stream = connection.newStream(handler);
        stream.sendHead(head, false);
        stream.sendData(body, true);
        connection.receive(RESPONSE);
      }
      return sink.bytes;
    },
  };
}
