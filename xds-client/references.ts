/** What a resource refers to by name: the names to ask for, and what it must wait for. Pure. */
import type { Cluster } from './model/cluster.ts';
import type { ConfigSource } from './model/common.ts';
import type { FilterChain, Listener } from './model/listener.ts';
import type { RouteConfiguration } from './model/route.ts';
import type { TlsParameters } from './model/tls.ts';
import type { SecretUser } from './resource-types.ts';

/** A dynamic resource that is referred to, and where it comes from. */
export interface Reference {
  readonly name: string;
  readonly source: ConfigSource;
}

/** It is waited for without limit (initial_fetch_timeout 0). */
export function isPatient({ source }: Reference): boolean {
  return source.initialFetchTimeoutMs === 0;
}

/** The assignment that an EDS cluster asks for: its service name, or else its own. */
export function assignmentOf(cluster: Cluster): Reference | undefined {
  if (cluster.discovery.kind !== 'eds') return undefined;
  const { serviceName, source } = cluster.discovery;
  return { name: serviceName === '' ? cluster.name : serviceName, source };
}

export function secretsOfCluster(cluster: Cluster): Reference[] {
  const found: Reference[] = [];
  if (cluster.transportSocket.kind === 'tls') addSecrets(cluster.transportSocket.tls.common, found);
  for (const { transportSocket } of cluster.transportSocketMatches) {
    if (transportSocket.kind === 'tls') addSecrets(transportSocket.tls.common, found);
  }
  return found;
}

/** What a listener or cluster needs of SDS and of the bootstrap's secrets. */
export function secretsOf(user: SecretUser): Reference[] {
  return user.kind === 'cluster' ? secretsOfCluster(user.value) : secretsOfListener(user.value);
}

/** The route configurations that the connection managers of every chain ask for. */
export function routesOfListener(listener: Listener): Reference[] {
  const found: Reference[] = [];
  for (const { filters } of chainsOf(listener)) {
    for (const filter of filters) {
      if (filter.kind !== 'http-connection-manager' || filter.config.routes.kind !== 'rds') continue;
      found.push({ name: filter.config.routes.name, source: filter.config.routes.source });
    }
  }
  return found;
}

export function secretsOfListener(listener: Listener): Reference[] {
  const found: Reference[] = [];
  for (const { transportSocket } of chainsOf(listener)) {
    if (transportSocket.kind === 'tls') addSecrets(transportSocket.tls.common, found);
  }
  return found;
}

/** `stat_prefix` of every connection manager that asks for the route configuration. */
export function statPrefixesOfRoutes(listener: Listener, routes: string): string[] {
  const found: string[] = [];
  for (const { filters } of chainsOf(listener)) {
    for (const filter of filters) {
      if (filter.kind !== 'http-connection-manager' || filter.config.routes.kind !== 'rds') continue;
      if (filter.config.routes.name === routes) found.push(filter.config.statPrefix);
    }
  }
  return found;
}

/** The clusters a listener sends to without asking for routes. */
export function addClustersOfListener(listener: Listener, into: Set<string>): void {
  for (const { filters } of chainsOf(listener)) {
    for (const filter of filters) {
      if (filter.kind === 'tcp-proxy') for (const { name } of filter.config.clusters) into.add(name);
      if (filter.kind === 'http-connection-manager' && filter.config.routes.kind === 'inline') {
        addClustersOfRoutes(filter.config.routes.config, into);
      }
    }
  }
}

export function addClustersOfRoutes(routes: RouteConfiguration, into: Set<string>): void {
  for (const virtualHost of routes.virtualHosts) {
    for (const { action } of virtualHost.routes) {
      if (action.kind !== 'route') continue;
      if (action.cluster.kind === 'name') into.add(action.cluster.name);
      if (action.cluster.kind === 'weighted') for (const { name } of action.cluster.clusters) into.add(name);
      for (const { cluster } of action.mirrors) into.add(cluster);
    }
  }
}

function chainsOf(listener: Listener): readonly FilterChain[] {
  return listener.defaultFilterChain === undefined
    ? listener.filterChains
    : [...listener.filterChains, listener.defaultFilterChain];
}

function addSecrets(parameters: TlsParameters, into: Reference[]): void {
  for (const certificate of parameters.certificates) {
    if (certificate.kind === 'sds') into.push({ name: certificate.name, source: certificate.source });
  }
  const { validation } = parameters;
  if (validation?.kind === 'sds') into.push({ name: validation.name, source: validation.source });
}
