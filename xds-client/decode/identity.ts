/**
 * `node.metadata.TOLLWAY_IDENTITY`: Tollway's own part of a bootstrap, in a place where Envoy ignores it. Read strictly: what
 * decides who the workload is must not be misspelt.
 */
import { isIP } from 'node:net';
import type { Node } from '../model/bootstrap.ts';
import type { Cluster } from '../model/cluster.ts';
import type { Address, Json } from '../model/common.ts';
import type { IdentityKeyType, IdentitySettings, IdentitySourceSettings } from '../model/identity.ts';
import type { DecodeContext } from './context.ts';

/** The member of the node's metadata. */
export const IDENTITY_MEMBER = 'TOLLWAY_IDENTITY';

type Members = { readonly [name: string]: Json };

const KEY_TYPES: { readonly [name: string]: IdentityKeyType } = {
  EC_P256: 'ec-p256',
  RSA_2048: 'rsa-2048',
  RSA_4096: 'rsa-4096',
};
/** As long as Istio's agent asks for. */
const TTL_MS = { istio: 86_400_000, development: 3_600_000 };
const SECRETS = { cluster: 'sds-grpc', certificate: 'default', trust: 'ROOTCA' };
/** An absolute path or an IP with its port: neither is looked up (SPIFFE Workload Endpoint §4). */
const SOCKET = /^(unix:(\/\/)?\/.+|tcp:\/\/([\d.]+|\[[\da-f:]+\]):\d+)$/i;
const SOURCES = ['istio_ca', 'spiffe_workload_api', 'files', 'development_ca'] as const;

/** `undefined` where the bootstrap names no source. `clusters`: the bootstrap's own. */
export function decodeIdentity(
  node: Node,
  clusters: readonly Cluster[],
  ctx: DecodeContext,
): IdentitySettings | undefined {
  const json = node.metadata[IDENTITY_MEMBER];
  if (json === undefined) return undefined;
  return ctx.at('node', () =>
    ctx.at('metadata', () =>
      ctx.at(IDENTITY_MEMBER, () => {
        const members = membersOf(json, [...SOURCES, 'secrets'], ctx);
        const named = SOURCES.filter((name) => members[name] !== undefined);
        const [name] = named;
        if (name === undefined || named.length > 1) {
          ctx.error(`needs one source of ${SOURCES.join(', ')}, has ${named.length}`);
          return undefined;
        }
        const source = ctx.at(name, () => decodeSource(name, members[name] ?? null, node, clusters, ctx));
        const secrets = ctx.at('secrets', () => decodeSecrets(members.secrets ?? {}, ctx));
        return { source, secrets };
      }),
    ),
  );
}

function decodeSource(
  name: (typeof SOURCES)[number],
  json: Json,
  node: Node,
  clusters: readonly Cluster[],
  ctx: DecodeContext,
): IdentitySourceSettings {
  switch (name) {
    case 'istio_ca': {
      const of = membersOf(
        json,
        ['cluster', 'token_path', 'cluster_id', 'roots_path', 'spiffe_id', 'key_type', 'ttl'],
        ctx,
      );
      const cluster = required(of, 'cluster', ctx);
      const tokenPath = textOf(of, 'token_path', ctx);
      checkCluster(cluster, tokenPath !== undefined, clusters, ctx);
      const rootsPath = textOf(of, 'roots_path', ctx);
      const clusterId = textOf(of, 'cluster_id', ctx) ?? metadataText(node, 'CLUSTER_ID');
      return { kind: 'istio-ca', cluster, tokenPath, clusterId, rootsPath, ...requestOf(of, node, TTL_MS.istio, ctx) };
    }
    case 'development_ca': {
      const of = membersOf(json, ['spiffe_id', 'key_type', 'ttl'], ctx);
      return { kind: 'development-ca', ...requestOf(of, node, TTL_MS.development, ctx) };
    }
    case 'spiffe_workload_api': {
      const socket = textOf(membersOf(json, ['socket'], ctx), 'socket', ctx);
      if (socket !== undefined && !SOCKET.test(socket)) {
        ctx.error(`"${socket}" is neither unix:///path nor tcp://address:port`, 'socket');
      }
      return { kind: 'spiffe-workload-api', socket };
    }
    case 'files': {
      const of = membersOf(json, ['certificate_chain', 'private_key', 'trusted_ca'], ctx);
      return {
        kind: 'files',
        certificateChain: required(of, 'certificate_chain', ctx),
        privateKey: required(of, 'private_key', ctx),
        trustedCa: required(of, 'trusted_ca', ctx),
      };
    }
  }
}

function decodeSecrets(json: Json, ctx: DecodeContext): IdentitySettings['secrets'] {
  const of = membersOf(json, ['cluster', 'certificate', 'trust'], ctx);
  return {
    cluster: textOf(of, 'cluster', ctx) ?? SECRETS.cluster,
    certificate: textOf(of, 'certificate', ctx) ?? SECRETS.certificate,
    trust: textOf(of, 'trust', ctx) ?? SECRETS.trust,
  };
}

function requestOf(of: Members, node: Node, ttlMs: number, ctx: DecodeContext) {
  const word = textOf(of, 'key_type', ctx) ?? 'EC_P256';
  const keyType = KEY_TYPES[word];
  if (keyType === undefined) ctx.error(`"${word}" is none of ${Object.keys(KEY_TYPES).join(', ')}`, 'key_type');
  return {
    spiffeId: spiffeIdOf(of, node, ctx),
    keyType: keyType ?? 'ec-p256',
    ttlMs: secondsOf(of, 'ttl', ctx) ?? ttlMs,
  };
}

/** As Istio names workloads, where it is not given: from what its injector writes into the metadata. */
function spiffeIdOf(of: Members, node: Node, ctx: DecodeContext): string {
  const given = textOf(of, 'spiffe_id', ctx);
  const namespace = metadataText(node, 'NAMESPACE');
  const account = metadataText(node, 'SERVICE_ACCOUNT');
  if (given === undefined && (namespace === undefined || account === undefined)) {
    ctx.error('is needed where the metadata has no NAMESPACE and SERVICE_ACCOUNT', 'spiffe_id');
    return '';
  }
  const id = given ?? `spiffe://${metadataText(node, 'TRUST_DOMAIN') ?? 'cluster.local'}/ns/${namespace}/sa/${account}`;
  if (!/^spiffe:\/\/[a-z0-9._-]+(\/[a-zA-Z0-9._-]+)+$/.test(id)) ctx.error(`"${id}" is not a SPIFFE id`, 'spiffe_id');
  return id;
}

function checkCluster(name: string, sendsToken: boolean, clusters: readonly Cluster[], ctx: DecodeContext): void {
  if (name === '') return;
  const cluster = clusters.find((one) => one.name === name);
  if (cluster === undefined) {
    ctx.error(`unknown cluster '${name}': name one of static_resources`, 'cluster');
    return;
  }
  const { discovery, transportSocket } = cluster;
  const addresses =
    discovery.kind === 'eds' || discovery.kind === 'original-dst'
      ? []
      : discovery.localities.flatMap(({ endpoints }) => endpoints.map(({ address }) => address));
  if (addresses.length === 0) ctx.error(`cluster '${name}' has no endpoint of its own`, 'cluster');
  if (transportSocket.kind === 'raw' && !addresses.every(isLocal)) {
    ctx.error(
      `cluster '${name}' has no TLS: ${sendsToken ? 'the token' : 'the request'} would go in the clear`,
      'cluster',
    );
  } else if (!sendsToken && (transportSocket.kind === 'raw' || transportSocket.tls.common.certificates.length === 0)) {
    ctx.error(`is needed: cluster '${name}' shows no client certificate either`, 'token_path');
  }
}

function isLocal(address: Address): boolean {
  if (address.kind === 'pipe') return true;
  return address.host === '::1' || (isIP(address.host) === 4 && address.host.startsWith('127.'));
}

/** The members of an object, none of something else; each that is not known is an error. */
function membersOf(json: Json, known: readonly string[], ctx: DecodeContext): Members {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    ctx.error('has to be an object');
    return {};
  }
  for (const name of Object.keys(json)) {
    if (!known.includes(name)) ctx.error(`is not known; there is ${known.join(', ')}`, name);
  }
  return json as Members;
}

function required(of: Members, name: string, ctx: DecodeContext): string {
  const value = textOf(of, name, ctx);
  if (value === undefined && of[name] === undefined) ctx.error('is needed', name);
  return value ?? '';
}

function textOf(of: Members, name: string, ctx: DecodeContext): string | undefined {
  const value = of[name];
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value !== '') return value;
  ctx.error('has to be a text that is not empty', name);
  return undefined;
}

function secondsOf(of: Members, name: string, ctx: DecodeContext): number | undefined {
  const text = textOf(of, name, ctx);
  if (text === undefined) return undefined;
  const seconds = /^\d{1,9}(\.\d{1,9})?s$/.test(text) ? Number(text.slice(0, -1)) : 0;
  if (seconds < 1) ctx.error(`"${text}" is not a duration of a second or more, written 3600s`, name);
  return seconds * 1000;
}

function metadataText(node: Node, name: string): string | undefined {
  const value = node.metadata[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
