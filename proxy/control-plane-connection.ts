/** How to reach the control plane that the bootstrap names: its cluster's endpoints, one after the other. */
import { readFileSync } from 'node:fs';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import type { ControlPlaneConnection } from '../xds-client/configuration.ts';
import type { Bootstrap } from '../xds-client/model/bootstrap.ts';
import type { Cluster } from '../xds-client/model/cluster.ts';
import type { Address, ConfigSource, DataSource, GrpcService } from '../xds-client/model/common.ts';
import type { UpstreamTls } from '../xds-client/model/tls.ts';
import { ProxyError } from './errors.ts';
import { addressText } from './upstream/contract.ts';

/** The connection for `ads` (the bootstrap's ADS services) or for a source with a cluster of its own. */
export function controlPlaneConnection(bootstrap: Bootstrap, source: ConfigSource): ControlPlaneConnection {
  const services = servicesOf(bootstrap, source);
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
  return {
    initialMetadata: services[0]?.initialMetadata ?? [],
    endpoint: (attempt) => {
      const { cluster, address, authority } = endpoints[attempt % endpoints.length] as (typeof endpoints)[number];
      const { transportSocket } = cluster;
      const tls = transportSocket.kind === 'tls' ? transportSocket.tls : undefined;
      return {
        target: targetOf(address),
        authority: authority ?? tls?.sni,
        credentials: tls === undefined ? credentials.createInsecure() : tlsCredentials(cluster.name, tls),
        ...(tls?.sni === undefined ? {} : { options: { 'grpc.ssl_target_name_override': tls.sni } }),
      };
    },
  };
}

function servicesOf(bootstrap: Bootstrap, source: ConfigSource): readonly GrpcService[] {
  if (source.kind === 'grpc') {
    return [{ cluster: source.cluster, authority: undefined, timeoutMs: undefined, initialMetadata: [] }];
  }
  return bootstrap.ads?.services ?? [];
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

/** Read on every attempt, so that rotated files are taken. */
function tlsCredentials(cluster: string, { common }: UpstreamTls): ChannelCredentials {
  const [certificate] = common.certificates;
  if (certificate?.kind === 'sds' || common.validation?.kind === 'sds') {
    throw new ProxyError(
      'control-plane-tls',
      `cluster "${cluster}": the control plane's own TLS takes files or inline secrets, not SDS`,
    );
  }
  const trustedCa = common.validation?.context.trustedCa;
  return credentials.createSsl(
    trustedCa === undefined ? null : bytesOf(trustedCa),
    certificate === undefined ? null : bytesOf(certificate.secret.privateKey),
    certificate === undefined ? null : bytesOf(certificate.secret.certificateChain),
  );
}

function bytesOf(source: DataSource): Buffer {
  switch (source.kind) {
    case 'inline':
      return Buffer.from(source.base64, 'base64');
    case 'file':
      return readFileSync(source.path);
    case 'environment':
      return Buffer.from(process.env[source.variable] ?? '');
  }
}
