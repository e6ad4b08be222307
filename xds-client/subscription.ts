/**
 * One resource type on one stream, state of the world: which names are wanted, what was accepted, what the next request
 * says. Pure: bytes, sockets and timers are the client's; the time comes in as milliseconds.
 *
 * The interface has room for the delta protocol: what differs there is what `receive` reads and `takeRequest` writes.
 */
import type { Any } from '../protos/index.ts';
import type { Decoded, UnsupportedField } from './decode/context.ts';
import { nackMessage, type ResourceError, resourceErrors } from './nack.ts';
import { canonicalName, collectionOf } from './resource-name.ts';
import type { ResourceType } from './resource-types.ts';
import { type ReceivedResource, unpack } from './unpack.ts';
import type { DiscoveryRequest, DiscoveryResponse, WrappedResource } from './wire.ts';

export interface Wanted {
  /** Everything the server has for this node (LDS and CDS). */
  readonly wildcard: boolean;
  /** Name to the milliseconds after which it counts as absent (initial_fetch_timeout); 0: never. */
  readonly names: ReadonlyMap<string, number>;
}

/** A resource that was accepted. */
export interface HeldResource<T> {
  readonly name: string;
  readonly value: T;
  /** The bytes it came in, for `/config_dump` and to see that nothing changed. */
  readonly any: Any;
  /** The version in which this content came. */
  readonly version: string;
  readonly updatedAt: number;
  readonly unsupported: readonly UnsupportedField[];
}

/** Why the newest content of a name was refused. */
export interface RefusedResource {
  readonly name: string;
  readonly any: Any;
  readonly version: string;
  readonly refusedAt: number;
  readonly details: string;
}

/** What one response did. */
export interface Received<T> {
  /** New or other content; what was sent again unchanged is not among it. */
  readonly changed: readonly HeldResource<T>[];
  readonly removed: readonly string[];
  /** Names whose content was sent again as it is held. */
  readonly confirmed: readonly string[];
  /** Not empty: the response is refused, though its good resources count. */
  readonly errors: readonly ResourceError[];
}

export interface Expired {
  /** Asked for and not sent in time: these do not exist, as far as anybody knows. They may still come. */
  readonly absent: readonly string[];
  /** Held, and their time to live ended. */
  readonly removed: readonly string[];
}

/** envoy.admin.v3.ClientResourceStatus. */
export type ResourceStatus = 'REQUESTED' | 'DOES_NOT_EXIST' | 'ACKED' | 'NACKED';

export interface SubscriptionOptions<T> {
  readonly type: ResourceType;
  readonly decode: (any: Any) => Decoded<T>;
  /** Reads the wrapper around a resource; throws when the bytes are not one. */
  readonly unwrap: (bytes: Buffer) => WrappedResource;
  /** Absence from a full response does not delete (gRFC A53). */
  readonly ignoreDeletion?: boolean;
}

export interface Subscription<T> {
  readonly type: ResourceType;
  want(wanted: Wanted, now: number): void;
  /** A stream to a server started: everything is to be asked for again. */
  streamOpened(now: number): void;
  streamClosed(): void;
  receive(response: DiscoveryResponse, now: number): Received<T>;
  /**
   * What was accepted cannot be used after all (its port is taken): refused now. `keep`: an earlier content of it serves on.
   * False when it is not held.
   */
  withdraw(name: string, message: string, keep: boolean, now: number): boolean;
  /** The request that is due, once; `undefined` when there is nothing to say. */
  takeRequest(): DiscoveryRequest | undefined;
  /** When `expire` has something to do next. */
  nextDeadline(): number | undefined;
  expire(now: number): Expired;
  held(): ReadonlyMap<string, HeldResource<T>>;
  refused(): ReadonlyMap<string, RefusedResource>;
  status(name: string): ResourceStatus;
  /** The last version accepted whole; empty before the first. */
  acceptedVersion(): string;
}

interface Withdrawn {
  readonly any: Any;
  /** The version that it is not tried again in; `undefined`: in none. */
  readonly version: string | undefined;
  readonly message: string;
}

const NOTHING: Wanted = { wildcard: false, names: new Map() };

export class SotwSubscription<T> implements Subscription<T> {
  readonly type: ResourceType;
  private readonly options: SubscriptionOptions<T>;
  private wanted: Wanted = NOTHING;
  private readonly resources = new Map<string, HeldResource<T>>();
  private readonly refusals = new Map<string, RefusedResource>();
  /** The version each held resource was last seen in: what a TTL heartbeat must name. */
  private readonly seenVersions = new Map<string, string>();
  /** Wanted names that have not come yet, with the time at which they count as absent. */
  private readonly pending = new Map<string, number>();
  private readonly absent = new Set<string>();
  /** Held names with a time to live. */
  private readonly expiries = new Map<string, number>();

  /** Accepted, and then of no use. Said again for the same content, so that no server sends and no port is tried for ever. */
  private readonly withdrawn = new Map<string, Withdrawn>();

  private version = '';
  private nonce = '';
  private open = false;
  private requestDue = false;
  private error: string | undefined;
  private requestSent = false;
  /** After an explicit name, an empty list no longer means everything. */
  private explicitSent = false;

  constructor(options: SubscriptionOptions<T>) {
    this.type = options.type;
    this.options = options;
  }

  want(wanted: Wanted, now: number): void {
    const names = new Map<string, number>();
    for (const [name, timeoutMs] of wanted.names) names.set(canonicalName(name), timeoutMs);
    const before = this.wanted;
    const same =
      before.wildcard === wanted.wildcard &&
      before.names.size === names.size &&
      [...names.keys()].every((name) => before.names.has(name));
    this.wanted = { wildcard: wanted.wildcard, names };
    if (same) return;
    for (const name of before.names.keys()) {
      if (!this.isWanted(name)) this.forget(name);
    }
    this.requestDue = true;
    if (this.open) this.startTimers(now);
  }

  streamOpened(now: number): void {
    this.open = true;
    // A nonce belongs to its stream; the version outlives it.
    this.nonce = '';
    this.error = undefined;
    this.requestSent = false;
    this.explicitSent = false;
    this.requestDue = this.wanted.wildcard || this.wanted.names.size > 0;
    this.startTimers(now);
  }

  streamClosed(): void {
    this.open = false;
    this.requestDue = false;
    // An absent server says nothing about a resource's existence.
    this.pending.clear();
  }

  receive(response: DiscoveryResponse, now: number): Received<T> {
    const errors: ResourceError[] = [];
    const changed: HeldResource<T>[] = [];
    const confirmed: string[] = [];
    const { resources, names, complete } = unpack(response, this.type, this.options.unwrap, errors);
    for (const received of resources) {
      if (!this.isWanted(received.name)) continue;
      const outcome = this.take(received, errors, now);
      if (outcome === 'confirmed') confirmed.push(received.name);
      else if (outcome !== undefined) changed.push(outcome);
      // A refused first content leaves the clock running: what waits for this resource must not wait for ever.
      if (outcome === undefined) continue;
      this.pending.delete(received.name);
      this.absent.delete(received.name);
    }
    const removed = complete ? this.removeAbsent(names) : [];
    this.nonce = response.nonce;
    if (errors.length === 0) this.version = response.version;
    this.error = errors.length === 0 ? undefined : nackMessage(this.type.api, errors);
    this.requestDue = true;
    return { changed, removed, confirmed, errors };
  }

  withdraw(name: string, message: string, keep: boolean, now: number): boolean {
    const held = this.resources.get(name);
    if (held === undefined) return false;
    const details = nackMessage(this.type.api, [{ resource: name, path: '', message }]);
    // What is not held is tried again when it comes again in a newer version.
    if (!keep) this.forget(name);
    this.withdrawn.set(name, { any: held.any, version: keep ? undefined : held.version, message });
    this.refusals.set(name, { name, any: held.any, version: held.version, refusedAt: now, details });
    this.error = details;
    this.requestDue = this.open;
    return true;
  }

  takeRequest(): DiscoveryRequest | undefined {
    if (!this.open || !this.requestDue) return undefined;
    this.requestDue = false;
    const names = [...this.wanted.names.keys()];
    // Unsubscribing everything is only worth a word when something was asked for.
    if (!this.wanted.wildcard && names.length === 0 && !this.requestSent && this.nonce === '') return undefined;
    this.explicitSent ||= names.length > 0;
    if (this.wanted.wildcard && this.explicitSent) names.unshift('*');
    this.requestSent = true;
    const { error } = this;
    // Said once: the next request only changes names.
    this.error = undefined;
    return { typeUrl: this.type.typeUrl, version: this.version, names, nonce: this.nonce, error };
  }

  nextDeadline(): number | undefined {
    let next = Number.POSITIVE_INFINITY;
    for (const at of this.pending.values()) next = Math.min(next, at);
    for (const at of this.expiries.values()) next = Math.min(next, at);
    return next === Number.POSITIVE_INFINITY ? undefined : next;
  }

  expire(now: number): Expired {
    const absent = [...this.pending].filter(([, at]) => at <= now).map(([name]) => name);
    for (const name of absent) {
      this.pending.delete(name);
      this.absent.add(name);
    }
    const removed = [...this.expiries].filter(([, at]) => at <= now).map(([name]) => name);
    for (const name of removed) this.forget(name);
    return { absent, removed };
  }

  held(): ReadonlyMap<string, HeldResource<T>> {
    return this.resources;
  }

  refused(): ReadonlyMap<string, RefusedResource> {
    return this.refusals;
  }

  status(name: string): ResourceStatus {
    const key = canonicalName(name);
    if (this.refusals.has(key)) return 'NACKED';
    if (this.resources.has(key)) return 'ACKED';
    return this.absent.has(key) ? 'DOES_NOT_EXIST' : 'REQUESTED';
  }

  acceptedVersion(): string {
    return this.version;
  }

  /** One resource of a response: held from now on, held already, or refused (into `errors`). */
  private take(
    received: ReceivedResource,
    errors: ResourceError[],
    now: number,
  ): HeldResource<T> | 'confirmed' | undefined {
    const { name, any, version, ttlMs } = received;
    const before = this.resources.get(name);
    if (any === undefined) {
      // A heartbeat renews what is held in that very version, and nothing else.
      if (before === undefined || this.seenVersions.get(name) !== version) return undefined;
      this.setExpiry(name, ttlMs, now);
      return 'confirmed';
    }
    const withdrawn = this.withdrawn.get(name);
    if (withdrawn?.any.value.equals(any.value) && (withdrawn.version ?? version) === version) {
      errors.push({ resource: name, path: '', message: withdrawn.message });
      return undefined;
    }
    this.withdrawn.delete(name);
    if (before?.any.value.equals(any.value)) {
      this.refusals.delete(name);
      this.seenVersions.set(name, version);
      this.setExpiry(name, ttlMs, now);
      return 'confirmed';
    }
    const decoded = this.options.decode(any);
    if (!decoded.ok) {
      const found = resourceErrors(name, decoded.errors);
      errors.push(...found);
      this.refusals.set(name, {
        name,
        any: ownCopy(any),
        version,
        refusedAt: now,
        details: nackMessage(this.type.api, found),
      });
      return undefined;
    }
    const held = {
      name,
      value: decoded.value,
      any: ownCopy(any),
      version,
      updatedAt: now,
      unsupported: decoded.unsupported,
    };
    this.resources.set(name, held);
    this.refusals.delete(name);
    this.seenVersions.set(name, version);
    this.setExpiry(name, ttlMs, now);
    return held;
  }

  /** `names`: those of the response. A refused resource is among them: its last good content stays. */
  private removeAbsent(names: ReadonlySet<string>): string[] {
    if (this.options.ignoreDeletion === true) return [];
    const removed = [...this.resources.keys()].filter((name) => !names.has(name));
    for (const name of [...removed, ...this.refusals.keys()]) {
      if (!names.has(name)) this.forget(name);
    }
    return removed;
  }

  private isWanted(name: string): boolean {
    if (this.wanted.wildcard || this.wanted.names.has(name)) return true;
    const collection = collectionOf(name);
    return collection !== undefined && this.wanted.names.has(collection);
  }

  private startTimers(now: number): void {
    for (const [name, timeoutMs] of this.wanted.names) {
      const settled = this.resources.has(name) || this.absent.has(name) || this.pending.has(name);
      if (!settled && timeoutMs > 0) this.pending.set(name, now + timeoutMs);
    }
  }

  private setExpiry(name: string, ttlMs: number | undefined, now: number): void {
    if (ttlMs === undefined) this.expiries.delete(name);
    else this.expiries.set(name, now + ttlMs);
  }

  private forget(name: string): void {
    this.resources.delete(name);
    this.refusals.delete(name);
    this.withdrawn.delete(name);
    this.seenVersions.delete(name);
    this.pending.delete(name);
    this.absent.delete(name);
    this.expiries.delete(name);
  }
}

/** A resource's bytes are a part of its response's: kept as they are, one resource would hold on to the whole of it. */
function ownCopy({ type_url, value }: Any): Any {
  const copy = Buffer.allocUnsafeSlow(value.length);
  value.copy(copy);
  return { type_url, value: copy };
}
