/** A gRPC stream of answers that is opened again for ever, with a connection of its own each time. Loads gRPC. */
import { Client, type ClientReadableStream, credentials, Metadata } from '@grpc/grpc-js';
import type { CertificateClock } from '../clock.ts';

export interface ReopenedStreamOptions {
  /** grpc-js target. */
  readonly target: string;
  /** `/SpiffeWorkloadAPI/FetchX509SVID` */
  readonly method: string;
  readonly request: Buffer;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly clock: CertificateClock;
  readonly onMessage: (bytes: Buffer) => void;
  /** How long to wait after so many failures in a row (from 1); `undefined`: do not open it again. */
  readonly onEnd: (code: number, details: string, failures: number) => number | undefined;
}

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const same = (bytes: Buffer): Buffer => bytes;

export class ReopenedStream {
  readonly #options: ReopenedStreamOptions;
  #client: Client | undefined;
  #call: ClientReadableStream<Buffer> | undefined;
  #failures = 0;
  #cancelRetry: () => void = () => {};
  #closed = false;

  constructor(options: ReopenedStreamOptions) {
    this.#options = options;
  }

  open(): void {
    const { target, method, request, headers } = this.#options;
    const client = new Client(target, credentials.createInsecure(), {
      'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
      'grpc.enable_retries': 0,
      'grpc.enable_channelz': 0,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.service_config_disable_resolution': 1,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
    });
    const metadata = new Metadata();
    for (const [name, value] of headers) metadata.set(name, value);
    const call = client.makeServerStreamRequest<Buffer, Buffer>(method, same, same, request, metadata);
    this.#client = client;
    this.#call = call;
    call.on('data', (bytes: Buffer) => {
      if (this.#call !== call) return;
      this.#failures = 0;
      this.#options.onMessage(bytes);
    });
    // the status says the same
    call.on('error', () => {});
    call.on('status', ({ code, details }) => {
      if (this.#call === call) this.#ended(code, details);
    });
  }

  /** Ends what is open and opens another at once: it has been silent for too long. */
  reopen(): void {
    if (this.#closed) return;
    this.#release();
    this.open();
  }

  close(): void {
    this.#closed = true;
    this.#release();
  }

  #release(): void {
    this.#cancelRetry();
    const call = this.#call;
    this.#call = undefined;
    call?.cancel();
    this.#client?.close();
  }

  #ended(code: number, details: string): void {
    this.#release();
    if (this.#closed) return;
    this.#failures++;
    const pauseMs = this.#options.onEnd(code, details, this.#failures);
    if (pauseMs === undefined || this.#closed) return;
    this.#cancelRetry = this.#options.clock.after(pauseMs, () => this.open());
  }
}
