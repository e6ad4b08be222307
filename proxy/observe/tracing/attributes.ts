/** What a span says: Envoy's tags by Envoy's names, and the decision record under `tollway.`. */
import type { CustomTag } from '../../../xds-client/model/http-connection-manager.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import { addressText } from '../../upstream/contract.ts';
import { flagText } from '../access-log/flags.ts';
import { grpcStatusOf, isGrpcRequest } from '../access-log/grpc-status.ts';
import { sortedJson } from '../access-log/json-text.ts';
import { loggedHeader } from '../access-log/secrets.ts';
import { maskSecrets } from '../mask.ts';

export type Attributes = { [key: string]: string | number | boolean };

const PROTOCOLS: { readonly [version: number]: string } = { 10: 'HTTP/1.0', 11: 'HTTP/1.1', 20: 'HTTP/2' };

export interface SpanIdentity {
  readonly nodeId: string;
  readonly zone: string;
}

/** Of the span that stands for the whole request. */
export function serverAttributes(info: StreamInfo, identity: SpanIdentity, maxPathLength: number): Attributes {
  const { request, connection } = info;
  const path = info.originalPath.slice(0, maxPathLength);
  const out: Attributes = {
    component: 'proxy',
    node_id: identity.nodeId,
    zone: identity.zone,
    'guid:x-request-id': info.requestId ?? '-',
    'http.url': maskSecrets(`${request.scheme}://${request.authority}${path}`),
    'http.method': request.method,
    'http.protocol': PROTOCOLS[request.version] ?? '-',
    'http.status_code': String(info.response?.status ?? 0),
    response_flags: flagText(info.flags),
    downstream_cluster: request.headers.get('x-envoy-downstream-service-cluster') ?? '-',
    user_agent: loggedHeader('user-agent', request.headers.get('user-agent')) ?? '-',
    'peer.address': connection.directRemoteAddress,
    request_size: String(info.requestBodyBytes),
    response_size: String(info.responseBodyBytes),
    'tollway.listener': connection.listener.name,
  };
  upstreamTags(info, out);
  if (connection.chain.name !== '') out['tollway.filter_chain'] = connection.chain.name;
  if (info.virtualHost !== undefined) out['tollway.virtual_host'] = info.virtualHost.name;
  if (info.route !== undefined && info.route.name !== '') out['tollway.route'] = info.route.name;
  if (info.endpoint !== undefined) out['tollway.endpoint'] = addressText(info.endpoint.address);
  if (info.responseCodeDetails !== undefined) out['tollway.response_code_details'] = info.responseCodeDetails;
  if (info.attemptCount > 0) out['tollway.attempts'] = info.attemptCount;
  const identityOfPeer = connection.tls?.peer?.sans.uris[0];
  if (identityOfPeer !== undefined) out['tollway.downstream_identity'] = identityOfPeer;
  for (const [i, attempt] of (info.attempts ?? []).entries()) {
    const where = attempt.endpoint === undefined ? '-' : addressText(attempt.endpoint.address);
    out[`tollway.attempt.${i + 1}`] = `${where} ${attempt.class} ${attempt.outcome}: ${attempt.decision}`;
  }
  if (isFailure(info)) out.error = 'true';
  return out;
}

/** Of the span of one attempt. */
export function attemptAttributes(info: StreamInfo): Attributes {
  const out: Attributes = {
    component: 'proxy',
    'http.protocol': info.upstreamProtocol ?? '-',
    'http.status_code': String(info.response?.status ?? 0),
    response_flags: flagText(info.flags),
  };
  upstreamTags(info, out);
  if (info.endpoint !== undefined) {
    const address = addressText(info.endpoint.address);
    out.upstream_address = address;
    out['peer.address'] = address;
  }
  if (info.attemptCount > 1) out.retry_count = String(info.attemptCount - 1);
  if (isFailure(info)) out.error = 'true';
  return out;
}

function upstreamTags(info: StreamInfo, out: Attributes): void {
  if (info.cluster !== undefined) {
    out.upstream_cluster = info.cluster;
    out['upstream_cluster.name'] = info.clusterStatName ?? info.cluster;
  }
  if (isGrpcRequest(info)) {
    const status = grpcStatusOf(info);
    if (status !== undefined) out['grpc.status_code'] = String(status);
  }
}

/** No response, a response of the server's fault, or a gRPC status that is one. */
export function isFailure(info: StreamInfo): boolean {
  const status = info.response?.status ?? 0;
  if (status === 0 || status >= 500) return true;
  if (!isGrpcRequest(info)) return false;
  // Unknown, deadline exceeded, unimplemented, internal, unavailable, data loss.
  return [2, 4, 12, 13, 14, 15].includes(grpcStatusOf(info) ?? 0);
}

export type TagSource = (info: StreamInfo) => string | undefined;

/** Compiles a custom tag; what its source does not give is its fallback, and an empty fallback leaves the tag out. */
export function compileTag(tag: CustomTag): readonly [name: string, source: TagSource] {
  const { from } = tag;
  switch (from.kind) {
    case 'literal':
      return [tag.tag, () => from.value];
    case 'environment': {
      const value = process.env[from.name] ?? from.fallback;
      return [tag.tag, () => value];
    }
    case 'request-header': {
      const name = from.name.toLowerCase();
      return [tag.tag, ({ request }) => loggedHeader(name, request.headers.get(name)) ?? from.fallback];
    }
    case 'metadata':
      return [tag.tag, (info) => metadataText(info, from) ?? from.fallback];
  }
}

function metadataText(info: StreamInfo, from: Extract<CustomTag['from'], { kind: 'metadata' }>): string | undefined {
  let at: unknown;
  if (from.of === 'request') at = info.dynamicMetadata?.get(from.namespace);
  else if (from.of === 'route') at = info.route?.metadata[from.namespace];
  else if (from.of === 'host') at = info.endpoint?.metadata[from.namespace];
  for (const key of from.path)
    at = typeof at === 'object' && at !== null ? (at as { [k: string]: unknown })[key] : undefined;
  if (at === undefined || at === null) return undefined;
  return maskSecrets(typeof at === 'object' ? sortedJson(at) : String(at));
}
