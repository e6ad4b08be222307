/**
 * One xDS stream over gRPC, opened again for ever: bytes in, bytes out, and when to try again. Knows no meaning.
 *
 * Each attempt has a channel of its own, so that the pause between attempts is ours and not the channel's, and so that
 * rotated certificates and the next endpoint are taken at once.
 */
import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  connectivityState,
  Metadata,
  type StatusObject,
} from '@grpc/grpc-js';
import { Backoff, type BackoffOptions } from './backoff.ts';
import type { Clock } from './clock.ts';

/** Where one attempt goes. */
export interface ControlPlaneEndpoint {
  /** grpc-js target: `127.0.0.1:18000`, `dns:///istiod:15012`, `unix:/run/xds.sock`. */
  readonly target: string;
  readonly credentials: ChannelCredentials;
  /** `:authority`, where it differs from the target. */
  readonly authority?: string | undefined;
  /**
   * SNI, and the name the certificate is checked for. Over TLS to an IP address it has to be given: Node refuses an address
   * for a server name, and grpc-js takes the target's host for one.
   */
  readonly serverName?: string | undefined;
  /** Milliseconds since the epoch: from here on a stream moves to a newer client certificate once there is one. */
  readonly reopenAt?: number | undefined;
  readonly options?: ChannelOptions;
}

export interface XdsStreamOptions {
  /**
   * Called for every attempt with the failures in a row since a server answered, so that 0 is the first choice and each
   * failure goes on to the next. May throw: that is a failed attempt.
   */
  readonly endpoint: (failures: number) => ControlPlaneEndpoint;
  /** The gRPC method's path: resource-types.ts `AGGREGATED_METHOD` or a type's own. */
  readonly method: string;
  readonly initialMetadata: readonly { readonly key: string; readonly value: string }[];
  readonly clock: Clock;
  readonly random: () => number;
  readonly backoff?: BackoffOptions;
  /** No connection after this long: the attempt failed. Default 20 000. */
  readonly connectTimeoutMs?: number;
  /** How often an open stream's connection is looked at. Default 10 000. */
  readonly watchdogMs?: number;
}

export interface StreamClosed {
  /** gRPC status code; 0 when the server ended the stream in good order. */
  readonly code: number;
  readonly details: string;
  /** False: a connectivity error. True: the server had answered, and is asked again at once. */
  readonly answered: boolean;
  readonly retryInMs: number;
}

export interface XdsStreamListener {
  /** Connected: what was said on an earlier stream has to be said again. */
  opened(): void;
  message(bytes: Buffer): void;
  closed(reason: StreamClosed): void;
}

const CHANNEL_OPTIONS: ChannelOptions = {
  // Whole configurations come in one message; grpc-js would refuse more than 4 MiB.
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.service_config_disable_resolution': 1,
};

/** A server that answers and hangs up faster than this, twice in a row, is not asked again at once. */
const SHORT_STREAM_MS = 1_000;

const same = (bytes: Buffer): Buffer => bytes;

type Call = ClientDuplexStream<Buffer, Buffer>;

/** One attempt's things. */
interface Attempt {
  readonly client: Client;
  readonly call: Call;
  readonly startedAt: number;
  readonly reopenAt: number;
  opened: boolean;
  answered: boolean;
  over: boolean;
  cancelTimer: () => void;
}

export class XdsStream {
  private readonly options: XdsStreamOptions;
  private readonly listener: XdsStreamListener;
  private readonly backoff: Backoff;
  private attempt: Attempt | undefined;
  private failures = 0;
  private cancelRetry: () => void = () => {};
  private running = false;
  private shortStreams = 0;

  constructor(options: XdsStreamOptions, listener: XdsStreamListener) {
    this.options = options;
    this.listener = listener;
    this.backoff = new Backoff(options.backoff ?? { baseMs: 500, maxMs: 30_000 }, options.random);
  }

  start(): void {
    if (this.running) return;
    this.running = true;
    this.connect();
  }

  /** Ends the stream; nothing is called any more. */
  stop(): void {
    this.running = false;
    this.cancelRetry();
    const { attempt } = this;
    this.attempt = undefined;
    if (attempt !== undefined) release(attempt);
  }

  /** Only between `opened` and `closed`. */
  send(bytes: Buffer): void {
    this.attempt?.call.write(bytes);
  }

  private connect(): void {
    let attempt: Attempt;
    try {
      attempt = this.open(this.options.endpoint(this.failures));
    } catch (thrown) {
      this.again({ code: 14, details: thrown instanceof Error ? thrown.message : String(thrown) }, false, 0);
      return;
    }
    this.attempt = attempt;
    attempt.call.on('data', (bytes: Buffer) => {
      if (attempt.over) return;
      if (!attempt.answered) {
        attempt.answered = true;
        this.backoff.reset();
      }
      this.ready(attempt);
      // One message a turn of the event loop: a flood waits in the server's window, not in our memory.
      attempt.call.pause();
      setImmediate(() => attempt.call.resume());
      this.listener.message(bytes);
    });
    // The status says the same, and says it later.
    attempt.call.on('error', () => {});
    attempt.call.on('status', (status: StatusObject) => this.ended(attempt, status));
    this.watchConnection(attempt);
  }

  private open(endpoint: ControlPlaneEndpoint): Attempt {
    const client = new Client(endpoint.target, endpoint.credentials, {
      ...CHANNEL_OPTIONS,
      ...(endpoint.authority === undefined ? {} : { 'grpc.default_authority': endpoint.authority }),
      ...(endpoint.serverName === undefined ? {} : { 'grpc.ssl_target_name_override': endpoint.serverName }),
      ...endpoint.options,
    });
    const metadata = new Metadata();
    for (const { key, value } of this.options.initialMetadata) metadata.add(key, value);
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(this.options.method, same, same, metadata);
    const startedAt = this.options.clock.now();
    const attempt: Attempt = {
      client,
      call,
      startedAt,
      reopenAt: endpoint.reopenAt ?? Number.POSITIVE_INFINITY,
      opened: false,
      answered: false,
      over: false,
      cancelTimer: () => {},
    };
    const limitMs = this.options.connectTimeoutMs ?? 20_000;
    attempt.cancelTimer = this.options.clock.after(limitMs, () => {
      this.ended(attempt, { code: 14, details: `no connection to ${endpoint.target} after ${limitMs} ms` });
    });
    return attempt;
  }

  /** The connection is there: servers may send their first header only with their first answer, so do not wait for that. */
  private watchConnection(attempt: Attempt): void {
    if (attempt.over) return;
    const channel = attempt.client.getChannel();
    const state = channel.getConnectivityState(false);
    if (state === connectivityState.READY) {
      this.ready(attempt);
      return;
    }
    if (state === connectivityState.SHUTDOWN) return;
    channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, () => this.watchConnection(attempt));
  }

  private ready(attempt: Attempt): void {
    if (attempt.opened || attempt.over) return;
    attempt.opened = true;
    attempt.cancelTimer();
    this.watchLife(attempt);
    this.listener.opened();
  }

  /** Beside the channel's keepalive: a stream whose connection is gone without a status is ended here. */
  private watchLife(attempt: Attempt): void {
    attempt.cancelTimer = this.options.clock.after(this.options.watchdogMs ?? 10_000, () => {
      if (attempt.over) return;
      if (attempt.client.getChannel().getConnectivityState(false) !== connectivityState.READY) {
        this.ended(attempt, { code: 14, details: 'the connection went away under the stream' });
      } else if (this.isOutdated(attempt)) {
        this.ended(attempt, { code: 0, details: 'its client certificate comes to its end, and there is a newer one' });
      } else {
        this.watchLife(attempt);
      }
    });
  }

  /** A connection should not outlive its certificate; one that cannot be replaced is better than none. */
  private isOutdated({ reopenAt }: Attempt): boolean {
    if (this.options.clock.now() < reopenAt) return false;
    try {
      return (this.options.endpoint(this.failures).reopenAt ?? Number.POSITIVE_INFINITY) > reopenAt;
    } catch {
      return false;
    }
  }

  private ended(attempt: Attempt, status: { readonly code: number; readonly details: string }): void {
    if (attempt.over) return;
    release(attempt);
    if (this.attempt !== attempt) return;
    this.attempt = undefined;
    this.again(status, attempt.answered, this.options.clock.now() - attempt.startedAt);
  }

  private again(status: { readonly code: number; readonly details: string }, answered: boolean, livedMs: number): void {
    if (!this.running) return;
    this.failures = answered ? 0 : this.failures + 1;
    if (answered) this.shortStreams = livedMs < SHORT_STREAM_MS ? this.shortStreams + 1 : 0;
    const retryInMs = answered && this.shortStreams < 2 ? 0 : this.backoff.next();
    this.cancelRetry = this.options.clock.after(retryInMs, () => this.connect());
    this.listener.closed({ code: status.code, details: status.details, answered, retryInMs });
  }
}

function release(attempt: Attempt): void {
  attempt.over = true;
  attempt.cancelTimer();
  attempt.call.cancel();
  attempt.client.close();
}
