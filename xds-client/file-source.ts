/**
 * Resources from a file (`path_config_source`): a DiscoveryResponse as YAML, JSON or protobuf, read again when something
 * in its directory moves. A file that cannot be read or parsed changes nothing.
 */
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { dirname, extname } from 'node:path';
import { parse } from 'yaml';
import { decodeMessage, fromJson, type JsonProblem } from '../protos/index.ts';
import type { XdsClientListener } from './client.ts';
import type { Clock } from './clock.ts';
import { PendingUpdate } from './pending-update.ts';
import { reportReceived } from './report.ts';
import { type ResourceDecoder, subscriptionFor } from './resource-decoder.ts';
import type { Resource, ResourceKind } from './resource-types.ts';
import type { Subscription, Wanted } from './subscription.ts';
import { DISCOVERY_RESPONSE, type DiscoveryResponse, readResponse } from './wire.ts';

export interface FileSourceOptions {
  /** wants.ts `sourceKey`. */
  readonly source: string;
  readonly path: string;
  /** The directory whose moves announce a new file; `undefined`: the file's own. */
  readonly watchedDirectory: string | undefined;
  readonly decode: ResourceDecoder;
  readonly clock: Clock;
}

/** Editors and atomic swaps cause several events; one reading is enough. */
const SETTLE_MS = 20;

export class FileSource {
  private readonly options: FileSourceOptions;
  private readonly listener: XdsClientListener;
  private readonly subscriptions = new Map<ResourceKind, Subscription<Resource>>();
  private readonly wildcards = new Set<ResourceKind>();
  private readonly pending: PendingUpdate;
  private watcher: FSWatcher | undefined;
  private last: Buffer | undefined;
  private cancelRead: () => void = () => {};
  private cancelDeadline: () => void = () => {};

  constructor(options: FileSourceOptions, listener: XdsClientListener) {
    this.options = options;
    this.listener = listener;
    this.pending = new PendingUpdate(options.clock, 0, (update) => listener.updated(update));
  }

  start(): void {
    const directory = this.options.watchedDirectory ?? dirname(this.options.path);
    try {
      this.watcher = watch(directory, () => this.changed());
      this.watcher.on('error', (error) => this.malformed(`cannot watch ${directory}: ${error.message}`));
    } catch (thrown) {
      this.malformed(`cannot watch ${directory}: ${messageOf(thrown)}`);
    }
    this.read();
  }

  stop(): void {
    this.cancelRead();
    this.cancelDeadline();
    this.pending.stop();
    this.watcher?.close();
  }

  want(kind: ResourceKind, wanted: Wanted): void {
    const now = this.options.clock.now();
    let subscription = this.subscriptions.get(kind);
    if (subscription === undefined) {
      subscription = subscriptionFor(kind, this.options.decode, false);
      this.subscriptions.set(kind, subscription);
      subscription.streamOpened(now);
    }
    if (wanted.wildcard) this.wildcards.add(kind);
    subscription.want(wanted, now);
    // What is asked for now may be in the file already.
    this.last = undefined;
    this.changed();
    this.scheduleDeadline();
  }

  subscription(kind: ResourceKind): Subscription<Resource> | undefined {
    return this.subscriptions.get(kind);
  }

  private changed(): void {
    this.cancelRead();
    this.cancelRead = this.options.clock.after(SETTLE_MS, () => this.read());
  }

  private read(): void {
    if (this.subscriptions.size === 0) return;
    let response: DiscoveryResponse;
    try {
      const bytes = readFileSync(this.options.path);
      if (this.last?.equals(bytes)) return;
      this.last = bytes;
      response = parseResponse(bytes, this.options.path);
    } catch (thrown) {
      this.malformed(messageOf(thrown));
      return;
    }
    const { source, clock } = this.options;
    for (const [kind, subscription] of this.subscriptions) {
      const received = subscription.receive(response, clock.now());
      reportReceived(kind, this.wildcards.has(kind), response, received, {
        source,
        now: clock.now(),
        happened: (event) => this.listener.happened(event),
      });
      this.pending.add(kind, received);
    }
    this.scheduleDeadline();
  }

  private scheduleDeadline(): void {
    this.cancelDeadline();
    const { clock } = this.options;
    for (const [kind, subscription] of this.subscriptions) {
      const next = subscription.nextDeadline();
      if (next === undefined) continue;
      this.cancelDeadline = clock.after(Math.max(0, next - clock.now()), () => {
        const expired = subscription.expire(clock.now());
        for (const name of expired.absent) this.listener.happened({ type: 'timeout', kind, name });
        this.pending.expired(kind, expired);
        this.scheduleDeadline();
      });
      return;
    }
  }

  private malformed(message: string): void {
    this.listener.happened({ type: 'malformed', source: this.options.source, message });
    for (const kind of this.subscriptions.keys()) this.listener.happened({ type: 'failure', kind, name: undefined });
  }
}

/** By the name's ending: `.json`, `.pb`, otherwise YAML. Throws with the file's name and what is wrong. */
export function parseResponse(bytes: Buffer, path: string): DiscoveryResponse {
  if (extname(path) === '.pb') return readResponse(decodeMessage(DISCOVERY_RESPONSE, bytes));
  const text = bytes.toString();
  const json: unknown = extname(path) === '.json' ? JSON.parse(text) : parse(text);
  const problems: JsonProblem[] = [];
  const message = fromJson(DISCOVERY_RESPONSE, json ?? {}, problems);
  const [first] = problems;
  if (first !== undefined) throw new Error(`${path}: ${first.path}: ${first.message}`);
  return readResponse(message);
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
