/**
 * Secrets that this process supplies itself, in the place of an SDS stream: they go through the same subscription, decoder and
 * statistics as if an agent had sent them, and `/config_dump` shows them.
 */
import { encodeMessage, type MessageObject } from '../protos/index.ts';
import type { XdsClientListener } from './client.ts';
import type { Clock } from './clock.ts';
import type { ConfigSource } from './model/common.ts';
import { PendingUpdate } from './pending-update.ts';
import { reportReceived } from './report.ts';
import { type ResourceDecoder, subscriptionFor } from './resource-decoder.ts';
import { RESOURCE_TYPES, type Resource, type ResourceKind } from './resource-types.ts';
import type { Subscription, Wanted } from './subscription.ts';

export interface SupplyListener {
  /** Some of the secrets are others now. */
  changed(): void;
  /** New ones were asked for in vain. */
  failed(): void;
}

/** Who has the secrets. */
export interface SecretSupply {
  /** What is asked of this source is asked of us. */
  replaces(source: ConfigSource): boolean;
  /** It has a secret of that name, now or later. Others are asked of the source itself. */
  supplies(name: string): boolean;
  /** envoy.extensions.transport_sockets.tls.v3.Secret; `undefined`: not yet. */
  secret(name: string): MessageObject | undefined;
  /** Of what it has now. */
  version(): string;
  subscribe(listener: SupplyListener): void;
}

/** Has nothing, ever. */
export const NOBODY: SecretSupply = {
  replaces: () => false,
  supplies: () => false,
  secret: () => undefined,
  version: () => '',
  subscribe: () => {},
};

export interface SuppliedSourceOptions {
  /** wants.ts `sourceKey` of the source that is replaced. */
  readonly source: string;
  readonly supply: SecretSupply;
  readonly decode: ResourceDecoder;
  readonly clock: Clock;
}

const { message: MESSAGE, typeUrl: TYPE_URL } = RESOURCE_TYPES.secret;

export class SuppliedSource implements SupplyListener {
  private readonly options: SuppliedSourceOptions;
  private readonly listener: XdsClientListener;
  private readonly secrets: Subscription<Resource>;
  private readonly pending: PendingUpdate;
  private names: ReadonlySet<string> = new Set();
  /** As it was given on last, by name. */
  private readonly given = new Map<string, Buffer>();
  private cancelDeadline: () => void = () => {};
  private stopped = false;

  constructor(options: SuppliedSourceOptions, listener: XdsClientListener) {
    this.options = options;
    this.listener = listener;
    this.secrets = subscriptionFor('secret', options.decode, false);
    this.pending = new PendingUpdate(options.clock, 0, (update) => listener.updated(update));
  }

  start(): void {
    this.secrets.streamOpened(this.options.clock.now());
    this.options.supply.subscribe(this);
  }

  stop(): void {
    this.stopped = true;
    this.cancelDeadline();
    this.pending.stop();
  }

  want(kind: ResourceKind, wanted: Wanted): void {
    if (kind !== 'secret') return;
    const names = new Set(wanted.names.keys());
    this.secrets.want(wanted, this.options.clock.now());
    for (const name of names) {
      if (!this.names.has(name)) this.listener.happened({ type: 'attempt', kind, name });
    }
    for (const name of this.given.keys()) if (!names.has(name)) this.given.delete(name);
    this.names = names;
    this.changed();
  }

  subscription(kind: ResourceKind): Subscription<Resource> | undefined {
    return kind === 'secret' ? this.secrets : undefined;
  }

  changed(): void {
    if (this.stopped) return;
    const { supply, source, clock } = this.options;
    const resources = [...this.names].flatMap((name) => {
      const secret = supply.secret(name);
      if (secret === undefined) return [];
      const value = encodeMessage(MESSAGE, secret);
      if (this.given.get(name)?.equals(value)) return [];
      this.given.set(name, value);
      return [{ type_url: TYPE_URL, value }];
    });
    if (resources.length > 0) {
      const response = { version: supply.version(), typeUrl: TYPE_URL, nonce: '', resources, server: '' };
      const received = this.secrets.receive(response, clock.now());
      const happened: XdsClientListener['happened'] = (event) => this.listener.happened(event);
      reportReceived('secret', false, response, received, { source, now: clock.now(), happened });
      this.pending.add('secret', received);
    }
    this.scheduleDeadline();
  }

  failed(): void {
    for (const name of this.stopped ? [] : this.names) {
      this.listener.happened({ type: 'failure', kind: 'secret', name });
      this.listener.happened({ type: 'attempt', kind: 'secret', name });
    }
  }

  private scheduleDeadline(): void {
    this.cancelDeadline();
    const { clock } = this.options;
    const next = this.secrets.nextDeadline();
    if (next === undefined) return;
    this.cancelDeadline = clock.after(Math.max(0, next - clock.now()), () => {
      const expired = this.secrets.expire(clock.now());
      for (const name of expired.absent) this.listener.happened({ type: 'timeout', kind: 'secret', name });
      this.pending.expired('secret', expired);
      this.scheduleDeadline();
    });
  }
}
