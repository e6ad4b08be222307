/** One client's stream on the server's side: what it subscribed to, what it was sent, and how it answered. */
import { encodeMessage, type MessageObject } from '../../../protos/index.ts';
import type { Snapshot } from './snapshots.ts';

export interface NodeInfo {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: MessageObject | undefined;
}

/** A request that answers a response, or only subscribes. */
export interface ClientAnswer {
  readonly stream: number;
  readonly node: string;
  /** True on the requests that carried the node. */
  readonly nodeSent: boolean;
  readonly typeUrl: string;
  readonly kind: 'subscribe' | 'ack' | 'nack';
  readonly version: string;
  readonly nonce: string;
  readonly names: readonly string[];
  /** Of a NACK: google.rpc.Status. */
  readonly error: { readonly code: number; readonly message: string } | undefined;
}

export interface AdsSessionOptions {
  readonly id: number;
  readonly write: (bytes: Buffer) => void;
  readonly end: () => void;
  readonly snapshotOf: (node: NodeInfo) => string;
  readonly find: (snapshot: string, typeUrl: string) => Snapshot | undefined;
  readonly identifier: string;
  readonly partial: boolean;
  readonly answered: (answer: ClientAnswer) => void;
  readonly pushed: (typeUrl: string, version: string) => void;
}

interface Subscription {
  wildcard: boolean;
  names: ReadonlySet<string>;
  explicit: boolean;
  nonce: string;
  /** The nonce that was answered last. */
  answered: string;
}

/** An empty first request for these asks for everything. */
const WILDCARD_TYPES = new Set([
  'type.googleapis.com/envoy.config.listener.v3.Listener',
  'type.googleapis.com/envoy.config.cluster.v3.Cluster',
]);

interface Request {
  readonly version_info?: string;
  readonly node?: { readonly id?: string; readonly cluster?: string; readonly metadata?: MessageObject };
  readonly resource_names?: readonly string[];
  readonly type_url?: string;
  readonly response_nonce?: string;
  readonly error_detail?: { readonly code?: number; readonly message?: string };
}

export class AdsSession {
  private readonly options: AdsSessionOptions;
  private readonly subscriptions = new Map<string, Subscription>();
  private node: NodeInfo = { id: '', cluster: '', metadata: undefined };
  private snapshot = '';
  private nonces = 0;

  constructor(options: AdsSessionOptions) {
    this.options = options;
  }

  snapshotName(): string {
    return this.snapshot;
  }

  request(message: MessageObject): void {
    const request: Request = message;
    if (request.node !== undefined) {
      const { id = '', cluster = '', metadata } = request.node;
      this.node = { id, cluster, metadata };
      this.snapshot = this.options.snapshotOf(this.node);
    }
    const typeUrl = request.type_url ?? '';
    const nonce = request.response_nonce ?? '';
    const known = this.subscriptions.get(typeUrl);
    if (known !== undefined && nonce !== known.nonce) {
      // An answer to a response that a newer one overtook: what it asks for comes again with the next answer.
      this.report(request, typeUrl, true);
      return;
    }
    const subscription = known ?? { wildcard: false, names: new Set(), explicit: false, nonce: '', answered: '' };
    this.subscriptions.set(typeUrl, subscription);
    const added = this.subscribe(subscription, typeUrl, request.resource_names ?? []);
    const isAnswer = nonce !== '' && subscription.answered !== nonce;
    subscription.answered = nonce;
    this.report(request, typeUrl, isAnswer);
    // Asking without answering, as Envoy does for a cluster that warms anew: it wants all of it sent again.
    if (!isAnswer) this.push(typeUrl, undefined);
    else if (added.size > 0) this.push(typeUrl, added);
  }

  /** `changed`: names that changed; `undefined`: send what there is. */
  push(typeUrl: string, changed: ReadonlySet<string> | undefined): void {
    const subscription = this.subscriptions.get(typeUrl);
    const snapshot = this.options.find(this.snapshot, typeUrl);
    if (subscription === undefined || snapshot === undefined) return;
    const wanted = (name: string): boolean => subscription.wildcard || subscription.names.has(name);
    if (changed !== undefined && ![...changed].some(wanted)) return;
    const whole = WILDCARD_TYPES.has(typeUrl) || !this.options.partial || changed === undefined;
    const resources = [...snapshot.resources]
      .filter(([name]) => wanted(name) && (whole || changed.has(name)))
      .map(([, any]) => any);
    if (resources.length === 0 && !WILDCARD_TYPES.has(typeUrl)) return;
    subscription.nonce = `${this.options.id}-${++this.nonces}`;
    this.options.write(
      encodeMessage('envoy.service.discovery.v3.DiscoveryResponse', {
        version_info: snapshot.version,
        resources,
        type_url: typeUrl,
        nonce: subscription.nonce,
        control_plane: { identifier: this.options.identifier },
      }),
    );
    this.options.pushed(typeUrl, snapshot.version);
  }

  sendRaw(bytes: Buffer): void {
    this.options.write(bytes);
  }

  end(): void {
    this.options.end();
  }

  /** Gives the names that were not asked for before. */
  private subscribe(subscription: Subscription, typeUrl: string, names: readonly string[]): ReadonlySet<string> {
    const before = subscription.names;
    const wasWildcard = subscription.wildcard;
    subscription.explicit ||= names.length > 0;
    subscription.wildcard = names.includes('*') || (WILDCARD_TYPES.has(typeUrl) && !subscription.explicit);
    subscription.names = new Set(names);
    const added = new Set(names.filter((name) => name !== '*' && !before.has(name) && !wasWildcard));
    return added;
  }

  private report(request: Request, typeUrl: string, isAnswer: boolean): void {
    const { error_detail: error } = request;
    this.options.answered({
      stream: this.options.id,
      node: this.node.id,
      nodeSent: request.node !== undefined,
      typeUrl,
      kind: error !== undefined ? 'nack' : isAnswer ? 'ack' : 'subscribe',
      version: request.version_info ?? '',
      nonce: request.response_nonce ?? '',
      names: request.resource_names ?? [],
      error: error === undefined ? undefined : { code: error.code ?? 0, message: error.message ?? '' },
    });
  }
}
