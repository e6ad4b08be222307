/** The discovery messages as the subscriptions read and write them (xDS transport protocol, state of the world). */
import type { Any, Duration, MessageObject } from '../protos/index.ts';

export const DISCOVERY_REQUEST = 'envoy.service.discovery.v3.DiscoveryRequest';
export const DISCOVERY_RESPONSE = 'envoy.service.discovery.v3.DiscoveryResponse';
export const RESOURCE = 'envoy.service.discovery.v3.Resource';

/** google.rpc.Code.INVALID_ARGUMENT: what a NACK says. */
const INVALID_ARGUMENT = 3;

export interface DiscoveryResponse {
  readonly version: string;
  readonly typeUrl: string;
  readonly nonce: string;
  readonly resources: readonly Any[];
  /** `control_plane.identifier`; empty when the server does not say. */
  readonly server: string;
}

export interface DiscoveryRequest {
  readonly typeUrl: string;
  /** The last version accepted whole; empty when there was none. */
  readonly version: string;
  readonly names: readonly string[];
  /** The nonce of the newest response of this stream; empty before the first. */
  readonly nonce: string;
  /** Set: this is a NACK. */
  readonly error: string | undefined;
}

/** What envoy.service.discovery.v3.Resource carries around a resource. `resource` is absent in a TTL heartbeat. */
export interface WrappedResource {
  readonly name: string;
  readonly version: string;
  readonly resource: Any | undefined;
  readonly ttlMs: number | undefined;
}

export function readResponse(message: MessageObject): DiscoveryResponse {
  const server = message.control_plane as { identifier?: string } | undefined;
  return {
    version: text(message.version_info),
    typeUrl: text(message.type_url),
    nonce: text(message.nonce),
    resources: ((message.resources ?? []) as Partial<Any>[]).map(readAny),
    server: server?.identifier ?? '',
  };
}

export function readWrapped(message: MessageObject): WrappedResource {
  const resource = message.resource as Partial<Any> | undefined;
  const ttl = message.ttl as Duration | undefined;
  return {
    name: text(message.name),
    version: text(message.version),
    resource: resource === undefined || resource === null ? undefined : readAny(resource),
    ttlMs: ttl === undefined || ttl === null ? undefined : (ttl.seconds ?? 0) * 1000 + (ttl.nanos ?? 0) / 1e6,
  };
}

/** `node` goes on the first request of a stream only. */
export function writeRequest(request: DiscoveryRequest, node: MessageObject | undefined): MessageObject {
  const message: MessageObject = {
    version_info: request.version,
    type_url: request.typeUrl,
    response_nonce: request.nonce,
    resource_names: [...request.names],
  };
  if (node !== undefined) message.node = node;
  if (request.error !== undefined) message.error_detail = { code: INVALID_ARGUMENT, message: request.error };
  return message;
}

/** Empty members are left out on the wire. */
function readAny(any: Partial<Any>): Any {
  return { type_url: any.type_url ?? '', value: any.value ?? Buffer.alloc(0) };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
