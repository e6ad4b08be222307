/**
 * The whole of the configuration side: the store, and a source for each place that resources come from. Asks the sources
 * for what the store wants, gives the store what they bring, hands the changes on.
 */
import { createRequire } from 'node:module';
import type { MessageObject } from '../protos/index.ts';
import type { ConfigChange } from './changes.ts';
import { XdsClient, type XdsClientListener } from './client.ts';
import type { Clock } from './clock.ts';
import { ConfigStore, type ConfigStoreOptions, type ConfigUpdate } from './config-store.ts';
import type { XdsEvent } from './events.ts';
import { FileSource } from './file-source.ts';
import type { Cluster } from './model/cluster.ts';
import type { ConfigSource } from './model/common.ts';
import type { Assignment } from './model/endpoint.ts';
import type { Listener } from './model/listener.ts';
import type { ResourceDecoder } from './resource-decoder.ts';
import {
  AGGREGATED_METHOD,
  RESOURCE_TYPES,
  type Resource,
  type ResourceKind,
  type SecretUser,
} from './resource-types.ts';
import type { XdsStreamOptions } from './stream.ts';
import type { Subscription, Wanted } from './subscription.ts';
import { NOBODY, type SecretSupply, SuppliedSource } from './supplied-source.ts';
import { DEFAULT_FETCH_TIMEOUT_MS, sourceKey, type Want } from './wants.ts';

/** How to reach a control plane: the part of the stream's options that depends on the bootstrap. */
export type ControlPlaneConnection = Pick<XdsStreamOptions, 'endpoint' | 'initialMetadata'> & Partial<XdsStreamOptions>;

export interface ConfigurationOptions extends ConfigStoreOptions {
  /** envoy.config.core.v3.Node: see node-message.ts. */
  readonly node: MessageObject;
  readonly decode: ResourceDecoder;
  readonly clock: Clock;
  /** In [0, 1), for the pauses between attempts. */
  readonly random: () => number;
  /** Called once a source: for `ads` with the bootstrap's ADS services, for `grpc` with the named cluster. */
  readonly connect: (source: ConfigSource) => ControlPlaneConnection;
  /** Secrets that are not asked of the source that they name. */
  readonly supply?: SecretSupply | undefined;
  /** Apply in order. May call back into this object; what follows from that comes in a later call. */
  readonly onChanges: (changes: readonly ConfigChange[]) => void;
  readonly onEvent: (event: XdsEvent) => void;
}

interface Source {
  start(): void;
  stop(): void;
  want(kind: ResourceKind, wanted: Wanted): void;
  subscription(kind: ResourceKind): Subscription<Resource> | undefined;
  /** Where there is somebody to answer to. */
  answer?(): void;
}

const NOTHING: Wanted = { wildcard: false, names: new Map() };

/** With gRPC, which a bootstrap without a control plane has no use for. */
function loadStream(): typeof import('./stream.ts') {
  return createRequire(import.meta.url)('./stream.ts') as typeof import('./stream.ts');
}

export class Configuration {
  readonly store: ConfigStore;
  private readonly options: ConfigurationOptions;
  private readonly sources = new Map<string, Source>();
  private wants: readonly Want[] = [];
  private queue: ConfigChange[] = [];
  private delivering = false;
  private cancelTick: () => void = () => {};
  private readonly firstAnswers = new Map<ResourceKind, () => void>();
  private started = false;
  private stopped = false;

  constructor(options: ConfigurationOptions) {
    this.options = options;
    this.store = new ConfigStore(options);
  }

  /** Throws when the bootstrap names a source that cannot be. */
  start(): void {
    this.afterwards(this.store.start(this.options.clock.now()));
    this.started = true;
  }

  /** Stops asking. What serves goes on serving. */
  stop(): void {
    this.stopped = true;
    this.cancelTick();
    for (const cancel of this.firstAnswers.values()) cancel();
    for (const source of this.sources.values()) source.stop();
  }

  /** `cluster`: the object of a `resolve` change. Each new result, and the first failure as an assignment without endpoints. */
  dnsResolved(cluster: Cluster, assignment: Assignment): void {
    this.afterwards(this.store.dnsResolved(cluster, assignment, this.options.clock.now()));
  }

  /** `cluster`: the object of a `check` change. Each of its endpoints was checked once, well or not. */
  healthChecked(cluster: Cluster): void {
    this.afterwards(this.store.healthChecked(cluster, this.options.clock.now()));
  }

  /** The material behind a key of `secretsOf` is loaded. */
  secretReady(key: string): void {
    this.afterwards(this.store.secretReady(key, this.options.clock.now()));
  }

  /** All that needs TLS material: what serves, and what waits to. */
  secretUsers(): readonly SecretUser[] {
    return this.store.secretUsers();
  }

  /** The material behind these keys was let go, because nothing of `secretUsers` needs it. */
  secretsReleased(keys: readonly string[]): void {
    this.store.secretsReleased(keys);
  }

  /**
   * A listener of the control plane's cannot serve (its port is taken): refused as if it had never been good. `served`: the
   * listener of that name that served before and goes on, with everything that it needs.
   */
  listenerFailed(name: string, message: string, served: Listener | undefined): void {
    const now = this.options.clock.now();
    const keep = served !== undefined;
    for (const [key, source] of this.sources) {
      const subscription = source.subscription('listener');
      if (subscription?.withdraw(name, message, keep, now) !== true) continue;
      source.answer?.();
      const { typeUrl } = subscription.type;
      const errors = [{ resource: name, path: '', message }];
      const told = subscription.refused().get(name)?.details ?? message;
      const version = subscription.refused().get(name)?.version ?? '';
      this.options.onEvent({ type: 'rejected', kind: 'listener', name: undefined });
      this.options.onEvent({
        type: 'nack',
        source: key,
        kind: 'listener',
        typeUrl,
        version,
        nonce: '',
        errors,
        message: told,
      });
    }
    const changed = keep ? ([{ kind: 'listener', name, value: served }] as const) : [];
    const removed = keep ? [] : ([{ kind: 'listener', name }] as const);
    this.afterwards(this.store.apply({ changed, removed, absent: [], answered: [] }, now));
  }

  /** All subscriptions of a kind, for `/config_dump`: what is held, refused, missing. */
  subscriptions(kind: ResourceKind): readonly Subscription<Resource>[] {
    return [...this.sources.values()].flatMap((source) => source.subscription(kind) ?? []);
  }

  private updated(update: ConfigUpdate): void {
    if (this.stopped) return;
    for (const kind of update.answered) this.firstAnswers.get(kind)?.();
    this.afterwards(this.store.apply(update, this.options.clock.now()));
  }

  /** After each change of the store: ask for what it wants now, hand on, and wake it when time matters next. */
  private afterwards(changes: readonly ConfigChange[]): void {
    if (this.stopped) return;
    this.ask();
    this.cancelTick();
    const next = this.store.nextDeadline();
    if (next !== undefined) {
      const { clock } = this.options;
      this.cancelTick = clock.after(Math.max(0, next - clock.now()), () =>
        this.afterwards(this.store.tick(clock.now())),
      );
    }
    this.deliver(changes);
  }

  private deliver(changes: readonly ConfigChange[]): void {
    for (const change of changes) this.queue.push(change);
    if (this.delivering) return;
    this.delivering = true;
    try {
      while (this.queue.length > 0) {
        const batch = this.queue;
        this.queue = [];
        this.options.onChanges(batch);
      }
    } finally {
      this.delivering = false;
    }
  }

  private ask(): void {
    const wants = this.store.wanted();
    if (wants === this.wants) return;
    const before = this.wants;
    this.wants = wants;
    for (const { kind, source, wanted } of wants) {
      if (wanted.wildcard) this.awaitFirstAnswer(kind, source);
      this.want(kind, source, wanted);
    }
    // Kinds of which nothing is wanted any more from a source.
    const now = new Set(wants.map(({ kind, source }) => `${kind} ${sourceKey(source)}`));
    for (const { kind, source } of before) {
      if (!now.has(`${kind} ${sourceKey(source)}`)) this.want(kind, source, NOTHING);
    }
  }

  /** What is supplied here is not asked for elsewhere, and a source that has nothing else to say is not reached for. */
  private want(kind: ResourceKind, source: ConfigSource, wanted: Wanted): void {
    const { supply } = this.options;
    if (kind !== 'secret' || supply?.replaces(source) !== true) {
      this.sourceFor(source).want(kind, wanted);
      return;
    }
    const named = (ours: boolean): Wanted => ({
      wildcard: false,
      names: new Map([...wanted.names].filter(([name]) => supply.supplies(name) === ours)),
    });
    this.suppliedSource(source, supply).want(kind, named(true));
    const others = named(false);
    if (others.names.size > 0 || this.sources.has(sourceKey(source))) this.sourceFor(source).want(kind, others);
  }

  private suppliedSource(source: ConfigSource, supply: SecretSupply): Source {
    const key = sourceKey(source);
    return this.kept(`supplied ${key}`, () => this.suppliedBy(key, supply));
  }

  private suppliedBy(key: string, supply: SecretSupply): Source {
    const { decode, clock } = this.options;
    return new SuppliedSource({ source: key, supply, decode, clock }, this.listenerOf(key));
  }

  /** CDS and LDS have no names to time: their first answer is timed as a whole. The store goes on by itself. */
  private awaitFirstAnswer(kind: ResourceKind, source: ConfigSource): void {
    const timeoutMs = source.initialFetchTimeoutMs ?? DEFAULT_FETCH_TIMEOUT_MS;
    if (timeoutMs === 0 || this.firstAnswers.has(kind)) return;
    const cancel = this.options.clock.after(timeoutMs, () => {
      this.options.onEvent({ type: 'timeout', kind, name: undefined });
      this.options.onEvent({ type: 'attempt', kind, name: undefined });
    });
    this.firstAnswers.set(kind, cancel);
  }

  private sourceFor(source: ConfigSource): Source {
    const key = sourceKey(source);
    return this.kept(key, () => {
      try {
        return this.makeSource(key, source);
      } catch (thrown) {
        // a push must not end the process: what asks for secrets of nobody waits for as long as it says
        if (!this.started) throw thrown;
        const message = thrown instanceof Error ? thrown.message : String(thrown);
        this.options.onEvent({ type: 'malformed', source: key, message });
        return this.suppliedBy(key, NOBODY);
      }
    });
  }

  private kept(key: string, make: () => Source): Source {
    let found = this.sources.get(key);
    if (found === undefined) {
      found = make();
      this.sources.set(key, found);
      found.start();
    }
    return found;
  }

  private listenerOf(source: string): XdsClientListener {
    return {
      updated: (update) => this.updated({ ...update, source }),
      happened: (event) => this.options.onEvent(event),
    };
  }

  private makeSource(key: string, source: ConfigSource): Source {
    const { clock, random, decode, node } = this.options;
    const listener = this.listenerOf(key);
    if (source.kind === 'path') {
      const { path, watchedDirectory } = source;
      return new FileSource({ source: key, path, watchedDirectory, decode, clock }, listener);
    }
    // A dedicated gRPC source carries secrets in practice (`sds-grpc`).
    const method = source.kind === 'grpc' ? RESOURCE_TYPES.secret.method : AGGREGATED_METHOD;
    const connection = this.options.connect(source);
    const { XdsStream } = loadStream();
    return new XdsClient(
      {
        source: key,
        node,
        decode,
        clock,
        makeStream: (streamListener) => new XdsStream({ method, clock, random, ...connection }, streamListener),
      },
      listener,
    );
  }
}
