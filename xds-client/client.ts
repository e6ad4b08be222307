/**
 * One control plane: a stream, a subscription a resource type, and what was accepted. Each response is decoded and
 * answered as it comes; what it changed is handed on in batches, at once when it is quiet and at most every `flushMs` in
 * a flood, where only the newest content of a name counts.
 */
import { decodeMessage, encodeMessage, type MessageObject } from '../protos/index.ts';
import type { Clock } from './clock.ts';
import type { ConfigUpdate } from './config-store.ts';
import type { XdsEvent } from './events.ts';
import { PendingUpdate } from './pending-update.ts';
import { reportReceived } from './report.ts';
import { type ResourceDecoder, subscriptionFor } from './resource-decoder.ts';
import { RESOURCE_KINDS, type Resource, type ResourceKind, resourceTypeOf } from './resource-types.ts';
import type { StreamClosed, XdsStreamListener } from './stream.ts';
import type { Subscription, Wanted } from './subscription.ts';
import {
  DISCOVERY_REQUEST,
  DISCOVERY_RESPONSE,
  type DiscoveryRequest,
  type DiscoveryResponse,
  readResponse,
  writeRequest,
} from './wire.ts';

/** What the client needs of a stream; stream.ts `XdsStream` is one. */
export interface ByteStream {
  start(): void;
  stop(): void;
  send(bytes: Buffer): void;
}

export interface XdsClientOptions {
  /** wants.ts `sourceKey`: names the client in events. */
  readonly source: string;
  /** envoy.config.core.v3.Node, as the bootstrap has it with user agent and client features. */
  readonly node: MessageObject;
  readonly decode: ResourceDecoder;
  readonly makeStream: (listener: XdsStreamListener) => ByteStream;
  readonly clock: Clock;
  /** Least time between two batches. Default 20. */
  readonly flushMs?: number;
  /** Absence from a CDS or LDS response does not delete. Default false, as Envoy. */
  readonly ignoreDeletion?: boolean;
}

export interface XdsClientListener {
  updated(update: ConfigUpdate): void;
  happened(event: XdsEvent): void;
}

export class XdsClient {
  private readonly options: XdsClientOptions;
  private readonly listener: XdsClientListener;
  private readonly subscriptions: ReadonlyMap<ResourceKind, Subscription<Resource>>;
  private readonly wanted = new Map<ResourceKind, Wanted>();
  private readonly stream: ByteStream;
  private readonly pending: PendingUpdate;
  private nodeSent = false;
  private connected = false;
  private server = '';
  private cancelDeadline: () => void = () => {};

  constructor(options: XdsClientOptions, listener: XdsClientListener) {
    this.options = options;
    this.listener = listener;
    this.subscriptions = new Map(
      RESOURCE_KINDS.map((kind) => [kind, subscriptionFor(kind, options.decode, options.ignoreDeletion ?? false)]),
    );
    this.pending = new PendingUpdate(options.clock, options.flushMs ?? 20, (update) => listener.updated(update));
    this.stream = options.makeStream({
      opened: () => this.opened(),
      message: (bytes) => this.message(bytes),
      closed: (reason) => this.closed(reason),
    });
  }

  start(): void {
    this.stream.start();
  }

  stop(): void {
    this.cancelDeadline();
    this.pending.stop();
    this.stream.stop();
  }

  isConnected(): boolean {
    return this.connected;
  }

  /** `control_plane.identifier` of the newest response; empty when the server does not say. */
  serverIdentifier(): string {
    return this.server;
  }

  /** Changes what is asked for. Names that are not wanted any more are forgotten. */
  want(kind: ResourceKind, wanted: Wanted): void {
    const before = this.wanted.get(kind);
    this.wanted.set(kind, wanted);
    const now = this.options.clock.now();
    this.subscriptions.get(kind)?.want(wanted, now);
    if (wanted.wildcard && before?.wildcard !== true) this.happened({ type: 'attempt', kind, name: undefined });
    for (const name of wanted.names.keys()) {
      if (before?.names.has(name) !== true) this.happened({ type: 'attempt', kind, name });
    }
    this.flushRequests();
  }

  /** What is accepted, refused and still missing of a kind. */
  subscription(kind: ResourceKind): Subscription<Resource> {
    const found = this.subscriptions.get(kind);
    if (found === undefined) throw new Error(`no subscription for ${kind}`);
    return found;
  }

  /** Sends what a subscription has to say since it was changed from outside. */
  answer(): void {
    this.flushRequests();
  }

  private opened(): void {
    this.connected = true;
    this.nodeSent = false;
    const now = this.options.clock.now();
    for (const subscription of this.subscriptions.values()) subscription.streamOpened(now);
    this.happened({ type: 'connected', source: this.options.source });
    this.flushRequests();
  }

  private closed(reason: StreamClosed): void {
    this.connected = false;
    for (const subscription of this.subscriptions.values()) subscription.streamClosed();
    this.happened({ type: 'disconnected', source: this.options.source, reason });
    for (const [kind, { wildcard, names }] of this.wanted) {
      for (const name of [...(wildcard ? [undefined] : []), ...names.keys()]) {
        this.happened({ type: 'failure', kind, name });
        this.happened({ type: 'attempt', kind, name });
      }
    }
  }

  private message(bytes: Buffer): void {
    let response: DiscoveryResponse;
    try {
      response = readResponse(decodeMessage(DISCOVERY_RESPONSE, bytes));
    } catch (thrown) {
      const message = thrown instanceof Error ? thrown.message : String(thrown);
      this.happened({ type: 'malformed', source: this.options.source, message });
      return;
    }
    if (response.server !== this.server) {
      this.server = response.server;
      this.happened({ type: 'server', source: this.options.source, identifier: response.server });
    }
    const type = resourceTypeOf(response.typeUrl);
    if (type === undefined) {
      this.refuseUnknown(response);
      return;
    }
    const subscription = this.subscription(type.kind);
    const received = subscription.receive(response, this.options.clock.now());
    // The answer first: what follows from the content may ask for more.
    this.flushRequests();
    reportReceived(type.kind, this.wanted.get(type.kind)?.wildcard === true, response, received, {
      source: this.options.source,
      now: this.options.clock.now(),
      happened: (event) => this.happened(event),
    });
    this.pending.add(type.kind, received);
  }

  private refuseUnknown({ typeUrl, version, nonce }: DiscoveryResponse): void {
    const message = `type "${typeUrl}" was not asked for and is not known`;
    this.send({ typeUrl, version: '', names: [], nonce, error: message });
    const errors = [{ resource: '', path: 'type_url', message }];
    const { source } = this.options;
    this.happened({ type: 'nack', source, kind: undefined, typeUrl, version, nonce, errors, message });
  }

  /** Everything that is due, in the order of the types: what others refer to comes first. */
  private flushRequests(): void {
    for (const subscription of this.subscriptions.values()) {
      const request = subscription.takeRequest();
      if (request !== undefined) this.send(request);
    }
    this.scheduleDeadline();
  }

  private send(request: DiscoveryRequest): void {
    const node = this.nodeSent ? undefined : this.options.node;
    this.nodeSent = true;
    this.stream.send(encodeMessage(DISCOVERY_REQUEST, writeRequest(request, node)));
  }

  private scheduleDeadline(): void {
    this.cancelDeadline();
    let next = Number.POSITIVE_INFINITY;
    for (const subscription of this.subscriptions.values()) {
      next = Math.min(next, subscription.nextDeadline() ?? Number.POSITIVE_INFINITY);
    }
    if (next === Number.POSITIVE_INFINITY) return;
    const { clock } = this.options;
    this.cancelDeadline = clock.after(Math.max(0, next - clock.now()), () => this.expire());
  }

  private expire(): void {
    for (const [kind, subscription] of this.subscriptions) {
      const expired = subscription.expire(this.options.clock.now());
      for (const name of expired.absent) {
        this.happened({ type: 'timeout', kind, name });
        this.happened({ type: 'attempt', kind, name });
      }
      if (expired.absent.length > 0 || expired.removed.length > 0) this.pending.expired(kind, expired);
    }
    this.scheduleDeadline();
  }

  private happened(event: XdsEvent): void {
    this.listener.happened(event);
  }
}
