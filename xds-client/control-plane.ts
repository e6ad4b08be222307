/** The endpoints of a control plane, from the bootstrap's cluster for it. */
import { isIP, isIPv6 } from 'node:net';
import { ChannelCredentials } from '@grpc/grpc-js';
import type { Cluster } from './model/cluster.ts';
import type { Address } from './model/common.ts';
import type { UpstreamTls } from './model/tls.ts';
import type { ControlPlaneEndpoint } from './stream.ts';

export interface ControlPlaneOptions {
  /** A static or DNS cluster of the bootstrap. */
  readonly cluster: Cluster;
  /** GrpcService's `authority`. */
  readonly authority: string | undefined;
  /** Credentials of the newest certificates. Called for every attempt; may throw while there are none. */
  readonly credentials: (tls: UpstreamTls) => ChannelCredentials;
}

/**
 * The stream's `endpoint`: the cluster's endpoints by priority, the next one after each failure. Throws when the cluster
 * has none to name, as an EDS cluster has: it would need the control plane to find the control plane.
 */
export function controlPlaneEndpoints(options: ControlPlaneOptions): (failures: number) => ControlPlaneEndpoint {
  const { cluster, authority, credentials } = options;
  const { discovery, transportSocket } = cluster;
  if (discovery.kind === 'eds' || discovery.kind === 'original-dst') {
    throw new Error(`cluster "${cluster.name}": a control plane's cluster is STATIC or DNS, not ${discovery.kind}`);
  }
  const addresses = [...discovery.localities]
    .sort((a, b) => a.priority - b.priority)
    .flatMap(({ endpoints }) => endpoints.map(({ address }) => address));
  if (addresses.length === 0) throw new Error(`cluster "${cluster.name}": the control plane's cluster has no endpoint`);
  return (failures) => {
    const address = addresses[failures % addresses.length] as Address;
    const target = targetOf(address);
    if (transportSocket.kind === 'raw') return { target, credentials: ChannelCredentials.createInsecure(), authority };
    const { tls } = transportSocket;
    return { target, credentials: credentials(tls), authority, serverName: serverNameOf(tls, address) };
  };
}

/** The grpc-js target of an address. */
export function targetOf(address: Address): string {
  if (address.kind === 'pipe') return `unix:${address.path}`;
  const { host, port } = address;
  if (isIPv6(host)) return `ipv6:[${host}]:${port}`;
  return isIP(host) === 0 ? `dns:///${host}:${port}` : `ipv4:${host}:${port}`;
}

/** A name is always needed (see ControlPlaneEndpoint): without SNI in the configuration, one that says nothing. */
function serverNameOf(tls: UpstreamTls, address: Address): string | undefined {
  if (tls.sni !== undefined && tls.sni !== '') return tls.sni;
  return address.kind === 'socket' && isIP(address.host) === 0 ? undefined : 'localhost';
}
