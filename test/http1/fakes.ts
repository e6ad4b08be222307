/** The codecs of HTTP/1.1 between a transport of text and recording handlers. */
import { Buffer } from 'node:buffer';
import { flushOutputs } from '../../proxy/http/output.ts';
import { Http1ClientConnection, type Http1ClientOptions } from '../../proxy/http1/client-connection.ts';
import { Http1ServerConnection, type Http1ServerOptions } from '../../proxy/http1/server-connection.ts';
import type { Http1Options } from '../../xds-client/model/http-connection-manager.ts';
import { RecordingClient, RecordingServer, RecordingTransport, SeenRequest, SeenResponse } from '../http/fakes.ts';
import { request, response } from './messages.ts';

export class FakeTransport extends RecordingTransport {
  readonly #writes: string[] = [];

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

  override write(data: Uint8Array): boolean {
    this.#writes.push(Buffer.from(data).toString('latin1'));
    return this.accepts;
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

export class Server extends RecordingServer {
  readonly transport = new FakeTransport();
  readonly connection: Http1ServerConnection;

  constructor(options: Partial<Http1ServerOptions> = {}, http1: Partial<Http1Options> = {}) {
    super();
    this.connection = new Http1ServerConnection(this.transport, this, {
      ...LIMITS,
      scheme: 'http',
      underscores: 'allow',
      http1: { ...HTTP1, ...http1 },
      ...options,
    });
  }
  receive(text: string): void {
    this.connection.receive(latin1(text));
  }
}

export class Client extends RecordingClient {
  readonly transport = new FakeTransport();
  readonly connection: Http1ClientConnection;

  constructor(options: Partial<Http1ClientOptions> = {}, http1: Partial<Http1Options> = {}) {
    super();
    this.connection = new Http1ClientConnection(this.transport, this, {
      ...LIMITS,
      http1: { ...HTTP1, ...http1 },
      ...options,
    });
  }
  receive(text: string): void {
    this.connection.receive(latin1(text));
  }
}

export { request, response, SeenRequest, SeenResponse };
