/**
 * From the mesh to what one proxy is to serve: Envoy's resources as proto3 JSON, named as Istio names them. The same
 * resources would drive an Envoy.
 */
import { clusterName, endpointsOf, inboundCluster, outboundCluster } from './clusters.ts';
import { gatewayListener, inboundListener, outboundListener } from './listeners.ts';
import {
  type DestinationRule,
  type Gateway,
  type Mesh,
  type Pod,
  type Service,
  selects,
  type VirtualService,
} from './mesh.ts';
import { Names } from './resolve.ts';
import { type VirtualHostJson, virtualHost } from './routes.ts';

/** Resources of one proxy by name, a map a type. */
export interface Snapshot {
  readonly listeners: Map<string, object>;
  readonly routes: Map<string, object>;
  readonly clusters: Map<string, object>;
  readonly endpoints: Map<string, object>;
}

export interface Translation {
  readonly snapshot: Snapshot;
  readonly warnings: readonly string[];
}

/** What every listener is given beside the mesh's own wishes. */
export interface MeshSettings {
  /** Percent of requests that are traced. */
  readonly tracingPercent: number;
  /** Cluster of the bootstrap that takes OTLP over HTTP. */
  readonly collector: { readonly cluster: string; readonly uri: string };
}

export const NO_DESTINATION_RULE: Omit<DestinationRule, 'name' | 'namespace' | 'host'> = {
  policy: {
    lb: 'LEAST_REQUEST',
    connectTimeoutMs: undefined,
    maxConnections: undefined,
    maxPendingRequests: undefined,
    maxRequests: undefined,
    maxRetries: undefined,
    maxRequestsPerConnection: undefined,
    idleTimeoutMs: undefined,
  },
  subsets: [],
};

/** The snapshot of `pod`'s proxy, given all pods of the mesh. */
export function translate(mesh: Mesh, pods: readonly Pod[], pod: Pod, settings: MeshSettings): Translation {
  const names = new Names(mesh);
  const snapshot: Snapshot = { listeners: new Map(), routes: new Map(), clusters: new Map(), endpoints: new Map() };

  for (const service of mesh.services) {
    const rule = mesh.destinationRules.find(
      (candidate) =>
        names.service(candidate.host, candidate.namespace, `DestinationRule ${candidate.name}`) === service,
    );
    addClusters(snapshot, service, rule, pods);
  }
  if (pod.gateway) addGateways(snapshot, mesh, pod, names, settings);
  else addSidecar(snapshot, mesh, pod, names, settings);
  return { snapshot, warnings: names.warnings };
}

function addClusters(
  snapshot: Snapshot,
  service: Service,
  rule: DestinationRule | undefined,
  pods: readonly Pod[],
): void {
  const { policy, subsets } = rule ?? NO_DESTINATION_RULE;
  const chosen = pods.filter((p) => p.namespace === service.namespace && selects(service.selector, p.labels));
  const variants = [{ name: '', labels: {}, policy }, ...subsets];
  for (const port of service.ports) {
    for (const variant of variants) {
      const name = clusterName(service, port.number, variant.name);
      const members = chosen.filter((p) => variant.name === '' || selects(variant.labels, p.labels));
      const identities = [
        ...new Set(chosen.map((p) => `spiffe://cluster.local/ns/${p.namespace}/sa/${p.serviceAccount}`)),
      ];
      snapshot.clusters.set(name, outboundCluster(name, service, port, variant.name, variant.policy, identities));
      snapshot.endpoints.set(name, endpointsOf(name, members));
    }
  }
}

function addSidecar(snapshot: Snapshot, mesh: Mesh, pod: Pod, names: Names, settings: MeshSettings): void {
  const inbound = `inbound|${pod.ports.app}||`;
  snapshot.clusters.set(inbound, inboundCluster(inbound, pod, takesHttp2(mesh, pod)));
  snapshot.listeners.set('inbound', inboundListener(pod, inbound, settings));
  snapshot.listeners.set('outbound', outboundListener(pod, 'outbound', settings));

  const hosts: VirtualHostJson[] = [];
  for (const service of mesh.services) {
    for (const port of service.ports) {
      const own = mesh.virtualServices.find(
        (v) => servesMesh(v) && v.hosts.some((h) => names.service(h, v.namespace, v.source) === service),
      );
      const domains = [
        service.host,
        `${service.name}.${service.namespace}.svc`,
        `${service.name}.${service.namespace}`,
      ];
      if (service.namespace === pod.namespace) domains.push(service.name);
      hosts.push(virtualHost(`${service.host}:${port.number}`, domains, own, service, port.number, names));
    }
  }
  snapshot.routes.set('outbound', routeConfiguration('outbound', hosts));
}

/** Whether the application of `pod` speaks HTTP/2: a service that selects it says so. */
function takesHttp2({ services }: Mesh, pod: Pod): boolean {
  return services.some(
    (service) =>
      service.namespace === pod.namespace &&
      selects(service.selector, pod.labels) &&
      service.ports.some(({ http2 }) => http2),
  );
}

function addGateways(snapshot: Snapshot, mesh: Mesh, pod: Pod, names: Names, settings: MeshSettings): void {
  for (const gateway of mesh.gateways.filter((g) => selects(g.selector, pod.labels))) {
    for (const server of gateway.servers) {
      const bound = pod.ports.gateway[String(server.port)];
      if (bound === undefined) continue;
      const route = `http.${server.port}`;
      snapshot.listeners.set(
        `0.0.0.0_${server.port}`,
        gatewayListener(`0.0.0.0_${server.port}`, pod, bound, route, settings),
      );
      snapshot.routes.set(
        route,
        routeConfiguration(route, gatewayHosts(mesh, gateway, server.hosts, server.port, names)),
      );
    }
  }
}

function gatewayHosts(
  mesh: Mesh,
  gateway: Gateway,
  accepted: readonly string[],
  port: number,
  names: Names,
): VirtualHostJson[] {
  const hosts: VirtualHostJson[] = [];
  for (const service of mesh.virtualServices) {
    const bound = service.gateways.some(
      (g) => g !== 'mesh' && names.gateway(g, service.namespace, service.source) === gateway,
    );
    if (!bound) continue;
    const domains = service.hosts.filter((host) => accepted.some((pattern) => covers(pattern, host)));
    if (domains.length > 0)
      hosts.push(virtualHost(`${service.namespace}/${service.name}:${port}`, domains, service, undefined, port, names));
  }
  return hosts;
}

function routeConfiguration(name: string, hosts: readonly VirtualHostJson[]): object {
  return { name, virtual_hosts: hosts, ignore_port_in_host_matching: true, validate_clusters: false };
}

function servesMesh(service: VirtualService): boolean {
  return service.gateways.length === 0 || service.gateways.includes('mesh');
}

/** Whether a Gateway's host pattern (`*`, `*.example`, `ns/host`) takes in `host`. */
function covers(pattern: string, host: string): boolean {
  const name = pattern.includes('/') ? (pattern.split('/')[1] as string) : pattern;
  return name === '*' || name === host || (name.startsWith('*.') && host.endsWith(name.slice(1)));
}
