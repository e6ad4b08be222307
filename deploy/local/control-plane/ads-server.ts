/**
 * A small control plane's ADS server, state of the world: holds snapshots of resources, pushes what changed to whom it
 * concerns, and tells how clients answered.
 */
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import {
  type Any,
  decodeMessage,
  encodeMessage,
  type MessageObject,
  serviceDefinition,
} from '../../../protos/index.ts';
import { AdsSession, type ClientAnswer, type NodeInfo } from './ads-session.ts';
import { type Snapshot, SnapshotTable } from './snapshots.ts';

export interface AdsServerOptions {
  /** Default: plaintext. */
  readonly credentials?: ServerCredentials;
  /** Which snapshot a node gets. Default: the one named `''`. */
  readonly snapshotOf?: (node: NodeInfo) => string;
  /** `control_plane.identifier`. */
  readonly identifier?: string;
  /** Before the counter in each version, so that a restarted server's versions are others. Default: the start time. */
  readonly versionPrefix?: string;
  /** Named types (EDS, RDS, SDS): send only what changed, as istiod does. Default false. */
  readonly partial?: boolean;
  readonly onAnswer?: (answer: ClientAnswer) => void;
  readonly onStreams?: (open: number) => void;
  /** A response was sent. */
  readonly onPush?: (typeUrl: string, version: string) => void;
}

export class AdsServer {
  private readonly options: AdsServerOptions;
  private readonly server: Server;
  private readonly snapshots: SnapshotTable;
  private readonly sessions = new Set<AdsSession>();
  private nextId = 1;

  constructor(options: AdsServerOptions = {}) {
    this.options = options;
    this.snapshots = new SnapshotTable(options.versionPrefix ?? `${Date.now()}/`);
    this.server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
    this.server.addService(serviceDefinition('envoy.service.discovery.v3.AggregatedDiscoveryService'), {
      StreamAggregatedResources: (call: ServerDuplexStream<Buffer, Buffer>) => this.accept(call),
    });
    // The way that an agent beside the proxy hands out secrets.
    this.server.addService(serviceDefinition('envoy.service.secret.v3.SecretDiscoveryService'), {
      StreamSecrets: (call: ServerDuplexStream<Buffer, Buffer>) => this.accept(call),
    });
  }

  /** `127.0.0.1:0` takes a free port, `unix:/path` a socket. Gives the target to dial. */
  listen(address = '127.0.0.1:0'): Promise<string> {
    const credentials = this.options.credentials ?? ServerCredentials.createInsecure();
    return new Promise((resolve, reject) => {
      this.server.bindAsync(address, credentials, (error, port) => {
        if (error !== null) reject(error);
        else resolve(address.startsWith('unix:') ? address : `${address.slice(0, address.lastIndexOf(':'))}:${port}`);
      });
    });
  }

  /** Replaces all resources of a type, name to message object or Any, and pushes what that changes. */
  setResources(typeUrl: string, resources: ReadonlyMap<string, MessageObject | Any>, snapshot = ''): void {
    this.setSnapshot(new Map([[typeUrl, resources]]), snapshot);
  }

  /** Several types at once; pushed in the order of the map, so give CDS, EDS, LDS, RDS. Types not named stay. */
  setSnapshot(types: ReadonlyMap<string, ReadonlyMap<string, MessageObject | Any>>, snapshot = ''): void {
    for (const [typeUrl, resources] of types) {
      const changed = this.snapshots.set(snapshot, typeUrl, encodeAll(typeUrl, resources));
      if (changed.size === 0) continue;
      for (const session of this.sessions) {
        if (session.snapshotName() === snapshot) session.push(typeUrl, changed);
      }
    }
  }

  /** Sends a response as it is, to every stream. For tests of what clients do with bad ones. */
  sendRaw(response: Buffer): void {
    for (const session of this.sessions) session.sendRaw(response);
  }

  openStreams(): number {
    return this.sessions.size;
  }

  /** Ends every stream in good order; clients may come again. */
  endStreams(): void {
    for (const session of this.sessions) session.end();
  }

  /** Ends the streams and stops listening. */
  async close(): Promise<void> {
    this.endStreams();
    await new Promise<void>((resolve) => {
      this.server.tryShutdown(() => resolve());
    });
  }

  /** Drops every connection and stops listening, at once. */
  kill(): void {
    this.server.forceShutdown();
  }

  private accept(call: ServerDuplexStream<Buffer, Buffer>): void {
    const session = new AdsSession({
      id: this.nextId++,
      write: (bytes) => void call.write(bytes),
      end: () => call.end(),
      snapshotOf: this.options.snapshotOf ?? (() => ''),
      find: (snapshot, typeUrl): Snapshot | undefined => this.snapshots.get(snapshot, typeUrl),
      identifier: this.options.identifier ?? 'tollway-control-plane',
      partial: this.options.partial ?? false,
      answered: (answer) => this.options.onAnswer?.(answer),
      pushed: (typeUrl, version) => this.options.onPush?.(typeUrl, version),
    });
    this.sessions.add(session);
    this.options.onStreams?.(this.sessions.size);
    call.on('data', (bytes: Buffer) => {
      try {
        session.request(decodeMessage('envoy.service.discovery.v3.DiscoveryRequest', bytes));
      } catch {
        // Not a request: this client gets nothing more.
        call.end();
      }
    });
    const gone = (): void => {
      if (this.sessions.delete(session)) this.options.onStreams?.(this.sessions.size);
    };
    call.on('end', () => {
      gone();
      call.end();
    });
    call.on('cancelled', gone);
    call.on('close', gone);
    call.on('error', gone);
  }
}

function encodeAll(typeUrl: string, resources: ReadonlyMap<string, MessageObject | Any>): Map<string, Any> {
  const message = typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
  const encoded = new Map<string, Any>();
  for (const [name, resource] of resources) {
    encoded.set(name, isAny(resource) ? resource : { type_url: typeUrl, value: encodeMessage(message, resource) });
  }
  return encoded;
}

function isAny(resource: MessageObject | Any): resource is Any {
  return typeof resource.type_url === 'string' && Buffer.isBuffer(resource.value);
}
