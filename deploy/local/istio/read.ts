/** Reads a folder of YAML into a `Mesh`. Each sub-folder is a namespace; a file may hold several documents. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { Fields, MeshError } from './fields.ts';
import {
  type Deployment,
  type DestinationRule,
  type Gateway,
  type HttpMatch,
  type HttpRoute,
  type Mesh,
  type Service,
  selects,
  serviceHost,
  type TextMatch,
  type TrafficPolicy,
  type VirtualService,
} from './mesh.ts';

/** Known kinds that arrive with a later version; saying so beats silence. */
const LATER = new Set([
  'ServiceEntry',
  'PeerAuthentication',
  'AuthorizationPolicy',
  'RequestAuthentication',
  'Sidecar',
  'Telemetry',
]);

/**
 * Reads every `<namespace>/*.yaml` below `folder`.
 * Throws `MeshError` naming file, resource and field when something cannot stand; what is accepted but not acted on is in
 * `warnings`.
 */
export function readMesh(folder: string): Mesh {
  const files = new Map<string, string>();
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    for (const file of readdirSync(join(folder, entry.name)).sort()) {
      if (/\.ya?ml$/.test(file))
        files.set(`${entry.name}/${file}`, readFileSync(join(folder, entry.name, file), 'utf8'));
    }
  }
  return parseMesh(files);
}

/** As `readMesh`, from texts keyed by `<namespace>/<file>`. */
export function parseMesh(files: ReadonlyMap<string, string>): Mesh {
  const warnings: string[] = [];
  const deployments: Deployment[] = [];
  const services: Service[] = [];
  const gateways: Gateway[] = [];
  const virtualServices: VirtualService[] = [];
  const destinationRules: DestinationRule[] = [];

  for (const [file, text] of files) {
    const namespaceOfFolder = file.split('/')[0] as string;
    for (const document of parseAllDocuments(text)) {
      const problem = document.errors[0];
      if (problem !== undefined) throw new MeshError(`${file}: ${problem.message}`);
      const value: unknown = document.toJS();
      if (value === null || value === undefined) continue;
      const top = new Fields(value, file, (message) => warnings.push(message));
      const kind = top.requiredText('kind');
      const metadata = top.requiredObject('metadata');
      const name = metadata.requiredText('name');
      const namespace = metadata.text('namespace') ?? namespaceOfFolder;
      if (LATER.has(kind)) {
        warnings.push(`${file}: ${kind} ${name} is not acted on yet`);
        continue;
      }
      const spec = new Fields(top.has('spec') ? readSpec(value) : {}, `${file}: ${kind} ${name}: spec`, (message) =>
        warnings.push(message),
      );
      if (kind === 'Deployment') deployments.push(readDeployment(name, namespace, spec));
      else if (kind === 'Service') services.push(readService(name, namespace, spec));
      else if (kind === 'Gateway') gateways.push(readGateway(name, namespace, spec));
      else if (kind === 'VirtualService') virtualServices.push(readVirtualService(name, namespace, spec, file));
      else if (kind === 'DestinationRule') destinationRules.push(readDestinationRule(name, namespace, spec));
      else warnings.push(`${file}: kind ${kind} is unknown and left out`);
    }
  }

  for (const deployment of deployments) {
    const chosen = services.some((s) => s.namespace === deployment.namespace && selects(s.selector, deployment.labels));
    if (chosen || deployment.containerPort === undefined) continue;
    const { name, namespace, labels, containerPort } = deployment;
    warnings.push(
      `no Service selects Deployment ${namespace}/${name}: taken as a service of that name on port ${containerPort}`,
    );
    services.push({
      name,
      namespace,
      host: serviceHost(name, namespace),
      selector: labels,
      ports: [{ number: containerPort, http2: false }],
    });
  }
  return { deployments, services, gateways, virtualServices, destinationRules, warnings };
}

function readSpec(document: unknown): unknown {
  return (document as { readonly spec: unknown }).spec;
}

function readDeployment(name: string, namespace: string, spec: Fields): Deployment {
  const replicas = spec.number('replicas') ?? 1;
  if (!Number.isInteger(replicas) || replicas < 0 || replicas > 20) {
    throw new MeshError(`${spec.path}.replicas must be a whole number from 0 to 20, not ${replicas}`);
  }
  const template = spec.requiredObject('template');
  const labels = template.requiredObject('metadata').textMap('labels');
  const pod = template.requiredObject('spec');
  const container = pod.list('containers')[0];
  if (container === undefined) throw new MeshError(`${pod.path}.containers is required`);
  const port = container.list('ports')[0]?.number('containerPort');
  return {
    name,
    namespace,
    replicas,
    labels,
    serviceAccount: pod.text('serviceAccountName') ?? name,
    image: container.requiredText('image'),
    containerPort: port,
  };
}

function readService(name: string, namespace: string, spec: Fields): Service {
  const ports = spec.list('ports').map((port) => {
    const number = port.number('port');
    if (number === undefined) throw new MeshError(`${port.path}.port is required`);
    const http2 = speaksHttp2(port.text('name'), port.text('appProtocol'));
    port.skip('targetPort', 'protocol');
    port.finish();
    return { number, http2 };
  });
  const selector = spec.textMap('selector');
  spec.finish();
  return { name, namespace, host: serviceHost(name, namespace), selector, ports };
}

/** Istio's protocol selection: `appProtocol`, else the port's name as in `grpc` or `http2-admin`. gRPC-Web is HTTP/1.1. */
function speaksHttp2(name: string | undefined, appProtocol: string | undefined): boolean {
  if (appProtocol !== undefined) return ['grpc', 'http2', 'kubernetes.io/h2c'].includes(appProtocol.toLowerCase());
  return name !== undefined && /^(grpc|http2)(-(?!web)|$)/i.test(name);
}

function readGateway(name: string, namespace: string, spec: Fields): Gateway {
  const selector = spec.textMap('selector');
  const servers = spec.list('servers').map((server) => {
    const port = server.requiredObject('port');
    const number = port.number('number');
    if (number === undefined) throw new MeshError(`${port.path}.number is required`);
    const protocol = port.text('protocol') ?? 'HTTP';
    if (protocol !== 'HTTP') throw new MeshError(`${port.path}.protocol is ${protocol}: only HTTP is served here`);
    port.skip('name');
    port.finish();
    const hosts = server.texts('hosts');
    server.finish();
    return { port: number, hosts };
  });
  spec.finish();
  return { name, namespace, selector, servers };
}

function readVirtualService(name: string, namespace: string, spec: Fields, source: string): VirtualService {
  const hosts = spec.texts('hosts');
  if (hosts.length === 0) throw new MeshError(`${spec.path}.hosts must name at least one host`);
  const gateways = spec.texts('gateways');
  const http = spec.list('http').map((route, at) => readHttpRoute(route, `${name}-${at}`));
  spec.finish();
  return { name, namespace, hosts, gateways, http, source };
}

function readHttpRoute(route: Fields, fallbackName: string): HttpRoute {
  const matches = route.list('match').map(readMatch);
  const destinations = route.list('route').map((entry) => {
    const destination = entry.requiredObject('destination');
    const made = {
      host: destination.requiredText('host'),
      subset: destination.text('subset'),
      port: destination.object('port')?.number('number'),
      weight: entry.number('weight') ?? 0,
    };
    destination.finish();
    entry.finish();
    return made;
  });
  if (destinations.length === 0) throw new MeshError(`${route.path}.route must name at least one destination`);
  const only = destinations.length === 1 ? destinations[0] : undefined;
  const retries = route.object('retries');
  const made: HttpRoute = {
    name: route.text('name') ?? fallbackName,
    matches,
    destinations: only === undefined ? destinations : [{ ...only, weight: 100 }],
    rewriteUri: route.object('rewrite')?.text('uri'),
    timeoutMs: route.durationMs('timeout'),
    retries:
      retries === undefined
        ? undefined
        : {
            attempts: retries.number('attempts') ?? 2,
            perTryTimeoutMs: retries.durationMs('perTryTimeout'),
            retryOn: retries.text('retryOn'),
          },
  };
  retries?.finish();
  route.finish();
  return made;
}

function readMatch(match: Fields): HttpMatch {
  const uri = match.object('uri');
  const method = match.object('method');
  const headers = match.object('headers');
  const made: HttpMatch = {
    uri: uri === undefined ? undefined : readTextMatch(uri),
    method: method === undefined ? undefined : readTextMatch(method),
    headers: (headers?.names() ?? []).map((name) => ({
      name: name.toLowerCase(),
      match: readTextMatch((headers as Fields).requiredObject(name)),
    })),
  };
  match.finish();
  return made;
}

function readTextMatch(match: Fields): TextMatch {
  for (const kind of ['exact', 'prefix', 'regex'] as const) {
    const value = match.text(kind);
    if (value !== undefined) return { kind, value };
  }
  throw new MeshError(`${match.path} must be one of exact, prefix, regex`);
}

function readDestinationRule(name: string, namespace: string, spec: Fields): DestinationRule {
  const host = spec.requiredText('host');
  const policy = readPolicy(spec.object('trafficPolicy'), undefined);
  const subsets = spec.list('subsets').map((subset) => {
    const made = {
      name: subset.requiredText('name'),
      labels: subset.textMap('labels'),
      policy: readPolicy(subset.object('trafficPolicy'), policy),
    };
    subset.finish();
    return made;
  });
  spec.finish();
  return { name, namespace, host, policy, subsets };
}

const NO_POLICY: TrafficPolicy = {
  lb: 'LEAST_REQUEST',
  connectTimeoutMs: undefined,
  maxConnections: undefined,
  maxPendingRequests: undefined,
  maxRequests: undefined,
  maxRetries: undefined,
  maxRequestsPerConnection: undefined,
  idleTimeoutMs: undefined,
};

/** A subset's policy overrides its rule's, member by member. */
function readPolicy(policy: Fields | undefined, base: TrafficPolicy = NO_POLICY): TrafficPolicy {
  if (policy === undefined) return base;
  const pool = policy.object('connectionPool');
  const tcp = pool?.object('tcp');
  const http = pool?.object('http');
  const made: TrafficPolicy = {
    lb: readLoadBalancer(policy.object('loadBalancer')) ?? base.lb,
    connectTimeoutMs: tcp?.durationMs('connectTimeout') ?? base.connectTimeoutMs,
    maxConnections: tcp?.number('maxConnections') ?? base.maxConnections,
    maxPendingRequests: http?.number('http1MaxPendingRequests') ?? base.maxPendingRequests,
    maxRequests: http?.number('http2MaxRequests') ?? base.maxRequests,
    maxRetries: http?.number('maxRetries') ?? base.maxRetries,
    maxRequestsPerConnection: http?.number('maxRequestsPerConnection') ?? base.maxRequestsPerConnection,
    idleTimeoutMs: http?.durationMs('idleTimeout') ?? base.idleTimeoutMs,
  };
  for (const fields of [tcp, http, pool, policy]) fields?.finish();
  return made;
}

function readLoadBalancer(lb: Fields | undefined): TrafficPolicy['lb'] | undefined {
  const simple = lb?.text('simple');
  lb?.finish();
  if (simple === undefined || simple === 'UNSPECIFIED') return undefined;
  if (simple === 'LEAST_REQUEST' || simple === 'LEAST_CONN') return 'LEAST_REQUEST';
  if (simple === 'ROUND_ROBIN' || simple === 'RANDOM') return simple;
  throw new MeshError(`${lb?.path}.simple is ${simple}: LEAST_REQUEST, ROUND_ROBIN and RANDOM are known`);
}
