/**
 * The demo's control plane: reads a folder of Istio YAML, pushes every proxy its part of it over ADS, and again when a
 * file changes; hands out certificates, which it has the starter sign. Its state is the folder and the pods: killed and
 * started again it goes on.
 */
import { rmSync, watch } from 'node:fs';
import { fromJson, type JsonProblem, type MessageObject } from '../../../protos/index.ts';
import { COLLECTOR_CLUSTER } from '../bootstrap.ts';
import type { Mesh, Pod } from '../istio/mesh.ts';
import { readMesh } from '../istio/read.ts';
import { type Snapshot, translate } from '../istio/translate.ts';
import { nodeId } from '../pods.ts';
import { AdsServer } from './ads-server.ts';
import type { ControlPlaneStatus, FromControlPlane, ToControlPlane } from './protocol.ts';

const TYPE = 'type.googleapis.com/';
const CLUSTER = 'envoy.config.cluster.v3.Cluster';
const ENDPOINTS = 'envoy.config.endpoint.v3.ClusterLoadAssignment';
const LISTENER = 'envoy.config.listener.v3.Listener';
const ROUTES = 'envoy.config.route.v3.RouteConfiguration';
const SECRET = 'envoy.extensions.transport_sockets.tls.v3.Secret';

/** Certificates live 30 s; each is replaced somewhere between a third and a half of that. */
const RENEW_AFTER_MS = [10_000, 15_000] as const;
const EDIT_SETTLES_MS = 150;
const STATUS_EVERY_MS = 250;
const TRACING_PERCENT = 10;

interface Settings {
  readonly meshFolder: string;
  readonly socket: string;
  readonly collectorPort: string;
}

class ControlPlane {
  private readonly settings: Settings;
  private readonly server: AdsServer;
  private pods: readonly Pod[] = [];
  private mesh: Mesh | undefined;
  private pushes = 0;
  private rejected = 0;
  private connected = 0;
  private warnings: readonly string[] = [];
  private readonly refusals: string[] = [];
  private taken = 0;
  private error: string | undefined;
  private readonly renewals = new Map<string, NodeJS.Timeout>();

  constructor(settings: Settings) {
    this.settings = settings;
    this.server = new AdsServer({
      identifier: 'tollway-demo',
      snapshotOf: (node) => node.id,
      onStreams: (open) => {
        this.connected = open;
      },
      onAnswer: ({ kind, node, typeUrl, error }) => {
        if (kind === 'ack') this.pushes++;
        if (kind !== 'nack') return;
        this.rejected++;
        if (this.refusals.length < 10)
          this.refusals.push(`${node} refused ${typeUrl.slice(TYPE.length)}: ${error?.message ?? ''}`);
      },
    });
  }

  async start(): Promise<void> {
    rmSync(this.settings.socket, { force: true });
    await this.server.listen(`unix:${this.settings.socket}`);
    let settling: NodeJS.Timeout | undefined;
    watch(this.settings.meshFolder, { recursive: true }, () => {
      clearTimeout(settling);
      settling = setTimeout(() => this.read(), EDIT_SETTLES_MS);
    });
    this.read();
    setInterval(() => this.tell({ type: 'status', status: this.status() }), STATUS_EVERY_MS);
  }

  take(message: ToControlPlane): void {
    if (message.type === 'certificate') {
      this.server.setResources(TYPE + SECRET, secrets(message.chain, message.key, message.root), message.node);
      return;
    }
    this.pods = message.pods;
    this.apply(() => this.mesh);
    const nodes = new Set(message.pods.map(nodeId));
    for (const pod of message.pods) if (!this.renewals.has(nodeId(pod))) this.renew(pod);
    for (const [node, timer] of this.renewals) {
      if (nodes.has(node)) continue;
      clearTimeout(timer);
      this.renewals.delete(node);
    }
  }

  private read(): void {
    this.apply(() => readMesh(this.settings.meshFolder));
  }

  /** A state that cannot stand changes nothing; what was served goes on. */
  private apply(state: () => Mesh | undefined): void {
    try {
      const mesh = state();
      if (mesh === undefined) return;
      this.serve(mesh);
      if (mesh !== this.mesh) this.taken++;
      this.mesh = mesh;
      this.error = undefined;
    } catch (thrown) {
      this.error = thrown instanceof Error ? thrown.message : String(thrown);
    }
  }

  /** Everything is translated before anything is pushed. */
  private serve(mesh: Mesh): void {
    const { pods } = this;
    const collector = { cluster: COLLECTOR_CLUSTER, uri: `http://127.0.0.1:${this.settings.collectorPort}/v1/traces` };
    const warnings = new Set(mesh.warnings);
    const snapshots = pods.map((pod) => {
      const translation = translate(mesh, pods, pod, { tracingPercent: TRACING_PERCENT, collector });
      for (const warning of translation.warnings) warnings.add(warning);
      return { node: nodeId(pod), snapshot: encode(translation.snapshot) };
    });
    for (const { node, snapshot } of snapshots) this.server.setSnapshot(snapshot, node);
    this.warnings = [...warnings];
  }

  private renew(pod: Pod): void {
    const node = nodeId(pod);
    this.tell({ type: 'issue', node, spiffeId: `spiffe://cluster.local/ns/${pod.namespace}/sa/${pod.serviceAccount}` });
    const [least, most] = RENEW_AFTER_MS;
    this.renewals.set(
      node,
      setTimeout(() => this.renew(pod), least + Math.random() * (most - least)),
    );
  }

  private status(): ControlPlaneStatus {
    return {
      pushes: this.pushes,
      rejected: this.rejected,
      connected: this.connected,
      warnings: [...this.warnings, ...this.refusals],
      taken: this.taken,
      error: this.error,
    };
  }

  private tell(message: FromControlPlane): void {
    if (process.connected) process.send?.(message);
  }
}

/** In the order in which they are pushed. */
function encode(snapshot: Snapshot): Map<string, Map<string, MessageObject>> {
  return new Map([
    [TYPE + CLUSTER, messages(CLUSTER, snapshot.clusters)],
    [TYPE + ENDPOINTS, messages(ENDPOINTS, snapshot.endpoints)],
    [TYPE + LISTENER, messages(LISTENER, snapshot.listeners)],
    [TYPE + ROUTES, messages(ROUTES, snapshot.routes)],
  ]);
}

function messages(type: string, resources: ReadonlyMap<string, object>): Map<string, MessageObject> {
  const made = new Map<string, MessageObject>();
  for (const [name, resource] of resources) {
    const problems: JsonProblem[] = [];
    made.set(name, fromJson(type, resource, problems));
    const first = problems[0];
    if (first !== undefined) throw new Error(`${type} ${name}: ${first.path}: ${first.message}`);
  }
  return made;
}

function secrets(chain: string, key: string, root: string): Map<string, MessageObject> {
  const inline = (inline_string: string) => ({ inline_string });
  return messages(
    SECRET,
    new Map<string, object>([
      ['default', { name: 'default', tls_certificate: { certificate_chain: inline(chain), private_key: inline(key) } }],
      ['ROOTCA', { name: 'ROOTCA', validation_context: { trusted_ca: inline(root) } }],
    ]),
  );
}

const { MESH_FOLDER, MESH_SOCKET, MESH_COLLECTOR_PORT } = process.env;
if (MESH_FOLDER === undefined || MESH_SOCKET === undefined || MESH_COLLECTOR_PORT === undefined) {
  throw new Error('started by npm start only: MESH_FOLDER, MESH_SOCKET and MESH_COLLECTOR_PORT are not set');
}
const controlPlane = new ControlPlane({
  meshFolder: MESH_FOLDER,
  socket: MESH_SOCKET,
  collectorPort: MESH_COLLECTOR_PORT,
});
process.on('message', (message) => controlPlane.take(message as ToControlPlane));
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
await controlPlane.start();
