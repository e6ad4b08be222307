/** How to reach the control plane that the bootstrap names: its cluster's endpoints, one after the other. */
import { credentials } from '@grpc/grpc-js';
import type { ControlPlaneConnection } from '../xds-client/configuration.ts';
import type { Bootstrap } from '../xds-client/model/bootstrap.ts';
import type { Cluster } from '../xds-client/model/cluster.ts';
import type { Address, ConfigSource, GrpcService } from '../xds-client/model/common.ts';
import type { Secret } from '../xds-client/model/tls.ts';
import { controlPlaneCredentials, controlPlaneServerName } from './control-plane-tls.ts';
import { ProxyError } from './errors.ts';
import { addressText } from './upstream/contract.ts';

/** Secrets that the process supplies itself, as they are now. */
export type SuppliedSecrets = () => readonly Secret[];

/**
 * Envoy waits for up to 30 s. An agent behind a UNIX socket is no server that a fleet could overrun, and certificates may have
 * expired while it was away.
 */
const AGENT_BACKOFF = { baseMs: 500, maxMs: 1_000 };

/** The connection for `ads` (the bootstrap's ADS services) or for a source with a cluster of its own. */
export function controlPlaneConnection(
  bootstrap: Bootstrap,
  source: ConfigSource,
  supplied: SuppliedSecrets = () => [],
): ControlPlaneConnection {
  const services = servicesOf(bootstrap, source);
  return {
    initialMetadata: services[0]?.initialMetadata ?? [],
    endpoint: endpointsOf(bootstrap, services, supplied),
    ...(source.kind === 'grpc' && isAgent(bootstrap, source.cluster) ? { backoff: AGENT_BACKOFF } : {}),
  };
}

/** The endpoints of a static cluster for gRPC, one for each number of failures; TLS material is read at each call. */
export function clusterEndpoint(bootstrap: Bootstrap, cluster: string): ControlPlaneConnection['endpoint'] {
  return endpointsOf(bootstrap, [service(cluster)], () => []);
}

/** On this machine, and nobody else's. */
function isAgent(bootstrap: Bootstrap, name: string): boolean {
  const cluster = bootstrap.clusters.find((one) => one.name === name);
  return cluster !== undefined && addressesOf(cluster).every(({ kind }) => kind === 'pipe');
}

function endpointsOf(
  bootstrap: Bootstrap,
  services: readonly GrpcService[],
  supplied: SuppliedSecrets,
): ControlPlaneConnection['endpoint'] {
  const endpoints = services.flatMap((service) => {
    const cluster = bootstrap.clusters.find(({ name }) => name === service.cluster);
    if (cluster === undefined) {
      throw new ProxyError(
        'control-plane-unknown',
        `control plane cluster "${service.cluster}" is not among the bootstrap's static clusters`,
      );
    }
    return addressesOf(cluster).map((address) => ({ cluster, address, authority: service.authority }));
  });
  if (endpoints.length === 0)
    throw new ProxyError('control-plane-unknown', 'the control plane has no endpoint in the bootstrap');
  return (attempt) => {
    const { cluster, address, authority } = endpoints[attempt % endpoints.length] as (typeof endpoints)[number];
    const { transportSocket } = cluster;
    if (transportSocket.kind === 'raw') {
      return { target: targetOf(address), authority, credentials: credentials.createInsecure() };
    }
    const { tls } = transportSocket;
    return {
      target: targetOf(address),
      authority: authority ?? tls.sni,
      ...controlPlaneCredentials(cluster.name, tls, [...bootstrap.secrets, ...supplied()]),
      serverName: controlPlaneServerName(tls, address),
    };
  };
}

function servicesOf(bootstrap: Bootstrap, source: ConfigSource): readonly GrpcService[] {
  return source.kind === 'grpc' ? [service(source.cluster)] : (bootstrap.ads?.services ?? []);
}

function service(cluster: string): GrpcService {
  return { cluster, authority: undefined, timeoutMs: undefined, initialMetadata: [] };
}

function addressesOf({ discovery }: Cluster): readonly Address[] {
  if (discovery.kind === 'eds' || discovery.kind === 'original-dst') return [];
  return discovery.localities.flatMap(({ endpoints }) => endpoints.map(({ address }) => address));
}

/** grpc-js resolves names itself, on every attempt. */
function targetOf(address: Address): string {
  if (address.kind === 'socket') return addressText(address);
  return address.path.startsWith('@') ? `unix-abstract:${address.path.slice(1)}` : `unix:${address.path}`;
}
